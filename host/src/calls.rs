//! The way of a call: `docs/calls.md` in code.
//!
//! `envelope` reads and writes headers. `client` sends a call and waits; `worker` takes calls in, admits or sheds them,
//! and replies; between them `execute` runs one call in fresh instances until its transaction ended. A failure on the way is a
//! [`Failure`], the same value for the gateway, for a calling component and for the wire.

pub mod client;
pub mod envelope;
pub mod execute;
pub mod release;
pub mod request;
mod response;
pub mod typed;
pub mod watched;
pub mod worker;

use std::sync::Arc;
use std::time::{Duration, Instant};

use ward_proto::call::FailureKind;
use ward_telemetry::Trail;

use crate::security::Principal;

/// What travels with a call, whoever it is for.
#[derive(Debug, Clone)]
pub struct Call {
    /// Unique; the same in every re-run.
    pub id: String,
    pub principal: Option<Arc<Principal>>,
    /// Where it is written down what this hop does; its trace context goes out with everything.
    pub trail: Trail,
    /// When the caller stops waiting.
    pub deadline: Instant,
    pub idempotency_key: Option<String>,
}

impl Call {
    pub fn remaining(&self) -> Duration {
        self.deadline.saturating_duration_since(Instant::now())
    }

    /// The id of the trace, 32 hexadecimal digits.
    pub fn trace(&self) -> String {
        format!("{:032x}", self.trail.context().trace)
    }
}

/// No answer of the service. The message is for operators and knows nothing of the payload.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}: {message}", .kind.name())]
pub struct Failure {
    pub kind: FailureKind,
    pub message: String,
    /// When it makes sense to try again, where that is known.
    pub retry_after: Option<Duration>,
}

/// Whose fault it is that there is no answer. It decides who tries again, and who is blamed for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Blame {
    /// The component: it crashed, took too long, or broke a rule. It will probably do so again.
    Component,
    /// The caller: an unknown function, arguments that do not decode, no patience.
    Caller,
    /// The store, the queue, the network. It will pass.
    Surroundings,
    /// Nobody knows whether the call was done. It must not be run again, except under a key.
    Unknown,
}

impl Failure {
    pub fn new(kind: FailureKind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into(), retry_after: None }
    }

    pub fn retry_after(self, pause: Duration) -> Self {
        Self { retry_after: Some(pause), ..self }
    }
}
