//! The streams: events and dead letters. A delivery ends in exactly one place, [`Delivery::end`].

use std::time::Duration;

use async_nats::jetstream::consumer::{AckPolicy, Consumer, DeliverPolicy, pull};
use async_nats::jetstream::stream::{Config, DiscardPolicy, RetentionPolicy, StorageType};
use async_nats::jetstream::{AckKind, Message as StoredMessage};
use bytes::Bytes;
use futures_util::{Stream, StreamExt};
use time::OffsetDateTime;
use ward_proto::call::{header, subject};

use super::{Bus, Headers};
use crate::config;

#[derive(Debug, thiserror::Error)]
#[error("{action}: {message}")]
pub struct StreamError {
    action: &'static str,
    message: String,
}

fn failed(action: &'static str) -> impl FnOnce(async_nats::Error) -> StreamError {
    move |error| StreamError { action, message: error.to_string() }
}

/// What becomes of a delivery.
#[derive(Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It has had its effect, or is in the dead letters.
    Done,
    /// Deliver it again after a pause.
    Again(Duration),
}

/// What becomes of the subjects of a durable name that is there already.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Known {
    Replace,
    /// Another host may have made them others since.
    Keep,
}

/// An event on its way to a subscription.
pub struct Delivery {
    message: StoredMessage,
}

impl Delivery {
    pub fn headers(&self) -> Headers {
        self.message.headers.clone().unwrap_or_default()
    }

    pub fn payload(&self) -> Bytes {
        self.message.payload.clone()
    }

    pub fn subject(&self) -> &str {
        &self.message.subject
    }

    /// 1 for the first.
    pub fn attempt(&self) -> u32 {
        self.message.info().map_or(1, |info| u32::try_from(info.delivered).unwrap_or(u32::MAX))
    }

    /// The place in the stream.
    pub fn sequence(&self) -> u64 {
        self.message.info().map_or(0, |info| info.stream_sequence)
    }

    /// Tells the server. If that gets lost, the event is delivered once more, and recognized by the inbox.
    pub async fn end(self, outcome: Outcome) {
        let kind = match outcome {
            Outcome::Done => AckKind::Ack,
            Outcome::Again(pause) => AckKind::Nak(Some(pause).filter(|pause| !pause.is_zero())),
        };
        if let Err(error) = self.message.ack_with(kind).await {
            tracing::debug!(%error, "could not acknowledge a delivery");
        }
    }
}

/// A durable place in the stream, shared by all hosts that run the service.
pub struct Subscription {
    stream: pull::Stream,
}

impl Subscription {
    /// The next delivery. An error is a reason to subscribe again.
    pub async fn next(&mut self) -> Result<Delivery, StreamError> {
        match self.stream.next().await {
            Some(Ok(message)) => Ok(Delivery { message }),
            Some(Err(error)) => Err(StreamError { action: "reading a subscription", message: error.to_string() }),
            None => Err(StreamError { action: "reading a subscription", message: "it ended".to_owned() }),
        }
    }
}

impl Bus {
    /// Makes the streams, or brings them to the configuration.
    pub async fn ensure_streams(&self, config: &config::Events) -> Result<(), StreamError> {
        let stream = |name: &str, subjects: Vec<String>, most_mb: u32| Config {
            name: name.to_owned(),
            subjects,
            retention: RetentionPolicy::Limits,
            storage: StorageType::File,
            num_replicas: self.replicas,
            max_bytes: i64::from(most_mb) << 20,
            // Never the oldest for the newest: nobody may have had it yet.
            discard: DiscardPolicy::New,
            max_age: Duration::from_secs(config.retention_days * 24 * 3600),
            duplicate_window: Duration::from_secs(config.duplicate_window_s),
            allow_direct: true,
            ..Config::default()
        };
        let events = vec![format!("{}.>", subject::EVENT), format!("{}.>", subject::REPLAY)];
        let dead = vec![format!("{}.>", subject::DEAD)];
        for config in [
            stream(subject::EVENT_STREAM, events, config.stream_mb),
            stream(subject::DEAD_STREAM, dead, config.dead_mb),
        ] {
            self.jetstream
                .create_or_update_stream(config)
                .await
                .map_err(|error| failed("making a stream")(error.into()))?;
        }
        Ok(())
    }

    /// Stores a message under an id by which the server recognizes a repetition. Returns when it was sent; the
    /// future that it returns ends when the server has it on disk.
    pub async fn store(
        &self,
        subject: String,
        id: &str,
        mut headers: Headers,
        payload: Bytes,
    ) -> Result<impl Future<Output = Result<(), StreamError>> + use<>, StreamError> {
        if !self.is_connected() {
            return Err(StreamError { action: "storing an event", message: "NATS is away".to_owned() });
        }
        headers.insert(header::MESSAGE_ID, id);
        let sent = self
            .jetstream
            .publish_with_headers(subject, headers, payload)
            .await
            .map_err(|error| failed("storing an event")(error.into()))?;
        Ok(async move { sent.await.map(|_| ()).map_err(|error| failed("storing an event")(error.into())) })
    }

    /// Deliveries of the messages on `subjects` under the durable name `name`, from the beginning of the stream.
    pub async fn subscription(
        &self,
        name: &str,
        subjects: Vec<String>,
        ack_wait: Duration,
        in_flight: usize,
        known: Known,
    ) -> Result<Subscription, StreamError> {
        let stream = self
            .jetstream
            .get_stream_no_info(subject::EVENT_STREAM)
            .await
            .map_err(|error| failed("finding the event stream")(error.into()))?;
        let config = pull::Config {
            durable_name: Some(name.to_owned()),
            deliver_policy: DeliverPolicy::All,
            ack_policy: AckPolicy::Explicit,
            ack_wait,
            // The host counts and decides; the server never gives up by itself.
            max_deliver: -1,
            filter_subjects: subjects,
            max_ack_pending: i64::try_from(in_flight * 4).unwrap_or(i64::MAX),
            ..pull::Config::default()
        };
        let consumer = match known {
            Known::Replace => stream.create_consumer(config).await,
            Known::Keep => stream.get_or_create_consumer(name, config).await,
        };
        let consumer = consumer.map_err(|error| failed("subscribing to events")(error.into()))?;
        let stream = consumer
            .stream()
            .max_messages_per_batch(in_flight)
            .expires(Duration::from_secs(10))
            .heartbeat(Duration::from_secs(3))
            .messages()
            .await
            .map_err(|error| failed("subscribing to events")(error.into()))?;
        Ok(Subscription { stream })
    }

    /// How many events a subscription has before it, and how many are under way; none while there is no such.
    pub async fn backlog(&self, name: &str) -> Option<(u64, usize)> {
        let stream = self.jetstream.get_stream_no_info(subject::EVENT_STREAM).await.ok()?;
        let mut consumer: Consumer<pull::Config> = stream.get_consumer(name).await.ok()?;
        let info = consumer.info().await.ok()?;
        Some((info.num_pending, info.num_ack_pending))
    }

    /// How many dead letters there are.
    pub async fn count_dead_letters(&self) -> Option<u64> {
        let stream = self.jetstream.get_stream(subject::DEAD_STREAM).await.ok()?;
        Some(stream.cached_info().state.messages)
    }

    /// The dead letters on `filter`, oldest first, with their place in the stream; at most `limit`.
    pub async fn dead_letters(
        &self,
        filter: String,
        limit: usize,
    ) -> Result<Vec<(u64, String, Headers, Bytes)>, StreamError> {
        let stream = self
            .jetstream
            .get_stream_no_info(subject::DEAD_STREAM)
            .await
            .map_err(|error| failed("finding the dead letters")(error.into()))?;
        let config = pull::OrderedConfig { filter_subject: filter, ..pull::OrderedConfig::default() };
        let mut consumer =
            stream.create_consumer(config).await.map_err(|error| failed("reading dead letters")(error.into()))?;
        let waiting = consumer.info().await.map_or(0, |info| info.num_pending);
        let mut messages = consumer.messages().await.map_err(|error| failed("reading dead letters")(error.into()))?;
        let mut letters = Vec::new();
        for _ in 0..waiting.min(limit as u64) {
            let Some(Ok(message)) = messages.next().await else {
                break;
            };
            let sequence = message.info().map_or(0, |info| info.stream_sequence);
            let headers = message.headers.clone().unwrap_or_default();
            letters.push((sequence, message.subject.to_string(), headers, message.payload.clone()));
        }
        Ok(letters)
    }

    /// The heads of events, of those that are stored from now on or from a moment on; until the receiver is dropped.
    pub async fn watch_events(
        &self,
        filter: String,
        since: Option<OffsetDateTime>,
    ) -> Result<impl Stream<Item = Result<(u64, Headers), StreamError>> + Unpin + use<>, StreamError> {
        let stream = self
            .jetstream
            .get_stream_no_info(subject::EVENT_STREAM)
            .await
            .map_err(|error| failed("finding the event stream")(error.into()))?;
        let config = pull::OrderedConfig {
            filter_subject: filter,
            headers_only: true,
            deliver_policy: since.map_or(DeliverPolicy::New, |start_time| DeliverPolicy::ByStartTime { start_time }),
            ..pull::OrderedConfig::default()
        };
        let consumer = stream.create_consumer(config).await.map_err(|error| failed("watching events")(error.into()))?;
        let messages = consumer.messages().await.map_err(|error| failed("watching events")(error.into()))?;
        Ok(messages.map(|message| {
            let message = message.map_err(|error| failed("watching events")(error.into()))?;
            let sequence = message.info().map_or(0, |info| info.stream_sequence);
            Ok((sequence, message.headers.clone().unwrap_or_default()))
        }))
    }

    pub async fn bury_dead_letter(&self, sequence: u64) -> Result<(), StreamError> {
        let stream = self
            .jetstream
            .get_stream_no_info(subject::DEAD_STREAM)
            .await
            .map_err(|error| failed("finding the dead letters")(error.into()))?;
        stream
            .delete_message(sequence)
            .await
            .map(|_| ())
            .map_err(|error| failed("removing a dead letter")(error.into()))
    }
}
