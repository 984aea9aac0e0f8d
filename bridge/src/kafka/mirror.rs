//! Begins sessions, one after the other, until the bridge ends.

use std::sync::Arc;
use std::time::Duration;

use super::broker::Broker;
use super::producer::Producer;
use super::session::{Parts, Session, SessionError};
use super::tails::{self, Present};
use crate::bus::Bus;
use crate::bus::position::Lease;
use crate::config::{Kafka, Target};
use crate::status::{self, Status};
use crate::stop::Stop;

/// Between two sessions; long enough for a broker to finish what the one before had sent it.
const BEGIN_AGAIN_AFTER: Duration = Duration::from_secs(1);
/// The embedded broker is empty at every start and gets the newest messages of the stream again. It has room for
/// more.
const EMBEDDED_REFILL: u64 = 10_000;

/// The mirror to Kafka.
pub struct Mirror {
    bus: Bus,
    broker: Arc<Broker>,
    status: Arc<Status>,
    table: Vec<Target>,
    topics: Vec<String>,
    in_flight: usize,
    /// Tells this process from every other.
    holder: String,
    alone_until: u64,
}

impl Mirror {
    pub fn new(bus: Bus, broker: Arc<Broker>, status: Arc<Status>, config: &Kafka) -> Self {
        Self {
            bus,
            broker,
            status,
            table: config.topics.clone(),
            topics: config.topic_names(),
            in_flight: config.in_flight,
            holder: uuid::Uuid::new_v4().to_string(),
            alone_until: 0,
        }
    }

    /// Mirrors until `stop`. Never ends before.
    pub async fn run(mut self, mut stop: Stop) {
        let mut complained = String::new();
        while !stop.is_requested() {
            let Err(error) = self.session(&mut stop).await else {
                break;
            };
            self.note(&error, &mut complained);
            tokio::select! {
                () = stop.requested() => {}
                () = tokio::time::sleep(BEGIN_AGAIN_AFTER) => {}
            }
        }
        self.status.set_mirror(status::Mirror::Stopped);
    }

    async fn session(&mut self, stop: &mut Stop) -> Result<(), SessionError> {
        let parts = tokio::select! {
            () = stop.requested() => return Ok(()),
            parts = self.prepare() => parts?,
        };
        let (producer, reports) =
            Producer::start(&self.broker, Arc::clone(&self.status)).map_err(SessionError::Start)?;
        self.status.set_mirror(status::Mirror::Running);
        Session::new(parts, producer, reports).run(stop).await
    }

    /// Everything that has to be known before the first record is sent.
    async fn prepare(&self) -> Result<Parts, SessionError> {
        let stream = self.bus.stream_state().await?;
        let (mut lease, floor) = match self.broker.is_embedded() {
            true => (None, stream.last_sequence.saturating_sub(EMBEDDED_REFILL)),
            false => self.lease().await?,
        };
        self.status.metrics.position.set(i64::try_from(floor).unwrap_or(i64::MAX));
        let created_ns = lease.as_ref().map_or(stream.created_ns, Lease::created_ns);
        let mut reader = self.bus.read_events(created_ns, floor);
        let in_question = self.bus.stream_state().await?.last_sequence;
        let mut first = None;
        let mut present = Present::new();
        if in_question > floor && lease.as_ref().is_some_and(|lease| !lease.position().settled) {
            let event = reader.next().await.ok_or(SessionError::OtherStream)?;
            present = self.already_there(event.stored_at_ms).await;
            first = Some(event);
        }
        if let Some(lease) = &mut lease {
            lease.unsettle().await?;
        }
        Ok(Parts {
            bus: self.bus.clone(),
            status: Arc::clone(&self.status),
            table: self.table.clone(),
            in_flight: self.in_flight,
            alone_until: self.alone_until,
            reader,
            first,
            present,
            in_question,
            lease,
            floor,
        })
    }

    async fn lease(&self) -> Result<(Option<Lease>, u64), SessionError> {
        let standby = || self.status.set_mirror(status::Mirror::Standby);
        let lease = Lease::acquire(&self.bus, &self.holder, standby).await?;
        let floor = lease.position().floor;
        Ok((Some(lease), floor))
    }

    /// What the topics have since `since_ms`. Waits for Kafka as long as it takes.
    async fn already_there(&self, since_ms: i64) -> Present {
        self.status.set_mirror(status::Mirror::WaitingForKafka);
        loop {
            let (broker, topics) = (Arc::clone(&self.broker), self.topics.clone());
            let look = tokio::task::spawn_blocking(move || tails::present(&broker, &topics, since_ms));
            match look.await {
                Ok(Ok(present)) => return present,
                Ok(Err(error)) => tracing::debug!(error = &error as &dyn std::error::Error, "Kafka does not answer"),
                Err(error) => tracing::error!(error = &error as &dyn std::error::Error, "the look at Kafka failed"),
            }
            self.status.set_kafka(false);
            tokio::time::sleep(BEGIN_AGAIN_AFTER).await;
        }
    }

    /// Learns from a failure, and reports it unless it is the same again.
    fn note(&mut self, error: &SessionError, complained: &mut String) {
        self.status.metrics.restarts.inc();
        match error {
            SessionError::Bus(_) => self.status.set_mirror(status::Mirror::WaitingForEvents),
            _ => self.status.set_mirror(status::Mirror::Recovering),
        }
        if let SessionError::RefusedAmongOthers { taken, .. } = error {
            self.alone_until = *taken;
        }
        let text = error.to_string();
        if *complained == text {
            return;
        }
        *complained = text;
        let error = error as &dyn std::error::Error;
        match self.status.mirror() {
            status::Mirror::WaitingForEvents => tracing::info!(error, "the mirror waits"),
            _ => tracing::warn!(error, "the mirror begins again"),
        }
    }
}
