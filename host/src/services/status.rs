//! What a host says of itself when it is asked (`ward ps`).

use std::collections::BTreeSet;
use std::time::Instant;

use serde::{Deserialize, Serialize};

use super::rates::Recent;
use super::{Away, Generation, Quarantine, Service};

#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct HostStatus {
    pub host: String,
    pub gateway: String,
    pub version: String,
    pub up_s: u64,
    #[serde(default)]
    pub labels: Vec<String>,
    /// Resident memory of the process.
    #[serde(default)]
    pub memory_bytes: u64,
    /// The other hosts that it hears of.
    #[serde(default)]
    pub peers: BTreeSet<String>,
    pub services: Vec<ServiceStatus>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ServiceStatus {
    pub service: String,
    /// The revision of the desired state that was dealt with last.
    pub revision: u64,
    pub state: State,
    /// Why it is so.
    pub reason: String,
    /// What serves now; none while nothing does.
    pub serving: Option<Serving>,
    /// What gets a share of the calls beside it.
    pub canary: Option<Serving>,
    /// Calls that run or wait.
    pub in_flight: usize,
    /// Calls that outlasted `swap.drain_s` on a generation that was replaced, since the host began.
    pub cut_off: u64,
    /// Milliseconds that calls are still turned away for, because too many have crashed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub quarantined_ms: Option<u64>,
    /// How often the generation that serves was put into quarantine.
    #[serde(default)]
    pub quarantines: u64,
    /// Why this host takes no calls of it, though it is loaded; none when it does.
    #[serde(default)]
    pub away: Option<Away>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Serving {
    pub generation: u64,
    /// Of the calls.
    pub percent: u8,
    pub version: String,
    pub digest: String,
    pub calls: u64,
    pub failures: u64,
    pub for_s: u64,
    /// The last ten seconds.
    #[serde(default)]
    pub recent: Recent,
}

/// How the last change of the desired state ended here.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum State {
    /// Nothing was ever deployed.
    Absent,
    /// Being fetched, compiled, checked.
    Preparing,
    /// Something outside is missing; it is tried again.
    Waiting,
    Running,
    /// The desired one was not taken.
    Refused,
}

impl ServiceStatus {
    pub fn of(service: &Service) -> Self {
        let standing = service.standing();
        let lineup = service.lineup();
        let canary = lineup.as_ref().and_then(|lineup| lineup.canary());
        let percent = canary.map_or(0, |canary| canary.percent);
        let quarantine = lineup.as_ref().map(|lineup| &lineup.current.context.quarantine);
        let rest = quarantine.and_then(|quarantine| quarantine.rest(Instant::now()));
        Self {
            service: service.name.to_string(),
            revision: standing.revision,
            state: standing.state,
            reason: standing.reason,
            serving: lineup.as_ref().map(|lineup| Serving::of(&lineup.current, 100 - percent)),
            canary: canary.map(|canary| Serving::of(&canary.generation, percent)),
            in_flight: service.admission.inside(),
            away: service.attendance.away(),
            cut_off: service.cut_off(),
            quarantined_ms: rest.map(|rest| u64::try_from(rest.as_millis()).unwrap_or(u64::MAX)),
            quarantines: quarantine.map_or(0, Quarantine::count),
        }
    }
}

impl Serving {
    fn of(generation: &Generation, percent: u8) -> Self {
        Self {
            generation: generation.number,
            percent,
            version: generation.plugin.description.version.clone(),
            digest: generation.digest.clone(),
            calls: generation.calls(),
            failures: generation.failures(),
            for_s: generation.since.elapsed().as_secs(),
            recent: generation.rates.recent(),
        }
    }
}
