//! A call on one of the generations that serve; while that one is watched, on the one before as well if need be.

use std::sync::Arc;
use std::time::{Duration, Instant};

use ward_proto::call::{FailureKind, header};

use super::execute::{Executed, Operation, Refusal, execute};
use super::release::until_released;
use super::{Blame, Call, Failure};
use crate::services::{Generation, Lineup, Service, Trial, Verdict, Watch};
use crate::store::IdempotencyKey;

/// How a call ended, and on which generation.
pub struct Answered {
    pub outcome: Result<Executed, Refusal>,
    pub generation: u64,
}

/// What a call wants of the service.
pub struct Wanted<'a, O> {
    pub call: &'a Call,
    pub key: Option<&'a IdempotencyKey>,
    /// The generation that shall answer, and no other.
    pub pinned: Option<u64>,
    /// What to do on a generation: routes and functions may differ between two.
    pub operation: O,
}

/// Answers a call.
pub async fn answer<O>(service: &Service, wanted: Wanted<'_, O>) -> Answered
where
    O: Fn(&Arc<Generation>) -> Result<Operation, Failure>,
{
    let Some(lineup) = service.hold() else {
        let message = format!("{} does not run here any more", service.name);
        let outcome = Err(Refusal::new(FailureKind::Unavailable, Blame::Surroundings, message));
        return Answered { outcome, generation: 0 };
    };
    let (generation, operation) = match choose(service, &lineup, &wanted) {
        Ok(chosen) => chosen,
        Err(refused) => {
            return Answered {
                outcome: Err(Refusal::Failed(refused, Blame::Caller)),
                generation: lineup.current.number,
            };
        }
    };
    match lineup.watch_over(generation) {
        Some(watch) => watched(service, watch, &wanted, &operation).await,
        None => on(service, generation, wanted.call, &operation, wanted.key, None).await,
    }
}

/// The generation whose turn it is, or the other one when only that one understands the call.
fn choose<'a, O>(
    service: &Service,
    lineup: &'a Lineup,
    wanted: &Wanted<'_, O>,
) -> Result<(&'a Arc<Generation>, Operation), Failure>
where
    O: Fn(&Arc<Generation>) -> Result<Operation, Failure>,
{
    if let Some(number) = wanted.pinned {
        let pinned = lineup.numbered(number).ok_or_else(|| not_serving(service, lineup, number))?;
        return Ok((pinned, (wanted.operation)(pinned)?));
    }
    let picked = lineup.pick(service.next_turn());
    match (wanted.operation)(picked) {
        Ok(operation) => Ok((picked, operation)),
        Err(refused) => {
            let before = lineup.watch.as_ref().map(|watch| &watch.before);
            let others = lineup.generations().chain(before).filter(|other| !Arc::ptr_eq(other, picked));
            let mut understanding = others.filter_map(|other| Some((other, (wanted.operation)(other).ok()?)));
            understanding.next().ok_or(refused)
        }
    }
}

fn not_serving(service: &Service, lineup: &Lineup, number: u64) -> Failure {
    let serving: Vec<String> = lineup.generations().map(|generation| generation.number.to_string()).collect();
    let message = format!("generation {number} of {} does not serve; {} does", service.name, serving.join(" and "));
    Failure::new(FailureKind::Refused, message)
}

/// A call of a generation under watch. What it fails, or has no answer to in time, the generation before may answer: nothing is
/// left of it. What both fail is not the new one's fault.
async fn watched<O>(service: &Service, watch: &Arc<Watch>, wanted: &Wanted<'_, O>, operation: &Operation) -> Answered
where
    O: Fn(&Arc<Generation>) -> Result<Operation, Failure>,
{
    let Wanted { call, key, pinned, .. } = wanted;
    let second = if pinned.is_some() { None } else { (wanted.operation)(&watch.before).ok() };
    // With nobody else to answer it has all the time that there is.
    let Some(second) = second else {
        let answered = on(service, &watch.generation, call, operation, *key, None).await;
        decide(service, watch, if is_failure(&answered.outcome) { Trial::Failed } else { Trial::Well });
        return answered;
    };
    let patience = watch.patience();
    let first = on(service, &watch.generation, call, operation, *key, Some(patience)).await;
    let trial = match &first.outcome {
        outcome if is_failure(outcome) => Trial::Failed,
        outcome if is_late(outcome) => Trial::Late,
        _ => Trial::Well,
    };
    if trial == Trial::Well || call.remaining().is_zero() {
        // A caller whose own time was shorter than the patience says nothing about the version.
        decide(service, watch, if trial == Trial::Late { Trial::Well } else { trial });
        return first;
    }
    let is_held = |(answered, _): &(Answered, Duration)| matches!(answered.outcome, Err(Refusal::KeyInUse));
    let attempt = async || {
        let began = Instant::now();
        let answered = on(service, &watch.before, call, &second, *key, None).await;
        (answered, began.elapsed())
    };
    let (answered, took) = until_released(is_held, attempt).await;
    let is_answered = !is_failure(&answered.outcome) && !is_late(&answered.outcome);
    // A key that the first try still holds is one more sign that it hangs.
    let is_better = is_answered && (trial == Trial::Failed || took < patience);
    decide(service, watch, if is_better { trial } else { Trial::Well });
    answered
}

fn decide(service: &Service, watch: &Arc<Watch>, trial: Trial) {
    match watch.note(trial) {
        Verdict::Undecided => {}
        Verdict::Proven => service.end_watch(watch),
        Verdict::Failed(reason) => service.go_back(watch, reason),
    }
}

/// Executes, and takes note of how long it took or that it failed.
async fn on(
    service: &Service,
    generation: &Arc<Generation>,
    call: &Call,
    operation: &Operation,
    key: Option<&IdempotencyKey>,
    patience: Option<Duration>,
) -> Answered {
    let began = Instant::now();
    let outcome = execute(service, generation, call, operation, key, patience).await;
    match is_failure(&outcome) {
        true => generation.count_failure(),
        false => generation.durations.record(began.elapsed()),
    }
    Answered { outcome, generation: generation.number }
}

/// Was it stopped because the time that it was given is over?
fn is_late(outcome: &Result<Executed, Refusal>) -> bool {
    match outcome {
        Err(Refusal::Failed(failure, Blame::Caller)) => failure.kind == FailureKind::DeadlineExceeded,
        _ => false,
    }
}

/// Would another generation have done better? Not where the caller, the store or the network are to blame; and what may have
/// been done must not be done again.
fn is_failure(outcome: &Result<Executed, Refusal>) -> bool {
    match outcome {
        Err(Refusal::Failed(_, blame)) => *blame == Blame::Component,
        Ok(Executed::Answered(answer)) => {
            let status = answer.head.iter().find(|(name, _)| name == header::STATUS);
            status.is_some_and(|(_, status)| status.starts_with('5') && status != "503")
        }
        Err(Refusal::KeyInUse | Refusal::KeyReused) | Ok(Executed::Consumed | Executed::Declined(_)) => false,
    }
}
