//! Committed events on their way to the stream. Who moves them is `events::relay`'s affair.

use sqlx::postgres::PgConnection;
use sqlx::{Connection, FromRow};
use time::OffsetDateTime;
use uuid::Uuid;

use super::Database;

#[derive(Debug, Clone, FromRow)]
pub struct OutboxEvent {
    pub seq: i64,
    pub id: Uuid,
    #[sqlx(rename = "type")]
    pub event_type: String,
    pub subject: String,
    pub version: i64,
    pub at: OffsetDateTime,
    pub traceparent: String,
    pub data: Vec<u8>,
}

/// The right to move a service's events, held by one host at a time: an advisory lock that ends with the connection.
pub struct Outbox {
    connection: PgConnection,
}

/// Any constant will do, as long as all hosts take the same; the lock is per database.
const RELAY_LOCK: i64 = 0x5741_5244_0001;

impl Outbox {
    /// None while another host holds it.
    pub async fn take(database: &Database) -> sqlx::Result<Option<Self>> {
        let mut connection = database.host.acquire().await?.detach();
        let taken: bool = sqlx::query_scalar("select pg_try_advisory_lock($1)")
            .bind(RELAY_LOCK)
            .fetch_one(&mut connection)
            .await?;
        // Deleting what was delivered need not survive a power loss: it would be delivered again, and recognized.
        sqlx::query("set synchronous_commit = off")
            .execute(&mut connection)
            .await?;
        Ok(taken.then_some(Self { connection }))
    }

    /// The oldest events, at most `limit`.
    ///
    /// Rows become visible out of the order of `seq`, since it is drawn before the commit. That is no loss here, because rows are
    /// deleted and not counted off; and events of one subject are in order, because their writers waited for each other
    /// at the aggregate's row before they drew theirs.
    pub async fn oldest(&mut self, limit: i64) -> sqlx::Result<Vec<OutboxEvent>> {
        sqlx::query_as(
            "select seq, id, type, subject, version, at, traceparent, data from ward.outbox order by seq limit $1",
        )
        .bind(limit)
        .fetch_all(&mut self.connection)
        .await
    }

    pub async fn delivered(&mut self, seqs: &[i64]) -> sqlx::Result<()> {
        sqlx::query("delete from ward.outbox where seq = any($1)")
            .bind(seqs)
            .execute(&mut self.connection)
            .await
            .map(|_| ())
    }

    /// Ends the connection, and with it the lock, in order.
    pub async fn close(self) {
        let _ = self.connection.close().await;
    }
}
