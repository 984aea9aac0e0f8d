//! Runs one call until its transaction has ended: in fresh instances, and again after a conflict.

use std::sync::Arc;
use std::time::{Duration, Instant};

use uuid::Uuid;
use ward_proto::call::{FailureKind, header};
use ward_telemetry::Hop;
use wasmtime::component::Val;

use super::{Blame, Call, Failure, response};
use crate::bindings::exports::ward::events::subscriber::{Disposition, Event};
use crate::bindings::exports::ward::http::handler::Request;
use crate::capabilities::CallState;
use crate::engine::{Crash, Effect, Invocation, PluginFunction, Returned, invoke};
use crate::limits::Limit;
use crate::services::{Change, Generation, Resting, Service};
use crate::store::{Answer, Consumed, IdempotencyKey, Keyed, StoreError, Work};
use crate::values::{self, Encoding};

/// What is to be done, as often as it has to be.
#[derive(Clone)]
pub enum Operation {
    Http { request: Arc<Request>, effect: Effect },
    Function { function: PluginFunction, parameters: Arc<[Val]>, encoding: Encoding },
    Event { subscription: Arc<str>, event: Arc<Event>, id: Uuid },
}

/// How a call that was answered ended.
#[derive(Debug)]
pub enum Executed {
    /// Headers and payload of the reply.
    Answered(Answer),
    /// The same, and it says "not now": a 503, or `err(call(…))` for which others are the reason.
    PutOff(Answer),
    /// An event had its effect, now or before.
    Consumed,
    /// An event could not be handled.
    Declined(Disposition),
}

/// Why there is no answer.
#[derive(Debug)]
pub enum Refusal {
    Failed(Failure, Blame),
    /// Another call with the same idempotency key is under way.
    KeyInUse,
    /// The idempotency key was used for another request.
    KeyReused,
}

impl Refusal {
    pub fn new(kind: FailureKind, blame: Blame, message: impl Into<String>) -> Self {
        Self::Failed(Failure::new(kind, message), blame)
    }
}

impl Operation {
    fn effect(&self) -> Effect {
        match self {
            Self::Http { effect, .. } => *effect,
            Self::Function { function, .. } => function.effect,
            Self::Event { .. } => Effect::Write,
        }
    }

    fn invocation(&self) -> Invocation {
        match self.clone() {
            Self::Http { request, .. } => Invocation::Http(request),
            Self::Function { function, parameters, .. } => Invocation::Function { function, parameters },
            Self::Event { subscription, event, .. } => Invocation::Event { subscription, event },
        }
    }

    /// The event, if it is one.
    pub fn consumed(&self) -> Option<Consumed> {
        match self {
            Self::Event { subscription, id, .. } => Some(Consumed { subscription: subscription.clone(), event: *id }),
            Self::Http { .. } | Self::Function { .. } => None,
        }
    }
}

/// Runs `operation` on `generation`, if that is not in quarantine, until it ends, the generation's time is over, or it took longer
/// than `patience`: the call itself does not know of that, so that it does not behave otherwise.
pub async fn execute(
    service: &Service,
    generation: &Arc<Generation>,
    call: &Call,
    operation: &Operation,
    key: Option<&IdempotencyKey>,
    patience: Option<Duration>,
) -> Result<Executed, Refusal> {
    let _under_way = generation.enter();
    let quarantine = &generation.context.quarantine;
    let principal = call.principal.as_ref().map(|principal| principal.subject.as_str());
    let admitted = quarantine.enter(principal, Instant::now()).map_err(|resting| turned_away(service, &resting))?;
    let limit = Instant::now() + Duration::from_millis(service.config.limits.time_ms);
    let deadline = call.deadline.min(limit);
    let stop = patience.map_or(deadline, |patience| deadline.min(Instant::now() + patience));
    let outcome = Execution { service, generation, call, operation, key, deadline, stop }.until_over().await;
    let change = admitted.end(is_crash(&outcome), Instant::now());
    report(service, generation, &change);
    outcome
}

pub fn is_crash(outcome: &Result<Executed, Refusal>) -> bool {
    matches!(outcome, Err(Refusal::Failed(failure, Blame::Component)) if failure.kind == FailureKind::Trapped)
}

fn turned_away(service: &Service, resting: &Resting) -> Refusal {
    let left = resting.left.as_millis();
    let text =
        format!("{} has crashed too often and is in quarantine for {left} ms more (docs/limits.md)", service.name);
    let failure = Failure::new(FailureKind::Unavailable, text).retry_after(resting.left);
    Refusal::Failed(failure, Blame::Surroundings)
}

fn report(service: &Service, generation: &Generation, change: &Change) {
    let (service, generation) = (service.name.as_str(), generation.number);
    match change {
        Change::None => {}
        Change::Begun { rest, everybody } => {
            let (rest_ms, callers) = (rest.as_millis() as u64, if *everybody { "all" } else { "one principal" });
            tracing::error!(service, generation, rest_ms, callers, "in quarantine: too many of its calls crashed");
        }
        Change::Lifted => tracing::info!(service, generation, "out of quarantine: a trial call ended well"),
    }
}

fn jitter() -> u64 {
    Uuid::new_v4().as_u64_pair().1 % 4
}

struct Execution<'a> {
    service: &'a Service,
    generation: &'a Arc<Generation>,
    call: &'a Call,
    operation: &'a Operation,
    key: Option<&'a IdempotencyKey>,
    deadline: Instant,
    /// When it is stopped; before the deadline, if somebody else may answer it.
    stop: Instant,
}

/// None when the call shall be run again.
type Attempt = Option<Result<Executed, Refusal>>;

impl Execution<'_> {
    /// Until it ends or the generation's time is over.
    async fn until_over(&self) -> Result<Executed, Refusal> {
        tokio::select! {
            biased;
            result = self.until_done() => result,
            () = self.generation.is_over() => {
                let service = &self.service.name;
                let message = format!("{service} was replaced, and the call outlasted swap.drain_s; it was rolled back");
                Err(Refusal::new(FailureKind::DeadlineExceeded, Blame::Surroundings, message))
            }
        }
    }

    /// Conflicts are re-run up to `store.reruns` times.
    async fn until_done(&self) -> Result<Executed, Refusal> {
        for rerun in 0..=self.service.reruns {
            if rerun > 0 {
                tracing::debug!(call = self.call.id, rerun, "running a call again");
                // A little apart, so that the same two do not meet again.
                tokio::time::sleep(Duration::from_millis(u64::from(rerun) * 2 + jitter())).await;
            }
            if let Some(result) = self.attempt().await {
                return result;
            }
        }
        let message = "conflicts with other calls did not end (store.reruns)";
        Err(Refusal::new(FailureKind::Failed, Blame::Surroundings, message))
    }

    async fn attempt(&self) -> Attempt {
        let mut component = self.call.trail.span(Hop::Component, "component");
        component.attribute("ward.generation", self.generation.number.to_string());
        let trail = component.trail().clone();
        let limits = self.service.work_limits();
        let (database, seen) = (self.service.database.clone(), self.generation.statements.clone());
        let mut work = Work::new(database, self.operation.effect(), limits, seen, trail.clone());
        if let Some(key) = self.key {
            match work.open(key).await {
                Ok(Keyed::New) => {}
                Ok(found) => return Some(answer_found(work, found).await),
                Err(error) => return self.store_failed(error),
            }
        }
        let call = Call { deadline: self.deadline, trail, ..self.call.clone() };
        let state = CallState::new(call, self.generation.context.clone(), self.service.host.clone(), work, self.seed());
        let (outcome, work) = invoke(&self.generation.plugin, state, self.operation.invocation(), self.stop).await;
        if let Err(crash) = &outcome {
            component.fail(crash.to_string());
        }
        drop(component);
        match (outcome, work) {
            (Ok(returned), Some(work)) => self.conclude(returned, work).await,
            (Err(crash), work) => self.crashed(crash, work).await,
            (Ok(_), None) => self.store_failed(StoreError::Broken),
        }
    }

    /// What this call has in common with every other try of the same: its key, or the event and who hears it.
    fn seed(&self) -> Option<String> {
        if let Some(key) = self.key {
            return Some(key.seed());
        }
        let Consumed { subscription, event } = self.operation.consumed()?;
        Some(format!("{}/{subscription}/{event}", self.service.name))
    }

    /// Commits what ended well, rolls back what did not.
    async fn conclude(&self, returned: Returned, work: Work) -> Attempt {
        let executed = match self.answer(returned) {
            Ok((true, executed)) => executed,
            other => return self.declined(other.map(|(_, executed)| executed), work.rollback().await),
        };
        let kept = match (&executed, self.key) {
            (Executed::Answered(answer), Some(key)) => Some((key, answer)),
            _ => None,
        };
        let consumed = self.operation.consumed();
        let mut commit = work.is_begun().then(|| self.call.trail.span(Hop::Commit, "commit"));
        let committed = work.commit(kept, consumed.as_ref()).await;
        if let (Some(commit), Err(error)) = (&mut commit, &committed) {
            commit.fail(error.to_string());
        }
        drop(commit);
        match committed {
            Ok(_) => Some(Ok(executed)),
            // Run again, it finds out: the key or the inbox remembers what was done.
            Err(StoreError::Unknown) if self.key.is_some() || consumed.is_some() => None,
            Err(error) => self.store_failed(error),
        }
    }

    /// Makes of what is not committed what the caller is told. An error is what the component itself failed.
    fn declined(&self, answer: Result<Executed, String>, store: Option<StoreError>) -> Attempt {
        let failed = |message| Some(Err(Refusal::new(FailureKind::Failed, Blame::Component, message)));
        match (answer, store) {
            (Err(message), None | Some(StoreError::Broken)) => {
                tracing::error!(
                    service = self.service.name.as_str(),
                    call = self.call.id,
                    reason = message,
                    "a call failed"
                );
                failed(message)
            }
            // It was not put off by what may be otherwise later.
            (Ok(Executed::Declined(Disposition::Retry(reason))), Some(StoreError::Broken)) => failed(reason),
            // What the guest made of a failed statement is its answer; what the store's own failure means is not.
            (Ok(executed), None | Some(StoreError::Broken)) => Some(Ok(executed)),
            (_, Some(error)) => self.store_failed(error),
        }
    }

    /// What the guest returned, as a reply; and whether it is to be committed. An error says what is wrong with it, or that the
    /// component says so itself.
    fn answer(&self, returned: Returned) -> Result<(bool, Executed), String> {
        let (good, is_put_off, answer) = match (returned, self.operation) {
            (Returned::Event(Ok(())), _) => return Ok((true, Executed::Consumed)),
            (Returned::Event(Err(disposition)), _) => return Ok((false, Executed::Declined(disposition))),
            (Returned::Http(response), _) => {
                let is_put_off = response.status == 503;
                let (good, answer) = response::reply(response)?;
                (good, is_put_off, answer)
            }
            (Returned::Function { value, is_let_down }, Operation::Function { function, encoding, .. }) => {
                let failure = own_failure(&value);
                if failure == Some(FailureKind::Failed.name()) && !is_let_down {
                    return Err(format!("{} says that it failed", self.service.name));
                }
                let good = matches!(value, Val::Result(Ok(_)));
                let body = values::encode_result(&function.plan, *encoding, &value);
                let body = body.map_err(|mismatch| mismatch.to_string())?.into();
                let head = vec![(header::CONTENT_TYPE.to_owned(), encoding.content_type().to_owned())];
                (good, failure.is_some(), Answer { head, body })
            }
            (Returned::Function { .. } | Returned::Checked(_), _) => {
                return Err("it answered something else".to_owned());
            }
        };
        // More would not fit into a message, and must not be found out after the commit.
        let limit = self.service.config.limits.response_bytes;
        if answer.size() > limit {
            return Err(format!("the answer is too large: {}", self.service.refuse(Limit::ResponseBytes)));
        }
        Ok((good, if is_put_off { Executed::PutOff(answer) } else { Executed::Answered(answer) }))
    }

    async fn crashed(&self, crash: Crash, work: Option<Work>) -> Attempt {
        if let Some(work) = work
            && let Some(StoreError::Again(_)) = work.rollback().await
        {
            return None;
        }
        let (service, id) = (self.service.name.as_str(), &self.call.id);
        Some(Err(match crash {
            Crash::Trapped { cause, backtrace, limit } => {
                let generation = self.generation.number;
                let limits = &self.service.config.limits;
                let limit = limit.map(|limit| limit.told(limits)).unwrap_or_default();
                let backtrace = backtrace.join("\n");
                tracing::error!(service, generation, call = id, cause, limit, backtrace, "a call trapped");
                let met = if limit.is_empty() { limit } else { format!(" after it had met a limit ({limit})") };
                let message = format!("{service} crashed{met}; look for the call {id} in the log");
                Refusal::new(FailureKind::Trapped, Blame::Component, message)
            }
            Crash::Exhausted => {
                let generation = self.generation.number;
                let limit = self.service.refuse(Limit::Cpu);
                tracing::error!(service, generation, call = id, limit, "a call computed for too long");
                let message = format!("{service} was stopped and rolled back, since it computed for too long: {limit}");
                Refusal::new(FailureKind::Trapped, Blame::Component, message)
            }
            Crash::TimedOut => {
                // Only a call that had all of its time is too slow; another had an impatient caller.
                let had_all = self.stop == self.deadline && self.deadline < self.call.deadline;
                let blame = if had_all { Blame::Component } else { Blame::Caller };
                let told = match blame {
                    Blame::Component => format!(": {}", self.service.refuse(Limit::Time)),
                    _ => String::new(),
                };
                let message = format!("{service} was stopped and rolled back{told}");
                Refusal::new(FailureKind::DeadlineExceeded, blame, message)
            }
            Crash::NoRoom => Refusal::new(FailureKind::Overloaded, Blame::Surroundings, crash.to_string()),
        }))
    }

    fn store_failed(&self, error: StoreError) -> Attempt {
        let (kind, blame) = match &error {
            StoreError::Again(_) => return None,
            StoreError::Unavailable(_) => (FailureKind::Failed, Blame::Surroundings),
            StoreError::Saturated => (FailureKind::Overloaded, Blame::Surroundings),
            StoreError::Slow | StoreError::Broken | StoreError::NoDatabase => (FailureKind::Failed, Blame::Component),
            StoreError::Unknown => (FailureKind::DeadlineExceeded, Blame::Unknown),
        };
        let service = self.service.name.as_str();
        tracing::error!(service, call = self.call.id, %error, "the store failed a call");
        Some(Err(Refusal::new(kind, blame, error.to_string())))
    }
}

/// The kind in `err(call(kind))`, with which a component says of itself what the host would say of it.
fn own_failure(value: &Val) -> Option<&str> {
    let Val::Result(Err(Some(error))) = value else { return None };
    let Val::Variant(case, Some(payload)) = &**error else { return None };
    match &**payload {
        Val::Enum(kind) if case == "call" => Some(kind),
        _ => None,
    }
}

/// The answer of a call whose key was found.
async fn answer_found(work: Work, found: Keyed) -> Result<Executed, Refusal> {
    work.rollback().await;
    match found {
        Keyed::Stored { same_request: true, answer } => Ok(Executed::Answered(answer)),
        Keyed::Stored { .. } => Err(Refusal::KeyReused),
        Keyed::New | Keyed::Running => Err(Refusal::KeyInUse),
    }
}
