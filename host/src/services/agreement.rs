//! What a host that has tried a version tells all others: what it took, and what nobody shall desire any more.

use std::sync::Arc;

use super::desired::{Change, Desired, Failed, Note, Version};
use super::supervisor::RETRY;
use super::{Service, Supervisor};
use crate::bus::RegistryError;

impl Supervisor {
    /// Tells all hosts, also those that begin later, what was taken last of a service.
    pub(super) async fn note_taken(&self, service: &Arc<Service>, digest: Option<&str>) {
        if !service.set_taken(digest) {
            return;
        }
        let desired = self.swapper.desired.clone();
        let Err(error) = desired.set_taken(&service.name, digest).await else { return };
        tracing::warn!(%error, service = service.name.as_str(), "cannot take note of what serves; trying again");
        let service = service.clone();
        tokio::spawn(async move {
            while desired.set_taken(&service.name, service.taken().as_deref()).await.is_err() {
                tokio::time::sleep(RETRY).await;
            }
        });
    }

    /// Says that a newcomer was not taken, unless there is a newer wish.
    pub(super) async fn say_refused(&self, service: &Service, revision: u64, reason: &str) {
        let note = || Note::new(&self.host, Change::Refused, reason);
        self.agree(service, |desired, now| desired.refused(note()).filter(|_| now == revision)).await;
    }

    /// Takes that back.
    pub(super) async fn say_taken(&self, service: &Service, revision: u64) {
        let note = || Note::new(&self.host, Change::Taken, "it could be taken after all");
        self.agree(service, |desired, now| desired.taken(note()).filter(|_| now == revision)).await;
    }

    /// Takes a version that did not prove itself out of what all hosts desire, unless somebody did so meanwhile. Until that is
    /// done, a host that starts would begin with it.
    /// `known` is the revision that the host had heard of when it failed.
    pub(super) async fn wish_back(
        &self,
        service: &Service,
        failed: &Version,
        known: u64,
        fallback: &Version,
        reason: &str,
    ) {
        let note = || Note::new(&self.host, Change::WentBack, format!("generation {}: {reason}", failed.generation));
        let failed_at = |now| match now <= known {
            true => Failed::Digest(failed.digest.clone()),
            false => Failed::Generation(failed.generation),
        };
        self.agree(service, |desired, now| desired.without(&failed_at(now), fallback, note())).await;
    }

    /// Changes what all hosts desire, and its revision, by what this one has found, if there still is something to be changed.
    async fn agree(&self, service: &Service, change: impl Fn(&Desired, u64) -> Option<Desired>) {
        loop {
            match self.try_to_agree(service, &change).await {
                Ok(()) => return,
                Err(RegistryError::Overtaken { .. }) => continue,
                Err(error) => tracing::warn!(%error, "cannot tell the other hosts what to desire; trying again"),
            }
            tokio::time::sleep(RETRY).await;
        }
    }

    async fn try_to_agree(
        &self,
        service: &Service,
        change: impl Fn(&Desired, u64) -> Option<Desired>,
    ) -> Result<(), RegistryError> {
        let current = self.swapper.desired.get(&service.name).await?;
        match current.desired.as_ref().and_then(|desired| change(desired, current.revision)) {
            Some(desired) => self.swapper.desired.set(&service.name, &current, &desired).await.map(|_| ()),
            None => Ok(()),
        }
    }
}
