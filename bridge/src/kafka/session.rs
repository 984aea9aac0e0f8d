//! One run of the mirror, from the position until something breaks or the bridge ends.

use std::sync::Arc;
use std::time::Duration;

use rdkafka::error::KafkaError;
use tokio::sync::mpsc::UnboundedReceiver;
use tokio::time::{Instant, Interval, MissedTickBehavior};
use ward_proto::call::header;
use ward_telemetry::Hop;

use super::flight::Flight;
use super::producer::{Outcome, Producer, Report, Ticket};
use super::record::{self, Record};
use super::tails::Present;
use crate::bus::events::{Event, Reader};
use crate::bus::position::{Lease, PositionError};
use crate::bus::{Bus, BusError};
use crate::config::Target;
use crate::metrics::Topic;
use crate::status::Status;
use crate::stop::Stop;

/// How often the position is written. What is done in between is recognized on Kafka after a crash.
const WRITE_POSITION_EVERY: Duration = Duration::from_millis(250);
/// How long the events under way may take to arrive when the bridge ends.
const LAND_WITHIN: Duration = Duration::from_secs(5);

/// Why a session ended. Another one begins where this one's position is.
#[derive(Debug, thiserror::Error)]
pub enum SessionError {
    #[error(transparent)]
    Bus(#[from] BusError),
    #[error(transparent)]
    Position(#[from] PositionError),
    #[error("cannot start a Kafka producer")]
    Start(#[source] KafkaError),
    #[error("the event stream is no longer the one that it was")]
    OtherStream,
    #[error("Kafka does not take records of the topic {topic}: {reason}")]
    Broken { topic: String, reason: String },
    /// A batch was refused. The events up to `taken` have to go one by one to find the culprit.
    #[error("Kafka refuses a record among others of the topic {topic}: {reason}")]
    RefusedAmongOthers { topic: String, reason: String, taken: u64 },
}

/// What a session works with.
pub struct Parts {
    pub bus: Bus,
    pub status: Arc<Status>,
    pub table: Vec<Target>,
    pub in_flight: usize,
    /// Events up to this sequence go one by one.
    pub alone_until: u64,
    pub reader: Reader,
    /// Read before the others.
    pub first: Option<Event>,
    /// Records that need not be sent, of events up to the sequence `in_question`.
    pub present: Present,
    pub in_question: u64,
    /// None with the embedded broker: nobody else can write to it, and it does not outlive the bridge.
    pub lease: Option<Lease>,
    pub floor: u64,
}

pub struct Session {
    parts: Parts,
    producer: Producer,
    reports: UnboundedReceiver<Report>,
    flight: Flight,
    /// The last position that was written.
    written: u64,
}

impl Session {
    pub fn new(parts: Parts, producer: Producer, reports: UnboundedReceiver<Report>) -> Self {
        Self { flight: Flight::new(parts.floor), written: parts.floor, parts, producer, reports }
    }

    /// Mirrors until `stop`, then lets what is under way arrive.
    pub async fn run(mut self, stop: &mut Stop) -> Result<(), SessionError> {
        let ended = self.work(stop).await;
        let landed = match ended {
            Ok(()) => self.land().await,
            Err(error) => Err(error),
        };
        let Self { producer, parts, flight, .. } = self;
        // Blocks for a moment; and only when it is gone may another session look at the topics.
        let _ = tokio::task::spawn_blocking(|| producer.discard()).await;
        landed?;
        match parts.lease {
            Some(lease) => Ok(lease.release(flight.floor(), flight.is_empty()).await?),
            None => Ok(()),
        }
    }

    async fn work(&mut self, stop: &mut Stop) -> Result<(), SessionError> {
        if let Some(first) = self.parts.first.take() {
            self.take_unless_stopped(first, stop).await?;
        }
        let mut tick = ticks();
        while !stop.is_requested() {
            let has_room = self.has_room();
            tokio::select! {
                biased;
                () = stop.requested() => break,
                Some(report) = self.reports.recv() => self.settle(report).await?,
                _ = tick.tick() => self.write_position().await?,
                event = self.parts.reader.next(), if has_room => {
                    let event = event.ok_or(SessionError::OtherStream)?;
                    self.take_unless_stopped(event, stop).await?;
                }
            }
            self.show();
        }
        Ok(())
    }

    fn has_room(&self) -> bool {
        let alone = self.flight.taken() < self.parts.alone_until;
        self.flight.len() < if alone { 1 } else { self.parts.in_flight }
    }

    /// A full queue may take as long as Kafka is away; the end of the bridge does not wait for that.
    async fn take_unless_stopped(&mut self, event: Event, stop: &mut Stop) -> Result<(), SessionError> {
        tokio::select! {
            taken = self.take(event) => taken,
            () = stop.requested() => Ok(()),
        }
    }

    /// Sends the event's records, in the order of the table.
    async fn take(&mut self, event: Event) -> Result<(), SessionError> {
        let event = Arc::new(event);
        let targets = self.missing(&event);
        self.flight.take(event.sequence, targets.len());
        for target in targets {
            match record::record(&event, &target) {
                Ok(record) => self.send(record, &event).await?,
                Err(malformed) => self.bury(&event, &target.topic, &malformed.to_string()).await?,
            }
        }
        Ok(())
    }

    /// The event's targets, without those whose topic has it already.
    fn missing(&mut self, event: &Event) -> Vec<Target> {
        if event.sequence > self.parts.in_question {
            self.parts.present = Present::new();
        }
        let mut targets: Vec<Target> = record::targets(event, &self.parts.table).cloned().collect();
        if let Some(id) = record::id(event).filter(|_| !self.parts.present.is_empty()) {
            let before = targets.len();
            targets.retain(|target| !self.parts.present.contains(&(target.topic.clone(), id.to_owned())));
            let found = u64::try_from(before - targets.len()).unwrap_or_default();
            self.parts.status.metrics.already_there.inc_by(found);
        }
        targets
    }

    async fn send(&mut self, mut record: Record, event: &Arc<Event>) -> Result<(), SessionError> {
        let trail = self.parts.status.recorder.enter("", "bridge", event.header(header::TRACEPARENT));
        let span = trail.own(Hop::Kafka, record.topic.clone());
        record.set_trace(span.trail().context().to_string());
        let ticket = Ticket { event: Arc::clone(event), topic: record.topic.clone(), span };
        match self.producer.send(&record, ticket).await {
            Ok(()) | Err(Outcome::Delivered) => Ok(()),
            // Refused before it was in any batch: it is this record and no other.
            Err(Outcome::Refused(reason)) => self.bury(event, &record.topic, &reason).await,
            Err(Outcome::Broken(reason)) => Err(SessionError::Broken { topic: record.topic, reason }),
        }
    }

    async fn settle(&mut self, report: Report) -> Result<(), SessionError> {
        let Ticket { event, topic, mut span } = report.ticket;
        if report.outcome != Outcome::Delivered {
            span.fail("not taken");
        }
        drop(span);
        match report.outcome {
            Outcome::Delivered => {
                self.parts.status.metrics.delivered.get_or_create(&Topic { topic }).inc();
                self.flight.confirm(event.sequence);
                Ok(())
            }
            Outcome::Refused(reason) if self.flight.len() == 1 => self.bury(&event, &topic, &reason).await,
            Outcome::Refused(reason) => {
                Err(SessionError::RefusedAmongOthers { topic, reason, taken: self.flight.taken() })
            }
            Outcome::Broken(reason) => Err(SessionError::Broken { topic, reason }),
        }
    }

    /// Puts a record that Kafka will never take to the dead letters, and is done with it.
    async fn bury(&mut self, event: &Event, topic: &str, reason: &str) -> Result<(), SessionError> {
        self.parts.bus.bury(event, topic, reason, 1).await?;
        tracing::error!(
            event = record::id(event),
            sequence = event.sequence,
            topic,
            reason,
            "Kafka will not take an event; it is in the dead letters, ward.dead.bridge.kafka"
        );
        let labels = Topic { topic: topic.to_owned() };
        self.parts.status.metrics.dead.get_or_create(&labels).inc();
        self.flight.confirm(event.sequence);
        Ok(())
    }

    /// Without NATS the position waits; the events that are done meanwhile are recognized on Kafka if it comes to that.
    async fn write_position(&mut self) -> Result<(), SessionError> {
        let floor = self.flight.floor();
        let Some(lease) = self.parts.lease.as_mut().filter(|_| floor != self.written) else {
            return Ok(());
        };
        if !self.parts.bus.is_connected() {
            return Ok(());
        }
        match lease.advance(floor).await {
            Ok(()) => {
                self.written = floor;
                Ok(())
            }
            Err(PositionError::Bus(error)) => {
                tracing::debug!(error = &error as &dyn std::error::Error, "the position is not written");
                Ok(())
            }
            Err(error @ PositionError::TakenOver) => Err(error.into()),
        }
    }

    /// Lets what is under way arrive, within a bound.
    async fn land(&mut self) -> Result<(), SessionError> {
        let until = Instant::now() + LAND_WITHIN;
        while !self.flight.is_empty() {
            let Ok(Some(report)) = tokio::time::timeout_at(until, self.reports.recv()).await else {
                tracing::warn!(events = self.flight.len(), "events under way to Kafka are left for the next start");
                break;
            };
            self.settle(report).await?;
        }
        self.show();
        Ok(())
    }

    fn show(&self) {
        let metrics = &self.parts.status.metrics;
        metrics.in_flight.set(i64::try_from(self.flight.len()).unwrap_or(i64::MAX));
        metrics.position.set(i64::try_from(self.flight.floor()).unwrap_or(i64::MAX));
    }
}

fn ticks() -> Interval {
    let mut tick = tokio::time::interval(WRITE_POSITION_EVERY);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    tick
}
