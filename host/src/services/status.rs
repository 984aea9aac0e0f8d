//! What a host says of itself when it is asked (`ward ps`, `/readyz`).

use serde::{Deserialize, Serialize};

use super::Service;

#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct HostStatus {
    pub host: String,
    pub gateway: String,
    pub version: String,
    pub up_s: u64,
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
    /// Calls that run or wait.
    pub in_flight: usize,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Serving {
    pub generation: u64,
    pub version: String,
    pub digest: String,
    pub calls: u64,
    pub failures: u64,
    pub for_s: u64,
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
        Self {
            service: service.name.to_string(),
            revision: standing.revision,
            state: standing.state,
            reason: standing.reason,
            serving: service.current().map(|generation| Serving {
                generation: generation.number,
                version: generation.plugin.description.version.clone(),
                digest: generation.digest.clone(),
                calls: generation.calls(),
                failures: generation.failures(),
                for_s: generation.since.elapsed().as_secs(),
            }),
            in_flight: service.admission.inside(),
        }
    }
}
