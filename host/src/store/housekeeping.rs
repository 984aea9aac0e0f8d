//! Forgets answers and consumed events that are older than their retention.

use super::Database;
use crate::config;

/// How long a version's statements are known after a host has first run them.
const STATEMENTS_H: u32 = 24 * 365;

/// Rows that were forgotten. In small bites, so that nobody waits for it.
pub async fn housekeep(database: &Database, config: &config::Store) -> sqlx::Result<u64> {
    let answers = "delete from ward.idempotency where digest in (select digest from ward.idempotency
        where at < now() - make_interval(hours => $1) limit 5000)";
    let events = "delete from ward.inbox where (subscription, event) in (select subscription, event from ward.inbox
        where at < now() - make_interval(hours => $1) limit 5000)";
    // Long after the last host that ran them has begun.
    let statements = "delete from ward.statements where (digest, md5(statement)) in
        (select digest, md5(statement) from ward.statements where at < now() - make_interval(hours => $1) limit 5000)";
    let mut forgotten = 0;
    for (statement, hours) in
        [(answers, config.idempotency_retention_h), (events, config.inbox_retention_h), (statements, STATEMENTS_H)]
    {
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
