//! The event stream, read in order from any point.
//!
//! A [`Reader`] hands out each message of `WARD_EVENTS` after a given sequence once, in the order of the stream, through
//! every restart of the server. It uses a consumer that remembers nothing and expects no acknowledgement; what it has
//! handed out it knows itself, and after a lost connection or a gap it makes a new consumer that begins right there.
//! How far the *work* is, is kept elsewhere ([`super::position`]).

use std::time::Duration;

use async_nats::jetstream::{self, consumer};
use bytes::Bytes;
use futures_util::StreamExt;
use tokio::sync::mpsc;

use super::{Bus, BusError};

/// Messages that wait between the server and the mirror.
const BUFFER: usize = 128;
/// Silence longer than two of these means that the server has forgotten the consumer.
const HEARTBEAT: Duration = Duration::from_secs(2);
const PULL_EXPIRES: Duration = Duration::from_secs(30);
/// The server removes an abandoned consumer after this.
const ABANDONED_AFTER: Duration = Duration::from_secs(60);
const RETRY_PAUSE: Duration = Duration::from_millis(250);

/// A message of the event stream.
#[derive(Debug, Clone)]
pub struct Event {
    /// Its place in the stream.
    pub sequence: u64,
    /// When the stream took it: milliseconds since 1970, by the server's clock.
    pub stored_at_ms: i64,
    pub subject: String,
    pub headers: Vec<(String, String)>,
    pub payload: Bytes,
}

impl Event {
    pub fn header(&self, name: &str) -> Option<&str> {
        let found = self.headers.iter().find(|(key, _)| key.eq_ignore_ascii_case(name));
        found.map(|(_, value)| value.as_str())
    }
}

/// What the stream holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StreamState {
    /// When the stream was made: tells one stream from another of the same name.
    pub created_ns: i128,
    pub last_sequence: u64,
}

/// Hands out the messages after a sequence. Ends with `None` when the stream is no longer the one that it began with.
pub struct Reader(mpsc::Receiver<Event>);

impl Reader {
    /// The next message. Dropping the future loses nothing.
    pub async fn next(&mut self) -> Option<Event> {
        self.0.recv().await
    }
}

impl Bus {
    pub async fn stream_state(&self) -> Result<StreamState, BusError> {
        let info = self.event_stream().await?.cached_info().clone();
        Ok(StreamState { created_ns: info.created.unix_timestamp_nanos(), last_sequence: info.state.last_sequence })
    }

    /// Reads what follows `after` in the stream that was made at `created_ns`.
    pub fn read_events(&self, created_ns: i128, after: u64) -> Reader {
        let (events, reader) = mpsc::channel(BUFFER);
        let cursor = Cursor { bus: self.clone(), created_ns, last: after, events };
        tokio::spawn(cursor.run());
        Reader(reader)
    }
}

struct Cursor {
    bus: Bus,
    created_ns: i128,
    /// The last sequence handed out.
    last: u64,
    events: mpsc::Sender<Event>,
}

/// Why one consumer has come to its end.
enum Ended {
    /// Make another one.
    Interrupted,
    /// The stream was replaced or has lost its newest messages.
    OtherStream,
    /// Nobody reads any more.
    Abandoned,
}

impl Cursor {
    async fn run(mut self) {
        loop {
            match self.follow().await {
                Ok(Ended::Interrupted) => tracing::debug!(after = self.last, "reading the events anew"),
                Ok(Ended::OtherStream | Ended::Abandoned) => return,
                Err(error) => tracing::debug!(error = &error as &dyn std::error::Error, "cannot read the events now"),
            }
            tokio::select! {
                () = self.events.closed() => return,
                () = tokio::time::sleep(RETRY_PAUSE) => {}
            }
        }
    }

    /// Hands out messages until something is not as it should be.
    async fn follow(&mut self) -> Result<Ended, BusError> {
        let mut connections = self.bus.connections.clone();
        connections.mark_unchanged();
        let state = self.bus.stream_state().await?;
        if state.created_ns != self.created_ns || state.last_sequence < self.last {
            return Ok(Ended::OtherStream);
        }
        let mut messages = self.subscribe().await?;
        let mut expected = 1;
        loop {
            let message = tokio::select! {
                () = self.events.closed() => return Ok(Ended::Abandoned),
                // What the server had sent on the old connection is lost.
                _ = connections.changed() => return Ok(Ended::Interrupted),
                message = messages.next() => message,
            };
            let Some(Ok(message)) = message else {
                return Ok(Ended::Interrupted);
            };
            let Some(event) = event(&message, expected) else {
                return Ok(Ended::Interrupted);
            };
            expected += 1;
            self.last = event.sequence;
            if self.events.send(event).await.is_err() {
                return Ok(Ended::Abandoned);
            }
        }
    }

    async fn subscribe(&self) -> Result<consumer::pull::Stream, BusError> {
        let stream = self.bus.event_stream().await?;
        let consumer = stream
            .create_consumer(consumer::pull::Config {
                description: Some("ward-bridge: events to Kafka".to_owned()),
                deliver_policy: consumer::DeliverPolicy::ByStartSequence {
                    start_sequence: self.last.saturating_add(1),
                },
                ack_policy: consumer::AckPolicy::None,
                inactive_threshold: ABANDONED_AFTER,
                memory_storage: true,
                num_replicas: 1,
                ..Default::default()
            })
            .await
            .map_err(|error| BusError::new("make a consumer of WARD_EVENTS", error))?;
        let messages = consumer
            .stream()
            .max_messages_per_batch(BUFFER)
            .expires(PULL_EXPIRES)
            .heartbeat(HEARTBEAT)
            .messages()
            .await;
        messages.map_err(|error| BusError::new("read WARD_EVENTS", error))
    }
}

/// The message, if it is the consumer's `expected`th: none before it went missing.
fn event(message: &jetstream::Message, expected: u64) -> Option<Event> {
    let info = message.info().ok()?;
    if info.consumer_sequence != expected {
        return None;
    }
    let headers = message.headers.iter().flat_map(|headers| headers.iter());
    Some(Event {
        sequence: info.stream_sequence,
        stored_at_ms: i64::try_from(info.published.unix_timestamp_nanos() / 1_000_000).unwrap_or_default(),
        subject: message.subject.to_string(),
        headers: headers.filter_map(|(name, values)| Some((name.to_string(), values.first()?.to_string()))).collect(),
        payload: message.payload.clone(),
    })
}
