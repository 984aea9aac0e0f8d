//! What patients need from outside.

use ward_sdk::ports::{Clock, Ids, StoreError};

use crate::account::Account;
use crate::list::{Position, Search};
use crate::model::{Act, Details, Duplicates, Locked, Patient, PatientId};

pub trait Ports: Patients + Publisher + Accounts + Clinic + Clock + Ids {}

impl<T: Patients + Publisher + Accounts + Clinic + Clock + Ids> Ports for T {}

/// The store. Every change is kept in the history, with its act.
pub trait Patients {
    /// Not a deleted one.
    fn find(&self, id: PatientId) -> Result<Option<Patient>, StoreError>;

    /// Also a deleted one. Before every change, so that changes of one patient follow each other.
    fn lock(&self, id: PatientId) -> Result<Option<Locked>, StoreError>;

    /// Who shares two of name, date of birth and e-mail; and who shares the latter two. A bounded number.
    fn similar(&self, details: &Details) -> Result<Vec<Patient>, StoreError>;

    /// False, and nothing stored, if a namesake born on the same day is there and duplicates are refused. Waits for
    /// others that register one.
    fn insert(&self, patient: &Patient, duplicates: Duplicates, act: &Act) -> Result<bool, StoreError>;

    fn replace(&self, before: &Patient, after: &Patient, act: &Act) -> Result<(), StoreError>;

    fn delete(&self, patient: &Patient, act: &Act) -> Result<(), StoreError>;

    /// In order, those after a position.
    fn list(&self, search: &Search, after: &Position, limit: u32) -> Result<Vec<(Patient, Position)>, StoreError>;
}

/// Events, sent if the call commits.
pub trait Publisher {
    fn registered(&self, patient: &Patient) -> Result<(), StoreError>;
    fn updated(&self, patient: &Patient) -> Result<(), StoreError>;
    fn deleted(&self, patient: &Patient) -> Result<(), StoreError>;
}

/// The service that keeps the accounts. That it does not answer is one of its answers.
pub trait Accounts {
    fn account(&self, id: PatientId) -> Account;
}

/// What the operator says about the clinic.
pub trait Clinic {
    /// Where its day begins, in minutes east of UTC.
    fn utc_offset_minutes(&self) -> i32;
}
