//! Takes calls in: one subscription for each service that runs here, in the service's queue group.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures_util::future::join_all;
use futures_util::{FutureExt, StreamExt};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use ward_proto::call::{FailureKind, header, subject};
use ward_telemetry::{Hop, Open, Recorder};

use super::execute::{Executed, Refusal};
use super::watched::{self, Answered, Wanted};
use super::{Blame, Call, Failure, envelope, request};
use crate::bus::{Bus, BusError, Headers, Message};
use crate::config::{self, ServiceName};
use crate::limits::Limit;
use crate::services::{Generation, Place, Service};
use crate::store::{Answer, IdempotencyKey};

pub struct Workers {
    shared: Arc<Shared>,
    /// None when the host leaves.
    running: tokio::sync::Mutex<Option<BTreeMap<ServiceName, Running>>>,
}

struct Shared {
    bus: Arc<Bus>,
    host: String,
    config: config::Calls,
    recorder: Recorder,
    /// Calls under way, by id, with what stops them.
    under_way: Mutex<HashMap<String, oneshot::Sender<()>>>,
}

struct Running {
    stop: oneshot::Sender<()>,
    ended: JoinHandle<()>,
}

impl Running {
    async fn end(self) {
        let _ = self.stop.send(());
        let _ = self.ended.await;
    }
}

impl Workers {
    pub fn new(bus: Arc<Bus>, host: String, config: config::Calls, recorder: Recorder) -> Self {
        let shared = Shared { bus, host, config, recorder, under_way: Mutex::default() };
        Self { shared: Arc::new(shared), running: tokio::sync::Mutex::new(Some(BTreeMap::new())) }
    }

    /// Takes calls for a service, unless it is done already, the service is away from this host, or the host leaves. Returns when
    /// the subscription is in place.
    pub async fn ensure(&self, service: &Arc<Service>) -> Result<(), BusError> {
        let mut running = self.running.lock().await;
        let Some(running) = running.as_mut() else { return Ok(()) };
        if running.contains_key(&service.name) || service.attendance.away().is_some() {
            return Ok(());
        }
        let (bus, name) = (&self.shared.bus, service.name.as_str());
        let calls = bus.subscribe_in_group(format!("{}.{name}.>", subject::CALL), name.to_owned()).await?;
        self.shared.confirm(&service.name).await?;
        let (stop, stopped) = oneshot::channel();
        let ended = tokio::spawn(take(self.shared.clone(), service.clone(), calls, stopped));
        running.insert(service.name.clone(), Running { stop, ended });
        Ok(())
    }

    /// Takes no more calls for a service; those that were taken go on.
    pub async fn stop(&self, service: &Service) {
        let running = self.running.lock().await.as_mut().and_then(|running| running.remove(&service.name));
        if let Some(running) = running {
            running.end().await;
        }
    }

    /// Takes no more calls for any service, whatever comes.
    pub async fn leave(&self) {
        let running = self.running.lock().await.take().unwrap_or_default();
        join_all(running.into_values().map(Running::end)).await;
    }

    /// Stops the calls that are cancelled on `ward.cancel`, for ever.
    pub async fn hear_cancellations(&self) -> Result<(), BusError> {
        let mut cancelled = self.shared.bus.subscribe(subject::CANCEL.to_owned()).await?;
        while let Some(message) = cancelled.next().await {
            if let Ok(id) = std::str::from_utf8(&message.payload)
                && let Some(stop) = self.shared.forget(id)
            {
                let _ = stop.send(());
            }
        }
        Ok(())
    }
}

impl Shared {
    /// Returns when NATS has heard what was said of a service's subscription.
    async fn confirm(&self, service: &ServiceName) -> Result<(), BusError> {
        self.bus.confirm(format!("{}.{}.{service}", subject::PING, self.host)).await
    }

    fn remember(&self, id: &str) -> oneshot::Receiver<()> {
        let (sender, receiver) = oneshot::channel();
        if let Ok(mut under_way) = self.under_way.lock() {
            under_way.insert(id.to_owned(), sender);
        }
        receiver
    }

    fn forget(&self, id: &str) -> Option<oneshot::Sender<()>> {
        self.under_way.lock().ok()?.remove(id)
    }
}

/// Reads the subscription of one service until it is stopped, then what was under way to it.
async fn take(
    shared: Arc<Shared>,
    service: Arc<Service>,
    mut calls: crate::bus::Subscriber,
    mut stopped: oneshot::Receiver<()>,
) {
    loop {
        tokio::select! {
            message = calls.next() => match message {
                Some(message) => admit(&shared, &service, message).await,
                None => return,
            },
            _ = &mut stopped => break,
        }
    }
    shared.bus.leave(&mut calls).await;
    let left = shared.confirm(&service.name);
    tokio::pin!(left);
    loop {
        tokio::select! {
            Some(message) = calls.next() => admit(&shared, &service, message).await,
            outcome = &mut left => {
                if let Err(error) = outcome {
                    tracing::warn!(service = service.name.as_str(), %error, "calls that are under way may be lost");
                }
                break;
            }
        }
    }
    while let Some(Some(message)) = calls.next().now_or_never() {
        admit(&shared, &service, message).await;
    }
}

async fn admit(shared: &Arc<Shared>, service: &Arc<Service>, message: Message) {
    match service.admission.enter() {
        Some(place) => {
            // In a box, since it is large and would be moved about.
            tokio::spawn(Box::pin(handle(shared.clone(), service.clone(), message, place)));
        }
        None => {
            let told = service.refuse(Limit::Queue);
            let text = format!("the queue of {} is full: {told}", service.name);
            let failure = Failure::new(FailureKind::Overloaded, text);
            reply_failure(shared, &message, &failure, "").await;
        }
    }
}

async fn handle(shared: Arc<Shared>, service: Arc<Service>, message: Message, place: Place) {
    let call = match envelope::read(message.headers.as_ref(), &shared.config, &shared.recorder, &service.name) {
        Ok(call) => call,
        Err(failure) => return reply_failure(&shared, &message, &failure, "").await,
    };
    let mut span = call.trail.own(Hop::Call, name_of(&message));
    let cancelled = shared.remember(&call.id);
    let outcome = tokio::select! {
        outcome = admitted(&service, &call, &message, &place) => Some(outcome),
        Ok(()) = cancelled => None,
    };
    shared.forget(&call.id);
    conclude(&mut span, outcome.as_ref());
    match outcome {
        // Nobody waits any more; but the client of the one who did remembers its request until there is a reply.
        None => {
            tracing::debug!(call = call.id, service = service.name.as_str(), "cancelled and rolled back");
            let failure = Failure::new(FailureKind::DeadlineExceeded, "cancelled and rolled back");
            reply_failure(&shared, &message, &failure, &call.id).await;
        }
        Some(Ok(Answered { outcome: Ok(Executed::Answered(answer) | Executed::PutOff(answer)), generation })) => {
            reply_answer(&shared, &message, answer, generation).await;
        }
        Some(Ok(Answered { outcome: Ok(Executed::Consumed | Executed::Declined(_)), .. })) => {}
        Some(Ok(Answered { outcome: Err(refusal), .. }) | Err(refusal)) => {
            reply_refusal(&shared, &message, refusal, &call).await;
        }
    }
}

/// The subject without what all have in common.
fn name_of(message: &Message) -> String {
    message.subject.strip_prefix(subject::CALL).unwrap_or_default().trim_start_matches('.').to_owned()
}

/// Writes down how a call ended.
fn conclude(span: &mut Open, outcome: Option<&Result<Answered, Refusal>>) {
    let executed = match outcome {
        None => return span.fail("cancelled"),
        Some(Ok(answered)) => answered.outcome.as_ref(),
        Some(Err(refusal)) => Err(refusal),
    };
    match executed {
        Err(Refusal::Failed(failure, _)) => span.fail(failure.kind.name()),
        Err(Refusal::KeyInUse) => span.fail("key in use"),
        Err(Refusal::KeyReused) => span.fail("key reused"),
        Ok(Executed::Answered(answer) | Executed::PutOff(answer)) => {
            let status = answer.head.iter().find(|(name, _)| name == header::STATUS);
            if let Some((_, status)) = status.filter(|(_, status)| status.starts_with('5')) {
                span.fail(status.as_str());
            }
        }
        Ok(Executed::Consumed | Executed::Declined(_)) => {}
    }
}

/// An error when it did not come to a generation.
async fn admitted(service: &Service, call: &Call, message: &Message, place: &Place) -> Result<Answered, Refusal> {
    let queue = call.trail.span(Hop::Queue, "queue");
    let slot = place.slot(call.remaining()).await;
    drop(queue);
    let Some(_slot) = slot else {
        let told = service.refuse(Limit::Concurrency);
        let message = format!("waiting in the queue of {}: {told}", service.name);
        return Err(Refusal::new(FailureKind::DeadlineExceeded, Blame::Surroundings, message));
    };
    if message.payload.len() > service.config.limits.request_bytes {
        let text = format!("{}: {}", request::TOO_LARGE, service.refuse(Limit::RequestBytes));
        return Err(Refusal::new(FailureKind::Refused, Blame::Caller, text));
    }
    let blamed = |blame| move |failure| Refusal::Failed(failure, blame);
    let target = request::Target::of(&message.subject, message.headers.as_ref()).map_err(blamed(Blame::Caller))?;
    let pinned = envelope::pinned(message.headers.as_ref()).map_err(blamed(Blame::Caller))?;
    let key = idempotency_key(service, call, &target, message).await.map_err(blamed(Blame::Surroundings))?;
    let operation =
        |generation: &Arc<Generation>| target.operation(generation, call, message.headers.as_ref(), &message.payload);
    Ok(watched::answer(service, Wanted { call, key: key.as_ref(), pinned, operation }).await)
}

/// The key counts for writes only; a read has nothing to repeat.
async fn idempotency_key(
    service: &Service,
    call: &Call,
    target: &request::Target,
    message: &Message,
) -> Result<Option<IdempotencyKey>, Failure> {
    let (Some(key), Some(database)) = (&call.idempotency_key, &service.database) else {
        return Ok(None);
    };
    let lineup = service.lineup();
    let writes = lineup.is_some_and(|lineup| lineup.held().any(|generation| target.writes(generation)));
    if !writes {
        return Ok(None);
    }
    let token = database
        .token()
        .await
        .map_err(|error| Failure::new(FailureKind::Failed, format!("the store is unavailable: {error}")))?;
    let principal = call.principal.as_ref().map_or("", |principal| &principal.subject);
    let query = target.query();
    let request = [query.as_bytes(), &message.payload];
    Ok(Some(IdempotencyKey::new(token, &target.name(), principal, key, &request)))
}

async fn reply_answer(shared: &Shared, message: &Message, answer: Answer, generation: u64) {
    let mut headers = Headers::new();
    headers.insert(header::GENERATION, generation.to_string());
    for (name, value) in &answer.head {
        headers.append(name.as_str(), value.as_str());
    }
    shared.bus.reply(message, headers, answer.body).await;
}

async fn reply_refusal(shared: &Shared, message: &Message, refusal: Refusal, call: &Call) {
    let failure = match refusal {
        Refusal::Failed(failure, _) => failure,
        Refusal::KeyInUse => Failure::new(FailureKind::Refused, request::KEY_IN_USE),
        Refusal::KeyReused => Failure::new(FailureKind::Refused, request::KEY_REUSED),
    };
    reply_failure(shared, message, &failure, &call.id).await;
}

async fn reply_failure(shared: &Shared, message: &Message, failure: &Failure, call: &str) {
    let mut headers = Headers::new();
    headers.insert(header::FAILURE, failure.kind.name());
    let mut body = serde_json::json!({"kind": failure.kind.name(), "message": failure.message, "call": call});
    if let (Some(pause), Some(fields)) = (failure.retry_after, body.as_object_mut()) {
        fields.insert("retry_after_ms".to_owned(), u64::try_from(pause.as_millis()).unwrap_or(u64::MAX).into());
    }
    shared.bus.reply(message, headers, Bytes::from(body.to_string())).await;
}

/// Waits until no call runs or waits any more, at most until `until`. Returns how many are left.
pub async fn drained(services: impl Iterator<Item = &Arc<Service>> + Clone, until: Instant) -> usize {
    loop {
        let left: usize = services.clone().map(|service| service.admission.inside()).sum();
        if left == 0 || Instant::now() >= until {
            return left;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}
