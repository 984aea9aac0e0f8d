//! A small language for tests with a real nats-server, the real bridge process, and librdkafka's mock of Kafka.
//!
//! Everything gets its own ports and directories, and ends with the test.
#![allow(dead_code, clippy::allow_attributes, reason = "each test file uses a part of it")]

pub mod bridge;
pub mod kafka;
pub mod nats;
#[path = "../../../tests/src/machine/port.rs"]
mod port;

use std::time::{Duration, Instant};

pub use port::port;

/// The longest that a test waits for anything.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// Waits until `check` gives something.
pub async fn eventually<T>(what: &str, mut check: impl AsyncFnMut() -> Option<T>) -> T {
    let began = Instant::now();
    loop {
        if let Some(value) = check().await {
            return value;
        }
        assert!(began.elapsed() < PATIENCE, "not within {PATIENCE:?}: {what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}
