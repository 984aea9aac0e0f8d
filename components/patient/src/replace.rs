//! Changing what is said about a patient.

use crate::change::{ChangeError, lock};
use crate::model::{Act, Details, Patient, PatientId};
use crate::ports::Ports;

/// `accepts` is asked about the version that is replaced. The same details again change nothing, and are no event.
pub fn replace(
    ports: &impl Ports,
    id: PatientId,
    details: Details,
    accepts: impl FnOnce(u64) -> bool,
    by: &str,
) -> Result<Patient, ChangeError> {
    let locked = lock(ports, id)?;
    let before = locked.patient;
    if locked.deleted {
        return Err(ChangeError::NotFound);
    }
    if !accepts(before.version) {
        return Err(ChangeError::Stale);
    }
    if before.details == details {
        return Ok(before);
    }
    let after = Patient { details, version: before.version + 1, ..before };
    ports.replace(&before, &after, &Act { by: by.to_owned(), at: ports.now() })?;
    ports.updated(&after)?;
    Ok(after)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ports::Patients;
    use crate::testing::{Fake, details};

    #[test]
    fn a_change_is_a_version_an_event_and_an_entry() {
        let fake = Fake::default();
        let john = fake.register("John Doe", "john.doe@example.com", "1985-06-15");
        let new = details("John A. Doe", "john.doe@example.com", "1985-06-15");
        let after = replace(&fake, john.id, new, |version| version == 1, "bob").unwrap();
        assert_eq!((after.version, after.details.name.as_str()), (2, "John A. Doe"));
        assert_eq!(fake.find(john.id), Ok(Some(after)));
        assert_eq!(fake.published()[1], format!("updated {} 2", john.id.0));
        assert_eq!(fake.history()[1], format!("updated {} 2 by bob", john.id.0));
    }

    #[test]
    fn the_same_again_changes_nothing() {
        let fake = Fake::default();
        let john = fake.register("John Doe", "john.doe@example.com", "1985-06-15");
        assert_eq!(replace(&fake, john.id, john.details.clone(), |_| true, "bob"), Ok(john));
        assert_eq!(fake.published().len(), 1);
    }

    #[test]
    fn a_stale_version_an_unknown_and_a_deleted_patient_are_refused() {
        let fake = Fake::default();
        let john = fake.register("John Doe", "john.doe@example.com", "1985-06-15");
        let new = || details("John", "john.doe@example.com", "1985-06-15");
        assert_eq!(replace(&fake, john.id, new(), |version| version == 7, "bob"), Err(ChangeError::Stale));
        let unknown = PatientId(ward_sdk::Uuid::from_u128(99));
        assert_eq!(replace(&fake, unknown, new(), |_| true, "bob"), Err(ChangeError::NotFound));
        crate::delete::delete(&fake, john.id, |_| true, "bob").unwrap();
        assert_eq!(replace(&fake, john.id, new(), |_| true, "bob"), Err(ChangeError::NotFound));
    }
}
