//! Forgets answers and consumed events that are older than their retention.

use super::Database;
use crate::config;

/// Rows that were forgotten. In small bites, so that nobody waits for it.
pub async fn housekeep(database: &Database, config: &config::Store) -> sqlx::Result<u64> {
    let answers = "delete from ward.idempotency where digest in (select digest from ward.idempotency
        where at < now() - make_interval(hours => $1) limit 5000)";
    let events = "delete from ward.inbox where (subscription, event) in (select subscription, event from ward.inbox
        where at < now() - make_interval(hours => $1) limit 5000)";
    let mut forgotten = 0;
    for (statement, hours) in [(answers, config.idempotency_retention_h), (events, config.inbox_retention_h)] {
        loop {
            let hours = i32::try_from(hours).unwrap_or(i32::MAX);
            let deleted = sqlx::query(statement).bind(hours).execute(&database.host).await?.rows_affected();
            forgotten += deleted;
            if deleted < 5000 {
                break;
            }
        }
    }
    Ok(forgotten)
}
