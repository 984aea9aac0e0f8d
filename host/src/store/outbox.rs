//! Committed events on their way to the stream. Who moves them is `events::relay`'s affair.

use std::time::Duration;

use sqlx::postgres::{PgConnection, PgRow};
use sqlx::{AssertSqlSafe, FromRow, Row};
use time::OffsetDateTime;
use uuid::Uuid;

use super::Database;

#[derive(Debug, Clone)]
pub struct OutboxEvent {
    pub seq: i64,
    pub id: Uuid,
    pub event_type: String,
    pub subject: String,
    pub version: i64,
    pub at: OffsetDateTime,
    pub traceparent: String,
    pub data: Vec<u8>,
}

impl FromRow<'_, PgRow> for OutboxEvent {
    fn from_row(row: &PgRow) -> sqlx::Result<Self> {
        Ok(Self {
            seq: row.try_get("seq")?,
            id: row.try_get("id")?,
            event_type: row.try_get("type")?,
            subject: row.try_get("subject")?,
            version: row.try_get("version")?,
            at: row.try_get("at")?,
            traceparent: row.try_get("traceparent")?,
            data: row.try_get("data")?,
        })
    }
}

/// How long the outbox's statements may take before the link counts as broken.
const PATIENCE: Duration = Duration::from_secs(10);

/// How long the holder of the right may be silent. It polls each second (`events.relay_poll_ms`), and waits for the stream for 5 s.
const IDLE: Duration = Duration::from_secs(10);

/// Any constant will do, as long as all hosts take the same; the lock is per database.
const RELAY_LOCK: i64 = 0x5741_5244_0001;

/// The way to a service's outbox. The right to move its events is an advisory lock, held by one host at a time, that
/// ends with the connection.
pub struct Outbox {
    connection: PgConnection,
}

impl Outbox {
    pub async fn connect(database: &Database) -> sqlx::Result<Self> {
        let mut connection = database.host.acquire().await?.detach();
        // Deleting what was delivered need not survive a power loss: it would be delivered again, and recognized.
        bounded(sqlx::query("set synchronous_commit = off").execute(&mut connection)).await?;
        // A host that hangs keeps its connection, and the lock with it; the server takes both away.
        let limit = AssertSqlSafe(format!("set idle_session_timeout = {}", IDLE.as_millis()));
        bounded(sqlx::query(limit).execute(&mut connection)).await?;
        Ok(Self { connection })
    }

    /// False while another host has the right.
    pub async fn take(&mut self) -> sqlx::Result<bool> {
        let statement = sqlx::query_scalar("select pg_try_advisory_lock($1)").bind(RELAY_LOCK);
        bounded(statement.fetch_one(&mut self.connection)).await
    }

    /// The oldest events, at most `limit`.
    ///
    /// Rows become visible out of the order of `seq`, since it is drawn before the commit. That is no loss here, because rows
    /// are deleted and not counted off; and events of one subject are in order, because their writers waited for each
    /// other at the aggregate's row before they drew theirs.
    pub async fn oldest(&mut self, limit: i64) -> sqlx::Result<Vec<OutboxEvent>> {
        let statement = sqlx::query_as(
            "select seq, id, type, subject, version, at, traceparent, data from ward.outbox order by seq limit $1",
        );
        bounded(statement.bind(limit).fetch_all(&mut self.connection)).await
    }

    pub async fn delivered(&mut self, seqs: &[i64]) -> sqlx::Result<()> {
        let statement = sqlx::query("delete from ward.outbox where seq = any($1)").bind(seqs);
        bounded(statement.execute(&mut self.connection)).await.map(|_| ())
    }
}

/// A link that is silent keeps nobody waiting for ever: dropped, it gives up the lock as soon as the server notices.
async fn bounded<T>(statement: impl Future<Output = sqlx::Result<T>>) -> sqlx::Result<T> {
    let silent = || std::io::Error::new(std::io::ErrorKind::TimedOut, "PostgreSQL is silent");
    tokio::time::timeout(PATIENCE, statement).await.unwrap_or_else(|_| Err(sqlx::Error::Io(silent())))
}
