//! Records handed to librdkafka, and its reports of what became of them.
//!
//! The order of [`Producer::send`] is the order on the topic. When librdkafka's queue is full, the same record is tried
//! again before any other: nothing overtakes it.

use std::sync::Arc;
use std::time::Duration;

use rdkafka::ClientContext;
use rdkafka::config::{FromClientConfigAndContext, RDKafkaLogLevel};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{Header, OwnedHeaders};
use rdkafka::producer::{BaseRecord, DeliveryResult, ProducerContext, ThreadedProducer};
use rdkafka::statistics::Statistics;
use tokio::sync::mpsc;
use ward_telemetry::Open;

use super::broker::{self, Broker};
use super::record::Record;
use crate::bus::events::Event;
use crate::status::Status;

/// How long a full queue is left alone.
const QUEUE_FULL_PAUSE: Duration = Duration::from_millis(2);

/// Whose record it is.
#[derive(Debug)]
pub struct Ticket {
    pub event: Arc<Event>,
    pub topic: String,
    /// Ends when it is known what became of the record.
    pub span: Open,
}

/// What became of a record.
#[derive(Debug)]
pub struct Report {
    pub ticket: Ticket,
    pub outcome: Outcome,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// All in-sync replicas have it.
    Delivered,
    /// Kafka does not take this record, or the batch that it was in, however often it is tried.
    Refused(String),
    /// Something else is wrong; whether Kafka has the record is unknown.
    Broken(String),
}

pub struct Producer {
    inner: ThreadedProducer<Context>,
}

impl Producer {
    /// Starts a producer of its own; its reports arrive in the receiver, one for each record sent.
    pub fn start(broker: &Broker, status: Arc<Status>) -> Result<(Self, mpsc::UnboundedReceiver<Report>), KafkaError> {
        // Bounded by the records that the session lets be under way.
        let (reports, receiver) = mpsc::unbounded_channel();
        let context = Context { reports, status };
        let inner = ThreadedProducer::from_config_and_context(&broker.producer_config(), context)?;
        Ok((Self { inner }, receiver))
    }

    /// Hands a record over, waiting while the queue is full. A record that is refused on the spot is the error; it gets
    /// no other report.
    pub async fn send(&self, record: &Record, ticket: Ticket) -> Result<(), Outcome> {
        let mut ticket = Box::new(ticket);
        loop {
            let Err((error, rejected)) = self.inner.send(base_record(record, ticket)) else {
                return Ok(());
            };
            if error.rdkafka_error_code() != Some(RDKafkaErrorCode::QueueFull) {
                return Err(outcome(&error));
            }
            ticket = rejected.delivery_opaque;
            tokio::time::sleep(QUEUE_FULL_PAUSE).await;
        }
    }

    /// Forgets what is under way. Blocks for up to half a second.
    pub fn discard(self) {
        drop(self);
    }
}

fn base_record(record: &Record, ticket: Box<Ticket>) -> BaseRecord<'_, str, [u8], Box<Ticket>> {
    let mut headers = OwnedHeaders::new_with_capacity(record.headers.len());
    for (key, value) in &record.headers {
        headers = headers.insert(Header { key, value: Some(value) });
    }
    BaseRecord::with_opaque_to(&record.topic, ticket)
        .key(record.key.as_str())
        .payload(record.payload.as_ref())
        .headers(headers)
}

struct Context {
    reports: mpsc::UnboundedSender<Report>,
    status: Arc<Status>,
}

impl ProducerContext for Context {
    type DeliveryOpaque = Box<Ticket>;

    fn delivery(&self, result: &DeliveryResult<'_>, ticket: Self::DeliveryOpaque) {
        let outcome = match result {
            Ok(_) => {
                self.status.set_kafka(true);
                Outcome::Delivered
            }
            Err((error, _)) => outcome(error),
        };
        // A session that has ended does not listen any more.
        let _ = self.reports.send(Report { ticket: *ticket, outcome });
    }
}

impl ClientContext for Context {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        broker::log(level, facility, message);
    }

    fn stats(&self, statistics: Statistics) {
        self.status.set_kafka(statistics.brokers.values().any(|broker| broker.state == "UP"));
    }

    fn error(&self, error: KafkaError, reason: &str) {
        if error.rdkafka_error_code() == Some(RDKafkaErrorCode::AllBrokersDown) {
            self.status.set_kafka(false);
        }
        tracing::debug!(%error, reason, "librdkafka");
    }
}

/// Whose fault an error is: the record's own, or something that concerns all of them.
fn outcome(error: &KafkaError) -> Outcome {
    use RDKafkaErrorCode::{
        InvalidRecord, InvalidTimestamp, MessageBatchTooLarge, MessageSizeTooLarge, PolicyViolation,
    };
    match error.rdkafka_error_code() {
        Some(
            code @ (InvalidRecord | InvalidTimestamp | MessageBatchTooLarge | MessageSizeTooLarge | PolicyViolation),
        ) => Outcome::Refused(code.to_string()),
        Some(code) => Outcome::Broken(code.to_string()),
        None => Outcome::Broken(error.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_the_records_own_fault_is_refused() {
        let of = |code| outcome(&KafkaError::MessageProduction(code));
        assert!(matches!(of(RDKafkaErrorCode::MessageSizeTooLarge), Outcome::Refused(_)));
        for code in [
            RDKafkaErrorCode::UnknownTopic,
            RDKafkaErrorCode::TopicAuthorizationFailed,
            RDKafkaErrorCode::Fatal,
            RDKafkaErrorCode::PurgeInflight,
        ] {
            assert!(matches!(of(code), Outcome::Broken(_)), "{code}");
        }
    }
}
