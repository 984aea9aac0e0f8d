//! A call on one of the generations that serve; while that one is watched, on the one before as well if need be.

use std::sync::Arc;
use std::time::{Duration, Instant};

use ward_proto::call::{FailureKind, header};

use super::execute::{Executed, Operation, Refusal, execute, is_crash};
use super::release::until_released;
use super::{Blame, Call, Failure};
use crate::bindings::exports::ward::events::subscriber::Disposition;
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
    // With nobody else to answer it has all the time that there is; and an event that nobody has heard before may be at fault itself.
    let Some(second) = second else {
        let answered = on(service, &watch.generation, call, operation, *key, None).await;
        let is_plain = operation.consumed().is_none() || is_crash(&answered.outcome);
        let counts = |trial: &Trial| *trial == Trial::Well || (*trial == Trial::Failed && is_plain);
        decide(service, watch, judge(&answered.outcome).filter(counts));
        return answered;
    };
    let patience = watch.patience();
    let first = on(service, &watch.generation, call, operation, *key, Some(patience)).await;
    let trial = judge(&first.outcome);
    let is_answer = matches!(trial, None | Some(Trial::Well));
    if is_answer || call.remaining().is_zero() {
        // A caller whose own time was shorter than the patience says nothing about the version.
        decide(service, watch, trial.filter(|trial| *trial != Trial::Late));
        return first;
    }
    let attempt = async || {
        let began = Instant::now();
        let answered = on(service, &watch.before, call, &second, *key, None).await;
        (answered, began.elapsed())
    };
    let (answered, took) =
        until_released(|(answered, _): &(Answered, Duration)| is_held(&answered.outcome), attempt).await;
    // A key that the first try still holds is one more sign that it hangs.
    let is_answered = judge(&answered.outcome) == Some(Trial::Well) || is_held(&answered.outcome);
    let is_better = is_answered && (trial == Some(Trial::Failed) || took < patience);
    decide(service, watch, trial.filter(|_| is_better));
    answered
}

/// Takes note of a trial; of none that nobody can judge.
fn decide(service: &Service, watch: &Arc<Watch>, trial: Option<Trial>) {
    let Some(trial) = trial else { return };
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
    match judge(&outcome) {
        Some(Trial::Failed) => generation.count_failure(),
        _ => generation.durations.record(began.elapsed()),
    }
    Answered { outcome, generation: generation.number }
}

/// How it went, as far as the version has a part in that: none where the store or the network are to blame, nor where the component says
/// that it cannot do it just now. What may have been done counts for nothing either, and must not be done again.
fn judge(outcome: &Result<Executed, Refusal>) -> Option<Trial> {
    match outcome {
        Ok(Executed::Consumed) => Some(Trial::Well),
        Ok(Executed::Declined(Disposition::Reject(_))) => Some(Trial::Failed),
        Ok(Executed::Declined(Disposition::Retry(_)) | Executed::PutOff(_)) => None,
        Ok(Executed::Answered(answer)) => {
            let status = answer.head.iter().find(|(name, _)| name == header::STATUS);
            let is_fault = status.is_some_and(|(_, status)| status.starts_with('5'));
            Some(if is_fault { Trial::Failed } else { Trial::Well })
        }
        Err(Refusal::Failed(_, Blame::Component)) => Some(Trial::Failed),
        // Stopped because the time that it was given is over.
        Err(Refusal::Failed(failure, Blame::Caller)) if failure.kind == FailureKind::DeadlineExceeded => {
            Some(Trial::Late)
        }
        Err(Refusal::Failed(_, Blame::Caller)) => Some(Trial::Well),
        Err(_) => None,
    }
}

fn is_held(outcome: &Result<Executed, Refusal>) -> bool {
    matches!(outcome, Err(Refusal::KeyInUse))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::Answer;

    #[test]
    fn what_is_not_the_components_doing_says_nothing_about_it() {
        let answered = |status: &str| {
            let head = vec![(header::STATUS.to_owned(), status.to_owned())];
            Ok(Executed::Answered(Answer { head, body: "".into() }))
        };
        let failed = |kind, blame| Err(Refusal::new(kind, blame, "m"));
        let (reject, retry) = (Disposition::Reject("r".into()), Disposition::Retry("r".into()));
        for (outcome, trial) in [
            (answered("404"), Some(Trial::Well)),
            (answered("500"), Some(Trial::Failed)),
            (Ok(Executed::PutOff(Answer { head: Vec::new(), body: "".into() })), None),
            (Ok(Executed::Consumed), Some(Trial::Well)),
            (Ok(Executed::Declined(reject)), Some(Trial::Failed)),
            (Ok(Executed::Declined(retry)), None),
            (failed(FailureKind::Trapped, Blame::Component), Some(Trial::Failed)),
            (failed(FailureKind::DeadlineExceeded, Blame::Caller), Some(Trial::Late)),
            (failed(FailureKind::Refused, Blame::Caller), Some(Trial::Well)),
            (failed(FailureKind::Failed, Blame::Surroundings), None),
            (failed(FailureKind::DeadlineExceeded, Blame::Unknown), None),
            (Err(Refusal::KeyInUse), None),
        ] {
            assert_eq!(judge(&outcome), trial, "{outcome:?}");
        }
    }
}
