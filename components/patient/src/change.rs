//! What replacing and deleting have in common.

use thiserror::Error;
use ward_sdk::ports::StoreError;

use crate::model::{Locked, PatientId};
use crate::ports::Patients;

#[derive(Debug, PartialEq, Error)]
pub enum ChangeError {
    /// Never registered; for a replacement also: deleted.
    #[error("there is no such patient")]
    NotFound,
    /// The caller has seen another version than the current one.
    #[error("the patient was changed in between")]
    Stale,
    #[error(transparent)]
    Store(#[from] StoreError),
}

pub fn lock(ports: &impl Patients, id: PatientId) -> Result<Locked, ChangeError> {
    ports.lock(id)?.ok_or(ChangeError::NotFound)
}
