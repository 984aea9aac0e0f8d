//! Reading one patient.

use ward_sdk::ports::StoreError;

use crate::model::{Patient, PatientId};
use crate::ports::Patients;

/// Nothing for one that was deleted.
pub fn find(ports: &impl Patients, id: PatientId) -> Result<Option<Patient>, StoreError> {
    ports.find(id)
}
