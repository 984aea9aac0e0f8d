//! A store in memory, a clock and ids that tests can foretell.

use std::cell::RefCell;
use std::collections::BTreeMap;

use ward_sdk::ports::StoreError;
use ward_sdk::testing::{Foretells, Foretold};

use crate::model::{Account, AccountId, Holder, PatientId};
use crate::ports::{Accounts, Publisher};

pub const JOHN: &str = "123e4567-e89b-12d3-a456-426614174000";

#[derive(Default)]
pub struct Fake {
    broken: bool,
    accounts: RefCell<BTreeMap<PatientId, Account>>,
    opened: RefCell<Vec<AccountId>>,
    foretold: Foretold,
}

impl Fake {
    /// A store that cannot be reached.
    pub fn broken() -> Self {
        Self { broken: true, ..Self::default() }
    }

    /// The accounts whose opening was published.
    pub fn opened(&self) -> Vec<AccountId> {
        self.opened.borrow().clone()
    }

    fn check(&self) -> Result<(), StoreError> {
        if self.broken { Err(StoreError::Unavailable) } else { Ok(()) }
    }
}

impl Accounts for Fake {
    fn insert(&self, account: &Account, _: &Holder) -> Result<bool, StoreError> {
        self.check()?;
        let mut accounts = self.accounts.borrow_mut();
        let new = !accounts.contains_key(&account.patient_id);
        accounts.entry(account.patient_id).or_insert_with(|| account.clone());
        Ok(new)
    }

    fn find(&self, patient_id: PatientId) -> Result<Option<Account>, StoreError> {
        self.check()?;
        Ok(self.accounts.borrow().get(&patient_id).cloned())
    }

    fn probe(&self) -> Result<(), StoreError> {
        self.check()
    }
}

impl Publisher for Fake {
    fn account_opened(&self, account: &Account) -> Result<(), StoreError> {
        self.opened.borrow_mut().push(account.id);
        Ok(())
    }
}

impl Foretells for Fake {
    fn foretold(&self) -> &Foretold {
        &self.foretold
    }
}
