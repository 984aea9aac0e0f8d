//! The harness of the system tests: real servers, a small language to speak about them, and checkers.
//!
//! A test arranges a [`System`], acts through its doors ([`rest`], [`grpc`], [`topic`]), and expects. It ends with
//! [`System::end`], which waits until no event is under way and fails if one is left over. Nothing sleeps: what takes
//! time is waited for with [`eventually`].
//!
//! Each system has a PostgreSQL, a nats-server and processes of Ward of its own, on free ports and in a directory of
//! its own; all of it ends with the test, however that ends ([`server`]). Start reading at [`system`].

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "what goes wrong here fails a test, and the message is for whoever reads its output"
)]

pub mod artifact;
pub mod chain;
pub mod clinic;
pub mod collector;
pub mod grpc;
pub mod kafka;
pub mod link;
pub mod load;
pub mod machine;
pub mod malformed;
pub mod nats;
pub mod postgres;
pub mod registrations;
pub mod rest;
pub mod samples;
pub mod server;
pub mod system;
pub mod topic;
pub mod ward;

use std::time::Duration;

use tokio::time::Instant;

pub use rest::Rest;
pub use serde_json::json;
pub use system::{Plan, System};

/// Long enough for everything that a healthy system does, on a machine that is busy with other tests.
pub const PATIENCE: Duration = Duration::from_secs(120);

const PAUSE: Duration = Duration::from_millis(20);

/// Probes until there is an answer. Panics with `what` when there is none within [`PATIENCE`].
#[track_caller]
pub fn eventually<T>(what: &str, probe: impl AsyncFnMut() -> Option<T>) -> impl Future<Output = T> {
    within(PATIENCE, what, probe)
}

/// [`eventually`] with a bound of its own.
#[track_caller]
pub fn within<T>(bound: Duration, what: &str, mut probe: impl AsyncFnMut() -> Option<T>) -> impl Future<Output = T> {
    let place = std::panic::Location::caller();
    async move {
        let end = Instant::now() + bound;
        loop {
            if let Some(answer) = probe().await {
                return answer;
            }
            assert!(Instant::now() < end, "{place}: not within {bound:?}: {what}");
            tokio::time::sleep(PAUSE).await;
        }
    }
}

/// Waits until so long after an event, where a bound is what is tested.
pub async fn passed(event: std::time::Instant, bound: Duration) {
    tokio::time::sleep_until((event + bound).into()).await;
}

/// A text that no other test uses, for names and addresses.
pub fn unique(stem: &str) -> String {
    format!("{stem}-{}", uuid::Uuid::new_v4().simple())
}
