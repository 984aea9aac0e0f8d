//! The ports, in the host's terms. The statements are in [`statements`].

mod statements;

use ward_proto::clinic_events::{PatientDeleted, PatientRegistered, PatientUpdated};
pub use ward_sdk::host::Host;
use ward_sdk::ports::StoreError;
use ward_sdk::time::write_date;
use ward_sdk::{Date, Uuid, events, host, params, sql};

use crate::description::{DELETED, REGISTERED, UPDATED};
use crate::list::{Position, Search};
use crate::model::{Act, Details, Duplicates, Locked, Patient, PatientId};
use crate::ports::{Clinic, Patients, Publisher};

impl Patients for Host {
    fn find(&self, id: PatientId) -> Result<Option<Patient>, StoreError> {
        sql::query(statements::FIND, params![id.0])?.first()?.map(read).transpose()
    }

    fn lock(&self, id: PatientId) -> Result<Option<Locked>, StoreError> {
        let row: Option<LockedRow> = sql::query(statements::LOCK, params![id.0])?.first()?;
        row.map(|(id, name, email, address, birth, registered, version, deleted)| {
            Ok(Locked { patient: read((id, name, email, address, birth, registered, version))?, deleted })
        })
        .transpose()
    }

    fn similar(&self, details: &Details) -> Result<Vec<Patient>, StoreError> {
        let identity = details.folded_name().identity();
        let parameters = params![identity, details.date_of_birth, details.email_key()];
        sql::query(statements::SIMILAR, parameters)?.all()?.into_iter().map(read).collect()
    }

    fn insert(&self, patient: &Patient, duplicates: Duplicates, act: &Act) -> Result<bool, StoreError> {
        let Details { name, email, address, date_of_birth } = &patient.details;
        let folded = patient.details.folded_name();
        let twin = match duplicates {
            Duplicates::Refuse => Uuid::nil(),
            Duplicates::Allow => patient.id.0,
        };
        let parameters = params![
            patient.id.0,
            stored(patient.version)?,
            name,
            email,
            address,
            *date_of_birth,
            patient.registered_date,
            folded.sort_key(),
            folded.identity(),
            patient.details.email_key(),
            twin,
            act.at,
            &act.by,
            folded.distinct_parts(),
        ];
        Ok(!sql::query(statements::INSERT, parameters)?.is_empty())
    }

    fn replace(&self, before: &Patient, after: &Patient, act: &Act) -> Result<(), StoreError> {
        let Details { name, email, address, date_of_birth } = &after.details;
        let folded = after.details.folded_name();
        // Whoever comes to look like another by a change is no duplicate that the constraint should refuse.
        let twin = (!after.details.is_namesake(&before.details)).then_some(after.id.0);
        let parameters = params![
            after.id.0,
            stored(after.version)?,
            name,
            email,
            address,
            *date_of_birth,
            folded.sort_key(),
            folded.identity(),
            after.details.email_key(),
            twin,
            act.at,
            &act.by,
        ];
        sql::execute(statements::REPLACE, parameters)?;
        if before.details.folded_name() != folded {
            sql::execute(statements::DELETE_PARTS, params![after.id.0])?;
            sql::execute(statements::INSERT_PARTS, params![after.id.0, folded.sort_key(), folded.distinct_parts()])?;
        }
        Ok(())
    }

    fn delete(&self, patient: &Patient, act: &Act) -> Result<(), StoreError> {
        sql::execute(statements::DELETE_PARTS, params![patient.id.0])?;
        sql::execute(statements::DELETE, params![patient.id.0, stored(patient.version)?, act.at, &act.by])?;
        Ok(())
    }

    fn list(&self, search: &Search, after: &Position, limit: u32) -> Result<Vec<(Patient, Position)>, StoreError> {
        let Position { part, sort_name, id } = after;
        let (birth, others) = (search.date_of_birth, patterns(search));
        let limit = i64::from(limit);
        let rows = match (search.email(), birth, search.leading_term()) {
            (Some(email), birth, _) => {
                sql::query(statements::LIST_BY_EMAIL, params![email, sort_name, id.0, limit, birth, others])
            }
            (None, Some(birth), _) => {
                sql::query(statements::LIST_BY_BIRTH, params![birth, sort_name, id.0, limit, others])
            }
            (None, None, Some(term)) => {
                let end = format!("{term}{}", char::MAX);
                sql::query(statements::LIST_BY_NAME, params![term, end, part, sort_name, id.0, limit, others])
            }
            (None, None, None) => sql::query(statements::LIST, params![sort_name, id.0, limit]),
        };
        rows?.all()?.into_iter().map(read_listed).collect()
    }
}

/// For `like`: somewhere in the name a part begins so.
fn patterns(search: &Search) -> Vec<String> {
    let escaped = |term: &String| term.replace('\\', "\\\\").replace('%', "\\%").replace('_', "\\_");
    search.terms().iter().map(|term| format!("% {}%", escaped(term))).collect()
}

type Row = (Uuid, String, String, String, Date, Date, i64);
type LockedRow = (Uuid, String, String, String, Date, Date, i64, bool);
type ListedRow = (Uuid, String, String, String, Date, Date, i64, String, String);

fn read((id, name, email, address, date_of_birth, registered_date, version): Row) -> Result<Patient, StoreError> {
    let version = u64::try_from(version).map_err(|_| misread())?;
    let details = Details { name, email, address, date_of_birth };
    Ok(Patient { id: PatientId(id), details, registered_date, version })
}

fn read_listed(row: ListedRow) -> Result<(Patient, Position), StoreError> {
    let (id, name, email, address, birth, registered, version, sort_name, part) = row;
    let patient = read((id, name, email, address, birth, registered, version))?;
    Ok((patient, Position { part, sort_name, id: PatientId(id) }))
}

fn stored(version: u64) -> Result<i64, StoreError> {
    i64::try_from(version).map_err(|_| misread())
}

fn misread() -> StoreError {
    StoreError::Failed("a version is out of range".to_owned())
}

impl Publisher for Host {
    fn registered(&self, patient: &Patient) -> Result<(), StoreError> {
        let (patient_id, name, email) = named(patient);
        let registered_date = write_date(patient.registered_date);
        publish(REGISTERED, patient, &PatientRegistered { patient_id, name, email, registered_date })
    }

    fn updated(&self, patient: &Patient) -> Result<(), StoreError> {
        let (patient_id, name, email) = named(patient);
        publish(UPDATED, patient, &PatientUpdated { patient_id, name, email })
    }

    fn deleted(&self, patient: &Patient) -> Result<(), StoreError> {
        publish(DELETED, patient, &PatientDeleted { patient_id: patient.id.0.to_string() })
    }
}

fn named(patient: &Patient) -> (String, String, String) {
    (patient.id.0.to_string(), patient.details.name.clone(), patient.details.email.clone())
}

fn publish(kind: &str, patient: &Patient, message: &impl ward_sdk::prost::Message) -> Result<(), StoreError> {
    events::publish(kind, patient.id.0.to_string(), patient.version, message)
}

impl Clinic for Host {
    fn utc_offset_minutes(&self) -> i32 {
        host::setting("utc_offset_minutes").and_then(|minutes| minutes.parse().ok()).unwrap_or_default()
    }
}

pub fn probe() -> Result<(), StoreError> {
    sql::query(statements::PROBE, params![]).map(drop)
}
