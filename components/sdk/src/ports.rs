//! What every domain needs from outside. Components have their own ports beside these; tests have fakes.

use thiserror::Error;
use uuid::Uuid;

use crate::time::Timestamp;

pub trait Clock {
    fn now(&self) -> Timestamp;
}

pub trait Ids {
    /// A new id; ids sort by the time they were made.
    fn next(&self) -> Uuid;
}

/// Why the store (or the outbox, which is part of it) did not do what it was asked. The call that met one is rolled back,
/// whatever it answers.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum StoreError {
    /// It could not be reached, or the host is about to run the call again. Worth repeating later.
    #[error("the store is not available")]
    Unavailable,
    /// A constraint refused a change, by the name that it has in the migration.
    #[error("the constraint {0} refused the change")]
    Violated(String),
    /// A fault of the component: a wrong statement, a limit, a cell of another type. For the log; no values in it.
    #[error("{0}")]
    Failed(String),
}
