//! The ports, in the host's terms.

use ward_sdk::export::Failure;
use ward_sdk::host::Host;
use ward_sdk::ports::StoreError;
use ward_sdk::sql::{execute, query};
use ward_sdk::{Uuid, events, params};

use crate::contracts::clinic::patient::patients::{self, Error};
use crate::events::{PrescriptionEnded, PrescriptionIssued, kind};
use crate::model::{End, Prescription, Status, Wanted};
use crate::ports::{Patients, Prescriptions, Publisher};

// An update to the same value takes the lock of the row, as an insert does.
const LOCK: &str = "\
insert into patients (id, gone) values ($1, false)
on conflict (id) do update set id = excluded.id
returning gone";

const MARK_GONE: &str = "insert into patients (id, gone) values ($1, true) on conflict (id) do update set gone = true";

const COUNT_ACTIVE: &str = "select count(*) from prescriptions where patient_id = $1 and status = 'active'";

const INSERT: &str = "\
insert into prescriptions (id, patient_id, drug, dose, status, prescribed_by, prescribed_at, version)
values ($1, $2, $3, $4, $5, $6, $7, $8)";

macro_rules! columns {
    ($before:literal, $after:literal) => {
        concat!(
            $before,
            " id, patient_id, drug, dose, status, prescribed_by, prescribed_at, ended_by, ended_at, reason, version ",
            $after
        )
    };
}

const FIND: &str = columns!("select", "from prescriptions where id = $1");

const LIST: &str = columns!(
    "select",
    "from prescriptions
    where patient_id = $1 and ($2::text is null or status = $2) and ($3::uuid is null or id < $3)
    order by id desc limit $4"
);

const END: &str = columns!(
    "update prescriptions set status = $2, ended_by = $3, ended_at = $4, reason = $5, version = version + 1
    where id = $1 and status = 'active' returning",
    ""
);

const END_ALL: &str = columns!(
    "update prescriptions set status = $2, ended_by = $3, ended_at = $4, reason = $5, version = version + 1
    where patient_id = $1 and status = 'active' returning",
    ""
);

ward_sdk::row!(Prescription {
    id,
    patient_id,
    drug,
    dose,
    status,
    prescribed_by,
    prescribed_at,
    ended_by,
    ended_at,
    reason,
    version
});

impl Prescriptions for Host {
    fn lock(&self, patient_id: Uuid) -> Result<bool, StoreError> {
        query(LOCK, params![patient_id])?.one().map(|(gone,)| gone)
    }

    fn mark_gone(&self, patient_id: Uuid) -> Result<(), StoreError> {
        execute(MARK_GONE, params![patient_id]).map(drop)
    }

    fn count_active(&self, patient_id: Uuid) -> Result<i64, StoreError> {
        query(COUNT_ACTIVE, params![patient_id])?.one().map(|(count,)| count)
    }

    fn insert(&self, new: &Prescription) -> Result<(), StoreError> {
        let parameters = params![
            new.id,
            new.patient_id,
            &new.drug,
            &new.dose,
            new.status,
            &new.prescribed_by,
            new.prescribed_at,
            new.version
        ];
        execute(INSERT, parameters).map(drop)
    }

    fn find(&self, id: Uuid) -> Result<Option<Prescription>, StoreError> {
        query(FIND, params![id])?.first()
    }

    fn list(&self, wanted: &Wanted, limit: i64) -> Result<Vec<Prescription>, StoreError> {
        query(LIST, params![wanted.patient_id, wanted.status, wanted.cursor, limit])?.all()
    }

    fn end(&self, id: Uuid, end: &End) -> Result<Option<Prescription>, StoreError> {
        query(END, params![id, end.status, &end.by, end.at, end.reason.as_ref()])?.first()
    }

    fn end_all(&self, patient_id: Uuid, end: &End) -> Result<Vec<Prescription>, StoreError> {
        query(END_ALL, params![patient_id, end.status, &end.by, end.at, end.reason.as_ref()])?.all()
    }
}

impl Patients for Host {
    fn exists(&self, id: Uuid) -> Result<bool, Failure> {
        match patients::get(&id.to_string()) {
            Ok(_) => Ok(true),
            Err(Error::NotFound) => Ok(false),
            Err(Error::Invalid(_)) => Err(Failure::Refused),
            Err(Error::Call(failure)) => Err(failure),
        }
    }
}

impl Publisher for Host {
    fn changed(&self, prescription: &Prescription, to: Status) -> Result<(), StoreError> {
        let (id, version) = (prescription.id.to_string(), prescription.version.unsigned_abs());
        match to {
            Status::Active => events::publish(kind(to), id, version, &PrescriptionIssued::from(prescription)),
            Status::Dispensed | Status::Cancelled => {
                events::publish(kind(to), id, version, &PrescriptionEnded::from(prescription))
            }
        }
    }
}
