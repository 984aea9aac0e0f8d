//! Deleting a patient: gone from every list, kept in the store.

use crate::change::{ChangeError, lock};
use crate::model::{Act, Patient, PatientId};
use crate::ports::Ports;

/// Repeated, it changes nothing and is fine; `accepts` is not asked then.
pub fn delete(
    ports: &impl Ports,
    id: PatientId,
    accepts: impl FnOnce(u64) -> bool,
    by: &str,
) -> Result<(), ChangeError> {
    let locked = lock(ports, id)?;
    if locked.deleted {
        return Ok(());
    }
    if !accepts(locked.patient.version) {
        return Err(ChangeError::Stale);
    }
    let patient = Patient { version: locked.patient.version + 1, ..locked.patient };
    ports.delete(&patient, &Act { by: by.to_owned(), at: ports.now() })?;
    Ok(ports.deleted(&patient)?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ports::Patients;
    use crate::testing::Fake;

    #[test]
    fn a_deleted_patient_is_gone_once() {
        let fake = Fake::default();
        let john = fake.register("John Doe", "john.doe@example.com", "1985-06-15");
        delete(&fake, john.id, |version| version == 1, "bob").unwrap();
        delete(&fake, john.id, |version| version == 1, "bob").unwrap();
        assert_eq!(fake.find(john.id), Ok(None));
        assert_eq!(fake.published()[1..], [format!("deleted {} 2", john.id.0)]);
        assert_eq!(fake.history()[1..], [format!("deleted {} 2 by bob", john.id.0)]);
    }

    #[test]
    fn who_never_was_and_a_stale_version_are_refused() {
        let fake = Fake::default();
        let unknown = PatientId(ward_sdk::Uuid::from_u128(99));
        assert_eq!(delete(&fake, unknown, |_| true, "bob"), Err(ChangeError::NotFound));
        let john = fake.register("John Doe", "john.doe@example.com", "1985-06-15");
        assert_eq!(delete(&fake, john.id, |_| false, "bob"), Err(ChangeError::Stale));
    }
}
