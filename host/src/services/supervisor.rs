//! Brings this host to the desired state, and keeps it there.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, watch};

use super::desired::Desired;
use super::service::Watch;
use super::status::State;
use super::swap::{NotTaken, Swapper};
use super::{Generation, Service};
use crate::bus::RegistryError;
use crate::calls::worker::Workers;
use crate::config::ServiceName;
use crate::events::Consumers;

/// The pause before something that is missing outside is looked for again.
const RETRY: Duration = Duration::from_secs(1);

pub struct Supervisor {
    pub host: String,
    pub swapper: Swapper,
    pub workers: Workers,
    pub consumers: Consumers,
    /// Rung whenever another generation serves; the gateway makes its routes anew.
    pub changed: watch::Sender<()>,
}

/// What is wished of one service, and the revision of the wish.
type Wish = Option<(Desired, u64)>;

impl Supervisor {
    /// Takes note of what shall run, before anybody is told that there is nothing.
    pub async fn look_ahead(&self) -> Result<(), RegistryError> {
        for service in self.swapper.services.values() {
            if let Some((_, revision)) = self.swapper.desired.get(&service.name).await? {
                service.set_standing(revision.saturating_sub(1), State::Preparing, "not begun yet");
            }
        }
        Ok(())
    }

    /// Runs until the bucket's watch ends, which is never.
    pub async fn run(self: Arc<Self>, alarms: mpsc::UnboundedReceiver<Arc<Watch>>) {
        tokio::spawn(self.clone().hear_alarms(alarms));
        let mut wishes = std::collections::HashMap::new();
        let mut changes = self.swapper.desired.bucket.watch();
        while let Some(change) = changes.recv().await {
            let Some(service) = ServiceName::parse(&change.key).and_then(|name| self.swapper.services.get(&name))
            else {
                tracing::warn!(
                    service = change.key,
                    "not in this host's configuration, so it does not run here"
                );
                continue;
            };
            let wish: Wish = change
                .revised
                .and_then(|revised| Some((serde_json::from_slice(&revised.value).ok()?, revised.revision)));
            let sender = wishes.entry(change.key).or_insert_with(|| {
                let (sender, receiver) = watch::channel::<Wish>(None);
                tokio::spawn(self.clone().follow(service.clone(), receiver));
                sender
            });
            sender.send_replace(wish);
        }
    }

    /// One service, one wish after another; of several wishes the newest counts.
    async fn follow(self: Arc<Self>, service: Arc<Service>, mut wishes: watch::Receiver<Wish>) {
        while wishes.changed().await.is_ok() {
            let wish = wishes.borrow_and_update().clone();
            match wish {
                None => self.remove(&service).await,
                Some((desired, revision)) => self.bring(&service, &desired, revision, &mut wishes).await,
            }
        }
    }

    async fn remove(&self, service: &Arc<Service>) {
        self.workers.stop(service).await;
        self.consumers.stop(service).await;
        service.watch(None);
        service.swap(None);
        service.set_standing(0, State::Absent, "removed from the desired state");
        self.changed.send_replace(());
    }

    async fn bring(
        &self,
        service: &Arc<Service>,
        desired: &Desired,
        revision: u64,
        wishes: &mut watch::Receiver<Wish>,
    ) {
        if service
            .current()
            .is_some_and(|current| current.digest == desired.digest)
        {
            service.set_standing(revision, State::Running, desired.reason.clone());
            return;
        }
        service.set_standing(revision, State::Preparing, "compiling and checking");
        loop {
            match self.swapper.prepare(service, revision, &desired.digest).await {
                Ok(generation) => return self.serve(service, generation, desired).await,
                Err(error) if error.is_passing() => {
                    tracing::warn!(service = service.name.as_str(), revision, %error, "waiting for what is missing");
                    service.set_standing(revision, State::Waiting, error.to_string());
                    // A newer wish ends the waiting.
                    if tokio::time::timeout(RETRY, wishes.changed()).await.is_ok() {
                        wishes.mark_changed();
                        return;
                    }
                }
                Err(error) => return self.refuse(service, desired, revision, error).await,
            }
        }
    }

    async fn serve(&self, service: &Arc<Service>, generation: Generation, desired: &Desired) {
        let (number, version) = (generation.number, generation.plugin.description.version.clone());
        let old = self.swapper.swap(service, generation);
        if let Err(error) = self.workers.ensure(service).await {
            tracing::error!(service = service.name.as_str(), %error, "cannot take calls");
            service.set_standing(number, State::Waiting, error.to_string());
            return;
        }
        self.consumers.ensure(service).await;
        self.changed.send_replace(());
        service.set_standing(number, State::Running, desired.reason.clone());
        tracing::info!(service = service.name.as_str(), generation = number, version, "serving");
        self.end_later(service, old);
    }

    /// The old generation is drained, and the watch over the new one ends with its time.
    fn end_later(&self, service: &Arc<Service>, old: Option<Arc<Generation>>) {
        let Some(old) = old else { return };
        let (service, watch_s) = (service.clone(), self.swapper.swap.watch_s);
        let drain_s = self.swapper.swap.drain_s;
        let watch = service.current().and_then(|current| service.watch_over(&current));
        tokio::spawn(async move {
            super::swap::drain(service.name.as_str(), &old, drain_s).await;
            tokio::time::sleep(Duration::from_secs(watch_s)).await;
            if let Some(watch) = watch {
                service.end_watch(&watch);
            }
        });
    }

    async fn refuse(&self, service: &Arc<Service>, desired: &Desired, revision: u64, error: NotTaken) {
        tracing::error!(service = service.name.as_str(), revision, digest = desired.digest, %error, "not taken");
        service.set_standing(revision, State::Refused, error.to_string());
        if let Some(current) = service.current() {
            self.wish_back(service, revision, &current.digest, format!("went back: {error}"))
                .await;
        }
    }

    /// A generation failed its first calls; the one before serves again already.
    async fn hear_alarms(self: Arc<Self>, mut alarms: mpsc::UnboundedReceiver<Arc<Watch>>) {
        while let Some(watch) = alarms.recv().await {
            let failed = &watch.generation;
            let Some(service) =
                ServiceName::parse(&failed.context.name).and_then(|name| self.swapper.services.get(&name).cloned())
            else {
                continue;
            };
            let reason = format!("went back: generation {} failed its first calls", failed.number);
            tracing::error!(service = service.name.as_str(), generation = failed.number, "{reason}");
            self.consumers.ensure(&service).await;
            self.changed.send_replace(());
            service.set_standing(failed.number, State::Refused, reason.clone());
            self.wish_back(&service, failed.number, &watch.before.digest, reason)
                .await;
        }
    }

    /// Makes `digest` the wish of all hosts, unless somebody wished something else meanwhile.
    async fn wish_back(&self, service: &Service, refused: u64, digest: &str, reason: String) {
        let current = match self.swapper.desired.get(&service.name).await {
            Ok(Some(current)) if current.1 == refused => current,
            Ok(_) => return,
            Err(error) => return tracing::error!(%error, "cannot tell the other hosts to go back"),
        };
        let by = self.host.clone();
        if let Err(error) = self
            .swapper
            .desired
            .set(&service.name, digest, Some(&current), by, reason)
            .await
        {
            tracing::warn!(%error, "did not tell the other hosts to go back");
        }
    }
}
