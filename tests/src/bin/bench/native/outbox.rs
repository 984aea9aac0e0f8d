//! Moves what was committed to JetStream, as Ward's relay does: woken by a commit, many at once, deleted when stored.

use std::time::Duration;

use async_nats::HeaderMap;
use async_nats::jetstream::{self, Context, stream::Config};
use futures_util::future::join_all;
use sqlx::{Executor, PgConnection};
use uuid::Uuid;

use super::store::Store;

const OLDEST: &str = "select seq, id, type, subject, traceparent, data from outbox order by seq limit 256";
const FALLBACK: Duration = Duration::from_secs(1);

type Event = (i64, Uuid, String, String, String, Vec<u8>);

pub async fn start(url: &str, store: &Store) {
    let context = jetstream::new(async_nats::connect(url).await.unwrap());
    let stream =
        Config { name: "NATIVE_EVENTS".to_owned(), subjects: vec!["native.event.>".to_owned()], ..Config::default() };
    context.get_or_create_stream(stream).await.unwrap();
    let committed = store.committed.clone();
    let mut connection = store.writers.acquire().await.unwrap().detach();
    // What is deleted twice was deleted.
    connection.execute("set synchronous_commit = off").await.unwrap();
    tokio::spawn(async move {
        loop {
            match flight(&context, &mut connection).await {
                Ok(0) => drop(tokio::time::timeout(FALLBACK, committed.notified()).await),
                Ok(_) => {}
                Err(error) => eprintln!("the outbox: {error}"),
            }
        }
    });
}

async fn flight(context: &Context, connection: &mut PgConnection) -> sqlx::Result<usize> {
    let events: Vec<Event> = sqlx::query_as(OLDEST).fetch_all(&mut *connection).await?;
    let stored = join_all(events.into_iter().map(|event| send(context, event))).await;
    let stored: Vec<i64> = stored.into_iter().flatten().collect();
    if !stored.is_empty() {
        sqlx::query("delete from outbox where seq = any($1)").bind(&stored).execute(&mut *connection).await?;
    }
    Ok(stored.len())
}

/// Nothing if the stream does not have it.
async fn send(context: &Context, (seq, id, kind, subject, trace, data): Event) -> Option<i64> {
    let mut headers = HeaderMap::new();
    headers.insert("Nats-Msg-Id", id.to_string());
    headers.insert("ce-id", id.to_string());
    headers.insert("ce-type", kind.as_str());
    headers.insert("ce-subject", subject);
    headers.insert("traceparent", trace);
    let acknowledged = context.publish_with_headers(format!("native.event.{kind}"), headers, data.into()).await;
    acknowledged.ok()?.await.ok().map(|_| seq)
}
