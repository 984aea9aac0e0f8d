//! PostgreSQL through sqlx, with the component's own statements: the file is the same one, so they cannot drift apart.

use std::sync::Arc;
use std::time::Duration;

use clinic_patient::list::Position;
use clinic_patient::model::{Details, Patient, PatientId};
use prost::Message;
use sha2::{Digest, Sha256};
use sqlx::postgres::{PgConnectOptions, PgPool, PgPoolOptions};
use sqlx::{AssertSqlSafe, ConnectOptions, Executor};
use time::Date;
use tokio::sync::Notify;
use uuid::Uuid;
use ward_proto::clinic_events::PatientRegistered;
use ward_sdk::time::write_date;

use super::tokens::now;

#[path = "../../../../../components/patient/src/store/statements.rs"]
#[expect(dead_code, reason = "the yardstick does less than the component")]
mod statements;

const STORED: &str = "select fingerprint, location, body from idempotency where digest = $1";
const KEEP: &str = "\
with sent as (
    insert into outbox (id, type, subject, version, data, traceparent) values ($1, $2, $3, $4, $5, $6)
)
insert into idempotency (digest, fingerprint, location, body) values ($7, $8, $9, $10)";
const SEND: &str = "insert into outbox (id, type, subject, version, data, traceparent) values ($1, $2, $3, $4, $5, $6)";

pub struct Store {
    pub writers: PgPool,
    readers: PgPool,
    /// Rung after each commit.
    pub committed: Arc<Notify>,
}

/// The key of a request, if it has one, and what the request was: the same key with another request is refused.
pub struct Request(Option<([u8; 32], [u8; 32])>);

/// What is kept under a key.
pub struct Answer {
    pub location: String,
    pub body: Vec<u8>,
}

pub enum Registered {
    Done,
    /// The same request was answered so before.
    Before(Answer),
    Duplicate,
    KeyReused,
}

type Row = (Uuid, String, String, String, Date, Date, i64);
type ListedRow = (Uuid, String, String, String, Date, Date, i64, String, String);

impl Request {
    pub fn of(subject: &str, key: Option<&[u8]>, body: &[u8]) -> Self {
        let digest = |key: &[u8]| Sha256::new().chain_update(subject).chain_update([0]).chain_update(key).finalize();
        Self(key.map(|key| (digest(key).into(), Sha256::digest(body).into())))
    }
}

impl Store {
    pub fn open(options: &super::Options) -> Self {
        let connect: PgConnectOptions = options.database.parse().unwrap();
        let connect = connect.statement_cache_capacity(500).disable_statement_logging();
        let pool = |size| {
            let pool = PgPoolOptions::new().max_connections(size).test_before_acquire(false);
            pool.acquire_timeout(Duration::from_secs(2)).connect_lazy_with(connect.clone())
        };
        Self { writers: pool(options.writers), readers: pool(options.readers), committed: Arc::default() }
    }

    pub async fn find(&self, id: Uuid) -> sqlx::Result<Option<Patient>> {
        let row: Option<Row> = sqlx::query_as(statements::FIND).bind(id).fetch_optional(&self.readers).await?;
        Ok(row.map(read))
    }

    pub async fn list(&self, after: &Position, limit: i64) -> sqlx::Result<Vec<(Patient, Position)>> {
        let query = sqlx::query_as(statements::LIST).bind(&after.sort_name).bind(after.id.0).bind(limit);
        let rows: Vec<ListedRow> = query.fetch_all(&self.readers).await?;
        Ok(rows.into_iter().map(read_listed).collect())
    }

    /// Five round trips when all is well. Whether a key was used is only looked up when something is in the way.
    pub async fn register(
        &self,
        patient: &Patient,
        by: &str,
        request: Request,
        answer: &Answer,
        likely: impl Fn(&[Patient]) -> bool,
    ) -> sqlx::Result<Registered> {
        let mut transaction = self.writers.begin().await?;
        let details = &patient.details;
        let folded = details.folded_name();
        let similar = sqlx::query_as(statements::SIMILAR)
            .bind(folded.identity())
            .bind(details.date_of_birth)
            .bind(details.email_key());
        let similar: Vec<Row> = similar.fetch_all(&mut *transaction).await?;
        let similar: Vec<Patient> = similar.into_iter().map(read).collect();
        if likely(&similar) || !insert(&mut transaction, patient, by).await? {
            transaction.rollback().await?;
            return Ok(self.before(&request).await?.unwrap_or(Registered::Duplicate));
        }
        match keep(&mut transaction, patient, &request, answer).await {
            Err(sqlx::Error::Database(error)) if error.is_unique_violation() => {
                transaction.rollback().await?;
                return Ok(self.before(&request).await?.unwrap_or(Registered::KeyReused));
            }
            outcome => outcome?,
        }
        transaction.commit().await?;
        self.committed.notify_one();
        Ok(Registered::Done)
    }

    async fn before(&self, request: &Request) -> sqlx::Result<Option<Registered>> {
        let Some((digest, fingerprint)) = &request.0 else {
            return Ok(None);
        };
        let stored: Option<(Vec<u8>, String, Vec<u8>)> =
            sqlx::query_as(STORED).bind(digest.as_slice()).fetch_optional(&self.readers).await?;
        Ok(stored.map(|(stored, location, body)| match stored == fingerprint {
            true => Registered::Before(Answer { location, body }),
            false => Registered::KeyReused,
        }))
    }
}

/// False if there is a namesake.
async fn insert(transaction: &mut sqlx::PgTransaction<'_>, patient: &Patient, by: &str) -> sqlx::Result<bool> {
    let details = &patient.details;
    let folded = details.folded_name();
    let inserted = sqlx::query(statements::INSERT)
        .bind(patient.id.0)
        .bind(1_i64)
        .bind(&details.name)
        .bind(&details.email)
        .bind(&details.address)
        .bind(details.date_of_birth)
        .bind(patient.registered_date)
        .bind(folded.sort_key())
        .bind(folded.identity())
        .bind(details.email_key())
        .bind(Uuid::nil())
        .bind(now())
        .bind(by)
        .bind(folded.distinct_parts())
        .fetch_optional(&mut **transaction)
        .await?;
    Ok(inserted.is_some())
}

/// The event and the answer, in one statement.
async fn keep(
    transaction: &mut sqlx::PgTransaction<'_>,
    patient: &Patient,
    request: &Request,
    answer: &Answer,
) -> sqlx::Result<()> {
    let id = patient.id.0.to_string();
    let event = PatientRegistered {
        patient_id: id.clone(),
        name: patient.details.name.clone(),
        email: patient.details.email.clone(),
        registered_date: write_date(patient.registered_date),
    };
    let trace = format!("00-{}-{:016x}-01", Uuid::new_v4().simple(), Uuid::new_v4().as_u64_pair().0);
    let query = sqlx::query(if request.0.is_some() { KEEP } else { SEND })
        .bind(Uuid::now_v7())
        .bind("patient.registered")
        .bind(id)
        .bind(1_i64)
        .bind(event.encode_to_vec())
        .bind(trace);
    let query = match &request.0 {
        None => query,
        Some((digest, fingerprint)) => {
            query.bind(digest.as_slice()).bind(fingerprint.as_slice()).bind(&answer.location).bind(&answer.body)
        }
    };
    transaction.execute(query).await.map(|_| ())
}

fn read((id, name, email, address, date_of_birth, registered_date, version): Row) -> Patient {
    let details = Details { name, email, address, date_of_birth };
    Patient { id: PatientId(id), details, registered_date, version: version as u64 }
}

fn read_listed(row: ListedRow) -> (Patient, Position) {
    let (id, name, email, address, birth, registered, version, sort_name, part) = row;
    let patient = read((id, name, email, address, birth, registered, version));
    let id = patient.id;
    (patient, Position { part, sort_name, id })
}

/// Makes the tables, and fills them with the patients of Ward's database.
pub async fn prepare(own: &PgPool, wards: &PgPool) {
    for step in clinic_patient::description::describe().migrations {
        own.execute(sqlx::raw_sql(AssertSqlSafe(step.statements))).await.unwrap();
    }
    own.execute(sqlx::raw_sql(include_str!("schema.sql"))).await.unwrap();
    for table in ["patients", "name_parts", "patient_history"] {
        let all = format!("select coalesce(json_agg(t), '[]')::text from {table} as t");
        let rows: String = sqlx::query_scalar(AssertSqlSafe(all)).fetch_one(wards).await.unwrap();
        let copy = format!("insert into {table} select * from json_populate_recordset(null::{table}, $1::json)");
        sqlx::query(AssertSqlSafe(copy)).bind(rows).execute(own).await.unwrap();
    }
    own.execute("vacuum analyze").await.unwrap();
}
