//! Marks and counts in memory, at noon of 2026-03-01.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet};

use ward_sdk::ports::{Clock, StoreError};
use ward_sdk::time::{Timestamp, read_date};
use ward_sdk::{Date, Uuid};

use crate::model::{Day, Delta, PatientId, Totals};
use crate::ports::{Counts, Deletion, Marks, Registration};

pub fn id(number: u128) -> PatientId {
    PatientId(Uuid::from_u128(number))
}

pub fn day(text: &str) -> Date {
    read_date(text).unwrap()
}

#[derive(Default)]
pub struct Fake {
    pub broken: bool,
    pub registered: RefCell<BTreeSet<PatientId>>,
    pub deleted: RefCell<BTreeSet<PatientId>>,
    pub accounts: RefCell<BTreeSet<PatientId>>,
    pub sums: Cell<Delta>,
    pub per_day: RefCell<BTreeMap<Date, i64>>,
}

impl Marks for Fake {
    fn registered(&self, id: PatientId, _: Date) -> Result<Option<Registration>, StoreError> {
        let gone = self.deleted.borrow().contains(&id);
        let registration = if gone { Registration::AfterDeletion } else { Registration::Timely };
        Ok(self.registered.borrow_mut().insert(id).then_some(registration))
    }

    fn deleted(&self, id: PatientId) -> Result<Option<Deletion>, StoreError> {
        let known = self.registered.borrow().contains(&id);
        let deletion = if known { Deletion::Timely } else { Deletion::BeforeRegistration };
        Ok(self.deleted.borrow_mut().insert(id).then_some(deletion))
    }

    fn account_opened(&self, id: PatientId) -> Result<bool, StoreError> {
        Ok(self.accounts.borrow_mut().insert(id))
    }
}

impl Counts for Fake {
    fn add(&self, _: i32, delta: Delta, day: Option<Date>) -> Result<(), StoreError> {
        let sums = self.sums.get();
        self.sums.set(Delta {
            registered: sums.registered + delta.registered,
            active: sums.active + delta.active,
            deleted: sums.deleted + delta.deleted,
            accounts_opened: sums.accounts_opened + delta.accounts_opened,
        });
        if let Some(day) = day {
            *self.per_day.borrow_mut().entry(day).or_default() += delta.registered;
        }
        Ok(())
    }

    fn totals(&self) -> Result<Totals, StoreError> {
        if self.broken {
            return Err(StoreError::Unavailable);
        }
        let Delta { registered, active, deleted, accounts_opened } = self.sums.get();
        Ok(Totals { registered, active, deleted, accounts_opened })
    }

    fn days(&self, first: Date, last: Date) -> Result<Vec<Day>, StoreError> {
        let days = self.per_day.borrow();
        Ok(days.range(first..=last).map(|(day, registered)| Day { day: *day, registered: *registered }).collect())
    }
}

impl Clock for Fake {
    fn now(&self) -> Timestamp {
        Timestamp(1_772_366_400_000_000)
    }
}
