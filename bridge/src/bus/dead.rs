//! Dead letters: events that Kafka will never take.

use ward_proto::call::{header, subject};

use super::call::header_map;
use super::events::Event;
use super::{Bus, BusError};

/// Where the mirror's dead letters go, and where they come back from.
pub const NAME: &str = "bridge.kafka";

/// Headers of a dead letter, beside those of the event itself; the first three as the hosts name them.
pub mod dead_header {
    pub const REASON: &str = "Ward-Reason";
    pub const ATTEMPTS: &str = "Ward-Attempts";
    /// The subject that the event had.
    pub const SUBJECT: &str = "Ward-Subject";
    /// Its sequence in `WARD_EVENTS`.
    pub const SEQUENCE: &str = "Ward-Sequence";
    /// The topic that it did not reach; brought back it goes to this one only.
    pub const TOPIC: &str = "Ward-Topic";
}

impl Bus {
    /// Stores the event as a dead letter. When this returns `Ok`, the letter is in the stream `WARD_DEAD`.
    ///
    /// Repeating it soon (as after a crash) leaves one letter: its id is the event's with the topic.
    pub async fn bury(&self, event: &Event, topic: &str, reason: &str, attempts: u32) -> Result<(), BusError> {
        let mut headers = event.headers.clone();
        headers.retain(|(name, _)| !name.starts_with("Nats-"));
        let id = event.header(header::MESSAGE_ID).unwrap_or_default();
        let mut all: Vec<(&str, String)> = headers.iter().map(|(name, value)| (name.as_str(), value.clone())).collect();
        all.extend([
            (header::MESSAGE_ID, format!("{id}/{NAME}/{topic}/{}", event.sequence)),
            (dead_header::REASON, reason.replace(['\r', '\n'], " ")),
            (dead_header::ATTEMPTS, attempts.to_string()),
            (dead_header::SUBJECT, event.subject.clone()),
            (dead_header::SEQUENCE, event.sequence.to_string()),
            (dead_header::TOPIC, topic.to_owned()),
        ]);
        let failed = |error: async_nats::Error| BusError::new("store a dead letter in WARD_DEAD", error);
        let stored = self
            .jetstream
            .publish_with_headers(format!("{}.{NAME}", subject::DEAD), header_map(&all), event.payload.clone())
            .await
            .map_err(|error| failed(error.into()))?;
        stored.await.map_err(|error| failed(error.into()))?;
        Ok(())
    }
}
