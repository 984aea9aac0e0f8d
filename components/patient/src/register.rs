//! Registering a patient.

use thiserror::Error;
use ward_sdk::Date;
use ward_sdk::ports::{Clock, StoreError};

use crate::duplicates::{Candidate, candidates};
use crate::model::{Act, Details, Duplicates, Patient, PatientId};
use crate::ports::{Clinic, Patients, Ports, Publisher};

#[derive(Debug, PartialEq, Error)]
pub enum RegisterError {
    /// Somebody like this is there, or was registered at the same time.
    #[error("somebody like this is registered already")]
    Duplicate(Vec<Candidate>),
    #[error(transparent)]
    Store(#[from] StoreError),
}

#[derive(Debug, Clone)]
pub struct Registration {
    pub details: Details,
    pub registered_date: Date,
    pub duplicates: Duplicates,
}

/// The search makes a helpful refusal; that two at the same time do not both pass is the store's doing.
pub fn register(ports: &impl Ports, registration: Registration, by: &str) -> Result<Patient, RegisterError> {
    let Registration { details, registered_date, duplicates } = registration;
    if duplicates == Duplicates::Refuse {
        refuse_duplicate(ports, &details)?;
    }
    let patient = Patient { id: PatientId(ports.next()), details, registered_date, version: 1 };
    let act = Act { by: by.to_owned(), at: ports.now() };
    if !add(ports, &patient, duplicates, &act)? {
        refuse_duplicate(ports, &patient.details)?;
        return Err(StoreError::Failed("a namesake that exists was not found".to_owned()).into());
    }
    Ok(patient)
}

fn refuse_duplicate(ports: &impl Patients, details: &Details) -> Result<(), RegisterError> {
    let candidates = candidates(details, &ports.similar(details)?);
    if candidates.is_empty() { Ok(()) } else { Err(RegisterError::Duplicate(candidates)) }
}

/// Stores and publishes. False if there is a namesake.
pub fn add(
    ports: &(impl Patients + Publisher),
    patient: &Patient,
    duplicates: Duplicates,
    act: &Act,
) -> Result<bool, StoreError> {
    let added = ports.insert(patient, duplicates, act)?;
    if added {
        ports.registered(patient)?;
    }
    Ok(added)
}

/// The clinic's day.
pub fn today(ports: &(impl Clock + Clinic)) -> Result<Date, StoreError> {
    let today = ports.now().date(ports.utc_offset_minutes());
    today.ok_or_else(|| StoreError::Failed("the clock or utc_offset_minutes is beyond the calendar".to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{Fake, details};
    use ward_sdk::testing::Foretold;
    use ward_sdk::time::{Timestamp, read_date};

    fn registration(name: &str, email: &str, birth: &str, duplicates: Duplicates) -> Registration {
        let registered_date = read_date("2024-01-10").unwrap();
        Registration { details: details(name, email, birth), registered_date, duplicates }
    }

    fn john(duplicates: Duplicates) -> Registration {
        registration("John Doe", "john.doe@example.com", "1985-06-15", duplicates)
    }

    #[test]
    fn stores_publishes_and_keeps_who_did_it() {
        let fake = Fake::default();
        let patient = register(&fake, john(Duplicates::Refuse), "ann@clinic.org").unwrap();
        assert_eq!(patient.version, 1);
        assert_eq!(fake.find(patient.id), Ok(Some(patient.clone())));
        assert_eq!(fake.published(), [format!("registered {} 1", patient.id.0)]);
        assert_eq!(fake.history(), [format!("registered {} 1 by ann@clinic.org", patient.id.0)]);
    }

    #[test]
    fn a_likely_duplicate_is_refused_with_its_candidates() {
        let fake = Fake::default();
        let first = register(&fake, john(Duplicates::Refuse), "ann").unwrap();
        let again = registration("DOE, John", "other@example.com", "1985-06-15", Duplicates::Refuse);
        let Err(RegisterError::Duplicate(candidates)) = register(&fake, again, "ann") else { panic!() };
        assert_eq!(candidates[0].id, first.id);
        assert_eq!(fake.published().len(), 1);
    }

    #[test]
    fn a_family_shares_its_address() {
        let fake = Fake::default();
        register(&fake, john(Duplicates::Refuse), "ann").unwrap();
        let jane = registration("Jane Doe", "john.doe@example.com", "1985-06-15", Duplicates::Refuse);
        assert!(register(&fake, jane, "ann").is_ok());
    }

    #[test]
    fn a_duplicate_that_somebody_allowed_is_registered() {
        let fake = Fake::default();
        let first = register(&fake, john(Duplicates::Refuse), "ann").unwrap();
        let second = register(&fake, john(Duplicates::Allow), "ann").unwrap();
        assert_ne!(first.id, second.id);
        assert!(
            matches!(register(&fake, john(Duplicates::Refuse), "ann"), Err(RegisterError::Duplicate(both)) if both.len() == 2)
        );
    }

    #[test]
    fn of_two_at_the_same_time_one_is_refused() {
        let fake = Fake { blind: 1.into(), ..Fake::default() };
        fake.register("John Doe", "john.doe@example.com", "1985-06-15");
        let refused = register(&fake, john(Duplicates::Refuse), "ann");
        assert!(matches!(refused, Err(RegisterError::Duplicate(candidates)) if candidates.len() == 1));
    }

    #[test]
    fn who_was_deleted_may_come_back() {
        let fake = Fake::default();
        let first = register(&fake, john(Duplicates::Refuse), "ann").unwrap();
        crate::delete::delete(&fake, first.id, |_| true, "ann").unwrap();
        assert!(register(&fake, john(Duplicates::Refuse), "ann").is_ok());
    }

    #[test]
    fn today_is_the_clinics_day() {
        let fake = Fake {
            utc_offset_minutes: 60,
            foretold: Foretold::at(Timestamp(1_767_225_599_000_000)),
            ..Fake::default()
        };
        assert_eq!(today(&fake), Ok(read_date("2026-01-01").unwrap()));
    }
}
