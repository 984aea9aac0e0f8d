//! A store in memory, patients as a test wants them, a clock and ids that it can foretell.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};

use ward_sdk::Uuid;
use ward_sdk::export::Failure;
use ward_sdk::ports::StoreError;
use ward_sdk::service::{Caller, Json};
use ward_sdk::testing::{Foretells, Foretold};

use crate::events::kind;
use crate::model::{End, NewPrescription, Prescription, Status, Wanted};
use crate::ports::{Patients, Prescriptions, Publisher};
use crate::prescribe::prescribe;

pub const JOHN: Uuid = Uuid::from_u128(0x123e4567_e89b_12d3_a456_426614174000);
pub const JANE: Uuid = Uuid::from_u128(0x123e4567_e89b_12d3_a456_426614174001);

pub fn new_prescription(patient_id: Uuid) -> NewPrescription {
    NewPrescription {
        patient_id,
        drug: "Amoxicillin 500 mg".to_owned().into(),
        dose: "1-1-1, seven days".to_owned().into(),
    }
}

#[derive(Default)]
pub struct Fake {
    has_no_patients: bool,
    patients_fail: bool,
    gone: RefCell<BTreeSet<Uuid>>,
    rows: RefCell<BTreeMap<Uuid, Prescription>>,
    published: RefCell<Vec<(&'static str, Uuid, i64)>>,
    foretold: Foretold,
}

impl Fake {
    pub fn without_patients(mut self) -> Self {
        self.has_no_patients = true;
        self
    }

    pub fn with_failing_patients(mut self) -> Self {
        self.patients_fail = true;
        self
    }

    pub fn prescribed(&self, patient_id: Uuid) -> Uuid {
        prescribe(self, Caller("doc@test.com".to_owned()), Json(new_prescription(patient_id))).unwrap().body.id
    }

    pub fn status(&self, id: Uuid) -> Status {
        self.rows.borrow().get(&id).unwrap().status
    }

    /// Types, subjects and versions, in order.
    pub fn published(&self) -> Vec<(&'static str, Uuid, i64)> {
        self.published.borrow().clone()
    }
}

impl Prescriptions for Fake {
    fn lock(&self, patient_id: Uuid) -> Result<bool, StoreError> {
        Ok(self.gone.borrow().contains(&patient_id))
    }

    fn mark_gone(&self, patient_id: Uuid) -> Result<(), StoreError> {
        self.gone.borrow_mut().insert(patient_id);
        Ok(())
    }

    fn count_active(&self, patient_id: Uuid) -> Result<i64, StoreError> {
        let rows = self.rows.borrow();
        let active = rows.values().filter(|row| row.patient_id == patient_id && row.status == Status::Active);
        Ok(active.count().try_into().unwrap())
    }

    fn insert(&self, prescription: &Prescription) -> Result<(), StoreError> {
        self.rows.borrow_mut().insert(prescription.id, prescription.clone());
        Ok(())
    }

    fn find(&self, id: Uuid) -> Result<Option<Prescription>, StoreError> {
        Ok(self.rows.borrow().get(&id).cloned())
    }

    fn list(&self, wanted: &Wanted, limit: i64) -> Result<Vec<Prescription>, StoreError> {
        let rows = self.rows.borrow();
        let fitting = rows.values().rev().filter(|row| {
            row.patient_id == wanted.patient_id
                && wanted.status.is_none_or(|status| row.status == status)
                && wanted.cursor.is_none_or(|cursor| row.id < cursor)
        });
        Ok(fitting.take(limit.try_into().unwrap()).cloned().collect())
    }

    fn end(&self, id: Uuid, end: &End) -> Result<Option<Prescription>, StoreError> {
        let mut rows = self.rows.borrow_mut();
        let Some(row) = rows.get_mut(&id).filter(|row| row.status == Status::Active) else { return Ok(None) };
        row.status = end.status;
        row.ended_by = Some(end.by.clone());
        row.ended_at = Some(end.at);
        row.reason.clone_from(&end.reason);
        row.version += 1;
        Ok(Some(row.clone()))
    }

    fn end_all(&self, patient_id: Uuid, end: &End) -> Result<Vec<Prescription>, StoreError> {
        let ids: Vec<_> =
            self.rows.borrow().values().filter(|row| row.patient_id == patient_id).map(|row| row.id).collect();
        ids.into_iter().filter_map(|id| self.end(id, end).transpose()).collect()
    }
}

impl Patients for Fake {
    fn exists(&self, _: Uuid) -> Result<bool, Failure> {
        if self.patients_fail { Err(Failure::Unavailable) } else { Ok(!self.has_no_patients) }
    }
}

impl Publisher for Fake {
    fn changed(&self, prescription: &Prescription, to: Status) -> Result<(), StoreError> {
        self.published.borrow_mut().push((kind(to), prescription.id, prescription.version));
        Ok(())
    }
}

impl Foretells for Fake {
    fn foretold(&self) -> &Foretold {
        &self.foretold
    }
}
