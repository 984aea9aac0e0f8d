//! Prescriptions.

use ward_sdk::Uuid;
use ward_sdk::shape::{Between, Text};
use ward_sdk::time::Timestamp;

/// A patient's active prescriptions are cancelled in one call when the patient is deleted, each with an event; a call has
/// room for a hundred (`limits.events`).
pub const MOST_ACTIVE: i64 = 50;

/// The page that a list has when nobody asks for another.
pub const USUAL_PAGE: i32 = 50;

ward_sdk::shape! {
    /// What a clinician prescribes.
    pub struct NewPrescription {
        /// Who gets it.
        pub patient_id: Uuid,
        /// What, as the pharmacist shall read it.
        pub drug: Text<200>,
        /// How much and how often.
        pub dose: Text<200>,
    }
}

ward_sdk::shape! {
    /// A prescription, active or not.
    pub struct Prescription {
        pub id: Uuid,
        pub patient_id: Uuid,
        pub drug: Text<200>,
        pub dose: Text<200>,
        pub status: Status,
        /// The user who prescribed it.
        pub prescribed_by: String,
        pub prescribed_at: Timestamp,
        /// The user who dispensed or cancelled it, or the service that did.
        pub ended_by: Option<String>,
        pub ended_at: Option<Timestamp>,
        /// Why it was cancelled.
        pub reason: Option<String>,
        /// Grows by one with every change.
        pub version: i64,
    }
}

ward_sdk::shape! {
    /// How far a prescription is. Forward only: what was dispensed or cancelled stays so.
    pub enum Status { Active = "active", Dispensed = "dispensed", Cancelled = "cancelled" }
}

ward_sdk::shape! {
    /// Why a prescription is cancelled.
    pub struct Cancellation {
        pub reason: Text<500>,
    }
}

ward_sdk::shape! {
    /// Which prescriptions a list shall have.
    pub struct Wanted {
        /// Whose.
        pub patient_id: Uuid,
        /// In this state only.
        pub status: Option<Status>,
        /// How many at most; 50 without it.
        pub limit: Option<Between<1, 200>>,
        /// Where the page before ended; from its `Link`.
        pub cursor: Option<Uuid>,
    }
}

/// How a prescription ends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct End {
    pub status: Status,
    pub by: String,
    pub at: Timestamp,
    pub reason: Option<String>,
}
