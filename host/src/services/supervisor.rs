//! Brings this host to the desired state, and keeps it there.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, watch};

use super::desired::Desired;
use super::service::Watch;
use super::status::State;
use super::swap::{NotTaken, Swapper};
use super::{Generation, Service};
use crate::bus::{Change, RegistryError};
use crate::calls::worker::Workers;
use crate::config::{ServiceConfig, ServiceName};
use crate::events::Consumers;

/// The pause before something that is missing outside is looked for again.
const RETRY: Duration = Duration::from_secs(1);

/// How often the configuration is searched for services that shall run and are not in it.
const LOOK_AGAIN: Duration = Duration::from_secs(2);

/// Where services come from.
pub trait Openings: Send + Sync {
    /// What the operator says of a service now; the configuration is read anew.
    fn settings(&self, name: &ServiceName) -> Option<ServiceConfig>;

    /// A service that this host did not know of. None as long as the configuration does not have it.
    fn open(&self, name: &ServiceName) -> Option<Service>;
}

pub struct Supervisor {
    pub host: String,
    pub openings: Arc<dyn Openings>,
    pub swapper: Swapper,
    pub workers: Workers,
    pub consumers: Consumers,
    /// Rung whenever another generation serves; the gateway makes its routes anew.
    pub changed: watch::Sender<()>,
}

/// What is wished of one service.
#[derive(Debug, Clone)]
enum Wish {
    Nothing(u64),
    Desired(Desired, u64),
    /// A value that this version of Ward cannot read.
    Unreadable(u64),
}

impl Wish {
    fn of(change: &Change) -> Self {
        let Some(value) = &change.value else { return Self::Nothing(change.revision) };
        match serde_json::from_slice(value) {
            Ok(desired) => Self::Desired(desired, change.revision),
            Err(_) => Self::Unreadable(change.revision),
        }
    }
}

impl Supervisor {
    /// Takes note of what shall run, before anybody is told that there is nothing.
    pub async fn look_ahead(&self) -> Result<(), RegistryError> {
        for service in self.swapper.services.all() {
            let current = self.swapper.desired.get(&service.name).await?;
            if current.desired.is_some() {
                service.set_standing(current.revision.saturating_sub(1), State::Preparing, "not begun yet");
            }
        }
        Ok(())
    }

    /// Runs until the bucket's watch ends, which is never.
    pub async fn run(self: Arc<Self>, alarms: mpsc::UnboundedReceiver<Arc<Watch>>) {
        tokio::spawn(self.clone().hear_alarms(alarms));
        let mut wishes = HashMap::new();
        let mut strangers = HashMap::new();
        let mut changes = self.swapper.desired.bucket.watch();
        let mut look = tokio::time::interval(LOOK_AGAIN);
        look.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                change = changes.recv() => match change {
                    Some(change) => drop(strangers.insert(change.key.clone(), change)),
                    None => return,
                },
                _ = look.tick(), if !strangers.is_empty() => {}
            }
            strangers.retain(|_, change| !self.take_note(&mut wishes, change));
        }
    }

    /// Hands a wish to whoever follows its service. False as long as this host's configuration does not have the service.
    fn take_note(self: &Arc<Self>, wishes: &mut HashMap<String, watch::Sender<Wish>>, change: &Change) -> bool {
        let wish = Wish::of(change);
        let Some(name) = ServiceName::parse(&change.key) else { return true };
        let Some(service) = self.find(&name, &wish) else {
            tracing::debug!(service = change.key, "not in this host's configuration, so it does not run here");
            return matches!(wish, Wish::Nothing(_));
        };
        let sender = wishes.entry(change.key.clone()).or_insert_with(|| {
            let (sender, receiver) = watch::channel(Wish::Nothing(0));
            tokio::spawn(self.clone().follow(service, receiver));
            sender
        });
        sender.send_replace(wish);
        true
    }

    fn find(&self, name: &ServiceName, wish: &Wish) -> Option<Arc<Service>> {
        let known = self.swapper.services.get(name);
        if known.is_some() || matches!(wish, Wish::Nothing(_)) {
            return known;
        }
        let service = self.openings.open(name)?;
        tracing::info!(service = name.as_str(), "a new service");
        Some(self.swapper.services.add(service))
    }

    /// One service, one wish after another; of several wishes the newest counts.
    async fn follow(self: Arc<Self>, service: Arc<Service>, mut wishes: watch::Receiver<Wish>) {
        while wishes.changed().await.is_ok() {
            let wish = wishes.borrow_and_update().clone();
            match wish {
                Wish::Nothing(revision) => self.remove(&service, revision).await,
                Wish::Desired(desired, revision) => self.bring(&service, &desired, revision, &mut wishes).await,
                Wish::Unreadable(revision) => {
                    let reason = "the desired state cannot be read: is it a newer Ward's? `ward deploy` writes it anew";
                    tracing::error!(service = service.name.as_str(), revision, "{reason}");
                    service.set_standing(revision, State::Refused, reason);
                }
            }
        }
    }

    async fn remove(&self, service: &Arc<Service>, revision: u64) {
        self.workers.stop(service).await;
        self.consumers.stop(service).await;
        service.watch(None);
        service.swap(None);
        service.set_standing(revision, State::Absent, "removed from the desired state");
        self.changed.send_replace(());
    }

    async fn bring(
        &self,
        service: &Arc<Service>,
        desired: &Desired,
        revision: u64,
        wishes: &mut watch::Receiver<Wish>,
    ) {
        if service.current().is_some_and(|current| current.digest == desired.digest) {
            return self.announce(service, revision, State::Running, &desired.reason, wishes).await;
        }
        service.set_standing(revision, State::Preparing, "compiling and checking");
        match self.prepare(service, &desired.digest, revision, wishes).await {
            Prepared::Ready(generation) => {
                self.serve(service, *generation);
                self.announce(service, revision, State::Running, &desired.reason, wishes).await;
            }
            Prepared::Overtaken => {}
            Prepared::NotTaken(error) => self.refuse(service, desired, revision, &error, wishes).await,
        }
    }

    /// Prepares until it is known whether it can be taken; what is missing outside is waited for.
    async fn prepare(
        &self,
        service: &Arc<Service>,
        digest: &str,
        revision: u64,
        wishes: &mut watch::Receiver<Wish>,
    ) -> Prepared {
        loop {
            // Grants are read anew with each deployment.
            let settings = self.openings.settings(&service.name).unwrap_or_else(|| service.config.clone());
            match self.swapper.prepare(service, &settings, revision, digest).await {
                Ok(generation) => return Prepared::Ready(Box::new(generation)),
                Err(error) if !error.is_passing() => return Prepared::NotTaken(error),
                Err(error) => {
                    if self.wait(service, revision, &error.to_string(), wishes).await {
                        return Prepared::Overtaken;
                    }
                }
            }
        }
    }

    /// Tells an operator what is waited for, and waits a while. True when there is a newer wish meanwhile.
    async fn wait(&self, service: &Service, revision: u64, reason: &str, wishes: &mut watch::Receiver<Wish>) -> bool {
        tracing::warn!(service = service.name.as_str(), revision, reason, "waiting for what is missing");
        service.set_standing(revision, State::Waiting, reason);
        let overtaken = tokio::time::timeout(RETRY, wishes.changed()).await.is_ok();
        if overtaken {
            wishes.mark_changed();
        }
        overtaken
    }

    /// Puts a generation in its place; the old one is drained, and the watch over the new one ends with its time.
    fn serve(&self, service: &Arc<Service>, generation: Generation) {
        let (number, version) = (generation.number, generation.plugin.description.version.clone());
        let old = self.swapper.swap(service, generation);
        tracing::info!(service = service.name.as_str(), generation = number, version, "swapped in");
        let Some(old) = old else { return };
        let (watch_s, drain_s) = (self.swapper.swap.watch_s, self.swapper.swap.drain_s);
        let watch = service.current().and_then(|current| service.watch_over(&current));
        let watched = service.clone();
        tokio::spawn(async move {
            tokio::time::sleep(Duration::from_secs(watch_s)).await;
            if let Some(watch) = watch {
                watched.end_watch(&watch);
            }
        });
        let name = service.name.clone();
        tokio::spawn(async move { super::swap::drain(name.as_str(), &old, drain_s).await });
    }

    /// Takes calls and events for what serves, and says so once it is true.
    async fn announce(
        &self,
        service: &Arc<Service>,
        revision: u64,
        state: State,
        reason: &str,
        wishes: &mut watch::Receiver<Wish>,
    ) {
        while let Err(error) = self.workers.ensure(service).await {
            if self.wait(service, revision, &error.to_string(), wishes).await {
                return;
            }
        }
        self.consumers.ensure(service).await;
        self.changed.send_replace(());
        service.set_standing(revision, state, reason);
    }

    /// What served before goes on; where nothing does, the version before is brought up.
    async fn refuse(
        &self,
        service: &Arc<Service>,
        desired: &Desired,
        revision: u64,
        error: &NotTaken,
        wishes: &mut watch::Receiver<Wish>,
    ) {
        tracing::error!(service = service.name.as_str(), revision, digest = desired.digest, %error, "not taken");
        service.set_standing(revision, State::Refused, error.to_string());
        let reason = format!("went back: {error}");
        if let Some(current) = service.current() {
            return self.wish_back(service, revision, &current.digest, &reason).await;
        }
        for earlier in &desired.earlier {
            service.set_standing(revision, State::Preparing, format!("{error}; bringing up the version before"));
            match self.prepare(service, earlier, revision, wishes).await {
                Prepared::Ready(generation) => {
                    self.serve(service, *generation);
                    self.announce(service, revision, State::Refused, &error.to_string(), wishes).await;
                    return self.wish_back(service, revision, earlier, &reason).await;
                }
                Prepared::Overtaken => return,
                Prepared::NotTaken(error) => tracing::error!(digest = earlier, %error, "not taken either"),
            }
        }
        service.set_standing(revision, State::Refused, error.to_string());
    }

    /// A generation failed its first calls; the one before serves again already.
    async fn hear_alarms(self: Arc<Self>, mut alarms: mpsc::UnboundedReceiver<Arc<Watch>>) {
        while let Some(watch) = alarms.recv().await {
            let failed = &watch.generation;
            let found = ServiceName::parse(&failed.context.name).and_then(|name| self.swapper.services.get(&name));
            let Some(service) = found else { continue };
            let reason = format!("went back: generation {} failed its first calls", failed.number);
            tracing::error!(service = service.name.as_str(), generation = failed.number, "{reason}");
            self.consumers.ensure(&service).await;
            self.changed.send_replace(());
            service.set_standing(failed.number, State::Refused, reason.as_str());
            self.wish_back(&service, failed.number, &watch.before.digest, &reason).await;
        }
    }

    /// Makes `digest` the wish of all hosts, unless somebody wished something else meanwhile. Until that is done, a host that
    /// starts would begin with what was refused.
    async fn wish_back(&self, service: &Service, refused: u64, digest: &str, reason: &str) {
        loop {
            let outcome = self.try_to_wish_back(service, refused, digest, reason).await;
            match outcome {
                Ok(()) | Err(RegistryError::Overtaken { .. }) => return,
                Err(error) => tracing::warn!(%error, "cannot tell the other hosts to go back; trying again"),
            }
            tokio::time::sleep(RETRY).await;
        }
    }

    async fn try_to_wish_back(
        &self,
        service: &Service,
        refused: u64,
        digest: &str,
        reason: &str,
    ) -> Result<(), RegistryError> {
        let current = self.swapper.desired.get(&service.name).await?;
        if current.revision != refused {
            return Ok(());
        }
        let (by, reason) = (self.host.clone(), reason.to_owned());
        self.swapper.desired.go_back(&service.name, &current, Some(digest), by, reason).await.map(|_| ())
    }
}

/// How preparing a generation ended.
enum Prepared {
    Ready(Box<Generation>),
    NotTaken(NotTaken),
    /// There is a newer wish.
    Overtaken,
}
