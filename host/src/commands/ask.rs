//! Questions to all hosts (and bridges) at once.

use std::time::Duration;

use bytes::Bytes;
use serde::Serialize;
use serde::de::DeserializeOwned;
use ward_proto::call::subject;

use super::output::Exit;
use crate::bus::{Bus, BusError};
use crate::services::HostStatus;

/// How long the first one may take to answer, and each further one.
const PATIENCE: Duration = Duration::from_millis(1000);
const PAUSE: Duration = Duration::from_millis(150);
/// A host knows at once how it is, and who waits for a change asks again and again.
const SHORT_PAUSE: Duration = Duration::from_millis(100);

/// All that was answered within a moment, of all who answered. Each answers with a list.
pub async fn everybody<T: DeserializeOwned>(
    bus: &Bus,
    subject: &'static str,
    question: &impl Serialize,
) -> anyhow::Result<Vec<T>> {
    let question = serde_json::to_vec(question)?.into();
    let replies = bus.gather(subject, question, PATIENCE, PAUSE).await?;
    if replies.is_empty() {
        return Err(Exit::Unreachable.because("no host answers: is one running, on this NATS (nats.url)?"));
    }
    Ok(replies.iter().filter_map(|reply| serde_json::from_slice::<Vec<T>>(reply).ok()).flatten().collect())
}

/// All hosts that answer within a moment, by name; none is no error.
pub async fn hosts(bus: &Bus) -> Result<Vec<HostStatus>, BusError> {
    let replies = bus.gather(subject::HOSTS, Bytes::new(), PATIENCE, SHORT_PAUSE).await?;
    let mut hosts: Vec<HostStatus> = replies.iter().filter_map(|reply| serde_json::from_slice(reply).ok()).collect();
    hosts.sort_by(|a, b| a.host.cmp(&b.host));
    Ok(hosts)
}
