//! Runs one call until its transaction has ended: in fresh instances, again after a conflict, and on the generation before when
//! a new one that is still under watch fails.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use uuid::Uuid;
use ward_proto::call::{FailureKind, header};
use wasmtime::component::Val;

use super::{Call, Failure};
use crate::bindings::exports::ward::events::subscriber::{Disposition, Event};
use crate::bindings::exports::ward::http::handler::{Request, Response};
use crate::capabilities::CallState;
use crate::engine::{Crash, Effect, Invocation, PluginFunction, Returned, invoke};
use crate::services::{Generation, Service};
use crate::store::{Answer, Consumed, IdempotencyKey, Keyed, StoreError, Work, WorkLimits};
use crate::values::{self, Encoding};

/// What is to be done, as often as it has to be.
#[derive(Clone)]
pub enum Operation {
    Http {
        request: Box<Request>,
        effect: Effect,
    },
    Function {
        function: PluginFunction,
        parameters: Vec<Val>,
        encoding: Encoding,
    },
    Event {
        subscription: String,
        event: Event,
        id: Uuid,
    },
}

/// How a call that was answered ended.
#[derive(Debug)]
pub enum Executed {
    /// Headers and payload of the reply.
    Answered(Answer),
    /// An event had its effect, now or before.
    Consumed,
    /// An event could not be handled.
    Declined(Disposition),
}

/// Why there is no answer.
#[derive(Debug)]
pub enum Refusal {
    Failed(Failure),
    /// Another call with the same idempotency key is under way.
    KeyInUse,
    /// The idempotency key was used for another request.
    KeyReused,
}

impl From<Failure> for Refusal {
    fn from(failure: Failure) -> Self {
        Self::Failed(failure)
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
            Self::Http { request, .. } => Invocation::Http(*request),
            Self::Function {
                function, parameters, ..
            } => Invocation::Function { function, parameters },
            Self::Event {
                subscription, event, ..
            } => Invocation::Event { subscription, event },
        }
    }

    fn consumed(&self) -> Option<Consumed> {
        match self {
            Self::Event { subscription, id, .. } => Some(Consumed {
                subscription: subscription.clone(),
                event: *id,
            }),
            Self::Http { .. } | Self::Function { .. } => None,
        }
    }
}

/// Runs `operation` on `generation`; conflicts are re-run up to `store.reruns` times.
pub async fn execute(
    service: &Service,
    generation: &Arc<Generation>,
    call: &Call,
    operation: &Operation,
    key: Option<&IdempotencyKey>,
) -> Result<Executed, Refusal> {
    let _under_way = generation.enter();
    let limit = Instant::now() + Duration::from_millis(service.config.limits.time_ms);
    let deadline = call.deadline.min(limit);
    for rerun in 0..=service.reruns {
        if rerun > 0 {
            tracing::debug!(call = call.id, rerun, "running a call again after a conflict");
            // A little apart, so that the same two do not meet again.
            tokio::time::sleep(Duration::from_millis(u64::from(rerun) * 2 + jitter())).await;
        }
        let once = Once {
            service,
            generation,
            call,
            operation,
            key,
            deadline,
        };
        if let Some(result) = once.run().await {
            return result;
        }
    }
    Err(failure(
        FailureKind::Failed,
        "conflicts with other calls did not end (store.reruns)",
    ))
}

fn jitter() -> u64 {
    Uuid::new_v4().as_u64_pair().1 % 4
}

/// One attempt.
struct Once<'a> {
    service: &'a Service,
    generation: &'a Arc<Generation>,
    call: &'a Call,
    operation: &'a Operation,
    key: Option<&'a IdempotencyKey>,
    deadline: Instant,
}

impl Once<'_> {
    /// None when the call met another and shall be run again.
    async fn run(&self) -> Option<Result<Executed, Refusal>> {
        let limits = &self.service.config.limits;
        let limits = WorkLimits {
            statements: limits.statements,
            rows: limits.rows,
        };
        let mut work = Work::new(self.service.database.clone(), self.operation.effect(), limits);
        if let Some(key) = self.key {
            match work.open(key).await {
                Ok(Keyed::New) => {}
                Ok(Keyed::Running) => return Some(end(work, Err(Refusal::KeyInUse)).await),
                Ok(Keyed::Stored {
                    same_request: false, ..
                }) => {
                    return Some(end(work, Err(Refusal::KeyReused)).await);
                }
                Ok(Keyed::Stored { answer, .. }) => return Some(end(work, Ok(Executed::Answered(answer))).await),
                Err(error) => return self.store_failed(error),
            }
        }
        let call = Call {
            deadline: self.deadline,
            ..self.call.clone()
        };
        let state = CallState::new(call, self.generation.context.clone(), self.service.host.clone(), work);
        match invoke(
            &self.generation.plugin,
            state,
            self.operation.invocation(),
            self.deadline,
        )
        .await
        {
            (Ok(returned), Some(work)) => self.conclude(returned, work).await,
            (Err(crash), work) => self.crashed(crash, work).await,
            (Ok(_), None) => Some(Err(failure(FailureKind::Failed, "the transaction was lost"))),
        }
    }

    /// Commits what ended well, rolls back what did not.
    async fn conclude(&self, returned: Returned, work: Work) -> Option<Result<Executed, Refusal>> {
        let (good, executed) = match self.answer(returned) {
            Ok(answered) => answered,
            Err(failure) => return Some(end(work, Err(failure.into())).await),
        };
        if !good {
            return match work.rollback().await {
                Some(error @ (StoreError::Conflict(_) | StoreError::Unavailable(_))) => self.store_failed(error),
                _ => Some(Ok(executed)),
            };
        }
        let kept = match (&executed, self.key) {
            (Executed::Answered(answer), Some(key)) => Some((key, answer)),
            _ => None,
        };
        let consumed = self.operation.consumed();
        match work.commit(kept, consumed.as_ref(), &self.call.traceparent).await {
            Ok(_) => Some(Ok(executed)),
            Err(error) => self.store_failed(error),
        }
    }

    /// What the guest returned, as a reply; and whether it is to be committed.
    fn answer(&self, returned: Returned) -> Result<(bool, Executed), Failure> {
        match returned {
            Returned::Http(response) => {
                let limit = self.service.config.limits.response_bytes;
                http_answer(response, limit).map(|(good, answer)| (good, Executed::Answered(answer)))
            }
            Returned::Function(value) => {
                let Operation::Function { function, encoding, .. } = self.operation else {
                    return Err(Failure::new(FailureKind::Failed, "a value where none was asked for"));
                };
                let good = matches!(value, Val::Result(Ok(_)));
                let body = values::encode_result(&function.plan, *encoding, &value)
                    .map_err(|mismatch| Failure::new(FailureKind::Failed, mismatch.to_string()))?;
                let head = vec![(header::CONTENT_TYPE.to_owned(), encoding.content_type().to_owned())];
                Ok((
                    good,
                    Executed::Answered(Answer {
                        head,
                        body: body.into(),
                    }),
                ))
            }
            Returned::Event(Ok(())) => Ok((true, Executed::Consumed)),
            Returned::Event(Err(disposition)) => Ok((false, Executed::Declined(disposition))),
            Returned::Checked(_) => Err(Failure::new(FailureKind::Failed, "a check where none was asked for")),
        }
    }

    async fn crashed(&self, crash: Crash, work: Option<Work>) -> Option<Result<Executed, Refusal>> {
        if let Some(work) = work
            && let Some(StoreError::Conflict(_)) = work.rollback().await
        {
            return None;
        }
        let (service, id) = (self.service.name.as_str(), &self.call.id);
        Some(Err(match crash {
            Crash::Trapped { cause, backtrace } => {
                let generation = self.generation.number;
                tracing::error!(service, generation, call = id, cause, backtrace = ?backtrace, "a call trapped");
                failure(
                    FailureKind::Trapped,
                    format!("{service} crashed; look for the call {id} in the log"),
                )
            }
            Crash::TimedOut => failure(
                FailureKind::DeadlineExceeded,
                format!("{service} was stopped and rolled back"),
            ),
            Crash::NoRoom => failure(FailureKind::Overloaded, crash.to_string()),
        }))
    }

    fn store_failed(&self, error: StoreError) -> Option<Result<Executed, Refusal>> {
        if matches!(error, StoreError::Conflict(_)) {
            return None;
        }
        let service = self.service.name.as_str();
        tracing::error!(service, call = self.call.id, %error, "the store failed a call");
        Some(Err(failure(FailureKind::Failed, error.to_string())))
    }
}

fn failure(kind: FailureKind, message: impl Into<String>) -> Refusal {
    Refusal::Failed(Failure::new(kind, message))
}

async fn end(work: Work, result: Result<Executed, Refusal>) -> Result<Executed, Refusal> {
    work.rollback().await;
    result
}

/// A status below 400 commits.
fn http_answer(response: Response, limit: usize) -> Result<(bool, Answer), Failure> {
    if !(200..600).contains(&response.status) {
        return Err(Failure::new(
            FailureKind::Failed,
            format!("the component answered the status {}", response.status),
        ));
    }
    if response.body.len() > limit {
        return Err(Failure::new(
            FailureKind::Failed,
            format!("the response is over limits.response_bytes ({limit})"),
        ));
    }
    if let Some((name, _)) = response.headers.iter().find(|(name, value)| !is_header(name, value)) {
        return Err(Failure::new(
            FailureKind::Failed,
            format!("the response has a malformed header ({name:?})"),
        ));
    }
    let mut head = Vec::with_capacity(response.headers.len() + 1);
    head.push((header::STATUS.to_owned(), response.status.to_string()));
    head.extend(
        response
            .headers
            .into_iter()
            .map(|(name, value)| (format!("{}{name}", header::HTTP_PREFIX), value)),
    );
    Ok((
        response.status < 400,
        Answer {
            head,
            body: Bytes::from(response.body),
        },
    ))
}

/// A line break in a header would let a component write the rest of the reply.
fn is_header(name: &str, value: &str) -> bool {
    let clean_name = !name.is_empty()
        && name
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte));
    clean_name
        && value
            .bytes()
            .all(|byte| byte == b'\t' || (byte >= b' ' && byte != 0x7f))
}
