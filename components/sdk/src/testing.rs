//! What the fakes of all components have in common: a time and ids that a test can foretell.
//!
//! A fake keeps a [`Foretold`] and shows it ([`Foretells`]); with that it is a [`Clock`] and [`Ids`].

use std::cell::Cell;

use uuid::Uuid;

use crate::ports::{Clock, Ids};
use crate::time::Timestamp;

/// A clock that stands still, and ids that count: the first is `00000000-0000-0000-0000-000000000001`.
#[derive(Debug)]
pub struct Foretold {
    now: Timestamp,
    last_id: Cell<u128>,
}

impl Foretold {
    pub fn at(now: Timestamp) -> Self {
        Self { now, last_id: Cell::new(0) }
    }
}

/// A second after the epoch.
impl Default for Foretold {
    fn default() -> Self {
        Self::at(Timestamp(1_000_000))
    }
}

/// A fake with a [`Foretold`].
pub trait Foretells {
    fn foretold(&self) -> &Foretold;
}

impl<F: Foretells> Clock for F {
    fn now(&self) -> Timestamp {
        self.foretold().now
    }
}

impl<F: Foretells> Ids for F {
    fn next(&self) -> Uuid {
        let last = &self.foretold().last_id;
        last.set(last.get() + 1);
        Uuid::from_u128(last.get())
    }
}
