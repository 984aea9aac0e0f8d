//! Opening an account.

use thiserror::Error;
use ward_sdk::ports::StoreError;

use crate::model::{Account, AccountId, Holder, Status};
use crate::ports::Ports;

#[derive(Debug, PartialEq, Error)]
pub enum OpenError {
    /// One sentence for each fault.
    #[error("the holder is not valid")]
    Invalid(Vec<String>),
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Opens an account, or returns the one that the patient has. Everybody who asks at the same time gets the same.
pub fn open(ports: &impl Ports, patient_id: &str, name: &str, email: &str) -> Result<Account, OpenError> {
    let holder = Holder::check(patient_id, name, email).map_err(OpenError::Invalid)?;
    let account = Account {
        id: AccountId(ports.next()),
        patient_id: holder.patient_id(),
        status: Status::Active,
        opened_at: ports.now(),
    };
    if ports.insert(&account, &holder)? {
        ports.account_opened(&account)?;
        return Ok(account);
    }
    let existing = ports.find(holder.patient_id())?;
    existing.ok_or_else(|| StoreError::Failed("an account that exists was not found".to_owned()).into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{Fake, JOHN};

    #[test]
    fn opens_one_account_and_says_so_once() {
        let fake = Fake::default();
        let first = open(&fake, JOHN, "John Doe", "john.doe@example.com").unwrap();
        let second = open(&fake, JOHN, "J. Doe", "other@example.com").unwrap();
        assert_eq!(first, second);
        assert_eq!(first.status, Status::Active);
        assert_eq!(fake.opened(), [first.id]);
    }

    #[test]
    fn two_patients_have_two_accounts() {
        let fake = Fake::default();
        let first = open(&fake, JOHN, "John Doe", "family@example.com").unwrap();
        let other = JOHN.replace("4000", "4001");
        let second = open(&fake, &other, "Jane Doe", "family@example.com").unwrap();
        assert_ne!(first.id, second.id);
        assert_eq!(fake.opened().len(), 2);
    }

    #[test]
    fn refuses_a_bad_holder_and_stores_nothing() {
        let fake = Fake::default();
        let error = open(&fake, "7", "", "x").unwrap_err();
        assert!(matches!(error, OpenError::Invalid(faults) if faults.len() == 3));
        assert!(fake.opened().is_empty());
    }

    #[test]
    fn a_store_that_fails_is_not_hidden() {
        let fake = Fake::broken();
        let error = open(&fake, JOHN, "John Doe", "john.doe@example.com").unwrap_err();
        assert_eq!(error, OpenError::Store(StoreError::Unavailable));
    }
}
