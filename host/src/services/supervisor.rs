//! Brings this host to the desired state, and keeps it there.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::{mpsc, watch};

use super::desired::{Canary, Desired, Version};
use super::notice::{Notices, What};
use super::status::State;
use super::swap::{self, NotTaken, Swapper};
use super::{Finding, Generation, Lineup, Service, Turns};
use crate::bus::{self, RegistryError};
use crate::calls::worker::Workers;
use crate::config::{ServiceConfig, ServiceName};
use crate::events::Consumers;
use crate::presence::Presence;

/// The pause before something that is missing outside is looked for again.
pub(super) const RETRY: Duration = Duration::from_secs(1);

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
    pub consumers: Arc<Consumers>,
    pub notices: Notices,
    pub presence: Arc<Presence>,
    pub turns: Turns,
    /// Rung whenever another generation serves; the gateway makes its routes anew.
    pub changed: watch::Sender<()>,
}

/// What is wished of one service.
#[derive(Debug, Clone)]
enum Wish {
    Nothing(u64),
    Desired(Box<Desired>, u64),
    /// A value that this version of Ward cannot read.
    Unreadable(u64),
}

impl Wish {
    fn of(change: &bus::Change) -> Self {
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
            if current.revision == 0 {
                continue;
            }
            service.set_standing(current.revision - 1, State::Preparing, "not begun yet");
            if let Some(digest) = self.swapper.desired.taken(&service.name).await? {
                service.set_taken(Some(&digest));
                service.set_due(true);
                self.turns.expect(&service.name);
            }
        }
        Ok(())
    }

    /// Runs until the bucket's watch ends, which is never.
    pub async fn run(self: Arc<Self>, findings: mpsc::UnboundedReceiver<Finding>) {
        tokio::spawn(self.clone().hear_findings(findings));
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
    fn take_note(self: &Arc<Self>, wishes: &mut HashMap<String, watch::Sender<Wish>>, change: &bus::Change) -> bool {
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
        // The generation that this host could not take; that another one could not says nothing.
        let mut refused = None;
        while wishes.changed().await.is_ok() {
            let wish = wishes.borrow_and_update().clone();
            match wish {
                Wish::Nothing(revision) => self.remove(&service, revision).await,
                Wish::Desired(desired, revision)
                    if desired.is_refused() && refused == Some(desired.stable.generation) =>
                {
                    service.set_standing(revision, State::Refused, desired.note.reason);
                }
                Wish::Desired(desired, revision) => {
                    self.bring(&service, &desired, revision, &mut wishes).await;
                    let is_refused = service.standing().state == State::Refused && service.current().is_none();
                    refused = is_refused.then_some(desired.stable.generation);
                }
                Wish::Unreadable(revision) => {
                    let reason = "the desired state cannot be read: is it a newer Ward's? `ward deploy` writes it anew";
                    tracing::error!(service = service.name.as_str(), revision, "{reason}");
                    service.set_standing(revision, State::Refused, reason);
                }
            }
            // One that was overtaken is still on its way.
            if wishes.has_changed().is_ok_and(|has_changed| !has_changed) {
                self.turns.is_done(&service.name);
            }
        }
    }

    async fn remove(&self, service: &Arc<Service>, revision: u64) {
        self.workers.stop(service).await;
        self.consumers.stop(service).await;
        self.drain(service, service.change(|_| None));
        service.set_due(false);
        service.set_begun(false);
        self.note_taken(service, None).await;
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
        let lineup = service.lineup();
        let has = |lineup: &Lineup| lineup.current.digest == desired.stable.digest;
        if !lineup.as_deref().is_some_and(has) {
            let canary = lineup.as_ref().and_then(|lineup| lineup.canary());
            let generation = match canary.filter(|canary| canary.generation.digest == desired.stable.digest) {
                Some(promoted) => promoted.generation.clone(),
                None => match self.prepared(service, &desired.stable, revision, wishes).await {
                    Prepared::Ready(generation) => generation,
                    Prepared::Overtaken => return,
                    Prepared::NotTaken(error) => {
                        return self.refuse(service, desired, revision, &error, wishes).await;
                    }
                },
            };
            if wishes.has_changed().unwrap_or_default() {
                // It may have been taken back meanwhile.
                return;
            }
            match self.serve(service, generation, &desired.note.reason).await {
                Err(error) if error.is_passing() => return self.look_anew(service, revision, &error, wishes).await,
                Err(error) => return self.refuse(service, desired, revision, &error, wishes).await,
                Ok(()) => {}
            }
        } else if let Some(lineup) = lineup.as_ref().filter(|_| service.standing().revision < revision) {
            // Whoever wishes it anew wants it to be tried anew.
            lineup.current.context.quarantine.lift(Instant::now());
        }
        if !self.take_calls(service, revision, wishes).await {
            return;
        }
        match self.bring_canary(service, desired, revision, wishes).await {
            Err(error) if error.is_passing() => return self.look_anew(service, revision, &error, wishes).await,
            Err(error) => return self.refuse_canary(service, desired, revision, &error).await,
            Ok(()) => {}
        }
        service.set_standing(revision, State::Running, &*desired.note.reason);
        if desired.is_refused() {
            self.say_taken(service, revision).await;
        }
    }

    /// Somebody else took a place while it was prepared; the same wish is begun anew after a while.
    async fn look_anew(&self, service: &Service, revision: u64, error: &NotTaken, wishes: &mut watch::Receiver<Wish>) {
        self.wait(service, revision, &error.reason(), wishes).await;
        wishes.mark_changed();
    }

    /// Brings the canary to what is desired: another one, another share, or none.
    async fn bring_canary(
        &self,
        service: &Arc<Service>,
        desired: &Desired,
        revision: u64,
        wishes: &mut watch::Receiver<Wish>,
    ) -> Result<(), NotTaken> {
        let lineup = service.lineup();
        let running = lineup.as_ref().and_then(|lineup| lineup.canary());
        let Some(Canary { version, percent }) = &desired.canary else {
            if running.is_some() {
                self.drain(service, self.swapper.end_canary(service));
                self.changed.send_replace(());
            }
            return Ok(());
        };
        let is_unproven = running.is_none() && lineup.as_ref().is_some_and(|lineup| lineup.watch.is_some());
        let generation = match running.filter(|running| running.generation.digest == version.digest) {
            Some(running) if running.percent == *percent => return Ok(()),
            Some(running) => running.generation.clone(),
            None if is_unproven => return Err(NotTaken::Unproven),
            None => match self.prepared(service, version, revision, wishes).await {
                Prepared::Ready(generation) => generation,
                Prepared::Overtaken => return Ok(()),
                Prepared::NotTaken(error) => return Err(error),
            },
        };
        let left = self.swapper.try_out(service, &generation, *percent)?;
        self.changed.send_replace(());
        let reason = format!("{percent} % of the calls: {}", desired.note.reason);
        self.tell(service, What::Canary, (generation.number, &generation.digest), &reason).await;
        self.drain(service, left);
        Ok(())
    }

    async fn refuse_canary(&self, service: &Arc<Service>, desired: &Desired, revision: u64, error: &NotTaken) {
        let Some(Canary { version, .. }) = &desired.canary else { return };
        let (generation, reason) = (version.generation, error.reason());
        tracing::error!(
            service = service.name.as_str(),
            generation,
            digest = version.digest,
            reason,
            "canary not taken"
        );
        service.set_standing(revision, State::Refused, reason.as_str());
        self.tell(service, What::Refused, (generation, &version.digest), &reason).await;
        self.wish_back(service, version, revision, &desired.stable, &reason).await;
    }

    async fn tell(&self, service: &Service, what: What, generation: (u64, &str), reason: &str) {
        self.notices.tell(service.name.as_str(), what, generation, reason).await;
    }

    /// Prepares until it is known whether it can be taken; what is missing outside is waited for, and those that come before a newcomer.
    async fn prepared(
        &self,
        service: &Arc<Service>,
        version: &Version,
        revision: u64,
        wishes: &mut watch::Receiver<Wish>,
    ) -> Prepared {
        if service.taken().is_none()
            && let Some(next) = self.turns.next()
        {
            service.set_standing(revision, State::Waiting, format!("for {next} and others that have served before"));
            tokio::select! {
                () = self.turns.of_newcomers() => {}
                _ = wishes.changed() => {
                    wishes.mark_changed();
                    return Prepared::Overtaken;
                }
            }
        }
        service.set_standing(revision, State::Preparing, "compiling and checking");
        loop {
            // Grants are read anew with each deployment.
            let settings = self.openings.settings(&service.name).unwrap_or_else(|| service.config.clone());
            match self.swapper.prepare(service, &settings, version).await {
                Ok(generation) => return Prepared::Ready(Arc::new(generation)),
                Err(error) if !error.is_passing() => return Prepared::NotTaken(error),
                Err(error) => {
                    if self.wait(service, revision, &error.reason(), wishes).await {
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

    /// Puts a generation in its place; the watch over it ends with its time.
    async fn serve(&self, service: &Arc<Service>, generation: Arc<Generation>, reason: &str) -> Result<(), NotTaken> {
        let left = self.swapper.swap(service, &generation)?;
        self.turns.is_done(&service.name);
        service.set_due(true);
        self.note_taken(service, Some(&generation.digest)).await;
        let version = generation.plugin.description.version.as_str();
        tracing::info!(service = service.name.as_str(), generation = generation.number, version, "swapped in");
        self.tell(service, What::SwappedIn, (generation.number, &generation.digest), reason).await;
        self.drain(service, left);
        let watch = service.lineup().and_then(|lineup| lineup.watch.clone());
        if let Some(watch) = watch.filter(|watch| !watch.is_canary()) {
            let (watched, watch_s) = (service.clone(), self.swapper.swap.watch_s);
            tokio::spawn(async move {
                tokio::time::sleep(Duration::from_secs(watch_s)).await;
                watched.end_watch(&watch);
            });
        }
        Ok(())
    }

    fn drain(&self, service: &Arc<Service>, left: impl IntoIterator<Item = Arc<Generation>>) {
        for old in left {
            let (service, drain_s) = (service.clone(), self.swapper.swap.drain_s);
            tokio::spawn(async move { swap::drain(&service, &old, drain_s).await });
        }
    }

    /// Takes calls and events for what serves. False when there is a newer wish meanwhile.
    async fn take_calls(&self, service: &Arc<Service>, revision: u64, wishes: &mut watch::Receiver<Wish>) -> bool {
        while let Err(error) = self.workers.ensure(service).await {
            if self.wait(service, revision, &error.to_string(), wishes).await {
                return false;
            }
        }
        service.set_begun(true);
        self.changed.send_replace(());
        self.consumers.ensure(service).await;
        true
    }

    /// What served before goes on; where nothing does, on no host either, the version before is brought up.
    async fn refuse(
        &self,
        service: &Arc<Service>,
        desired: &Desired,
        revision: u64,
        error: &NotTaken,
        wishes: &mut watch::Receiver<Wish>,
    ) {
        let version = &desired.stable;
        let (generation, digest) = (version.generation, version.digest.as_str());
        let reason = error.reason();
        tracing::error!(service = service.name.as_str(), generation, digest, reason, "not taken");
        self.tell(service, What::Refused, (generation, digest), &reason).await;
        service.set_standing(revision, State::Refused, reason.as_str());
        if let Some(current) = service.current() {
            return self.wish_back(service, version, revision, &current.version(), &reason).await;
        }
        // A host that has just begun does not judge what others serve: it may be short of something itself.
        if self.presence.is_offered_elsewhere(service.name.as_str()).await {
            let reason = format!("not taken here, while other hosts go on: {reason}");
            return service.set_standing(revision, State::Refused, reason);
        }
        for earlier in &desired.earlier {
            let served = match self.prepared(service, earlier, revision, wishes).await {
                Prepared::Ready(before) => self.serve(service, before, &reason).await,
                Prepared::Overtaken => return,
                Prepared::NotTaken(error) => Err(error),
            };
            match served {
                Ok(()) => {
                    if self.take_calls(service, revision, wishes).await {
                        service.set_standing(revision, State::Refused, &*reason);
                    }
                    return self.wish_back(service, version, revision, earlier, &reason).await;
                }
                Err(error) => tracing::error!(digest = earlier.digest, reason = error.reason(), "not taken either"),
            }
        }
        service.set_standing(revision, State::Refused, reason.as_str());
        // Nobody can take it, so no host is worse than another.
        service.set_due(false);
        // What has served before may come back when what is wrong here is mended, with the next start for example.
        if !matches!(self.swapper.desired.taken(&service.name).await, Ok(None)) {
            return;
        }
        self.say_refused(service, revision, &reason).await;
    }

    async fn hear_findings(self: Arc<Self>, mut findings: mpsc::UnboundedReceiver<Finding>) {
        while let Some(finding) = findings.recv().await {
            let (Finding::Proven(watch) | Finding::Failed(watch, _)) = &finding;
            let name = ServiceName::parse(&watch.generation.context.name);
            let Some(service) = name.and_then(|name| self.swapper.services.get(&name)) else { continue };
            match finding {
                Finding::Proven(watch) => self.drain(&service, [watch.before.clone()]),
                Finding::Failed(watch, reason) => {
                    self.drain(&service, [watch.generation.clone()]);
                    // Another service's finding does not wait for its events to move, nor for all hosts to hear of it.
                    let supervisor = self.clone();
                    tokio::spawn(async move {
                        supervisor.went_back(&service, (&watch.generation, &watch.before), &reason).await;
                    });
                }
            }
        }
    }

    async fn went_back(&self, service: &Arc<Service>, (failed, before): (&Generation, &Generation), reason: &str) {
        let known = service.standing().revision;
        tracing::error!(service = service.name.as_str(), generation = failed.number, reason, "went back");
        self.changed.send_replace(());
        self.tell(service, What::WentBack, (failed.number, &failed.digest), reason).await;
        service.set_failed(reason);
        let agree = async {
            self.note_taken(service, Some(&before.digest)).await;
            self.wish_back(service, &failed.version(), known, &before.version(), reason).await;
        };
        tokio::join!(agree, self.consumers.ensure(service));
    }
}

/// How preparing a generation ended.
enum Prepared {
    Ready(Arc<Generation>),
    NotTaken(NotTaken),
    /// There is a newer wish.
    Overtaken,
}
