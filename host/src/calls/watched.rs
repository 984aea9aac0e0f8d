//! Which generation answers: the current one, and the one before it while the current one is under watch and fails.

use std::sync::Arc;

use ward_proto::call::{FailureKind, header};

use super::execute::{Executed, Operation, Refusal, execute};
use super::{Blame, Call, Failure};
use crate::services::{Generation, Service, Verdict, Watch};
use crate::store::IdempotencyKey;

/// Answers a call. `operation` says what to do on a generation: routes and functions may differ between two.
pub async fn answer(
    service: &Service,
    call: &Call,
    key: Option<&IdempotencyKey>,
    operation: impl Fn(&Arc<Generation>) -> Result<Operation, Failure>,
) -> Result<Executed, Refusal> {
    let generation = service.current().ok_or_else(|| {
        let message = format!("{} does not run here any more", service.name);
        Refusal::new(FailureKind::Unavailable, Blame::Surroundings, message)
    })?;
    let watch = service.watch_over(&generation);
    let outcome = match operation(&generation) {
        Ok(operation) => execute(service, &generation, call, &operation, key).await,
        Err(refused) => Err(Refusal::Failed(refused, blame_for_refusal(watch.as_deref(), &operation))),
    };
    let failed = is_failure(&outcome);
    if failed {
        generation.count_failure();
    }
    let Some(watch) = watch else { return outcome };
    match watch.note(failed) {
        Verdict::Undecided => {}
        Verdict::Proven => service.end_watch(&watch),
        Verdict::Failed => service.go_back(&watch),
    }
    // The failed call has left nothing behind, so the generation before may answer it.
    if failed && !call.remaining().is_zero() {
        let operation = operation(&watch.before).map_err(|refused| Refusal::Failed(refused, Blame::Caller))?;
        return execute(service, &watch.before, call, &operation, key).await;
    }
    outcome
}

/// What the generation before understands, the new one has no reason to refuse.
fn blame_for_refusal(
    watch: Option<&Watch>,
    operation: impl Fn(&Arc<Generation>) -> Result<Operation, Failure>,
) -> Blame {
    let was_understood = watch.is_some_and(|watch| operation(&watch.before).is_ok());
    if was_understood { Blame::Component } else { Blame::Caller }
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
