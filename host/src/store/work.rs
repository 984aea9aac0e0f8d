//! The unit of work: everything that one call does to its database.

use std::sync::Arc;

use futures_util::TryStreamExt;
use sqlx::pool::PoolConnection;
use sqlx::postgres::{PgConnection, PgRow};
use sqlx::{AssertSqlSafe, Executor, Postgres, Row};
use uuid::Uuid;

use super::errors::Fault;
use super::{Answer, Database, IdempotencyKey, StoreError, statement, values};
use crate::bindings::exports::ward::component::description::Effect;
use crate::bindings::ward::store::sql;

/// An event that the call published; it exists only if the call commits.
#[derive(Debug, Clone)]
pub struct Published {
    pub id: Uuid,
    pub event_type: String,
    pub subject: String,
    pub version: u64,
    pub data: Vec<u8>,
}

/// The event that the call is the handling of.
#[derive(Debug, Clone)]
pub struct Consumed {
    pub subscription: String,
    pub event: Uuid,
}

#[derive(Debug, Clone, Copy)]
pub struct WorkLimits {
    pub statements: u32,
    pub rows: usize,
}

/// How a write that the guest ended well became.
#[derive(Debug, PartialEq)]
pub enum Ended {
    Committed,
    /// The event was consumed by an earlier call; this one left no trace.
    Repeated,
}

/// What a call with an idempotency key finds.
pub enum Keyed {
    New,
    /// Another call with the key is under way.
    Running,
    /// The answer that was given, if the request was the same one.
    Stored {
        same_request: bool,
        answer: Answer,
    },
}

pub struct Work {
    database: Option<Arc<Database>>,
    effect: Effect,
    limits: WorkLimits,
    transaction: Option<Transaction>,
    statements: u32,
    published: Vec<Published>,
    /// The first error of a statement: nothing can be committed any more.
    broken: Option<StoreError>,
}

impl Work {
    /// Nothing is sent before the first statement.
    pub fn new(database: Option<Arc<Database>>, effect: Effect, limits: WorkLimits) -> Self {
        Self {
            database,
            effect,
            limits,
            transaction: None,
            statements: 0,
            published: Vec::new(),
            broken: None,
        }
    }

    pub fn is_read(&self) -> bool {
        self.effect == Effect::Read
    }

    pub fn publish(&mut self, event: Published) {
        self.published.push(event);
    }

    pub fn published(&self) -> usize {
        self.published.len()
    }

    pub async fn query(&mut self, text: String, parameters: Vec<sql::Value>) -> Result<sql::Rows, sql::Error> {
        self.admit(&text)?;
        let arguments = values::arguments(parameters)?;
        let limit = self.limits.rows;
        let fetched = async |connection: &mut PgConnection| {
            let query = sqlx::query_with(AssertSqlSafe(text), arguments);
            let mut stream = connection.fetch(query);
            let mut rows: Vec<PgRow> = Vec::new();
            while let Some(row) = stream.try_next().await? {
                if rows.len() == limit {
                    return Ok(None);
                }
                rows.push(row);
            }
            Ok(Some(rows))
        };
        let rows = self
            .run(fetched)
            .await?
            .ok_or_else(|| sql::Error::TooMany(format!("more than {limit} rows (limits.rows): ask for a page")))?;
        Ok(sql::Rows {
            columns: rows.first().map(values::columns).unwrap_or_default(),
            rows: rows.iter().map(values::cells).collect::<Result<_, _>>()?,
        })
    }

    pub async fn execute(&mut self, text: String, parameters: Vec<sql::Value>) -> Result<u64, sql::Error> {
        self.admit(&text)?;
        let arguments = values::arguments(parameters)?;
        let executed = async |connection: &mut PgConnection| {
            connection
                .execute(sqlx::query_with(AssertSqlSafe(text), arguments))
                .await
        };
        self.run(executed).await.map(|done| done.rows_affected())
    }

    /// Begins the transaction with a look at the key. Only for writes.
    pub async fn open(&mut self, key: &IdempotencyKey) -> Result<Keyed, StoreError> {
        let mut transaction = Transaction::begin(self.database()?, self.effect, Some(key)).await?;
        let found = transaction.found.take();
        self.transaction = Some(transaction);
        let Some(row) = found else { return Ok(Keyed::New) };
        match row.try_get::<&str, _>("state")? {
            "running" => Ok(Keyed::Running),
            "stored" => Ok(Keyed::Stored {
                same_request: row.try_get::<Vec<u8>, _>("fingerprint")? == key.fingerprint,
                answer: Answer {
                    head: serde_json::from_str(row.try_get("head")?)
                        .map_err(|_| StoreError::Unavailable("a stored answer cannot be read".into()))?,
                    body: row.try_get::<Vec<u8>, _>("body")?.into(),
                },
            }),
            _ => Ok(Keyed::New),
        }
    }

    /// Ends a call whose guest returned ok. `answer` is kept under the key, `consumed` in the inbox.
    pub async fn commit(
        mut self,
        answer: Option<(&IdempotencyKey, &Answer)>,
        consumed: Option<&Consumed>,
        traceparent: &str,
    ) -> Result<Ended, StoreError> {
        if let Some(error) = self.broken.take() {
            return Err(error);
        }
        let nothing_to_keep = self.published.is_empty() && consumed.is_none() && answer.is_none();
        if self.transaction.is_none() && nothing_to_keep {
            return Ok(Ended::Committed);
        }
        let database = self.database()?.clone();
        let mut transaction = match self.transaction.take() {
            Some(transaction) => transaction,
            None => Transaction::begin(&database, self.effect, None).await?,
        };
        // A transaction without anything of the host's needs no seal: `broken` has watched over its statements.
        if !nothing_to_keep
            && !self
                .seal(&database, &mut transaction, answer, consumed, traceparent)
                .await?
        {
            transaction.rollback().await;
            return Ok(Ended::Repeated);
        }
        transaction.commit().await?;
        database.committed.notify_one();
        Ok(Ended::Committed)
    }

    /// Ends a call whose guest did not return ok.
    pub async fn rollback(mut self) -> Option<StoreError> {
        if let Some(transaction) = self.transaction.take() {
            transaction.rollback().await;
        }
        self.broken.take()
    }

    fn database(&self) -> Result<&Arc<Database>, StoreError> {
        self.database.as_ref().ok_or(StoreError::NoDatabase)
    }

    fn admit(&mut self, text: &str) -> Result<(), sql::Error> {
        if self.broken.is_some() {
            return Err(sql::Error::Aborted);
        }
        if let Some(message) = statement::refuse(text) {
            return Err(sql::Error::Forbidden(message));
        }
        self.statements += 1;
        if self.statements > self.limits.statements {
            let limit = self.limits.statements;
            return Err(sql::Error::TooMany(format!(
                "more than {limit} statements in one call (limits.statements)"
            )));
        }
        Ok(())
    }

    /// Sends a statement on the connection of this call.
    async fn run<T>(
        &mut self,
        statement: impl AsyncFnOnce(&mut PgConnection) -> sqlx::Result<T>,
    ) -> Result<T, sql::Error> {
        let outcome = match self.effect {
            Effect::Read => self.read(statement).await,
            Effect::Write | Effect::WriteSerializable => self.write(statement).await,
        };
        outcome.map_err(|error| self.note(&error))
    }

    async fn read<T>(&self, statement: impl AsyncFnOnce(&mut PgConnection) -> sqlx::Result<T>) -> sqlx::Result<T> {
        let database = self.database.as_ref().ok_or(sqlx::Error::PoolClosed)?;
        let mut connection = Busy::new(database.readers.acquire().await?);
        let outcome = statement(connection.get()?).await;
        connection.release();
        outcome
    }

    async fn write<T>(&mut self, statement: impl AsyncFnOnce(&mut PgConnection) -> sqlx::Result<T>) -> sqlx::Result<T> {
        if self.transaction.is_none() {
            let database = self.database.as_ref().ok_or(sqlx::Error::PoolClosed)?;
            self.transaction = Some(Transaction::begin(database, self.effect, None).await?);
        }
        match &mut self.transaction {
            Some(transaction) => statement(transaction.connection.get()?).await,
            None => Err(sqlx::Error::PoolClosed),
        }
    }

    /// Remembers what a failed statement means for the call, and says what the guest may know.
    fn note(&mut self, error: &sqlx::Error) -> sql::Error {
        let (kept, told) = match Fault::of(error) {
            Fault::Guest(error) => (StoreError::Broken, error),
            Fault::Conflict(code) => (StoreError::Conflict(code), sql::Error::Unavailable),
            Fault::Unavailable(text) => (StoreError::Unavailable(text), sql::Error::Unavailable),
        };
        // Outside a transaction a failed statement spoils nothing but itself; what the host decides holds everywhere.
        if !self.is_read() || !matches!(kept, StoreError::Broken) {
            self.broken.get_or_insert(kept);
        }
        told
    }

    /// False when the consumed event was consumed before.
    async fn seal(
        &self,
        database: &Database,
        transaction: &mut Transaction,
        answer: Option<(&IdempotencyKey, &Answer)>,
        consumed: Option<&Consumed>,
        traceparent: &str,
    ) -> Result<bool, StoreError> {
        let token = database.token().await?;
        let head = answer
            .map(|(_, answer)| serde_json::to_string(&answer.head))
            .transpose()
            .map_err(|error| StoreError::Unavailable(error.to_string()))?;
        let published = &self.published;
        let any = (!published.is_empty()).then_some(());
        let outcome: String = sqlx::query_scalar("select ward.seal($1,$2,$3,$4,$5,$6,$7,$8,$9,$10,$11,$12,$13)")
            .bind(token)
            .bind(answer.map(|(key, _)| key.digest.as_slice()))
            .bind(answer.map(|(key, _)| key.fingerprint.as_slice()))
            .bind(head)
            .bind(answer.map(|(_, answer)| answer.body.as_ref()))
            .bind(consumed.map(|consumed| consumed.subscription.as_str()))
            .bind(consumed.map(|consumed| consumed.event))
            .bind(any.map(|()| published.iter().map(|event| event.id).collect::<Vec<_>>()))
            .bind(any.map(|()| {
                published
                    .iter()
                    .map(|event| event.event_type.as_str())
                    .collect::<Vec<_>>()
            }))
            .bind(any.map(|()| published.iter().map(|event| event.subject.as_str()).collect::<Vec<_>>()))
            .bind(any.map(|()| published.iter().map(|event| signed(event.version)).collect::<Vec<_>>()))
            .bind(any.map(|()| published.iter().map(|event| event.data.as_slice()).collect::<Vec<_>>()))
            .bind(traceparent)
            .fetch_one(transaction.connection.get()?)
            .await?;
        Ok(outcome == "sealed")
    }
}

fn signed(version: u64) -> i64 {
    i64::try_from(version).unwrap_or(i64::MAX)
}

/// An open transaction. Dropped without an end, it takes its connection with it.
struct Transaction {
    connection: Busy,
    /// The row of `ward.open`, when the transaction began with a key.
    found: Option<PgRow>,
}

impl Transaction {
    async fn begin(database: &Database, effect: Effect, key: Option<&IdempotencyKey>) -> sqlx::Result<Self> {
        let mut connection = Busy::new(database.writers.acquire().await?);
        let level = match effect {
            Effect::WriteSerializable => " ISOLATION LEVEL SERIALIZABLE",
            Effect::Read | Effect::Write => "",
        };
        // One round trip. The literals are a digest in hexadecimal and a number.
        let text = match key {
            None => format!("BEGIN{level}"),
            Some(key) => format!(
                "BEGIN{level}; SELECT * FROM ward.open('\\x{}'::bytea, {})",
                super::roles::hex(&key.digest),
                key.lock()
            ),
        };
        let found = connection
            .get()?
            .fetch_optional(sqlx::raw_sql(AssertSqlSafe(text)))
            .await?;
        Ok(Self { connection, found })
    }

    async fn commit(mut self) -> sqlx::Result<()> {
        self.connection.get()?.execute(sqlx::raw_sql("COMMIT")).await?;
        self.connection.release();
        Ok(())
    }

    async fn rollback(mut self) {
        let Ok(connection) = self.connection.get() else { return };
        if connection.execute(sqlx::raw_sql("ROLLBACK")).await.is_ok() {
            self.connection.release();
        }
    }
}

/// A connection that goes back to its pool when it is released, and is closed when it is dropped before: whoever was
/// stopped in the middle leaves nothing running behind.
struct Busy(Option<PoolConnection<Postgres>>);

impl Busy {
    fn new(connection: PoolConnection<Postgres>) -> Self {
        Self(Some(connection))
    }

    fn get(&mut self) -> sqlx::Result<&mut PgConnection> {
        self.0.as_deref_mut().ok_or(sqlx::Error::PoolClosed)
    }

    fn release(&mut self) {
        self.0 = None;
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        if let Some(connection) = self.0.take() {
            drop(connection.detach());
        }
    }
}
