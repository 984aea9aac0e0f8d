//! A transaction and the connection that it lives on.

use std::time::Duration;

use sqlx::postgres::PgConnection;
use sqlx::{AssertSqlSafe, Executor, Row};

use super::pool::Lease;
use super::{Database, IdempotencyKey, StoreError};
use crate::engine::Effect;
use crate::hex::hex;

/// How long a statement of the host's own may take before the link counts as broken.
const PATIENCE: Duration = Duration::from_secs(10);

/// What a statement of the host's own comes to. When it does not, the connection is of no use any more.
pub async fn in_time<T>(statement: impl Future<Output = sqlx::Result<T>>) -> sqlx::Result<T> {
    let late = |_| Err(sqlx::Error::Protocol(format!("no answer within {PATIENCE:?}")));
    tokio::time::timeout(PATIENCE, statement).await.unwrap_or_else(late)
}

/// An open transaction. Dropped without an end, it takes its connection with it.
pub struct Transaction {
    lease: Lease,
    /// What `ward.open` says, when the transaction began with a key.
    pub found: Option<String>,
}

impl Transaction {
    pub async fn begin(database: &Database, effect: Effect, key: Option<&IdempotencyKey>) -> sqlx::Result<Self> {
        let mut lease = database.writers.lease().await?;
        let level = match effect {
            Effect::WriteSerializable => " ISOLATION LEVEL SERIALIZABLE",
            Effect::Read | Effect::Write => "",
        };
        // One round trip. The literals are a digest in hexadecimal and a number.
        let text = match key {
            None => format!("BEGIN{level}"),
            Some(key) => {
                format!("BEGIN{level}; SELECT ward.open('\\x{}'::bytea, {})", hex(&key.digest), key.lock())
            }
        };
        let row = in_time(lease.connection()?.fetch_optional(sqlx::raw_sql(AssertSqlSafe(text)))).await?;
        let found = row.map(|row| row.try_get(0)).transpose()?;
        Ok(Self { lease, found })
    }

    pub fn connection(&mut self) -> sqlx::Result<&mut PgConnection> {
        self.lease.connection()
    }

    pub async fn commit(mut self) -> Result<(), StoreError> {
        let connection = self.lease.connection().map_err(StoreError::from)?;
        let sent = connection.execute(sqlx::raw_sql("COMMIT"));
        match in_time(sent).await {
            Ok(_) => {
                self.lease.release();
                Ok(())
            }
            // The server said no, so it is not done; unless it was going away while it said so.
            Err(sqlx::Error::Database(error)) if !error.code().is_some_and(|code| code.starts_with("57P")) => {
                Err(sqlx::Error::Database(error).into())
            }
            Err(_) => Err(StoreError::Unknown),
        }
    }

    pub async fn rollback(mut self) {
        let Ok(connection) = self.lease.connection() else { return };
        let sent = connection.execute(sqlx::raw_sql("ROLLBACK"));
        if in_time(sent).await.is_ok() {
            self.lease.release();
        }
    }
}
