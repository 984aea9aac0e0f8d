//! Moves committed events to the stream: of each service one host, in order per subject, without loss.
//!
//! A flight holds at most one event of a subject. So whatever part of it fails, no event of a subject can overtake
//! another; what was delivered is deleted, the rest is in the next flight. An event that was stored and not deleted,
//! because somebody was killed in between, is stored again under the same id, by which the server recognizes it.

use std::collections::HashSet;
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use tokio::sync::watch;
use ward_proto::call::header;
use ward_telemetry::{Hop, Open, Recorder};

use super::message;
use crate::bus::{Bus, StreamError};
use crate::config;
use crate::metrics::Metrics;
use crate::services::Service;
use crate::store::{Outbox, OutboxEvent};

pub struct Relay {
    pub bus: Arc<Bus>,
    pub service: Arc<Service>,
    pub config: config::Events,
    pub news: watch::Receiver<u64>,
    pub metrics: Arc<Metrics>,
    pub recorder: Recorder,
}

#[derive(Debug, thiserror::Error)]
enum Interrupted {
    #[error("the outbox cannot be read: {0}")]
    Store(#[from] sqlx::Error),
    #[error("{missing} of {sent} events could not be stored in the stream: {first}")]
    Stream { missing: usize, sent: usize, first: StreamError },
}

impl Relay {
    /// For ever: takes the outbox when it is free, and moves what is in it.
    pub async fn run(mut self) {
        let Some(database) = self.service.database.clone() else { return };
        let pause = Duration::from_millis(self.config.relay_poll_ms);
        loop {
            match Outbox::connect(&database).await {
                Ok(outbox) => {
                    let Err(error) = self.serve(outbox).await;
                    tracing::warn!(service = self.service.name.as_str(), %error, "the relay was interrupted");
                }
                Err(error) => tracing::debug!(service = self.service.name.as_str(), %error, "no outbox yet"),
            }
            tokio::time::sleep(pause).await;
        }
    }

    async fn serve(&mut self, mut outbox: Outbox) -> Result<Infallible, Interrupted> {
        let poll = Duration::from_millis(self.config.relay_poll_ms);
        while !outbox.take().await? {
            // Another host has it.
            tokio::time::sleep(poll).await;
        }
        loop {
            self.news.mark_unchanged();
            if !self.bus.is_connected() {
                tokio::time::sleep(poll).await;
                continue;
            }
            let oldest = outbox.oldest(i64::from(self.config.relay_batch)).await?;
            if oldest.is_empty() {
                let _ = tokio::time::timeout(poll, self.news.changed()).await;
                continue;
            }
            let flight = first_of_each_subject(oldest);
            let (delivered, failed) = self.send(&flight).await;
            outbox.delivered(&delivered).await?;
            self.metrics.relayed(self.service.name.as_str(), delivered.len());
            if let Some(first) = failed {
                return Err(Interrupted::Stream { missing: flight.len() - delivered.len(), sent: flight.len(), first });
            }
        }
    }

    /// Returns the places of those that the stream has, and why the first of the others is not there.
    async fn send(&self, flight: &[OutboxEvent]) -> (Vec<i64>, Option<StreamError>) {
        let mut failed = None;
        let mut sent = Vec::with_capacity(flight.len());
        for event in flight {
            let subject = message::subject_of(&event.event_type);
            let mut headers = message::headers(self.service.name.as_str(), event);
            let mut span = self.span(event);
            headers.insert(header::TRACEPARENT, span.trail().context().to_string());
            let id = event.id.to_string();
            match self.bus.store(subject, &id, headers, event.data.clone().into()).await {
                Ok(stored) => sent.push(async move {
                    let stored = stored.await;
                    if stored.is_err() {
                        span.fail("not stored");
                    }
                    stored.map(|()| event.seq)
                }),
                Err(error) => {
                    failed = Some(error);
                    break;
                }
            }
        }
        let (stored, refused): (Vec<_>, Vec<_>) = join_all(sent).await.into_iter().partition(Result::is_ok);
        let first = refused.into_iter().find_map(Result::err).or(failed);
        (stored.into_iter().flatten().collect(), first)
    }

    fn span(&self, event: &OutboxEvent) -> Open {
        let trail = self.recorder.enter("", &self.service.name, Some(&event.traceparent));
        trail.own(Hop::Relay, event.event_type.clone())
    }
}

fn first_of_each_subject(events: Vec<OutboxEvent>) -> Vec<OutboxEvent> {
    let mut seen = HashSet::new();
    events.into_iter().filter(|event| seen.insert(event.subject.clone())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flight_has_one_event_of_a_subject_the_oldest() {
        let event = |seq, subject: &str| OutboxEvent {
            seq,
            id: uuid::Uuid::nil(),
            event_type: "t".into(),
            subject: subject.into(),
            version: 1,
            at: time::OffsetDateTime::UNIX_EPOCH,
            traceparent: String::new(),
            data: Vec::new(),
        };
        let flight = first_of_each_subject(vec![event(1, "a"), event(2, "b"), event(3, "a"), event(4, "c")]);
        assert_eq!(flight.iter().map(|event| event.seq).collect::<Vec<_>>(), [1, 2, 4]);
    }
}
