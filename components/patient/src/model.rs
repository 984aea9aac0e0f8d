//! Patients.

use serde::Serialize;
use ward_sdk::time::Timestamp;
use ward_sdk::{Date, Uuid};

use crate::name::FoldedName;

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub struct PatientId(pub Uuid);

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Patient {
    pub id: PatientId,
    pub details: Details,
    pub registered_date: Date,
    /// Grows by one with every change; 1 when registered.
    pub version: u64,
}

/// What a client says about a patient, checked (`check`), spelled as typed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Details {
    pub name: String,
    pub email: String,
    pub address: String,
    pub date_of_birth: Date,
}

impl Details {
    pub fn folded_name(&self) -> FoldedName {
        FoldedName::of(&self.name)
    }

    pub fn email_key(&self) -> String {
        fold_email(&self.email)
    }

    /// Whether the two would be taken for one person by name and birthday.
    pub fn is_namesake(&self, other: &Self) -> bool {
        self.date_of_birth == other.date_of_birth && self.folded_name().identity() == other.folded_name().identity()
    }
}

pub fn fold_email(email: &str) -> String {
    email.trim().to_lowercase()
}

/// A patient whose row is locked until the call ends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Locked {
    pub patient: Patient,
    pub deleted: bool,
}

/// Who changes something, and when. Kept with every change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Act {
    pub by: String,
    pub at: Timestamp,
}

/// What becomes of a registration that looks like somebody who is there already.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Duplicates {
    Refuse,
    /// A person has looked at the candidates: it is somebody else.
    Allow,
}
