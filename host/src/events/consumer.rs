//! Delivers events to the subscriptions of the services that run here.
//!
//! Deliveries are spread over lanes by the event's subject, so that those of one subject keep their order on this host. Each is
//! a call like any other; what becomes of the delivery follows from how the call ended, in [`decide`] alone.

use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use ward_proto::call::{FailureKind, ce, header, subject};

use super::{dead, message};
use crate::bindings::exports::ward::events::subscriber::Disposition;
use crate::bus::{Bus, Delivery, Outcome, StreamError};
use crate::calls::execute::{Executed, Operation, Refusal};
use crate::calls::{Call, envelope, watched};
use crate::config;
use crate::services::Service;

pub struct Consumers {
    bus: Arc<Bus>,
    config: Arc<config::Events>,
    running: tokio::sync::Mutex<BTreeMap<(String, String), Running>>,
}

struct Running {
    event_types: Vec<String>,
    task: JoinHandle<()>,
}

impl Consumers {
    pub fn new(bus: Arc<Bus>, config: config::Events) -> Self {
        Self {
            bus,
            config: Arc::new(config),
            running: tokio::sync::Mutex::default(),
        }
    }

    /// Brings the subscriptions to those of the generation that serves.
    pub async fn ensure(&self, service: &Arc<Service>) {
        let Some(generation) = service.current() else { return };
        let wanted = &generation.plugin.description.subscriptions;
        let mut running = self.running.lock().await;
        running.retain(|(owner, name), consumer| {
            let kept = *owner != service.name.as_str()
                || wanted
                    .iter()
                    .any(|one| one.name == *name && one.event_types == consumer.event_types);
            if !kept {
                consumer.task.abort();
            }
            kept
        });
        for subscription in wanted {
            let key = (service.name.to_string(), subscription.name.clone());
            running.entry(key).or_insert_with(|| {
                let consumer = Consumer {
                    bus: self.bus.clone(),
                    config: self.config.clone(),
                    service: service.clone(),
                    name: subscription.name.clone(),
                    event_types: subscription.event_types.clone(),
                };
                Running {
                    event_types: subscription.event_types.clone(),
                    task: tokio::spawn(Arc::new(consumer).run()),
                }
            });
        }
    }

    /// Takes no more events for a service. What is in work and not acknowledged is delivered again, and recognized.
    pub async fn stop(&self, service: &Service) {
        self.running.lock().await.retain(|(owner, _), consumer| {
            let kept = *owner != service.name.as_str();
            if !kept {
                consumer.task.abort();
            }
            kept
        });
    }

    /// The durable names of the running subscriptions.
    pub async fn names(&self) -> Vec<String> {
        self.running
            .lock()
            .await
            .keys()
            .map(|(service, name)| durable(service, name))
            .collect()
    }
}

fn durable(service: &str, subscription: &str) -> String {
    format!("{service}_{subscription}")
}

struct Consumer {
    bus: Arc<Bus>,
    config: Arc<config::Events>,
    service: Arc<Service>,
    name: String,
    event_types: Vec<String>,
}

impl Consumer {
    /// Until it is aborted.
    async fn run(self: Arc<Self>) {
        let lanes: Vec<mpsc::Sender<Delivery>> = (0..self.config.concurrency).map(|_| self.lane()).collect();
        loop {
            if let Err(error) = self.spread(&lanes).await {
                tracing::warn!(service = self.service.name.as_str(), subscription = self.name, %error, "subscribing again");
            }
            tokio::time::sleep(Duration::from_millis(500)).await;
        }
    }

    /// One after the other. The task ends with its sender.
    fn lane(self: &Arc<Self>) -> mpsc::Sender<Delivery> {
        let (sender, mut receiver) = mpsc::channel::<Delivery>(4);
        let consumer = self.clone();
        tokio::spawn(async move {
            while let Some(delivery) = receiver.recv().await {
                consumer.handle(delivery).await;
            }
        });
        sender
    }

    async fn spread(&self, lanes: &[mpsc::Sender<Delivery>]) -> Result<(), StreamError> {
        let (service, name) = (self.service.name.as_str(), self.name.as_str());
        let mut subjects: Vec<String> = self.event_types.iter().map(|name| message::subject_of(name)).collect();
        subjects.push(format!("{}.{service}.{name}", subject::REPLAY));
        // Longer than a delivery may take, so that none is delivered twice while it is handled.
        let ack_wait = Duration::from_millis(self.config.deadline_ms * 2 + 5000);
        let mut subscription = self
            .bus
            .subscription(&durable(service, name), subjects, ack_wait, self.config.concurrency * 4)
            .await?;
        loop {
            let delivery = subscription.next().await?;
            let lane = lanes.get(lane_of(&delivery, lanes.len()));
            if let Some(lane) = lane {
                let _ = lane.send(delivery).await;
            }
        }
    }

    async fn handle(&self, delivery: Delivery) {
        let decided = match message::event(&delivery) {
            Err(attribute) => Decided::Dead(format!("it is no event: {attribute} is missing or malformed")),
            Ok((id, event)) => {
                let call = self.call(&delivery);
                let operation = Operation::Event {
                    subscription: self.name.clone(),
                    event,
                    id,
                };
                let outcome = watched::answer(&self.service, &call, None, |_| Ok(operation.clone())).await;
                decide(outcome, delivery.attempt(), &self.config)
            }
        };
        let outcome = match decided {
            Decided::Done => Outcome::Done,
            Decided::Again(pause) => Outcome::Again(pause),
            Decided::Dead(reason) => self.lay_down(&delivery, &reason).await,
        };
        delivery.end(outcome).await;
    }

    fn call(&self, delivery: &Delivery) -> Call {
        let headers = delivery.headers();
        Call {
            id: envelope::new_id(),
            principal: None,
            traceparent: envelope::traceparent(headers.get(header::TRACEPARENT).map(|value| value.as_str())),
            deadline: Instant::now() + Duration::from_millis(self.config.deadline_ms),
            idempotency_key: None,
        }
    }

    async fn lay_down(&self, delivery: &Delivery, reason: &str) -> Outcome {
        let (service, subscription) = (self.service.name.as_str(), self.name.as_str());
        match dead::lay_down(&self.bus, service, subscription, delivery, reason).await {
            Ok(()) => {
                let sequence = delivery.sequence();
                tracing::error!(
                    service,
                    subscription,
                    sequence,
                    reason,
                    "an event went to the dead letters"
                );
                Outcome::Done
            }
            Err(error) => {
                tracing::warn!(service, subscription, %error, "the dead letters cannot be written; trying again");
                Outcome::Again(Duration::from_secs(5))
            }
        }
    }
}

fn lane_of(delivery: &Delivery, lanes: usize) -> usize {
    let mut hasher = DefaultHasher::new();
    let headers = delivery.headers();
    headers.get(ce::SUBJECT).map(|value| value.as_str()).hash(&mut hasher);
    usize::try_from(hasher.finish() % lanes.max(1) as u64).unwrap_or(0)
}

#[derive(Debug, PartialEq, Eq)]
enum Decided {
    Done,
    Again(Duration),
    Dead(String),
}

/// What becomes of a delivery. A fault of the surroundings is waited out, however long it lasts; a fault of the handling is tried
/// `max_deliveries` times.
fn decide(outcome: Result<Executed, Refusal>, attempt: u32, config: &config::Events) -> Decided {
    let pause = pause(attempt, &config.backoff_ms);
    let again_or_dead = |reason: String| {
        if attempt >= config.max_deliveries {
            Decided::Dead(reason)
        } else {
            Decided::Again(pause)
        }
    };
    match outcome {
        Ok(Executed::Consumed | Executed::Answered(_)) => Decided::Done,
        Ok(Executed::Declined(Disposition::Reject(reason))) => Decided::Dead(reason),
        Ok(Executed::Declined(Disposition::Retry(reason))) => again_or_dead(reason),
        Err(Refusal::KeyInUse | Refusal::KeyReused) => Decided::Again(pause),
        Err(Refusal::Failed(failure)) => match failure.kind {
            FailureKind::Unavailable | FailureKind::Overloaded | FailureKind::Failed => Decided::Again(pause),
            FailureKind::DeadlineExceeded | FailureKind::Trapped | FailureKind::Refused => {
                again_or_dead(failure.to_string())
            }
        },
    }
}

fn pause(attempt: u32, pauses_ms: &[u64]) -> Duration {
    let index = usize::try_from(attempt.saturating_sub(1)).unwrap_or(usize::MAX);
    let pause = pauses_ms.get(index).or(pauses_ms.last());
    Duration::from_millis(pause.copied().unwrap_or(1000))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::calls::Failure;

    fn config() -> config::Events {
        config::Events {
            max_deliveries: 3,
            backoff_ms: vec![10, 20],
            deadline_ms: 1,
            concurrency: 1,
            relay_batch: 1,
            relay_poll_ms: 1,
            retention_days: 1,
            duplicate_window_s: 1,
        }
    }

    fn failed(kind: FailureKind) -> Result<Executed, Refusal> {
        Err(Refusal::Failed(Failure::new(kind, "m")))
    }

    #[test]
    fn pauses_grow_and_the_last_one_repeats() {
        let after = |attempt| decide(failed(FailureKind::Trapped), attempt, &config());
        assert_eq!(after(1), Decided::Again(Duration::from_millis(10)));
        assert_eq!(after(2), Decided::Again(Duration::from_millis(20)));
        assert!(matches!(after(3), Decided::Dead(_)));
        assert_eq!(
            decide(failed(FailureKind::Failed), 99, &config()),
            Decided::Again(Duration::from_millis(20)),
            "a store that is down for long must not cost events"
        );
    }

    #[test]
    fn a_rejected_event_is_dead_at_once() {
        let rejected = Ok(Executed::Declined(Disposition::Reject("no".into())));
        assert_eq!(decide(rejected, 1, &config()), Decided::Dead("no".into()));
        assert_eq!(decide(Ok(Executed::Consumed), 1, &config()), Decided::Done);
    }
}
