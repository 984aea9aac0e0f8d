//! What is counted, and the sums.

use ward_sdk::{Date, Uuid};

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PatientId(pub Uuid);

impl PatientId {
    /// One of sixteen rows that a count is spread over; the same for all that concerns one patient.
    pub fn bucket(self) -> i32 {
        let [.., last] = self.0.into_bytes();
        i32::from(last % 16)
    }
}

/// By how much the counts change.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Delta {
    pub registered: i64,
    pub active: i64,
    pub deleted: i64,
    pub accounts_opened: i64,
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Totals {
    pub registered: i64,
    /// Registered, and not deleted.
    pub active: i64,
    pub deleted: i64,
    pub accounts_opened: i64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Day {
    pub day: Date,
    pub registered: i64,
}
