//! NATS: the only way to the rest of Ward, and the only place that names its client.
//!
//! - [`Bus`]: the connection, requests (`call.rs`) and plain publishing;
//! - [`events`]: the event stream, read in order from any point;
//! - [`position`]: how far the mirror is, and who mirrors;
//! - [`dead`]: the dead letters.
//!
//! The connection is made again for ever. While it is away, everything here fails at once or waits, as its own
//! documentation says; nothing is kept for later.

pub mod call;
pub mod dead;
pub mod events;
pub mod position;

use std::sync::Arc;
use std::time::Duration;

use async_nats::connection::State;
use async_nats::jetstream;
use async_nats::{Client, ConnectOptions, Event, ServerAddr};
use tokio::sync::watch;
use ward_proto::call::subject;
use ward_telemetry::Recorder;

use crate::config::Nats;

/// The longest pause between two attempts to connect.
const RECONNECT_AT_LEAST_EVERY: Duration = Duration::from_millis(500);

/// How long the server may take to answer a request about streams.
const JETSTREAM_TIMEOUT: Duration = Duration::from_secs(5);

/// NATS cannot be used as configured. That it is merely away is no error.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    #[error("cannot read the NATS credentials {path}")]
    Credentials { path: String, source: std::io::Error },
    #[error("nats.url is no list of NATS addresses")]
    List(#[source] std::io::Error),
    #[error("cannot use the NATS address")]
    Address(#[source] async_nats::ConnectError),
}

/// Something that NATS did not do; the request may be tried again.
#[derive(Debug, thiserror::Error)]
#[error("NATS: cannot {what}")]
pub struct BusError {
    what: &'static str,
    source: async_nats::Error,
}

impl BusError {
    fn new(what: &'static str, source: impl Into<async_nats::Error>) -> Self {
        Self { what, source: source.into() }
    }
}

/// A handle to the connection; clones share it.
#[derive(Clone)]
pub struct Bus {
    client: Client,
    jetstream: jetstream::Context,
    /// Counts the connections made: a change means that what was on the way may be lost.
    connections: watch::Receiver<u64>,
    replicas: usize,
}

impl Bus {
    /// Connects in the background: NATS need not be there yet.
    pub async fn connect(config: &Nats) -> Result<Self, ConnectError> {
        let (count, connections) = watch::channel(0);
        let servers = servers(&config.url).map_err(ConnectError::List)?;
        let mut options = options(config, Arc::new(count)).await?;
        if let Some((user, password)) = servers.iter().find_map(|server| server.username().zip(server.password())) {
            options = options.user_and_password(user.to_owned(), password.to_owned());
        }
        let client = options.connect(servers).await.map_err(ConnectError::Address)?;
        let mut jetstream = jetstream::new(client.clone());
        jetstream.set_timeout(JETSTREAM_TIMEOUT);
        Ok(Self { client, jetstream, connections, replicas: config.replicas })
    }

    pub fn is_connected(&self) -> bool {
        self.client.connection_state() == State::Connected
    }

    /// Sends a message to whoever listens. Nobody need listen.
    pub async fn publish(&self, subject: String, payload: Vec<u8>) -> Result<(), BusError> {
        let sent = self.client.publish(subject, payload.into()).await;
        sent.map_err(|error| BusError::new("publish", error))
    }

    /// Answers every request on `subject` with an empty message, until the returned guard is dropped.
    ///
    /// Others learn from it that this process lives: without a listener NATS tells them at once.
    pub async fn answer(&self, subject: String) -> Result<Answering, BusError> {
        let mut requests = self.client.subscribe(subject).await.map_err(|error| BusError::new("subscribe", error))?;
        let client = self.client.clone();
        let task = tokio::spawn(async move {
            use futures_util::StreamExt;
            while let Some(request) = requests.next().await {
                if let Some(reply) = request.reply {
                    let _ = client.publish(reply, Vec::new().into()).await;
                }
            }
        });
        Ok(Answering(task))
    }

    /// Answers what is asked about the spans of a call, for ever; begins again when it cannot subscribe.
    pub async fn answer_spans(self, recorder: Recorder) {
        use futures_util::StreamExt;
        loop {
            if let Ok(mut questions) = self.client.subscribe(subject::SPANS).await {
                while let Some(question) = questions.next().await {
                    if let Some(reply) = question.reply {
                        let _ = self.client.publish(reply, recorder.answer(&question.payload).into()).await;
                    }
                }
            }
            tokio::time::sleep(RECONNECT_AT_LEAST_EVERY).await;
        }
    }

    /// Sends what is still in the buffer.
    pub async fn flush(&self) {
        if self.is_connected() {
            let _ = self.client.flush().await;
        }
    }

    async fn event_stream(&self) -> Result<jetstream::stream::Stream, BusError> {
        let stream = self.jetstream.get_stream(subject::EVENT_STREAM).await;
        stream.map_err(|error| BusError::new("find the stream WARD_EVENTS", error))
    }
}

/// Ends the answering when dropped.
pub struct Answering(tokio::task::JoinHandle<()>);

impl Drop for Answering {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// Addresses with commas between them.
fn servers(urls: &str) -> std::io::Result<Vec<ServerAddr>> {
    urls.split(',').map(|url| url.trim().parse()).collect()
}

async fn options(config: &Nats, count: Arc<watch::Sender<u64>>) -> Result<ConnectOptions, ConnectError> {
    let options = if config.credentials_file.is_empty() {
        ConnectOptions::new()
    } else {
        let read = ConnectOptions::with_credentials_file(&config.credentials_file).await;
        read.map_err(|source| ConnectError::Credentials { path: config.credentials_file.clone(), source })?
    };
    Ok(options
        .name("ward-bridge")
        .ping_interval(config.ping_interval())
        .retry_on_initial_connect()
        .max_reconnects(None)
        .reconnect_delay_callback(|attempts| {
            RECONNECT_AT_LEAST_EVERY
                .min(Duration::from_millis(20).saturating_mul(u32::try_from(attempts).unwrap_or(u32::MAX)))
        })
        .event_callback(move |event| {
            let count = Arc::clone(&count);
            async move { note(&event, &count) }
        }))
}

fn note(event: &Event, count: &watch::Sender<u64>) {
    match event {
        Event::Connected => {
            count.send_modify(|count| *count = count.saturating_add(1));
            tracing::info!("connected to NATS");
        }
        Event::Disconnected => tracing::warn!("the connection to NATS is lost; trying again"),
        Event::Draining | Event::Closed => tracing::debug!(%event, "NATS"),
        _ => tracing::warn!(%event, "NATS"),
    }
}
