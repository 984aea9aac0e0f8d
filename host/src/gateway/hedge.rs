//! A read that has no answer for long is sent once more, since the host that has it may hang. The first answer counts.

use std::sync::Arc;
use std::time::Duration;

use axum::body::Bytes;
use futures_util::future::select_ok;

use super::Gateway;
use super::exchange::Prepared;
use super::problem::Problem;
use crate::calls::client::Reply;

/// Sends a request that changes nothing. Whichever of two is slower is dropped, which stops it where it runs.
pub async fn send(prepared: &Prepared, gateway: &Gateway, service: &Arc<str>, body: Bytes) -> Result<Reply, Problem> {
    // Here, so that it outlives what is sent.
    let spare: Prepared;
    let first = prepared.send(gateway, service, body.clone());
    tokio::pin!(first);
    let pause = Duration::from_millis(gateway.config.hedge_ms);
    if let Ok(outcome) = tokio::time::timeout(pause, &mut first).await {
        return outcome;
    }
    let Some(_place) = gateway.hedges.take(service) else { return first.await };
    spare = prepared.twin();
    tracing::debug!(call = spare.call.id, service = &**service, "a read without an answer is sent once more");
    let second = spare.send(gateway, service, body);
    tokio::pin!(second);
    select_ok([first, second]).await.map(|(reply, _)| reply)
}
