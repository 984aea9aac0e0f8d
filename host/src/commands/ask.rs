//! Questions to all hosts (and bridges) at once.

use std::collections::BTreeSet;
use std::time::Duration;

use bytes::Bytes;
use serde::Serialize;
use serde::de::DeserializeOwned;
use ward_proto::call::subject;

use super::output::Exit;
use crate::bus::{Bus, BusError};
use crate::services::HostStatus;

/// How long the first one may take to answer, and one that another has heard of.
const PATIENCE: Duration = Duration::from_millis(1000);
/// For each further one, where nobody says how many there are.
const PAUSE: Duration = Duration::from_millis(150);
/// A host knows at once how it is, and who waits for a change asks again and again.
const SHORT_PAUSE: Duration = Duration::from_millis(100);

/// All that was answered within a moment, of all who answered. Each answers with a list.
pub async fn everybody<T: DeserializeOwned>(
    bus: &Bus,
    subject: &'static str,
    question: &impl Serialize,
) -> anyhow::Result<Vec<T>> {
    let (question, mut answers) = (serde_json::to_vec(question)?.into(), Vec::new());
    let hear = |reply: &[u8]| {
        answers.push(serde_json::from_slice::<Vec<T>>(reply).unwrap_or_default());
        PAUSE
    };
    bus.gather(subject, question, PATIENCE, hear).await?;
    if answers.is_empty() {
        return Err(Exit::Unreachable.because("no host answers: is one running, on this NATS (nats.url)?"));
    }
    Ok(answers.into_iter().flatten().collect())
}

/// Hosts as they say they are, by name.
#[derive(Default)]
pub struct Hosts {
    pub answered: Vec<HostStatus>,
    /// Those that others hear of, and that did not answer.
    pub silent: BTreeSet<String>,
}

impl Hosts {
    /// Nobody is no error.
    pub async fn ask(bus: &Bus) -> Result<Self, BusError> {
        let mut hosts = Self::default();
        let hear = |reply: &[u8]| {
            hosts.hear(reply);
            hosts.pause()
        };
        bus.gather(subject::HOSTS, Bytes::new(), PATIENCE, hear).await?;
        hosts.answered.sort_by(|a, b| a.host.cmp(&b.host));
        Ok(hosts)
    }

    fn hear(&mut self, reply: &[u8]) {
        self.answered.extend(serde_json::from_slice::<HostStatus>(reply));
        let named = self.answered.iter().flat_map(|host| &host.peers);
        let silent = named.filter(|name| self.answered.iter().all(|host| host.host != **name));
        self.silent = silent.cloned().collect();
    }

    /// How long to wait for another one.
    fn pause(&self) -> Duration {
        if self.silent.is_empty() { SHORT_PAUSE } else { PATIENCE }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn whoever_is_known_is_waited_for() {
        let mut hosts = Hosts::default();
        for (host, peers, silent, pause) in [
            ("a", vec![], vec![], SHORT_PAUSE),
            ("b", vec!["a", "c"], vec!["c"], PATIENCE),
            ("c", vec!["a", "b"], vec![], SHORT_PAUSE),
        ] {
            let status =
                json!({ "host": host, "peers": peers, "up_s": 9, "gateway": "", "version": "", "services": [] });
            hosts.hear(status.to_string().as_bytes());
            assert!(hosts.silent.iter().eq(silent.iter()) && hosts.pause() == pause, "{host}: {:?}", hosts.silent);
        }
    }
}
