//! What pharmacy says and hears. The messages are its own contract: fields are only ever added.

use prost::Message;

use crate::model::{Prescription, Status};

pub const ISSUED: &str = "prescription.issued";
pub const DISPENSED: &str = "prescription.dispensed";
pub const CANCELLED: &str = "prescription.cancelled";

pub const PATIENT_DELETED: &str = "patient.deleted";

/// Type `prescription.issued`, subject = prescription id.
#[derive(Clone, PartialEq, Message)]
pub struct PrescriptionIssued {
    #[prost(string, tag = "1")]
    pub prescription_id: String,
    #[prost(string, tag = "2")]
    pub patient_id: String,
    #[prost(string, tag = "3")]
    pub drug: String,
    #[prost(string, tag = "4")]
    pub dose: String,
}

/// Types `prescription.dispensed` and `prescription.cancelled`, subject = prescription id.
#[derive(Clone, PartialEq, Message)]
pub struct PrescriptionEnded {
    #[prost(string, tag = "1")]
    pub prescription_id: String,
    #[prost(string, tag = "2")]
    pub patient_id: String,
}

/// What pharmacy reads of type `patient.deleted` (`clinic.events.v1.PatientDeleted`).
#[derive(Clone, PartialEq, Message)]
pub struct PatientDeleted {
    #[prost(string, tag = "1")]
    pub patient_id: String,
}

/// The type of the event that says what a prescription has become.
pub fn kind(status: Status) -> &'static str {
    match status {
        Status::Active => ISSUED,
        Status::Dispensed => DISPENSED,
        Status::Cancelled => CANCELLED,
    }
}

impl From<&Prescription> for PrescriptionIssued {
    fn from(prescription: &Prescription) -> Self {
        Self {
            prescription_id: prescription.id.to_string(),
            patient_id: prescription.patient_id.to_string(),
            drug: prescription.drug.to_string(),
            dose: prescription.dose.to_string(),
        }
    }
}

impl From<&Prescription> for PrescriptionEnded {
    fn from(prescription: &Prescription) -> Self {
        Self { prescription_id: prescription.id.to_string(), patient_id: prescription.patient_id.to_string() }
    }
}
