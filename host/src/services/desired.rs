//! What shall run, as all hosts and operators share it.
//!
//! One value for each service, in the bucket `ward-services`. A change names the revision that it was made from, so that of two
//! operators who change the same service at the same time one is told to look again. The revisions that the bucket keeps
//! are the service's history.
//!
//! What was taken last of a service, by any host, is in the bucket `ward-taken`. Until something is, the service is a newcomer: nobody misses
//! it, and it takes no place from what has served before.

use serde::{Deserialize, Serialize};

use crate::bus::{Bucket, Bus, RegistryError};
use crate::clock;
use crate::config::ServiceName;

pub const BUCKET: &str = "ward-services";
const TAKEN: &str = "ward-taken";

/// What shall run of one service.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Desired {
    /// Gets all calls, but for the canary's share.
    pub stable: Version,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub canary: Option<Canary>,
    /// What was stable before, to go back to, the latest first. What was refused or gone back from is not among them.
    pub earlier: Vec<Version>,
    /// The highest number that was given to a generation.
    pub last: u64,
    pub note: Note,
}

/// An artifact under the number that its deployment gave it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Version {
    /// 1, 2, 3, … for each service. Going back to a version goes back to its number.
    pub generation: u64,
    /// SHA-256 of the artifact, in hexadecimal.
    pub digest: String,
    /// Why it may break a contract with another service; none: it may not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub forced: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Canary {
    pub version: Version,
    /// Its share of the calls, 1 to 99.
    pub percent: u8,
}

/// Who made the change, when, what it was, and why.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Note {
    /// RFC 3339.
    pub at: String,
    /// An operator's login name and machine, or a host that went back.
    pub by: String,
    pub change: Change,
    pub reason: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Change {
    Deployed,
    Canary,
    Promoted,
    RolledBack,
    /// By a host, because what was desired did not prove itself.
    WentBack,
    /// By a host: a newcomer was not taken. A host that begins tries it again.
    Refused,
    /// By a host that could take it after all.
    Taken,
}

/// What did not prove itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Failed {
    /// What was deployed then, and not the same artifact deployed once more.
    Generation(u64),
    /// The artifact, also under the number that it was given since: the host knew of that when it failed.
    Digest(String),
}

/// A change that does not fit what is desired now.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum Unfit {
    #[error("nothing serves yet that a canary could be held against: deploy without --canary first")]
    NothingToCompare,
    #[error(
        "a canary is under way (generation {generation}, {percent} %): `ward promote` or `ward rollback` it before \
         the next deployment"
    )]
    CanaryUnderWay { generation: u64, percent: u8 },
    #[error("the canary would be what serves already (generation {0})")]
    Same(u64),
    #[error("a canary's share is 1 to 99 percent")]
    Percent,
    #[error("there is no canary to promote: `ward deploy --canary PERCENT` begins one")]
    NoCanary,
    #[error("there is no version before this one")]
    NothingBefore,
    #[error("generation {wanted} is none of those to go back to: {have}")]
    UnknownGeneration { wanted: u64, have: String },
}

/// Earlier versions that are remembered.
const REMEMBERED: usize = 10;

impl Desired {
    /// What nothing served before.
    pub fn first(digest: &str, forced: Option<String>, note: Note) -> Self {
        let stable = Version { generation: 1, digest: digest.to_owned(), forced };
        Self { stable, canary: None, earlier: Vec::new(), last: 1, note }
    }

    /// `digest` in the place of what is stable.
    pub fn deploy(&self, digest: &str, forced: Option<String>, note: Note) -> Result<Self, Unfit> {
        if let Some(Canary { version, percent }) = &self.canary {
            return Err(Unfit::CanaryUnderWay { generation: version.generation, percent: *percent });
        }
        let next = self.next(digest, forced);
        Ok(Self { last: next.generation, earlier: self.remember(&next), stable: next, canary: None, note })
    }

    /// `digest` beside what is stable, for `percent` of the calls; or another share for the canary that is under way.
    pub fn try_out(&self, digest: &str, percent: u8, forced: Option<String>, note: Note) -> Result<Self, Unfit> {
        if !(1..=99).contains(&percent) {
            return Err(Unfit::Percent);
        }
        if self.is_refused() {
            return Err(Unfit::NothingToCompare);
        }
        if self.stable.digest == digest {
            return Err(Unfit::Same(self.stable.generation));
        }
        let version = match &self.canary {
            Some(canary) if canary.version.digest == digest => canary.version.clone(),
            Some(Canary { version, percent }) => {
                return Err(Unfit::CanaryUnderWay { generation: version.generation, percent: *percent });
            }
            None => self.next(digest, forced),
        };
        let last = self.last.max(version.generation);
        Ok(Self { canary: Some(Canary { version, percent }), last, note, ..self.clone() })
    }

    /// The canary becomes what is stable; with a share, it only gets that much.
    pub fn promote(&self, percent: Option<u8>, note: Note) -> Result<Self, Unfit> {
        let canary = self.canary.as_ref().ok_or(Unfit::NoCanary)?;
        if let Some(percent) = percent.filter(|percent| *percent != 100) {
            return self.try_out(&canary.version.digest, percent, None, note);
        }
        let stable = canary.version.clone();
        Ok(Self { earlier: self.remember(&stable), stable, canary: None, last: self.last, note })
    }

    /// Ends the canary if there is one, else goes back to the version before, or to the one named.
    pub fn go_back(&self, generation: Option<u64>, note: Note) -> Result<Self, Unfit> {
        let stays = generation.is_none_or(|wanted| wanted == self.stable.generation);
        if self.canary.is_some() && stays {
            return Ok(Self { canary: None, note, ..self.clone() });
        }
        let place = match generation {
            None => (!self.earlier.is_empty()).then_some(0).ok_or(Unfit::NothingBefore)?,
            Some(wanted) => {
                let place = self.earlier.iter().position(|version| version.generation == wanted);
                place.ok_or_else(|| Unfit::UnknownGeneration { wanted, have: numbers(&self.earlier) })?
            }
        };
        let stable = self.earlier.get(place).cloned().ok_or(Unfit::NothingBefore)?;
        let earlier = self.earlier.get(place + 1..).unwrap_or_default().to_vec();
        Ok(Self { stable, canary: None, earlier, last: self.last, note })
    }

    /// Without a version that did not prove itself: its canary ends, or `fallback` is stable again. None when it is not desired
    /// any more.
    pub fn without(&self, failed: &Failed, fallback: &Version, note: Note) -> Option<Self> {
        let is_it = |version: &Version| match failed {
            Failed::Generation(number) => version.generation == *number,
            Failed::Digest(digest) => version.digest == *digest,
        };
        if self.canary.as_ref().is_some_and(|canary| is_it(&canary.version)) {
            return Some(Self { canary: None, note, ..self.clone() });
        }
        if !is_it(&self.stable) {
            return None;
        }
        // What was gone back from is not among the earlier ones, and serves on when what was gone back to is not taken.
        let place = self.earlier.iter().position(|version| version.digest == fallback.digest);
        let earlier = self.earlier.get(place.map_or(0, |place| place + 1)..).unwrap_or_default().to_vec();
        Some(Self { stable: fallback.clone(), canary: None, earlier, last: self.last, note })
    }

    /// With the word that what is stable was not taken. None when that was said already.
    pub fn refused(&self, note: Note) -> Option<Self> {
        (!self.is_refused()).then(|| Self { canary: None, note, ..self.clone() })
    }

    /// With the word that it is taken after all. None when nobody had refused it.
    pub fn taken(&self, note: Note) -> Option<Self> {
        self.is_refused().then(|| Self { note, ..self.clone() })
    }

    pub fn is_refused(&self) -> bool {
        self.note.change == Change::Refused
    }

    /// What is stable, if it was ever taken.
    pub fn serving(&self) -> Option<&Version> {
        (!self.is_refused()).then_some(&self.stable)
    }

    fn next(&self, digest: &str, forced: Option<String>) -> Version {
        Version { generation: self.last + 1, digest: digest.to_owned(), forced }
    }

    /// What there is to go back to once `next` is stable.
    fn remember(&self, next: &Version) -> Vec<Version> {
        let all = self.serving().into_iter().chain(&self.earlier);
        all.filter(|version| version.digest != next.digest).take(REMEMBERED).cloned().collect()
    }
}

impl Note {
    pub fn new(by: impl Into<String>, change: Change, reason: impl Into<String>) -> Self {
        Self { at: clock::rfc3339(clock::now_micros()), by: by.into(), change, reason: reason.into() }
    }
}

fn numbers(versions: &[Version]) -> String {
    if versions.is_empty() {
        return "there are none".to_owned();
    }
    versions.iter().map(|version| version.generation.to_string()).collect::<Vec<_>>().join(", ")
}

/// What the bucket holds under a service's name.
#[derive(Debug, Clone, Default)]
pub struct Current {
    /// None when there is nothing, or nothing that this version of Ward can read.
    pub desired: Option<Desired>,
    /// 0 when there is nothing.
    pub revision: u64,
}

#[derive(Clone)]
pub struct DesiredState {
    pub bucket: Bucket,
    taken: Bucket,
}

impl DesiredState {
    pub async fn open(bus: &Bus) -> Result<Self, RegistryError> {
        Ok(Self { bucket: bus.bucket(BUCKET).await?, taken: bus.bucket(TAKEN).await? })
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

    /// What was desired, the earliest first, as far back as the bucket remembers.
    pub async fn history(&self, service: &ServiceName) -> Result<Vec<Desired>, RegistryError> {
        let revisions = self.bucket.history(service.as_str()).await?;
        let readable = revisions.iter().filter_map(|revised| serde_json::from_slice(&revised.value).ok());
        let mut history: Vec<Desired> = readable.collect();
        // What was only said again.
        history.dedup();
        Ok(history)
    }

    /// Sets what is desired, if nobody changed it since `current` was read. Returns the new revision.
    pub async fn set(&self, service: &ServiceName, current: &Current, desired: &Desired) -> Result<u64, RegistryError> {
        let value = serde_json::to_vec(desired).unwrap_or_default();
        self.bucket.replace(service.as_str(), value.into(), current.revision).await
    }

    /// The digest that a host has taken last.
    pub async fn taken(&self, service: &ServiceName) -> Result<Option<String>, RegistryError> {
        let taken = self.taken.get(service.as_str()).await?;
        Ok(taken.map(|digest| String::from_utf8_lossy(&digest.value).into_owned()))
    }

    /// Takes note of what a host has taken; nothing: the service was removed.
    pub async fn set_taken(&self, service: &ServiceName, digest: Option<&str>) -> Result<(), RegistryError> {
        match digest {
            Some(digest) => self.taken.put(service.as_str(), digest.to_owned().into()).await,
            None => self.taken.remove(service.as_str()).await,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn note() -> Note {
        Note { at: String::new(), by: "ann".into(), change: Change::Deployed, reason: String::new() }
    }

    fn deployed(digests: &[&str]) -> Desired {
        let first = Desired::first(digests[0], None, note());
        digests[1..].iter().fold(first, |desired, digest| desired.deploy(digest, None, note()).unwrap())
    }

    fn stable(desired: &Desired) -> (u64, &str) {
        (desired.stable.generation, &desired.stable.digest)
    }

    #[test]
    fn going_back_goes_further_back_each_time() {
        let desired = deployed(&["a", "b", "c"]);
        let back = desired.go_back(None, note()).unwrap();
        assert_eq!(stable(&back), (2, "b"));
        let back = back.go_back(None, note()).unwrap();
        assert_eq!(stable(&back), (1, "a"));
        assert_eq!(back.go_back(None, note()), Err(Unfit::NothingBefore));
        // A number is never given twice.
        assert_eq!(stable(&back.deploy("d", None, note()).unwrap()), (4, "d"));
    }

    #[test]
    fn goes_back_to_a_generation_by_its_number() {
        let desired = deployed(&["a", "b", "c"]);
        assert_eq!(stable(&desired.go_back(Some(1), note()).unwrap()), (1, "a"));
        let unknown = Unfit::UnknownGeneration { wanted: 9, have: "2, 1".into() };
        assert_eq!(desired.go_back(Some(9), note()), Err(unknown));
    }

    #[test]
    fn a_canary_grows_takes_over_or_ends() {
        let desired = deployed(&["a"]);
        let small = desired.try_out("b", 5, None, note()).unwrap();
        assert_eq!(stable(&small), (1, "a"));
        let larger = small.promote(Some(50), note()).unwrap();
        let canary = larger.canary.clone().unwrap();
        assert_eq!((canary.version.generation, canary.percent), (2, 50));
        let promoted = larger.promote(None, note()).unwrap();
        assert_eq!((stable(&promoted), promoted.canary.is_none()), ((2, "b"), true));
        assert_eq!(stable(&promoted.go_back(None, note()).unwrap()), (1, "a"));
        let ended = small.go_back(None, note()).unwrap();
        assert_eq!((stable(&ended), &ended.canary), ((1, "a"), &None));
    }

    #[test]
    fn a_canary_stands_in_nobodys_way_unseen() {
        let desired = deployed(&["a"]);
        let canary = desired.try_out("b", 5, None, note()).unwrap();
        assert!(matches!(canary.deploy("c", None, note()), Err(Unfit::CanaryUnderWay { generation: 2, percent: 5 })));
        assert!(matches!(canary.try_out("c", 5, None, note()), Err(Unfit::CanaryUnderWay { .. })));
        assert_eq!(desired.try_out("a", 5, None, note()), Err(Unfit::Same(1)));
        assert_eq!(desired.try_out("b", 100, None, note()), Err(Unfit::Percent));
        assert_eq!(desired.promote(None, note()), Err(Unfit::NoCanary));
    }

    #[test]
    fn what_failed_is_taken_out_if_it_is_still_desired() {
        let desired = deployed(&["a", "b", "c"]);
        let [second, first] = desired.earlier.as_slice() else { panic!("three were deployed") };
        let back = desired.without(&Failed::Generation(3), second, note()).unwrap();
        assert_eq!((stable(&back), back.earlier.as_slice()), ((2, "b"), std::slice::from_ref(first)));
        assert_eq!(stable(&desired.without(&Failed::Digest("c".to_owned()), first, note()).unwrap()), (1, "a"));
        assert_eq!(desired.without(&Failed::Digest("b".to_owned()), first, note()), None);
        // Deployed once more, while it still runs under its first number.
        let again = desired.deploy("b", None, note()).unwrap();
        assert_eq!(again.without(&Failed::Generation(2), first, note()), None);
        assert_eq!(stable(&again.without(&Failed::Digest("b".to_owned()), first, note()).unwrap()), (1, "a"));
        let canary = desired.try_out("d", 5, None, note()).unwrap();
        assert_eq!(canary.without(&Failed::Generation(4), second, note()).unwrap().canary, None);
    }

    #[test]
    fn what_was_refused_is_nothing_to_go_back_to() {
        let refusal = || Note { change: Change::Refused, ..note() };
        let refused = deployed(&["a"]).refused(refusal()).unwrap();
        assert_eq!((refused.is_refused(), stable(&refused)), (true, (1, "a")));
        assert_eq!(refused.refused(refusal()), None);
        assert_eq!(refused.taken(note()).map(|taken| taken.is_refused()), Some(false));
        assert_eq!(refused.try_out("b", 5, None, note()), Err(Unfit::NothingToCompare));
        for digest in ["a", "b"] {
            let anew = refused.deploy(digest, None, note()).unwrap();
            assert_eq!((stable(&anew), anew.is_refused(), anew.earlier.len()), ((2, digest), false, 0));
        }
    }

    #[test]
    fn what_was_gone_back_from_comes_back_when_the_one_before_is_not_taken() {
        let desired = deployed(&["a", "b", "c"]);
        let serving = desired.stable.clone();
        let gone_back = desired.go_back(Some(2), note()).unwrap();
        let again = gone_back.without(&Failed::Generation(2), &serving, note()).unwrap();
        assert_eq!((stable(&again), again.earlier.len()), ((3, "c"), 1));
    }
}
