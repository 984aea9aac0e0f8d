//! What analytics needs from outside.

use ward_sdk::Date;
use ward_sdk::ports::{Clock, StoreError};

use crate::model::{Day, Delta, PatientId, Totals};

pub trait Ports: Marks + Counts + Clock {}

impl<T: Marks + Counts + Clock> Ports for T {}

/// Whether a patient was deleted already when the registration was heard.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Registration {
    Timely,
    AfterDeletion,
}

/// Whether the registration had been heard when the patient was deleted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Deletion {
    Timely,
    BeforeRegistration,
}

/// What was heard already. Each answers nothing the second time, and waits for others that mark the same patient.
pub trait Marks {
    fn registered(&self, id: PatientId, day: Date) -> Result<Option<Registration>, StoreError>;
    fn deleted(&self, id: PatientId) -> Result<Option<Deletion>, StoreError>;
    /// True the first time.
    fn account_opened(&self, id: PatientId) -> Result<bool, StoreError>;
}

pub trait Counts {
    /// `day`: the day that a registration counts for.
    fn add(&self, bucket: i32, delta: Delta, day: Option<Date>) -> Result<(), StoreError>;

    fn totals(&self) -> Result<Totals, StoreError>;

    /// Those that have a registration, in order, both ends included.
    fn days(&self, first: Date, last: Date) -> Result<Vec<Day>, StoreError>;
}
