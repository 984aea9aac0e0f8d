//! What billing needs from outside.

use ward_sdk::ports::{Clock, Ids, StoreError};

use crate::model::{Account, Holder, PatientId};

pub trait Ports: Accounts + Publisher + Clock + Ids {}

impl<T: Accounts + Publisher + Clock + Ids> Ports for T {}

pub trait Accounts {
    /// False, and nothing stored, if the patient has an account. Waits for others that open one for the same patient.
    fn insert(&self, account: &Account, holder: &Holder) -> Result<bool, StoreError>;

    fn find(&self, patient_id: PatientId) -> Result<Option<Account>, StoreError>;

    /// Can it be read at all?
    fn probe(&self) -> Result<(), StoreError>;
}

/// Events, sent if the call commits.
pub trait Publisher {
    fn account_opened(&self, account: &Account) -> Result<(), StoreError>;
}
