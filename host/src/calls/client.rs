//! Sends a call and waits for its answer.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use serde::Deserialize;
use ward_proto::call::{FailureKind, header, subject};
use ward_telemetry::{Context, Hop};

use super::{Call, Failure, envelope};
use crate::bus::{Bus, Headers, NoReply};

/// An answer of the service, with the headers that it came with.
pub struct Reply {
    pub headers: Headers,
    pub payload: Bytes,
}

/// The body of a reply with `Ward-Failure`.
#[derive(Default, Deserialize)]
struct FailureBody {
    #[serde(default)]
    message: String,
    retry_after_ms: Option<u64>,
}

#[derive(Clone)]
pub struct Client {
    bus: Arc<Bus>,
}

impl Client {
    pub fn new(bus: Arc<Bus>) -> Self {
        Self { bus }
    }

    pub fn is_connected(&self) -> bool {
        self.bus.is_connected()
    }

    /// Calls `ward.call.<service>.<interface>.<function>`. When this future is dropped before it ends, the work is stopped
    /// where it is done.
    pub async fn call(
        &self,
        call: &Call,
        service: &str,
        interface: &str,
        function: &str,
        headers: Headers,
        payload: Bytes,
    ) -> Result<Reply, Failure> {
        let target = format!("{}.{service}.{interface}.{function}", subject::CALL);
        let mut span = call.trail.span(Hop::Request, format!("{service}.{interface}.{function}"));
        let context = span.trail().context();
        let outcome = self.request(call, service, target, headers, payload, context).await;
        if let Err(failure) = &outcome {
            span.fail(failure.kind.name());
        }
        outcome
    }

    async fn request(
        &self,
        call: &Call,
        service: &str,
        target: String,
        mut headers: Headers,
        payload: Bytes,
        context: Context,
    ) -> Result<Reply, Failure> {
        let remaining = call.remaining();
        if remaining.is_zero() {
            return Err(Failure::new(FailureKind::DeadlineExceeded, format!("before {service} was called")));
        }
        envelope::write(call, context, &mut headers);
        let mut abandoned = CancelOnDrop { bus: &self.bus, id: Some(call.id.clone()) };
        let outcome = self.bus.request(target, headers, payload, remaining).await;
        // Without an answer the worker may still be at it.
        if !matches!(outcome, Err(NoReply::TimedOut | NoReply::Lost)) {
            abandoned.id = None;
        }
        let message = outcome.map_err(|reason| match reason {
            NoReply::NoResponders => Failure::new(FailureKind::Unavailable, format!("no host runs {service} now")),
            NoReply::Lost => {
                Failure::new(FailureKind::DeadlineExceeded, "the link to NATS broke, and the answer is lost")
            }
            NoReply::TimedOut => Failure::new(FailureKind::DeadlineExceeded, format!("no answer of {service} in time")),
        })?;
        let headers = message.headers.unwrap_or_default();
        match headers.get(header::FAILURE).and_then(|kind| FailureKind::parse(kind.as_str())) {
            None => Ok(Reply { headers, payload: message.payload }),
            Some(kind) => {
                let body: FailureBody = serde_json::from_slice(&message.payload).unwrap_or_default();
                let retry_after = body.retry_after_ms.map(Duration::from_millis);
                Err(Failure { kind, message: body.message, retry_after })
            }
        }
    }
}

/// Says on `ward.cancel` that nobody waits for the answer any more.
struct CancelOnDrop<'a> {
    bus: &'a Arc<Bus>,
    id: Option<String>,
}

impl Drop for CancelOnDrop<'_> {
    fn drop(&mut self) {
        if let Some(id) = self.id.take() {
            let bus = self.bus.clone();
            tokio::spawn(async move { bus.publish(subject::CANCEL.to_owned(), Headers::new(), id.into()).await });
        }
    }
}
