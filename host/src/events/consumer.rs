//! Delivers events to the subscriptions of the services that run here.
//!
//! Deliveries are spread over lanes by the event's subject, so that those of one subject keep their order on this host. Each is
//! a call like any other; what becomes of the delivery follows from how the call ended, in [`decide`] alone.

use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use futures_util::future::join_all;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;
use ward_proto::call::{FailureKind, ce, header, subject};
use ward_telemetry::{Hop, Open, Recorder};

use super::remembered::{Counts, Made};
use super::{dead, message};
use crate::bindings::exports::ward::component::description::Subscription;
use crate::bindings::exports::ward::events::subscriber::Disposition;
use crate::bus::{Bus, Delivery, Outcome, StreamError};
use crate::calls::execute::{Executed, Operation, Refusal};
use crate::calls::watched::{self, Wanted};
use crate::calls::{Blame, Call, Failure, envelope};
use crate::config::{self, ServiceName};
use crate::services::{Generation, Service};

/// The pause before a subscription is tried again.
const RETRY: Duration = Duration::from_millis(500);
/// How long an event is put off at once while its service is in quarantine.
const LONGEST_REST: Duration = Duration::from_secs(2);
/// How many times `events.max_deliveries` an event is put off that no version here hears: which host gets it is chance.
const UNHEARD: u32 = 4;
/// How long deliveries that are on their way are waited for when a consumer stops.
const STRAGGLERS: Duration = Duration::from_millis(50);
/// The pause before another consumer gets what a stopping one had fetched: longer than that one looks for stragglers, or it would get them again.
const GIVEN_BACK: Duration = Duration::from_millis(250);

pub struct Consumers {
    bus: Arc<Bus>,
    config: Arc<config::Events>,
    recorder: Recorder,
    /// By service. One whose events take long to stop holds up no other.
    running: Mutex<BTreeMap<ServiceName, Arc<tokio::sync::Mutex<Subscriptions>>>>,
    made: Arc<Made>,
    /// The host leaves.
    leaving: AtomicBool,
}

/// By name.
type Subscriptions = BTreeMap<String, Running>;

struct Running {
    event_types: Vec<String>,
    stop: watch::Sender<bool>,
    task: JoinHandle<()>,
}

impl Running {
    /// What is in work is finished; what was only fetched goes back, to be delivered to another host.
    async fn end(self) {
        self.stop.send_replace(true);
        let _ = self.task.await;
    }
}

impl Consumers {
    pub fn new(bus: Arc<Bus>, config: config::Events, recorder: Recorder) -> Self {
        let (running, made) = (Mutex::default(), Arc::default());
        Self { bus, config: Arc::new(config), recorder, running, made, leaving: AtomicBool::new(false) }
    }

    /// Brings the subscriptions to those of the generation that serves, unless the service is away from this host, or the host leaves.
    pub async fn ensure(&self, service: &Arc<Service>) {
        let Some(generation) = service.current() else { return };
        let wanted = &generation.plugin.description.subscriptions;
        let running = self.of(service);
        let mut running = running.lock().await;
        if service.attendance.away().is_some() || self.leaving.load(Ordering::SeqCst) {
            return;
        }
        let surplus = running.extract_if(.., |name, consumer| {
            !wanted.iter().any(|one| one.name == *name && one.event_types == consumer.event_types)
        });
        let (names, ending): (Vec<_>, Vec<_>) = surplus.map(|(name, consumer)| (name, consumer.end())).unzip();
        join_all(ending).await;
        if wanted.iter().any(|one| names.contains(&one.name)) {
            // What was given back comes before what follows it.
            tokio::time::sleep(GIVEN_BACK).await;
        }
        for subscription in wanted {
            running.entry(subscription.name.clone()).or_insert_with(|| self.begin(service, subscription));
        }
    }

    fn of(&self, service: &Service) -> Arc<tokio::sync::Mutex<Subscriptions>> {
        let mut running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        running.entry(service.name.clone()).or_default().clone()
    }

    fn begin(&self, service: &Arc<Service>, subscription: &Subscription) -> Running {
        let (stop, stopped) = watch::channel(false);
        let consumer = Consumer {
            bus: self.bus.clone(),
            config: self.config.clone(),
            recorder: self.recorder.clone(),
            service: service.clone(),
            name: subscription.name.as_str().into(),
            event_types: subscription.event_types.clone(),
            made: self.made.clone(),
            faults: Counts::default(),
            unheard: Counts::default(),
            stopped,
        };
        let event_types = subscription.event_types.clone();
        Running { event_types, stop, task: tokio::spawn(Arc::new(consumer).run()) }
    }

    /// Takes no more events for a service. Returns when what was in work is done.
    pub async fn stop(&self, service: &Service) {
        let running = self.of(service);
        let mut running = running.lock().await;
        // Under the lock, so that the next ones begin when these have ended.
        join_all(std::mem::take(&mut *running).into_values().map(Running::end)).await;
    }

    /// Takes no more events for any service, whatever comes. Returns when what was in work is done.
    pub async fn leave(&self, services: &[Arc<Service>]) {
        self.leaving.store(true, Ordering::SeqCst);
        join_all(services.iter().map(|service| self.stop(service))).await;
    }

    /// The durable names of the running subscriptions, without those of services whose subscriptions change just now.
    pub fn names(&self) -> Vec<String> {
        let running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        let settled = running.iter().filter_map(|(service, running)| Some((service, running.try_lock().ok()?)));
        settled
            .flat_map(|(service, running)| {
                running.keys().map(|name| durable(service.as_str(), name)).collect::<Vec<_>>()
            })
            .collect()
    }
}

fn durable(service: &str, subscription: &str) -> String {
    format!("{service}_{subscription}")
}

struct Consumer {
    bus: Arc<Bus>,
    config: Arc<config::Events>,
    recorder: Recorder,
    service: Arc<Service>,
    name: Arc<str>,
    event_types: Vec<String>,
    made: Arc<Made>,
    /// How often the handling of an event has failed here.
    faults: Counts,
    /// How often no version heard it that served here.
    unheard: Counts,
    stopped: watch::Receiver<bool>,
}

/// Deliveries of one lane, one after the other.
struct Lane {
    sender: mpsc::Sender<Delivery>,
    task: JoinHandle<()>,
}

impl Consumer {
    /// Until it is stopped.
    async fn run(self: Arc<Self>) {
        let lanes: Vec<Lane> = (0..self.config.concurrency).map(|_| self.lane()).collect();
        let mut stopped = self.stopped.clone();
        while !*stopped.borrow() {
            if let Err(error) = self.spread(&lanes).await {
                tracing::warn!(service = self.service.name.as_str(), subscription = &*self.name, %error, "subscribing again");
                let _ = tokio::time::timeout(RETRY, stopped.wait_for(|stopped| *stopped)).await;
            }
        }
        for Lane { sender, task } in lanes {
            drop(sender);
            let _ = task.await;
        }
    }

    fn lane(self: &Arc<Self>) -> Lane {
        let (sender, mut receiver) = mpsc::channel::<Delivery>(1);
        let consumer = self.clone();
        let task = tokio::spawn(async move {
            while let Some(delivery) = receiver.recv().await {
                let is_stopped = *consumer.stopped.borrow();
                match is_stopped {
                    true => delivery.end(Outcome::Again(GIVEN_BACK)).await,
                    false => consumer.handle(delivery).await,
                }
            }
        });
        Lane { sender, task }
    }

    async fn spread(&self, lanes: &[Lane]) -> Result<(), StreamError> {
        let (service, name) = (self.service.name.as_str(), &*self.name);
        let mut subjects: Vec<String> = self.event_types.iter().map(|name| message::subject_of(name)).collect();
        subjects.push(format!("{}.{service}.{name}", subject::REPLAY));
        // Longer than a few in a row may take. One that is delivered again while it waits for its lane is recognized.
        let ack_wait = Duration::from_millis(self.config.deadline_ms * 3 + 5000);
        let mut stopped = self.stopped.clone();
        let (name, in_flight) = (durable(service, name), self.config.concurrency);
        let known = self.made.known(&name, &self.event_types);
        let mut subscription = self.bus.subscription(&name, subjects, ack_wait, in_flight, known).await?;
        self.made.note(name, &self.event_types);
        loop {
            let delivery = tokio::select! {
                delivery = subscription.next() => delivery?,
                _ = stopped.wait_for(|stopped| *stopped) => break,
            };
            if let Some(lane) = lanes.get(lane_of(&delivery, lanes.len())) {
                let _ = lane.sender.send(delivery).await;
            }
        }
        // What was fetched, or is on its way; not what comes back, nor what others have not fetched yet.
        let enough = Instant::now() + (GIVEN_BACK - STRAGGLERS);
        while Instant::now() < enough
            && let Ok(Ok(delivery)) = tokio::time::timeout(STRAGGLERS, subscription.next()).await
        {
            delivery.end(Outcome::Again(GIVEN_BACK)).await;
        }
        Ok(())
    }

    async fn handle(&self, delivery: Delivery) {
        let sequence = delivery.sequence();
        let decided = match message::event(&delivery) {
            Err(attribute) => Decided::Dead(format!("it is no event: {attribute} is missing or malformed")),
            Ok((_, event)) if !self.is_heard(&event.type_) => self.put_off(&event.type_, sequence),
            Ok((id, event)) => {
                let call = self.call(&delivery);
                let mut span = self.span(&call, &event.type_);
                let event = Arc::new(event);
                let handling = Operation::Event { subscription: self.name.clone(), event: event.clone(), id };
                let wanted = Wanted {
                    call: &call,
                    key: None,
                    pinned: None,
                    operation: |on: &Arc<Generation>| self.on(on, &event.type_, &handling),
                };
                let outcome = watched::answer(&self.service, wanted).await.outcome;
                let decided = decide(outcome, self.faults.of(sequence), delivery.attempt(), &self.config);
                if decided != Decided::Done {
                    span.fail(decided.name());
                }
                decided
            }
        };
        let outcome = match decided {
            Decided::Done => Outcome::Done,
            Decided::Later(pause) => Outcome::Again(pause),
            Decided::Again(pause, reason) => {
                let (service, subscription) = (self.service.name.as_str(), &*self.name);
                let reason = dead::brief(&reason);
                tracing::warn!(service, subscription, sequence, reason, "an event was not handled, and comes again");
                self.faults.note(sequence);
                Outcome::Again(pause)
            }
            Decided::Dead(reason) => self.lay_down(&delivery, &reason).await,
        };
        if outcome == Outcome::Done {
            self.faults.forget(sequence);
            self.unheard.forget(sequence);
        }
        delivery.end(outcome).await;
    }

    /// A canary may not know the subscription; nor the version before it a type.
    fn on(&self, generation: &Generation, kind: &str, event: &Operation) -> Result<Operation, Failure> {
        if hears(&generation.plugin.description.subscriptions, &self.name, kind) {
            return Ok(event.clone());
        }
        let (service, number) = (&generation.context.name, generation.number);
        let message = format!("generation {number} of {service} does not hear {kind} in {}", self.name);
        Err(Failure::new(FailureKind::Refused, message))
    }

    /// Does a version that serves here hear this type?
    fn is_heard(&self, kind: &str) -> bool {
        let hears = |on: &Arc<Generation>| hears(&on.plugin.description.subscriptions, &self.name, kind);
        self.service.lineup().is_none_or(|lineup| lineup.held().any(hears))
    }

    /// It is for another host, which has a newer version; unless there is none.
    fn put_off(&self, kind: &str, sequence: u64) -> Decided {
        let times = self.unheard.note(sequence);
        if times < self.config.max_deliveries * UNHEARD {
            return Decided::Later(pause(times, &self.config.backoff_ms));
        }
        Decided::Dead(format!("no version of {} that serves hears {kind} in {}", self.service.name, self.name))
    }

    fn call(&self, delivery: &Delivery) -> Call {
        let headers = delivery.headers();
        let sent = headers.get(header::TRACEPARENT).map(|value| value.as_str());
        let id = envelope::new_id();
        Call {
            trail: self.recorder.enter(&id, &self.service.name, sent),
            id,
            principal: None,
            deadline: Instant::now() + Duration::from_millis(self.config.deadline_ms),
            idempotency_key: None,
        }
    }

    fn span(&self, call: &Call, event_type: &str) -> Open {
        let mut span = call.trail.own(Hop::Delivery, format!("{}.{}", self.service.name, self.name));
        span.attribute("ward.event_type", event_type);
        span
    }

    async fn lay_down(&self, delivery: &Delivery, reason: &str) -> Outcome {
        let (service, subscription) = (self.service.name.as_str(), &*self.name);
        let reason = dead::brief(reason);
        match dead::lay_down(&self.bus, service, subscription, delivery, &reason).await {
            Ok(()) => {
                let sequence = delivery.sequence();
                tracing::error!(service, subscription, sequence, reason, "an event went to the dead letters");
                Outcome::Done
            }
            Err(error) => {
                tracing::warn!(service, subscription, %error, "the dead letters cannot be written; trying again");
                Outcome::Again(Duration::from_secs(5))
            }
        }
    }
}

/// Is an event of this type for the subscription, as this version describes it?
fn hears(described: &[Subscription], name: &str, kind: &str) -> bool {
    described.iter().any(|one| one.name == name && one.event_types.iter().any(|heard| heard == kind))
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
    /// The surroundings failed, which counts for nothing.
    Later(Duration),
    /// The handling failed, for this reason.
    Again(Duration, String),
    Dead(String),
}

impl Decided {
    fn name(&self) -> &'static str {
        match self {
            Self::Done => "done",
            Self::Later(_) => "later",
            Self::Again(..) => "again",
            Self::Dead(_) => "dead",
        }
    }
}

/// What becomes of a delivery whose handling has failed `faults` times before. A fault of the surroundings is waited out, however
/// long it lasts; a fault of the handling is tried `max_deliveries` times.
fn decide(outcome: Result<Executed, Refusal>, faults: u32, attempt: u32, config: &config::Events) -> Decided {
    let again_or_dead = |reason: String| match faults + 1 >= config.max_deliveries {
        true => Decided::Dead(reason),
        false => Decided::Again(pause(faults + 1, &config.backoff_ms), reason),
    };
    let later = Decided::Later(pause(attempt, &config.backoff_ms));
    match outcome {
        Ok(Executed::Consumed | Executed::Answered(_) | Executed::PutOff(_)) => Decided::Done,
        Ok(Executed::Declined(Disposition::Reject(reason))) => Decided::Dead(reason),
        Ok(Executed::Declined(Disposition::Retry(reason))) => again_or_dead(reason),
        Err(Refusal::KeyInUse | Refusal::KeyReused) => later,
        // A service in quarantine says when it can be tried again, which may be sooner: a new generation lifts it.
        Err(Refusal::Failed(failure, Blame::Surroundings | Blame::Unknown)) => {
            failure.retry_after.map_or(later, |rest| Decided::Later(rest.min(LONGEST_REST)))
        }
        // An event has no caller who could be impatient.
        Err(Refusal::Failed(failure, Blame::Component | Blame::Caller)) => again_or_dead(failure.to_string()),
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
    use crate::calls;
    use ward_proto::call::FailureKind;

    fn config() -> config::Events {
        config::Events {
            max_deliveries: 3,
            backoff_ms: vec![10, 20],
            deadline_ms: 1,
            concurrency: 1,
            relay_batch: 1,
            relay_poll_ms: 1,
            retention_days: 1,
            stream_mb: 1,
            dead_mb: 1,
            duplicate_window_s: 1,
        }
    }

    fn failed(blame: Blame) -> Result<Executed, Refusal> {
        Err(Refusal::new(FailureKind::Failed, blame, "m"))
    }

    #[test]
    fn pauses_grow_and_the_last_one_repeats() {
        let after = |faults| decide(failed(Blame::Component), faults, 9, &config());
        let again = |pause_ms| Decided::Again(Duration::from_millis(pause_ms), "failed: m".to_owned());
        assert_eq!(after(0), again(10));
        assert_eq!(after(1), again(20));
        assert!(matches!(after(2), Decided::Dead(_)));
    }

    #[test]
    fn an_outage_costs_no_event_however_long_it_lasts() {
        let later = Decided::Later(Duration::from_millis(20));
        assert_eq!(decide(failed(Blame::Surroundings), 0, 99, &config()), later);
        // And the first fault of the handling after it is the first.
        assert!(matches!(decide(failed(Blame::Component), 0, 100, &config()), Decided::Again(..)));
    }

    #[test]
    fn a_quarantine_costs_an_event_no_try() {
        let rest = Duration::from_secs(1);
        let failure = calls::Failure::new(FailureKind::Unavailable, "m").retry_after(rest);
        let resting = Err(Refusal::Failed(failure, Blame::Surroundings));
        assert_eq!(decide(resting, 2, 99, &config()), Decided::Later(rest));
    }

    #[test]
    fn what_only_another_version_hears_is_none_of_ones_own() {
        let described = [Subscription { name: "all".into(), event_types: vec!["shop.sold".into()] }];
        assert!(hears(&described, "all", "shop.sold"));
        assert!(!hears(&described, "all", "shop.opened") && !hears(&described, "some", "shop.sold"));
    }

    #[test]
    fn a_rejected_event_is_dead_at_once() {
        let rejected = Ok(Executed::Declined(Disposition::Reject("no".into())));
        assert_eq!(decide(rejected, 0, 1, &config()), Decided::Dead("no".into()));
        assert_eq!(decide(Ok(Executed::Consumed), 0, 1, &config()), Decided::Done);
    }
}
