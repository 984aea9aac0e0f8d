//! NATS: the one module that names the client library. What travels is the business of others.
//!
//! `requests` is request and reply, `streams` the events that must not be lost, `registry` artifacts and the desired state.
//! The library's traps are kept in here: a flush is no proof that a subscription is in place ([`Bus::confirm`]), and a
//! request while disconnected would wait for its time-out instead of failing ([`Bus::request`]).

mod registry;
mod streams;

use std::time::Duration;

use async_nats::client::Client;
use async_nats::connection::State;
use async_nats::{ConnectOptions, Event, Request, RequestErrorKind, ServerAddr, Subject};
use bytes::Bytes;
use tokio::sync::watch;

pub use async_nats::{HeaderMap as Headers, Message, Subscriber};
pub use registry::{Bucket, Change, ObjectEntry, Objects, RegistryError, Revised};
pub use streams::{Delivery, Known, Outcome, StreamError, Subscription};

use crate::config;

#[derive(Debug, thiserror::Error)]
pub enum BusError {
    #[error("cannot read the NATS credentials {path}: {source}")]
    Credentials { path: String, source: std::io::Error },
    #[error("nats.url ({0}) is no list of NATS addresses: {1}")]
    Address(String, std::io::Error),
    #[error("cannot connect to NATS at {url}: {source}; is nats-server running, and is nats.url right?")]
    Connect { url: String, source: async_nats::ConnectError },
    #[error("cannot subscribe: {0}")]
    Subscribe(#[from] async_nats::SubscribeError),
    #[error("nats-server {0} is too old: 2.12 or newer is needed")]
    Version(String),
    #[error("the subscription {0} did not answer itself; is NATS reachable?")]
    Unconfirmed(String),
    #[error(transparent)]
    Stream(#[from] StreamError),
    #[error(transparent)]
    Registry(#[from] RegistryError),
}

/// Why a request has no reply.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NoReply {
    /// Nobody subscribes, or NATS cannot be reached.
    NoResponders,
    TimedOut,
    /// The connection was lost meanwhile, and the reply with it.
    Lost,
}

/// How long one server of several may take to answer before the next is tried.
const CONNECT_PATIENCE: Duration = Duration::from_secs(2);

/// How long something may wait for room among what is to be sent.
const SEND_PATIENCE: Duration = Duration::from_secs(1);

/// How long a server may take to answer a request about streams and buckets. One that got lost is never answered.
const JETSTREAM_TIMEOUT: Duration = Duration::from_secs(5);

#[derive(Clone)]
pub struct Bus {
    client: Client,
    /// Counts disconnections.
    disconnected: watch::Receiver<u64>,
    jetstream: async_nats::jetstream::Context,
    replicas: usize,
}

impl Bus {
    /// Connects once; from then on the client reconnects by itself for ever.
    pub async fn connect(config: &config::Nats, name: &str) -> Result<Self, BusError> {
        let (disconnect, disconnected) = watch::channel(0);
        let servers =
            servers(&config.url).map_err(|source| BusError::Address(without_password(&config.url), source))?;
        let mut options = ConnectOptions::new();
        if let Some((user, password)) = servers.iter().find_map(|server| server.username().zip(server.password())) {
            options = options.user_and_password(user.to_owned(), password.to_owned());
        }
        if !config.credentials_file.is_empty() {
            options = options
                .credentials_file(&config.credentials_file)
                .await
                .map_err(|source| BusError::Credentials { path: config.credentials_file.clone(), source })?;
        }
        let client = options
            .name(name)
            .ping_interval(Duration::from_millis(config.ping_interval_ms))
            .connection_timeout(CONNECT_PATIENCE)
            .request_timeout(None)
            .reconnect_delay_callback(|attempts| Duration::from_millis(100 * attempts.min(20) as u64))
            .event_callback(move |event| report(event, disconnect.clone()))
            .connect(servers)
            .await
            .map_err(|source| BusError::Connect { url: without_password(&config.url), source })?;
        if !client.is_server_compatible(2, 12, 0) {
            return Err(BusError::Version(client.server_info().version));
        }
        let mut jetstream = async_nats::jetstream::new(client.clone());
        jetstream.set_timeout(JETSTREAM_TIMEOUT);
        Ok(Self { client, disconnected, jetstream, replicas: config.replicas })
    }

    /// Do servers keep copies? Then one that is asked may be a moment behind the others.
    pub fn is_replicated(&self) -> bool {
        self.replicas > 1
    }

    pub fn is_connected(&self) -> bool {
        self.client.connection_state() == State::Connected
    }

    /// The most that one message may hold, headers included.
    pub fn max_payload(&self) -> usize {
        self.client.max_payload()
    }

    pub async fn request(
        &self,
        subject: String,
        headers: Headers,
        payload: Bytes,
        timeout: Duration,
    ) -> Result<Message, NoReply> {
        if !self.is_connected() {
            return Err(NoReply::NoResponders);
        }
        let mut disconnected = self.disconnected.clone();
        disconnected.mark_unchanged();
        let request = Request::new().headers(headers).payload(payload).timeout(Some(timeout));
        let reply = tokio::select! {
            reply = self.client.send_request(subject, request) => reply,
            _ = disconnected.changed() => return Err(NoReply::Lost),
        };
        reply.map_err(|error| match error.kind() {
            RequestErrorKind::TimedOut => NoReply::TimedOut,
            RequestErrorKind::NoResponders => NoReply::NoResponders,
            _ => NoReply::Lost,
        })
    }

    /// Asks everybody who hears `subject`. The first reply has to come within `patience`; `hear` takes each, and says how long to wait
    /// for another.
    pub async fn gather(
        &self,
        subject: &'static str,
        question: Bytes,
        patience: Duration,
        mut hear: impl FnMut(&[u8]) -> Duration,
    ) -> Result<(), BusError> {
        use futures_util::StreamExt;
        let inbox = self.client.new_inbox();
        let mut replies = self.client.subscribe(inbox.clone()).await?;
        let _ = self.client.publish_with_reply(subject, inbox, question).await;
        let mut wait = patience;
        while let Ok(Some(reply)) = tokio::time::timeout(wait, replies.next()).await {
            if reply.status.is_some() {
                break;
            }
            wait = hear(&reply.payload);
        }
        Ok(())
    }

    /// Sends without knowing whether anybody hears it.
    pub async fn publish(&self, subject: String, headers: Headers, payload: Bytes) {
        if let Err(error) = self.send(subject.into(), headers, payload).await {
            tracing::debug!(error, "could not publish");
        }
    }

    /// Replies to a request; without a reply subject nothing happens.
    pub async fn reply(&self, request: &Message, headers: Headers, payload: Bytes) {
        if let Some(reply) = &request.reply
            && let Err(error) = self.send(reply.clone(), headers, payload).await
        {
            tracing::warn!(error, "could not send a reply");
        }
    }

    /// While NATS is away the client keeps what is sent, until it has kept so much that it waits.
    async fn send(&self, subject: Subject, headers: Headers, payload: Bytes) -> Result<(), String> {
        let sent = tokio::time::timeout(SEND_PATIENCE, self.client.publish_with_headers(subject, headers, payload));
        match sent.await {
            Ok(sent) => sent.map_err(|error| error.to_string()),
            Err(_) => Err("too much waits for NATS already".to_owned()),
        }
    }

    pub async fn subscribe(&self, subject: String) -> Result<Subscriber, BusError> {
        Ok(self.client.subscribe(subject).await?)
    }

    /// Of all subscribers of one group, one gets each message.
    pub async fn subscribe_in_group(&self, subject: String, group: String) -> Result<Subscriber, BusError> {
        Ok(self.client.queue_subscribe(subject, group).await?)
    }

    /// Returns once everything that was subscribed before is in place: the server handles a connection's messages in
    /// order, and here a request to ourselves comes back. `subject` must be ours alone.
    pub async fn confirm(&self, subject: String) -> Result<(), BusError> {
        use futures_util::StreamExt;
        let mut echo = self.client.subscribe(subject.clone()).await?;
        let _ = self.client.publish(subject.clone(), Bytes::new()).await;
        match tokio::time::timeout(Duration::from_secs(5), echo.next()).await {
            Ok(Some(_)) => Ok(()),
            _ => Err(BusError::Unconfirmed(subject)),
        }
    }

    /// Asks the server to send no more to a subscription. What it had sent before it heard of that is still to be read,
    /// and all of it is there once [`Bus::confirm`] has returned; then drop the subscription.
    ///
    /// [`Subscriber::drain`] promises the same, but async-nats 0.51 forgets the subscription without waiting for the
    /// server, and throws away what crosses its request.
    pub async fn leave(&self, subscriber: &mut Subscriber) {
        // A count of more than nine digits is none to the server (`parseSize`), which ends the subscription at once. The
        // client takes the count at its word and keeps the subscription.
        if let Err(error) = subscriber.unsubscribe_after(u64::MAX).await {
            tracing::debug!(%error, "could not leave a subscription");
        }
    }

    /// Sends what is still in the buffer.
    pub async fn flush(&self) {
        let _ = tokio::time::timeout(Duration::from_secs(2), self.client.flush()).await;
    }
}

/// Addresses with commas between them.
fn servers(urls: &str) -> std::io::Result<Vec<ServerAddr>> {
    urls.split(',').map(|url| url.trim().parse()).collect()
}

/// Addresses as they may stand in a log.
pub fn without_password(urls: &str) -> String {
    let clean = urls.split(',').map(|url| match url.rsplit_once('@') {
        Some((before, host)) => {
            let scheme = before.split_once("://").map(|(scheme, _)| format!("{scheme}://")).unwrap_or_default();
            format!("{scheme}…@{host}")
        }
        None => url.to_owned(),
    });
    clean.collect::<Vec<_>>().join(",")
}

async fn report(event: Event, disconnect: watch::Sender<u64>) {
    if matches!(event, Event::Disconnected) {
        disconnect.send_modify(|count| *count += 1);
    }
    match event {
        Event::Connected => tracing::info!("connected to NATS"),
        Event::Disconnected => tracing::warn!("disconnected from NATS; reconnecting"),
        Event::SlowConsumer(sid) => tracing::error!(sid, "messages were dropped: a subscription is read too slowly"),
        other => tracing::warn!("NATS: {other}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_may_be_many_and_keep_their_passwords_to_themselves() {
        let urls = "nats://host:secret@one:4222, tls://two:4223";
        let servers = servers(urls).unwrap();
        assert_eq!(servers.iter().map(ServerAddr::port).collect::<Vec<_>>(), [4222, 4223]);
        assert_eq!(servers[0].username().zip(servers[0].password()), Some(("host", "secret")));
        assert_eq!(without_password(urls), "nats://…@one:4222, tls://two:4223");
        assert_eq!(without_password("host:secret@one"), "…@one");
        assert!(super::servers("nats://one:port").is_err());
    }
}
