//! What shall run, as all hosts and operators share it.

use serde::{Deserialize, Serialize};

use crate::bus::{Bucket, Bus, RegistryError};
use crate::clock;
use crate::config::ServiceName;

pub const BUCKET: &str = "ward-services";

/// What shall run of one service. Its revision in the bucket is the generation's number.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Desired {
    /// SHA-256 of the artifact, in hexadecimal.
    pub digest: String,
    /// What ran before, to go back to, the latest first. What was gone back from is not among them.
    pub earlier: Vec<String>,
    /// RFC 3339.
    pub at: String,
    /// Who set it: an operator's login name, or a host that went back.
    pub by: String,
    /// Why: `deployed`, or what made somebody go back.
    pub reason: String,
}

/// What the bucket holds under a service's name.
#[derive(Debug, Clone, Default)]
pub struct Current {
    /// None when there is nothing, or nothing that this version of Ward can read.
    pub desired: Option<Desired>,
    /// 0 when there is nothing.
    pub revision: u64,
}

/// Earlier versions that are remembered.
const REMEMBERED: usize = 10;

#[derive(Clone)]
pub struct DesiredState {
    pub bucket: Bucket,
}

impl DesiredState {
    pub async fn open(bus: &Bus) -> Result<Self, RegistryError> {
        Ok(Self { bucket: bus.bucket(BUCKET).await? })
    }

    /// The desired state and its revision.
    pub async fn get(&self, service: &ServiceName) -> Result<Current, RegistryError> {
        Ok(match self.bucket.get(service.as_str()).await? {
            None => Current::default(),
            Some(revised) => {
                Current { desired: serde_json::from_slice(&revised.value).ok(), revision: revised.revision }
            }
        })
    }

    /// Makes `digest` the desired one, if nobody changed it since `current` was read. Returns the new revision.
    pub async fn advance(
        &self,
        service: &ServiceName,
        current: &Current,
        digest: &str,
        by: String,
        reason: String,
    ) -> Result<u64, RegistryError> {
        let mut earlier = Vec::new();
        if let Some(desired) = &current.desired {
            earlier.extend([desired.digest.clone()].into_iter().chain(desired.earlier.iter().cloned()));
            earlier.retain(|one| one != digest);
            earlier.truncate(REMEMBERED);
        }
        self.set(service, current.revision, Desired { digest: digest.to_owned(), earlier, at: now(), by, reason }).await
    }

    /// Goes back to `digest`, or to the latest of the earlier ones. What it is gone back from is forgotten, so that going back again
    /// goes further back. None when there is nothing to go back to.
    pub async fn go_back(
        &self,
        service: &ServiceName,
        current: &Current,
        digest: Option<&str>,
        by: String,
        reason: String,
    ) -> Result<Option<(String, u64)>, RegistryError> {
        let earlier = current.desired.as_ref().map(|desired| desired.earlier.as_slice()).unwrap_or_default();
        let Some(digest) = digest.or(earlier.first().map(String::as_str)) else { return Ok(None) };
        let place = earlier.iter().position(|one| one == digest).map_or(0, |place| place + 1);
        let earlier = earlier.get(place..).unwrap_or_default().to_vec();
        let desired = Desired { digest: digest.to_owned(), earlier, at: now(), by, reason };
        let revision = self.set(service, current.revision, desired).await?;
        Ok(Some((digest.to_owned(), revision)))
    }

    async fn set(&self, service: &ServiceName, revision: u64, desired: Desired) -> Result<u64, RegistryError> {
        let value = serde_json::to_vec(&desired).unwrap_or_default();
        self.bucket.replace(service.as_str(), value.into(), revision).await
    }
}

fn now() -> String {
    clock::rfc3339(clock::now_micros())
}
