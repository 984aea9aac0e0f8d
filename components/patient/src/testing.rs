//! Patients in memory, a clock and ids that tests can foretell, and a publisher that remembers.

use std::cell::{Cell, RefCell};

use ward_sdk::Uuid;
use ward_sdk::ports::{Clock, Ids, StoreError};
use ward_sdk::testing::{Foretells, Foretold};
use ward_sdk::time::{Timestamp, read_date};

use crate::account::Account;
use crate::list::{Position, Search};
use crate::model::{Act, Details, Duplicates, Locked, Patient, PatientId};
use crate::ports::{Accounts, Clinic, Patients, Publisher};
use crate::register::add;

pub fn details(name: &str, email: &str, birth: &str) -> Details {
    Details {
        name: name.to_owned(),
        email: email.to_owned(),
        address: "123 Main St".to_owned(),
        date_of_birth: read_date(birth).unwrap(),
    }
}

pub fn patient(id: u128, name: &str, email: &str, birth: &str) -> Patient {
    let registered_date = read_date("2024-01-10").unwrap();
    Patient { id: PatientId(Uuid::from_u128(id)), details: details(name, email, birth), registered_date, version: 1 }
}

pub struct Fake {
    pub broken: bool,
    /// So many searches for similar patients find nobody, as if those came at the same time.
    pub blind: Cell<u32>,
    pub account: Account,
    pub foretold: Foretold,
    pub utc_offset_minutes: i32,
    pub rows: RefCell<Vec<(Locked, Duplicates)>>,
    pub entries: RefCell<Vec<String>>,
    pub events: RefCell<Vec<String>>,
}

impl Default for Fake {
    fn default() -> Self {
        Self {
            broken: false,
            blind: Cell::new(0),
            account: Account::None,
            foretold: Foretold::at(Timestamp(1_772_366_400_000_000)),
            utc_offset_minutes: 0,
            rows: RefCell::default(),
            entries: RefCell::default(),
            events: RefCell::default(),
        }
    }
}

impl Fake {
    /// Without a search for duplicates.
    pub fn register(&self, name: &str, email: &str, birth: &str) -> Patient {
        let patient = Patient { id: PatientId(self.next()), ..patient(0, name, email, birth) };
        let act = Act { by: "test".to_owned(), at: self.now() };
        assert!(add(self, &patient, Duplicates::Refuse, &act).unwrap());
        patient
    }

    pub fn published(&self) -> Vec<String> {
        self.events.borrow().clone()
    }

    pub fn history(&self) -> Vec<String> {
        self.entries.borrow().clone()
    }

    fn check(&self) -> Result<(), StoreError> {
        if self.broken { Err(StoreError::Unavailable) } else { Ok(()) }
    }

    fn living(&self) -> Vec<Patient> {
        let rows = self.rows.borrow();
        rows.iter().filter(|(row, _)| !row.deleted).map(|(row, _)| row.patient.clone()).collect()
    }

    fn set(&self, patient: &Patient, deleted: bool) {
        for (row, _) in self.rows.borrow_mut().iter_mut().filter(|(row, _)| row.patient.id == patient.id) {
            *row = Locked { patient: patient.clone(), deleted };
        }
    }

    fn enter(&self, change: &str, patient: &Patient, act: &Act) {
        self.entries.borrow_mut().push(format!("{change} {} {} by {}", patient.id.0, patient.version, act.by));
    }

    fn publish(&self, event: &str, patient: &Patient) -> Result<(), StoreError> {
        self.events.borrow_mut().push(format!("{event} {} {}", patient.id.0, patient.version));
        Ok(())
    }
}

impl Patients for Fake {
    fn find(&self, id: PatientId) -> Result<Option<Patient>, StoreError> {
        self.check()?;
        Ok(self.living().into_iter().find(|patient| patient.id == id))
    }

    fn lock(&self, id: PatientId) -> Result<Option<Locked>, StoreError> {
        Ok(self.rows.borrow().iter().map(|(row, _)| row).find(|row| row.patient.id == id).cloned())
    }

    fn similar(&self, details: &Details) -> Result<Vec<Patient>, StoreError> {
        self.check()?;
        if self.blind.get() > 0 {
            self.blind.set(self.blind.get() - 1);
            return Ok(Vec::new());
        }
        let same_email = |patient: &Patient| patient.details.email_key() == details.email_key();
        Ok(self
            .living()
            .into_iter()
            .filter(|patient| same_email(patient) || patient.details.is_namesake(details))
            .collect())
    }

    fn insert(&self, patient: &Patient, duplicates: Duplicates, act: &Act) -> Result<bool, StoreError> {
        let living = self.living();
        let taken = living.iter().any(|other| other.details.is_namesake(&patient.details));
        if taken && duplicates == Duplicates::Refuse {
            return Ok(false);
        }
        self.rows.borrow_mut().push((Locked { patient: patient.clone(), deleted: false }, duplicates));
        self.enter("registered", patient, act);
        Ok(true)
    }

    fn replace(&self, _: &Patient, after: &Patient, act: &Act) -> Result<(), StoreError> {
        self.set(after, false);
        self.enter("updated", after, act);
        Ok(())
    }

    fn delete(&self, patient: &Patient, act: &Act) -> Result<(), StoreError> {
        self.set(patient, true);
        self.enter("deleted", patient, act);
        Ok(())
    }

    fn list(&self, search: &Search, after: &Position, limit: u32) -> Result<Vec<(Patient, Position)>, StoreError> {
        self.check()?;
        let mut found: Vec<_> = self
            .living()
            .into_iter()
            .filter(|patient| applies(search, patient))
            .map(|patient| (position(search, &patient), patient))
            .filter(|(position, _)| position > after)
            .map(|(position, patient)| (patient, position))
            .collect();
        found.sort_by(|(_, one), (_, other)| one.cmp(other));
        found.truncate(limit as usize);
        Ok(found)
    }
}

fn applies(search: &Search, patient: &Patient) -> bool {
    let name = patient.details.folded_name();
    let begins = |term: &String| name.parts().iter().any(|part| part.starts_with(term));
    search.terms().iter().all(begins)
        && search.email().is_none_or(|email| email == patient.details.email_key())
        && search.date_of_birth.is_none_or(|date| date == patient.details.date_of_birth)
}

fn position(search: &Search, patient: &Patient) -> Position {
    let name = patient.details.folded_name();
    let found = |term: &str| name.distinct_parts().into_iter().find(|part| part.starts_with(term));
    let part = search.leading_term().and_then(found).unwrap_or_default();
    Position { part, sort_name: name.sort_key(), id: patient.id }
}

impl Publisher for Fake {
    fn registered(&self, patient: &Patient) -> Result<(), StoreError> {
        self.publish("registered", patient)
    }

    fn updated(&self, patient: &Patient) -> Result<(), StoreError> {
        self.publish("updated", patient)
    }

    fn deleted(&self, patient: &Patient) -> Result<(), StoreError> {
        self.publish("deleted", patient)
    }
}

impl Accounts for Fake {
    fn account(&self, _: PatientId) -> Account {
        self.account.clone()
    }
}

impl Clinic for Fake {
    fn utc_offset_minutes(&self) -> i32 {
        self.utc_offset_minutes
    }
}

impl Foretells for Fake {
    fn foretold(&self) -> &Foretold {
        &self.foretold
    }
}
