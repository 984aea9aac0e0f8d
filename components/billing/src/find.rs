//! Finding a patient's account.

use ward_sdk::Uuid;
use ward_sdk::ports::StoreError;

use crate::model::{Account, PatientId};
use crate::ports::Accounts;

/// Nothing as long as none was opened.
pub fn find(ports: &impl Accounts, patient_id: Uuid) -> Result<Option<Account>, StoreError> {
    ports.find(PatientId(patient_id))
}
