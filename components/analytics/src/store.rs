//! The ports, in the host's terms.

pub use ward_sdk::host::Host;
use ward_sdk::ports::StoreError;
use ward_sdk::{Date, params, sql};

use crate::model::{Day, Delta, PatientId, Totals};
use crate::ports::{Counts, Deletion, Marks, Registration};

const MARK_REGISTERED: &str = "\
insert into patients (id, registered_day, deleted) values ($1, $2, false)
on conflict (id) do update set registered_day = excluded.registered_day where patients.registered_day is null
returning deleted";

const MARK_DELETED: &str = "\
insert into patients (id, registered_day, deleted) values ($1, null, true)
on conflict (id) do update set deleted = true where not patients.deleted
returning registered_day is not null";

const MARK_ACCOUNT: &str = "insert into accounts (patient_id) values ($1) on conflict (patient_id) do nothing";

const ADD: &str = "\
insert into totals (bucket, registered, active, deleted, accounts_opened) values ($1, $2, $3, $4, $5)
on conflict (bucket) do update set
    registered = totals.registered + excluded.registered,
    active = totals.active + excluded.active,
    deleted = totals.deleted + excluded.deleted,
    accounts_opened = totals.accounts_opened + excluded.accounts_opened";

const ADD_DAY: &str = "\
insert into days (day, bucket, registered) values ($1, $2, $3)
on conflict (day, bucket) do update set registered = days.registered + excluded.registered";

const TOTALS: &str = "\
select coalesce(sum(registered), 0)::int8, coalesce(sum(active), 0)::int8,
       coalesce(sum(deleted), 0)::int8, coalesce(sum(accounts_opened), 0)::int8
from totals";

const DAYS: &str = "select day, sum(registered)::int8 from days where day between $1 and $2 group by day order by day";

const PROBE: &str = "select bucket from totals limit 1";

impl Marks for Host {
    fn registered(&self, id: PatientId, day: Date) -> Result<Option<Registration>, StoreError> {
        let row: Option<(bool,)> = sql::query(MARK_REGISTERED, params![id.0, day])?.first()?;
        Ok(row.map(|(deleted,)| if deleted { Registration::AfterDeletion } else { Registration::Timely }))
    }

    fn deleted(&self, id: PatientId) -> Result<Option<Deletion>, StoreError> {
        let row: Option<(bool,)> = sql::query(MARK_DELETED, params![id.0])?.first()?;
        Ok(row.map(|(registered,)| if registered { Deletion::Timely } else { Deletion::BeforeRegistration }))
    }

    fn account_opened(&self, id: PatientId) -> Result<bool, StoreError> {
        Ok(sql::execute(MARK_ACCOUNT, params![id.0])? == 1)
    }
}

impl Counts for Host {
    /// The days before the totals, in every call: rows that are locked in one order cannot deadlock.
    fn add(&self, bucket: i32, delta: Delta, day: Option<Date>) -> Result<(), StoreError> {
        if let Some(day) = day {
            sql::execute(ADD_DAY, params![day, bucket, delta.registered])?;
        }
        let Delta { registered, active, deleted, accounts_opened } = delta;
        sql::execute(ADD, params![bucket, registered, active, deleted, accounts_opened]).map(drop)
    }

    fn totals(&self) -> Result<Totals, StoreError> {
        let (registered, active, deleted, accounts_opened) = sql::query(TOTALS, params![])?.one()?;
        Ok(Totals { registered, active, deleted, accounts_opened })
    }

    fn days(&self, first: Date, last: Date) -> Result<Vec<Day>, StoreError> {
        let rows: Vec<(Date, i64)> = sql::query(DAYS, params![first, last])?.all()?;
        Ok(rows.into_iter().map(|(day, registered)| Day { day, registered }).collect())
    }
}

pub fn probe() -> Result<(), StoreError> {
    sql::query(PROBE, params![]).map(drop)
}
