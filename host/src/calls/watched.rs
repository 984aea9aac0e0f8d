//! Which generation answers: the current one, and the one before it while the current one is under watch and fails.

use std::sync::Arc;

use ward_proto::call::{FailureKind, header};

use super::execute::{Executed, Operation, Refusal, execute};
use super::{Call, Failure};
use crate::services::{Generation, Service, Verdict};
use crate::store::IdempotencyKey;

/// Answers a call. `operation` says what to do on a generation: routes and functions may differ between two.
pub async fn answer(
    service: &Service,
    call: &Call,
    key: Option<&IdempotencyKey>,
    operation: impl Fn(&Arc<Generation>) -> Result<Operation, Failure>,
) -> Result<Executed, Refusal> {
    let generation = service.current().ok_or_else(|| {
        Failure::new(
            FailureKind::Unavailable,
            format!("{} does not run here any more", service.name),
        )
    })?;
    let outcome = attempt(service, &generation, call, key, &operation).await;
    let failed = is_failure(&outcome);
    if failed {
        generation.count_failure();
    }
    let Some(watch) = service.watch_over(&generation) else {
        return outcome;
    };
    match watch.note(failed) {
        Verdict::Undecided => {}
        Verdict::Proven => service.end_watch(&watch),
        Verdict::Failed => service.go_back(watch.clone()),
    }
    // The failed call has left nothing behind, so the generation before may answer it.
    if failed && !call.remaining().is_zero() {
        return attempt(service, &watch.before, call, key, &operation).await;
    }
    outcome
}

async fn attempt(
    service: &Service,
    generation: &Arc<Generation>,
    call: &Call,
    key: Option<&IdempotencyKey>,
    operation: impl Fn(&Arc<Generation>) -> Result<Operation, Failure>,
) -> Result<Executed, Refusal> {
    execute(service, generation, call, &operation(generation)?, key).await
}

/// Would the generation before have done better? A crash, a failed store, an internal error; not overload, not a refusal.
fn is_failure(outcome: &Result<Executed, Refusal>) -> bool {
    match outcome {
        Err(Refusal::Failed(failure)) => matches!(
            failure.kind,
            FailureKind::Trapped | FailureKind::Failed | FailureKind::DeadlineExceeded | FailureKind::Refused
        ),
        Ok(Executed::Answered(answer)) => {
            let status = answer.head.iter().find(|(name, _)| name == header::STATUS);
            status.is_some_and(|(_, status)| status.starts_with('5') && status != "503")
        }
        Err(Refusal::KeyInUse | Refusal::KeyReused) | Ok(Executed::Consumed | Executed::Declined(_)) => false,
    }
}
