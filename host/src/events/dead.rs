//! Dead letters: events that a subscription could not handle, with the reason, until somebody replays or buries them.

use bytes::Bytes;
use ward_proto::call::{ce, subject};

use crate::bus::{Bus, Delivery, Headers, StreamError};

pub const REASON: &str = "Ward-Reason";
pub const ATTEMPTS: &str = "Ward-Attempts";
pub const ORIGINAL_SUBJECT: &str = "Ward-Subject";

/// Characters of a reason that are kept; it has to fit into a header beside the event.
const LONGEST_REASON: usize = 1000;

#[derive(Debug, serde::Serialize)]
pub struct DeadLetter {
    /// The place among the dead letters.
    pub sequence: u64,
    pub service: String,
    pub subscription: String,
    pub event_id: String,
    pub event_type: String,
    pub event_subject: String,
    pub reason: String,
    pub attempts: u32,
    #[serde(skip)]
    headers: Headers,
    #[serde(skip)]
    payload: Bytes,
}

/// As much of a component's reason as is kept and logged.
pub fn brief(reason: &str) -> String {
    reason.chars().filter(|character| !character.is_control()).take(LONGEST_REASON).collect()
}

/// Puts a delivery among the dead letters; `reason` is a [`brief`] one.
pub async fn lay_down(
    bus: &Bus,
    service: &str,
    subscription: &str,
    delivery: &Delivery,
    reason: &str,
) -> Result<(), StreamError> {
    let mut headers = delivery.headers();
    headers.insert(REASON, reason);
    headers.insert(ATTEMPTS, delivery.attempt().to_string());
    headers.insert(ORIGINAL_SUBJECT, delivery.subject());
    let target = format!("{}.{service}.{subscription}", subject::DEAD);
    let id = format!("{service}.{subscription}.{}", delivery.sequence());
    bus.store(target, &id, headers, delivery.payload()).await?.await
}

/// The dead letters of a service's subscription; of all where none is named. At most `limit`, oldest first.
pub async fn list(
    bus: &Bus,
    service: Option<&str>,
    subscription: Option<&str>,
    limit: usize,
) -> Result<Vec<DeadLetter>, StreamError> {
    let filter = format!("{}.{}.{}", subject::DEAD, service.unwrap_or("*"), subscription.unwrap_or(">"));
    let letters = bus.dead_letters(filter, limit).await?;
    Ok(letters
        .into_iter()
        .map(|(sequence, subject, headers, payload)| letter(sequence, &subject, headers, payload))
        .collect())
}

fn letter(sequence: u64, subject: &str, headers: Headers, payload: Bytes) -> DeadLetter {
    let get = |name: &str| headers.get(name).map(|value| value.as_str().to_owned()).unwrap_or_default();
    let mut tokens = subject.split('.').skip(2);
    DeadLetter {
        sequence,
        service: tokens.next().unwrap_or_default().to_owned(),
        subscription: tokens.next().unwrap_or_default().to_owned(),
        event_id: get(ce::ID),
        event_type: get(ce::TYPE),
        event_subject: get(ce::SUBJECT),
        reason: get(REASON),
        attempts: get(ATTEMPTS).parse().unwrap_or(0),
        headers,
        payload,
    }
}

/// Delivers a dead letter to its subscription again, and removes it from the dead.
pub async fn replay(bus: &Bus, letter: &DeadLetter) -> Result<(), StreamError> {
    let target = format!("{}.{}.{}", subject::REPLAY, letter.service, letter.subscription);
    let id = format!("replay.{}.{}", letter.sequence, letter.event_id);
    bus.store(target, &id, letter.headers.clone(), letter.payload.clone()).await?.await?;
    bus.bury_dead_letter(letter.sequence).await
}
