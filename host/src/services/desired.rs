//! What shall run, as all hosts and operators share it.

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::bus::{Bucket, Bus, Objects, RegistryError};
use crate::clock;
use crate::config::ServiceName;

pub const BUCKET: &str = "ward-services";
pub const ARTIFACTS: &str = "ward-artifacts";

/// What shall run of one service. Its revision in the bucket is the generation's number.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Desired {
    /// SHA-256 of the artifact, in hexadecimal.
    pub digest: String,
    /// What ran before, to go back to.
    pub previous: Option<String>,
    /// RFC 3339.
    pub at: String,
    /// Who set it: an operator's login name, or a host that went back.
    pub by: String,
    /// Why: `deployed`, or what made somebody go back.
    pub reason: String,
}

#[derive(Clone)]
pub struct DesiredState {
    pub bucket: Bucket,
    pub artifacts: Objects,
}

impl DesiredState {
    pub async fn open(bus: &Bus) -> Result<Self, RegistryError> {
        Ok(Self {
            bucket: bus.bucket(BUCKET).await?,
            artifacts: bus.objects(ARTIFACTS).await?,
        })
    }

    /// The desired state and its revision.
    pub async fn get(&self, service: &ServiceName) -> Result<Option<(Desired, u64)>, RegistryError> {
        let revised = self.bucket.get(service.as_str()).await?;
        Ok(revised.and_then(|revised| Some((serde_json::from_slice(&revised.value).ok()?, revised.revision))))
    }

    /// Stores an artifact under its digest, which is returned.
    pub async fn push(&self, artifact: &[u8]) -> Result<String, RegistryError> {
        let digest = digest(artifact);
        if !self.artifacts.contains(&digest).await {
            self.artifacts.put(&digest, artifact).await?;
        }
        Ok(digest)
    }

    /// Makes `digest` the desired one, if nobody changed it since `current` was read. Returns the new revision.
    pub async fn set(
        &self,
        service: &ServiceName,
        digest: &str,
        current: Option<&(Desired, u64)>,
        by: String,
        reason: String,
    ) -> Result<u64, RegistryError> {
        let desired = Desired {
            digest: digest.to_owned(),
            previous: current
                .map(|(desired, _)| desired.digest.clone())
                .filter(|previous| previous != digest),
            at: clock::rfc3339(clock::now_micros()),
            by,
            reason,
        };
        let value = serde_json::to_vec(&desired).unwrap_or_default();
        let revision = current.map_or(0, |(_, revision)| *revision);
        self.bucket.replace(service.as_str(), value.into(), revision).await
    }
}

pub fn digest(artifact: &[u8]) -> String {
    use std::fmt::Write;
    Sha256::digest(artifact)
        .iter()
        .fold(String::with_capacity(64), |mut text, byte| {
            let _ = write!(text, "{byte:02x}");
            text
        })
}
