//! What pharmacy needs from outside.

use ward_sdk::Uuid;
use ward_sdk::export::Failure;
use ward_sdk::ports::{Clock, Ids, StoreError};

use crate::model::{End, Prescription, Status, Wanted};

pub trait Ports: Prescriptions + Patients + Publisher + Clock + Ids + 'static {}

impl<T: Prescriptions + Patients + Publisher + Clock + Ids + 'static> Ports for T {}

pub trait Prescriptions {
    /// Keeps everybody else from changing the patient's prescriptions until the call ends. True if the patient is gone.
    fn lock(&self, patient_id: Uuid) -> Result<bool, StoreError>;

    /// Locks, and notes for ever that the patient is gone.
    fn mark_gone(&self, patient_id: Uuid) -> Result<(), StoreError>;

    fn count_active(&self, patient_id: Uuid) -> Result<i64, StoreError>;

    fn insert(&self, prescription: &Prescription) -> Result<(), StoreError>;

    fn find(&self, id: Uuid) -> Result<Option<Prescription>, StoreError>;

    /// The newest first, at most `limit`.
    fn list(&self, wanted: &Wanted, limit: i64) -> Result<Vec<Prescription>, StoreError>;

    /// Ends one that is active; none if it is not, or not there.
    fn end(&self, id: Uuid, end: &End) -> Result<Option<Prescription>, StoreError>;

    /// Ends all of a patient that are active.
    fn end_all(&self, patient_id: Uuid, end: &End) -> Result<Vec<Prescription>, StoreError>;
}

/// The service that knows who is a patient.
pub trait Patients {
    fn exists(&self, id: Uuid) -> Result<bool, Failure>;
}

/// Events, sent if the call commits.
pub trait Publisher {
    /// Says what the prescription has become.
    fn changed(&self, prescription: &Prescription, to: Status) -> Result<(), StoreError>;
}
