//! The unit of work: everything that one call does to its database.

use std::sync::Arc;

use futures_util::TryStreamExt;
use sqlx::postgres::{PgArguments, PgConnection, PgRow};
use sqlx::{AssertSqlSafe, Executor};
use uuid::Uuid;
use ward_telemetry::{Hop, Open, Trail};

use super::errors::Fault;
use super::transaction::{Transaction, in_time};
use super::{Answer, Database, IdempotencyKey, Statements, StoreError, statement, values};
use crate::bindings::ward::store::sql;
use crate::config::Limits;
use crate::engine::Effect;
use crate::limits::{Limit, Refusals};
use crate::memory::{TooLarge, bounded};

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
    pub subscription: Arc<str>,
    pub event: Uuid,
}

#[derive(Debug, Clone)]
pub struct WorkLimits {
    pub statements: u32,
    pub statement_bytes: usize,
    pub parameter_bytes: usize,
    pub rows: usize,
    pub result_bytes: usize,
    pub refusals: Arc<Refusals>,
}

impl WorkLimits {
    pub fn of(limits: &Limits, refusals: Arc<Refusals>) -> Self {
        Self {
            statements: limits.statements,
            statement_bytes: limits.statement_bytes,
            parameter_bytes: limits.parameter_bytes,
            rows: limits.rows,
            result_bytes: limits.result_bytes,
            refusals,
        }
    }

    fn refuse(&self, limit: Limit, value: usize, advice: &str) -> String {
        self.refusals.count(limit);
        format!("limits.{} is {value} {}: {advice}", limit.name(), limit.unit())
    }

    fn too_large(&self) -> Failed {
        Failed::TooMany(self.refuse(Limit::ResultBytes, self.result_bytes, "ask for less"))
    }

    /// Bytes that may be asked for at once while a statement is sent and its answer is read. Nothing within the limits asks for more:
    /// the buffers of sqlx double as they grow, and are doubled again for what is read next.
    fn message_bytes(&self) -> usize {
        let sent = self.parameter_bytes.saturating_add(self.statement_bytes);
        self.result_bytes.max(sent).saturating_mul(4)
    }
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
    /// Takes note of what is run.
    seen: Option<Arc<Statements>>,
    transaction: Option<Transaction>,
    statements: u32,
    /// Read so far.
    rows: usize,
    published: Vec<Published>,
    trail: Trail,
    /// The first error of a statement: nothing can be committed any more.
    broken: Option<StoreError>,
}

impl Work {
    /// Nothing is sent before the first statement. The statements are written down on `trail`.
    pub fn new(
        database: Option<Arc<Database>>,
        effect: Effect,
        limits: WorkLimits,
        seen: Option<Arc<Statements>>,
        trail: Trail,
    ) -> Self {
        Self {
            database,
            effect,
            limits,
            seen,
            transaction: None,
            statements: 0,
            rows: 0,
            published: Vec::new(),
            trail,
            broken: None,
        }
    }

    /// Is there a transaction, or something that needs one?
    pub fn is_begun(&self) -> bool {
        self.transaction.is_some() || !self.published.is_empty()
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
        self.admit(&text, &parameters)?;
        let arguments = values::arguments(parameters)?;
        let limits = self.limits.clone();
        let (mut span, read) = (self.span(&text), self.rows);
        let rows = self.run(async |connection| fetch(connection, text, arguments, limits, read).await).await;
        noted(&mut span, &rows);
        drop(span);
        let rows = rows?;
        self.rows += rows.len();
        Ok(sql::Rows {
            columns: rows.first().map(values::columns).unwrap_or_default(),
            rows: rows.iter().map(values::cells).collect::<Result<_, _>>()?,
        })
    }

    pub async fn execute(&mut self, text: String, parameters: Vec<sql::Value>) -> Result<u64, sql::Error> {
        self.admit(&text, &parameters)?;
        let arguments = values::arguments(parameters)?;
        let limits = self.limits.clone();
        let mut span = self.span(&text);
        let executed = async |connection: &mut PgConnection| {
            let query = sqlx::query_with(AssertSqlSafe(text), arguments);
            let done = bounded(limits.message_bytes(), connection.execute(query)).await;
            done.map_err(|TooLarge| limits.too_large())?.map_err(Failed::Statement)
        };
        let done = self.run(executed).await;
        noted(&mut span, &done);
        done.map(|done| done.rows_affected())
    }

    /// A statement is written down as the component wrote it: with the places of its parameters, never with the parameters.
    fn span(&self, text: &str) -> Open {
        let mut span = self.trail.span(Hop::Statement, "statement");
        span.attribute("db.query.text", &text[..text.floor_char_boundary(LONGEST_STATEMENT)]);
        span
    }

    /// Begins the transaction with a look at the key. Only for writes.
    pub async fn open(&mut self, key: &IdempotencyKey) -> Result<Keyed, StoreError> {
        let mut transaction = Transaction::begin(self.database()?, self.effect, Some(key)).await?;
        let keyed = match transaction.found.as_deref() {
            Some("running") => Keyed::Running,
            Some("stored") => stored(transaction.connection()?, key).await?,
            _ => Keyed::New,
        };
        self.transaction = Some(transaction);
        Ok(keyed)
    }

    /// Ends a call whose guest returned ok. `answer` is kept under the key, `consumed` in the inbox.
    pub async fn commit(
        mut self,
        answer: Option<(&IdempotencyKey, &Answer)>,
        consumed: Option<&Consumed>,
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
        if !nothing_to_keep && !self.seal(&database, &mut transaction, answer, consumed).await? {
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

    fn admit(&mut self, text: &str, parameters: &[sql::Value]) -> Result<(), sql::Error> {
        if self.broken.is_some() {
            return Err(sql::Error::Aborted);
        }
        if let Some(message) = statement::refuse(text) {
            return Err(sql::Error::Forbidden(message));
        }
        self.statements = self.statements.saturating_add(1);
        let limits = &self.limits;
        let too_many = |limit, value, advice| Err(sql::Error::TooMany(limits.refuse(limit, value, advice)));
        if self.statements > limits.statements {
            return too_many(Limit::Statements, limits.statements as usize, "do more in one statement");
        }
        if text.len() > limits.statement_bytes {
            return too_many(Limit::StatementBytes, limits.statement_bytes, "values belong into parameters");
        }
        if parameters.iter().map(values::parameter_size).sum::<usize>() > limits.parameter_bytes {
            return too_many(Limit::ParameterBytes, limits.parameter_bytes, "send less with one statement");
        }
        if let Some(seen) = &self.seen {
            seen.note(text);
        }
        Ok(())
    }

    /// Sends a statement on the connection of this call.
    async fn run<T>(
        &mut self,
        statement: impl AsyncFnOnce(&mut PgConnection) -> Result<T, Failed>,
    ) -> Result<T, sql::Error> {
        let outcome = match self.effect {
            Effect::Read => self.read(statement).await,
            Effect::Write | Effect::WriteSerializable => self.write(statement).await,
        };
        outcome.map_err(|failed| match failed {
            Failed::Begin(error) => self.note(Fault::of_host(&error)),
            Failed::Statement(error) if self.is_read() => self.note(Fault::of(&error)),
            Failed::Statement(error) => self.note(Fault::of_write(&error)),
            Failed::TooMany(text) => {
                // What is still on its way is not waited for: the connection is closed, and with it the transaction.
                let told = sql::Error::TooMany(text);
                self.note(Fault { kept: StoreError::Broken, told, closes: true })
            }
        })
    }

    async fn read<T>(&self, statement: impl AsyncFnOnce(&mut PgConnection) -> Result<T, Failed>) -> Result<T, Failed> {
        let database = self.database.as_ref().ok_or(sqlx::Error::PoolClosed)?;
        let mut lease = database.readers.lease().await.map_err(Failed::Begin)?;
        let outcome = statement(lease.connection()?).await;
        let closes = match &outcome {
            Ok(_) => false,
            Err(Failed::TooMany(_) | Failed::Begin(_)) => true,
            Err(Failed::Statement(error)) => Fault::of(error).closes,
        };
        if !closes {
            lease.release();
        }
        outcome
    }

    async fn write<T>(
        &mut self,
        statement: impl AsyncFnOnce(&mut PgConnection) -> Result<T, Failed>,
    ) -> Result<T, Failed> {
        if self.transaction.is_none() {
            let database = self.database.as_ref().ok_or(sqlx::Error::PoolClosed)?;
            let begun = Transaction::begin(database, self.effect, None).await.map_err(Failed::Begin)?;
            self.transaction = Some(begun);
        }
        match &mut self.transaction {
            Some(transaction) => statement(transaction.connection()?).await,
            None => Err(sqlx::Error::PoolClosed.into()),
        }
    }

    /// Remembers what a failed statement means for the call, and says what the guest may know.
    fn note(&mut self, fault: Fault) -> sql::Error {
        if fault.closes {
            self.transaction = None;
        }
        // Outside a transaction a failed statement spoils nothing but itself; what the host decides holds everywhere.
        if !self.is_read() || !matches!(fault.kept, StoreError::Broken) {
            self.broken.get_or_insert(fault.kept);
        }
        fault.told
    }

    /// False when the consumed event was consumed before.
    async fn seal(
        &self,
        database: &Database,
        transaction: &mut Transaction,
        answer: Option<(&IdempotencyKey, &Answer)>,
        consumed: Option<&Consumed>,
    ) -> Result<bool, StoreError> {
        let token = database.token().await?;
        let head = answer
            .map(|(_, answer)| serde_json::to_string(&answer.head))
            .transpose()
            .map_err(|error| StoreError::Unavailable(error.to_string()))?;
        let published = &self.published;
        let any = (!published.is_empty()).then_some(());
        let sealing = sqlx::query_scalar("select ward.seal($1,$2,$3,$4,$5,$6,$7,$8,$9,$10,$11,$12,$13)")
            .bind(token)
            .bind(answer.map(|(key, _)| key.digest.as_slice()))
            .bind(answer.map(|(key, _)| key.fingerprint.as_slice()))
            .bind(head)
            .bind(answer.map(|(_, answer)| answer.body.as_ref()))
            .bind(consumed.map(|consumed| &*consumed.subscription))
            .bind(consumed.map(|consumed| consumed.event))
            .bind(any.map(|()| published.iter().map(|event| event.id).collect::<Vec<_>>()))
            .bind(any.map(|()| published.iter().map(|event| event.event_type.as_str()).collect::<Vec<_>>()))
            .bind(any.map(|()| published.iter().map(|event| event.subject.as_str()).collect::<Vec<_>>()))
            .bind(any.map(|()| published.iter().map(|event| signed(event.version)).collect::<Vec<_>>()))
            .bind(any.map(|()| published.iter().map(|event| event.data.as_slice()).collect::<Vec<_>>()))
            .bind(self.trail.context().to_string())
            .fetch_one(transaction.connection()?);
        let outcome: String = in_time(sealing).await?;
        Ok(outcome == "sealed")
    }
}

/// Bytes of a statement that are written down.
const LONGEST_STATEMENT: usize = 500;

/// What PostgreSQL says may quote values; the component is told, and nobody else.
fn noted<T>(span: &mut Open, outcome: &Result<T, sql::Error>) {
    if outcome.is_err() {
        span.fail("the statement failed");
    }
}

fn signed(version: u64) -> i64 {
    i64::try_from(version).unwrap_or(i64::MAX)
}

async fn stored(connection: &mut PgConnection, key: &IdempotencyKey) -> Result<Keyed, StoreError> {
    let statement = sqlx::query_as("select fingerprint, head, body from ward.answer($1)").bind(key.digest.as_slice());
    let (fingerprint, head, body): (Vec<u8>, String, Vec<u8>) = in_time(statement.fetch_one(connection)).await?;
    let head = serde_json::from_str(&head)
        .map_err(|_| StoreError::Unavailable("a stored answer cannot be read".to_owned()))?;
    Ok(Keyed::Stored { same_request: fingerprint == key.fingerprint, answer: Answer { head, body: body.into() } })
}

/// Why a statement has no result.
enum Failed {
    /// It was never sent.
    Begin(sqlx::Error),
    Statement(sqlx::Error),
    /// The result is over a limit; the text names it.
    TooMany(String),
}

impl From<sqlx::Error> for Failed {
    fn from(error: sqlx::Error) -> Self {
        Self::Statement(error)
    }
}

/// Rows until there are no more, or too many with the `read` ones before them.
async fn fetch(
    connection: &mut PgConnection,
    text: String,
    arguments: PgArguments,
    limits: WorkLimits,
    read: usize,
) -> Result<Vec<PgRow>, Failed> {
    let mut stream = connection.fetch(sqlx::query_with(AssertSqlSafe(text), arguments));
    let mut rows: Vec<PgRow> = Vec::new();
    let mut bytes = 0;
    loop {
        let next = bounded(limits.message_bytes(), stream.try_next()).await;
        let Some(row) = next.map_err(|TooLarge| limits.too_large())?? else { return Ok(rows) };
        bytes += values::size(&row);
        if read + rows.len() >= limits.rows {
            return Err(Failed::TooMany(limits.refuse(Limit::Rows, limits.rows, "ask for a page")));
        }
        if bytes > limits.result_bytes {
            return Err(limits.too_large());
        }
        rows.push(row);
    }
}
