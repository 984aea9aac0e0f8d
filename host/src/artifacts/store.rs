//! The object store of artifacts, and the one way by which an artifact comes out of it: [`Artifacts::fetch_verified`].

use std::collections::HashSet;
use std::time::Duration;

use super::trust::Signatures;
use super::{Digest, Signature, SigningKeyFile, Trust, Verdict, digest};
use crate::bus::{Bus, ObjectEntry, Objects, RegistryError};
use crate::{clock, config};

const BUCKET: &str = "ward-artifacts";

/// Room for some hundred signatures.
const SIGNATURES_BYTES: usize = 64 << 10;

/// Copies may be behind for a moment; so often, with this pause, what is missing there is looked for again.
const LOOKS: u32 = 5;
const PAUSE: Duration = Duration::from_millis(200);

/// Why there is no artifact to load.
#[derive(Debug, thiserror::Error)]
pub enum ArtifactError {
    #[error(transparent)]
    Registry(#[from] RegistryError),
    #[error("{0:?} is not the digest of an artifact (64 hexadecimal digits)")]
    NotADigest(String),
    #[error("there is no artifact {0} in the object store; `ward push FILE` puts it there")]
    Missing(String),
    #[error("{prefix} is the beginning of {count} digests; give more of it")]
    Ambiguous { prefix: String, count: usize },
    #[error(
        "the artifact {0} is not what its digest says: its bytes were changed or cut off in the object store; `ward push FILE` mends it"
    )]
    Tampered(Digest),
    #[error("the artifact {name} is larger than artifacts.max_mb ({max_mb} MiB)")]
    TooLarge { name: String, max_mb: usize },
    #[error("reading the artifact {digest} took longer than artifacts.fetch_timeout_s ({limit_s} s)")]
    TimedOut { digest: Digest, limit_s: u64 },
    #[error(
        "the artifact {0} is not signed, and artifacts.trusted_keys asks for it: `ward push FILE --key KEY` signs it"
    )]
    Unsigned(Digest),
    #[error("the artifact {digest} is signed by {keys}, and none of them is in artifacts.trusted_keys")]
    UnknownKey { digest: Digest, keys: String },
    #[error(
        "the signature of the artifact {digest} by the trusted key {key} is wrong: it is not that key's over this digest"
    )]
    WrongSignature { digest: Digest, key: String },
    #[error("what lies beside the artifact {0} is no list of signatures; `ward push FILE --key KEY` writes it anew")]
    UnreadableSignature(Digest),
}

impl ArtifactError {
    /// The store could not be asked, or not in time; that says nothing of the artifact.
    pub fn is_passing(&self) -> bool {
        matches!(self, Self::Registry(RegistryError::Failed { .. }) | Self::TimedOut { .. })
    }

    /// Can it be that a copy of the store has not heard of it yet?
    fn is_absence(&self) -> bool {
        matches!(self, Self::Missing(_) | Self::Unsigned(_) | Self::UnknownKey { .. })
    }
}

/// An artifact that is in the store now.
#[derive(Debug, Clone)]
pub struct Pushed {
    pub digest: Digest,
    /// False when it was there before.
    pub is_new: bool,
    /// The key that signed it now.
    pub signed_by: Option<String>,
}

/// An artifact in the store.
#[derive(Debug, Clone)]
pub struct Stored {
    digest: Digest,
    /// Bytes.
    size: usize,
    /// Microseconds since the epoch when it was pushed, or deployed by its digest, the last time.
    wanted_at_us: i64,
}

/// What [`Artifacts::prune`] did, or would do.
#[derive(Debug, Clone, Default, serde::Serialize)]
pub struct Pruned {
    pub removed: Vec<Digest>,
    /// Bytes.
    pub freed: usize,
    /// Artifacts that stay.
    pub kept: usize,
}

/// The store of all hosts and operators.
#[derive(Clone)]
pub struct Artifacts {
    objects: Objects,
    trust: Trust,
    config: config::Artifacts,
    looks: u32,
}

impl Artifacts {
    pub async fn open(bus: &Bus, config: &config::Artifacts) -> Result<Self, RegistryError> {
        Ok(Self {
            objects: bus.objects(BUCKET).await?,
            trust: Trust::new(config.trusted_keys.clone()),
            config: config.clone(),
            looks: if bus.is_replicated() { LOOKS } else { 1 },
        })
    }

    pub fn trust(&self) -> &Trust {
        &self.trust
    }

    /// Stores an artifact under its digest, and the key's signature beside it. Repeating it mends what was damaged, and makes
    /// the artifact young again for [`Self::prune`].
    pub async fn push(&self, artifact: &[u8], key: Option<&SigningKeyFile>) -> Result<Pushed, ArtifactError> {
        let digest = Digest::of(artifact);
        self.check_size(digest.as_str(), artifact.len())?;
        let is_new = self.fetch(&digest).await.is_err();
        if is_new {
            self.objects.put(digest.as_str(), artifact).await?;
        } else {
            self.want(&digest).await?;
        }
        if let Some(key) = key {
            self.add_signature(&digest, key.sign(&digest)).await?;
        }
        Ok(Pushed { digest, is_new, signed_by: key.map(|key| key.public().id()) })
    }

    /// An artifact counts as pushed now, if it is there: whoever is about to deploy it has `artifacts.keep_s` for that.
    pub async fn want(&self, digest: &Digest) -> Result<(), RegistryError> {
        self.objects.touch(digest.as_str()).await
    }

    /// The bytes of an artifact that a host may load: they are of this digest, and somebody trusted has signed it where
    /// that is asked for.
    pub async fn fetch_verified(&self, digest: &str) -> Result<Vec<u8>, ArtifactError> {
        let digest = Digest::parse(digest).ok_or_else(|| ArtifactError::NotADigest(digest.to_owned()))?;
        let mut looks = 1;
        loop {
            match self.try_to_fetch_verified(&digest).await {
                Err(error) if error.is_absence() && looks < self.looks => looks += 1,
                outcome => return outcome,
            }
            tokio::time::sleep(PAUSE).await;
        }
    }

    async fn try_to_fetch_verified(&self, digest: &Digest) -> Result<Vec<u8>, ArtifactError> {
        let verdict = self.verdict(digest).await?;
        if !self.trust.accepts(&verdict) {
            return Err(refusal(digest, verdict));
        }
        self.fetch(digest).await
    }

    /// The bytes of an artifact, whoever signed it.
    pub async fn fetch(&self, digest: &Digest) -> Result<Vec<u8>, ArtifactError> {
        let (limit, limit_s) = (self.config.max_mb << 20, self.config.fetch_timeout_s);
        let reading = self.objects.get(digest.as_str(), limit);
        let read = tokio::time::timeout(Duration::from_secs(limit_s), reading)
            .await
            .map_err(|_| ArtifactError::TimedOut { digest: digest.clone(), limit_s })?;
        let bytes = read.map_err(|error| match error {
            RegistryError::Missing(name) => ArtifactError::Missing(name),
            RegistryError::Damaged(_) => ArtifactError::Tampered(digest.clone()),
            RegistryError::TooLarge { name, .. } => ArtifactError::TooLarge { name, max_mb: self.config.max_mb },
            error => ArtifactError::Registry(error),
        })?;
        if Digest::of(&bytes) == *digest { Ok(bytes) } else { Err(ArtifactError::Tampered(digest.clone())) }
    }

    /// What the signatures beside an artifact are worth here.
    pub async fn verdict(&self, digest: &Digest) -> Result<Verdict, RegistryError> {
        Ok(self.trust.judge(digest, self.signatures(digest).await?.as_deref()))
    }

    /// The artifact whose digest begins like this.
    pub async fn resolve(&self, prefix: &str) -> Result<Digest, ArtifactError> {
        if let Some(digest) = Digest::parse(prefix) {
            return Ok(digest);
        }
        if !digest::is_prefix(prefix) {
            return Err(ArtifactError::NotADigest(prefix.to_owned()));
        }
        let stored = self.list().await?.into_iter().map(|stored| stored.digest);
        let mut found: Vec<Digest> = stored.filter(|digest| digest.as_str().starts_with(prefix)).collect();
        match (found.pop(), found.len()) {
            (Some(digest), 0) => Ok(digest),
            (Some(_), others) => Err(ArtifactError::Ambiguous { prefix: prefix.to_owned(), count: others + 1 }),
            (None, _) => Err(ArtifactError::Missing(prefix.to_owned())),
        }
    }

    /// All artifacts, in no order.
    pub async fn list(&self) -> Result<Vec<Stored>, RegistryError> {
        Ok(self.objects.list().await?.into_iter().filter_map(Stored::of).collect())
    }

    /// Removes those of `stored` that nothing refers to, but for the `keep` youngest of them and those that are younger than
    /// `artifacts.keep_s`. What is referred to has to be looked up after `stored` was.
    pub async fn prune(
        &self,
        stored: Vec<Stored>,
        referenced: &HashSet<Digest>,
        keep: usize,
        rehearsal: Rehearsal,
    ) -> Result<Pruned, RegistryError> {
        let mut pruned = Pruned { kept: stored.len(), ..Pruned::default() };
        let until_us = clock::now_micros().saturating_sub(self.keep_us());
        for old in surplus(stored, referenced, keep, until_us) {
            if rehearsal == Rehearsal::Yes || self.remove(&old).await? {
                pruned.kept -= 1;
                pruned.freed += old.size;
                pruned.removed.push(old.digest);
            }
        }
        Ok(pruned)
    }

    /// False when somebody wanted it since it was looked at.
    async fn remove(&self, old: &Stored) -> Result<bool, RegistryError> {
        let now = self.objects.entry(old.digest.as_str()).await?;
        if now.is_some_and(|entry| entry.stored_at_us > old.wanted_at_us) {
            return Ok(false);
        }
        self.objects.remove(old.digest.as_str()).await?;
        self.objects.remove(&beside(&old.digest)).await?;
        Ok(true)
    }

    fn keep_us(&self) -> i64 {
        i64::try_from(self.config.keep_s).unwrap_or(i64::MAX).saturating_mul(1_000_000)
    }

    async fn signatures(&self, digest: &Digest) -> Result<Option<Vec<u8>>, RegistryError> {
        let limit = Duration::from_secs(self.config.fetch_timeout_s);
        let name = beside(digest);
        let reading = self.objects.get(&name, SIGNATURES_BYTES);
        match tokio::time::timeout(limit, reading).await {
            Ok(Ok(bytes)) => Ok(Some(bytes)),
            Ok(Err(RegistryError::Missing(_))) => Ok(None),
            // No signatures, as a judge sees it, and not the same as none.
            Ok(Err(RegistryError::Damaged(_) | RegistryError::TooLarge { .. })) => Ok(Some(Vec::new())),
            Ok(Err(error)) => Err(error),
            Err(_) => {
                let message = "it took longer than artifacts.fetch_timeout_s".to_owned();
                Err(RegistryError::Failed { action: "reading a signature", message })
            }
        }
    }

    async fn add_signature(&self, digest: &Digest, signature: Signature) -> Result<(), RegistryError> {
        let present = self.signatures(digest).await?.unwrap_or_default();
        let mut signatures: Signatures = serde_json::from_slice(&present).unwrap_or_default();
        signatures.add(signature);
        let bytes = serde_json::to_vec(&signatures).unwrap_or_default();
        if bytes == present { Ok(()) } else { self.objects.put(&beside(digest), &bytes).await }
    }

    fn check_size(&self, name: &str, size: usize) -> Result<(), ArtifactError> {
        let max_mb = self.config.max_mb;
        if size <= max_mb << 20 { Ok(()) } else { Err(ArtifactError::TooLarge { name: name.to_owned(), max_mb }) }
    }
}

impl Stored {
    /// None for what lies beside an artifact.
    fn of(entry: ObjectEntry) -> Option<Self> {
        let digest = Digest::parse(&entry.name)?;
        Some(Self { digest, size: entry.size, wanted_at_us: entry.stored_at_us })
    }
}

/// Shall [`Artifacts::prune`] only say what it would do?
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rehearsal {
    Yes,
    No,
}

/// The name of the object with an artifact's signatures.
fn beside(digest: &Digest) -> String {
    format!("{digest}.sig")
}

fn refusal(digest: &Digest, verdict: Verdict) -> ArtifactError {
    let digest = digest.clone();
    match verdict {
        Verdict::UnknownKey { keys } => ArtifactError::UnknownKey { digest, keys: keys.join(", ") },
        Verdict::WrongSignature { key } => ArtifactError::WrongSignature { digest, key },
        Verdict::Unreadable => ArtifactError::UnreadableSignature(digest),
        Verdict::Unsigned | Verdict::Trusted { .. } => ArtifactError::Unsigned(digest),
    }
}

/// What may go: unreferenced, wanted for the last time before `until_us`, and not among the `keep` youngest such.
fn surplus(stored: Vec<Stored>, referenced: &HashSet<Digest>, keep: usize, until_us: i64) -> Vec<Stored> {
    let mut free: Vec<_> = stored.into_iter().filter(|one| !referenced.contains(&one.digest)).collect();
    free.sort_by_key(|one| std::cmp::Reverse(one.wanted_at_us));
    free.into_iter().skip(keep).filter(|one| one.wanted_at_us <= until_us).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prunes_what_is_old_unreferenced_and_beyond_the_bound() {
        let digests: Vec<Digest> = (0u8..5).map(|number| Digest::of(&[number])).collect();
        let stored = |(age, digest): (usize, &Digest)| ObjectEntry {
            name: digest.to_string(),
            size: 1,
            stored_at_us: 100 - age as i64,
        };
        let mut entries: Vec<ObjectEntry> = digests.iter().enumerate().map(stored).collect();
        entries.push(ObjectEntry { name: beside(&digests[4]), size: 1, stored_at_us: 0 });
        let referenced = HashSet::from([digests[3].clone()]);
        let removed = |keep, until_us| -> Vec<Digest> {
            let stored = entries.iter().cloned().filter_map(Stored::of).collect();
            surplus(stored, &referenced, keep, until_us).into_iter().map(|one| one.digest).collect()
        };
        assert_eq!(removed(2, 1000), [digests[2].clone(), digests[4].clone()]);
        assert_eq!(removed(0, 97), [digests[4].clone()]);
        assert_eq!(removed(4, 1000), Vec::<Digest>::new());
    }

    #[test]
    fn only_what_says_nothing_of_the_artifact_is_waited_for() {
        let digest = Digest::of(b"");
        let failed = RegistryError::Failed { action: "reading", message: String::new() };
        assert!(ArtifactError::Registry(failed).is_passing());
        assert!(!ArtifactError::Tampered(digest.clone()).is_passing());
        assert!(!refusal(&digest, Verdict::Unsigned).is_passing());
    }
}
