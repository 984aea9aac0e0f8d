//! From an artifact to a generation that serves.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use ward_telemetry::Trail;

use super::desired::{DesiredState, Version};
use super::lineup::Lineup;
use super::paths;
use super::{Generation, Service, Services, Watch};
use crate::artifacts::{ArtifactError, Artifacts};
use crate::bus::RegistryError;
use crate::calls::{Call, envelope};
use crate::capabilities::{CallState, ServiceContext};
use crate::config::{self, ServiceConfig};
use crate::engine::{
    CompileError, Compiler, Crash, Effect, Engine, Invocation, LoadError, Plugin, Returned, invoke, misfit,
};
use crate::store::{InUse, MigrateError, Migration, Statements, StoreError, Work, WorkLimits, migrate, seeded_once};

/// Why a desired generation does not serve.
#[derive(Debug, thiserror::Error)]
pub enum NotTaken {
    #[error(transparent)]
    Registry(#[from] RegistryError),
    #[error(transparent)]
    Artifact(#[from] ArtifactError),
    #[error(transparent)]
    Compile(#[from] CompileError),
    #[error(transparent)]
    Load(#[from] LoadError),
    #[error("its route {0} does not fit beside the other routes of the gateway: {1}")]
    RouteTaken(String, String),
    #[error("its documentation is called {0}, and so is that of {1}: /api-docs/{0} can be one of them only")]
    DocumentationTaken(String, String),
    #[error("its routes contradict each other: {0}")]
    Routes(#[from] matchit::InsertError),
    #[error(
        "it and {other} disagree about {function}: {place}. Offer both versions of the contract until the last caller has \
         moved, or deploy with --force and a reason"
    )]
    Contract { other: String, function: String, place: String },
    #[error(
        "{0}. That version comes back if the one in its place fails, so it is waited until that one has proven itself, at most swap.watch_s"
    )]
    Watched(Box<NotTaken>),
    #[error(
        "what serves is under watch itself, and a canary is held against what has proven itself: it is waited until that has, at most \
         swap.watch_s"
    )]
    Unproven,
    #[error("it was taken back a moment ago")]
    TakenBack,
    #[error(transparent)]
    Migrate(#[from] MigrateError),
    #[error("the database cannot be reached: {0}")]
    Database(sqlx::Error),
    #[error("its probe could not be run: {0}")]
    Store(StoreError),
    #[error("its probe failed: {0}")]
    Probe(String),
    #[error("its example data could not be written: {0}")]
    Seed(String),
}

/// Bytes of a reason that are told: it may quote the component, and goes into the log, the history and a notice.
const LONGEST_REASON: usize = 4096;

impl NotTaken {
    /// For operators.
    pub fn reason(&self) -> String {
        let mut reason = self.to_string();
        reason.truncate(reason.floor_char_boundary(LONGEST_REASON));
        reason
    }

    /// Something outside the component is missing, and may come back: no reason to go back to another one.
    pub fn is_passing(&self) -> bool {
        match self {
            Self::Artifact(error) => error.is_passing(),
            Self::Registry(_) | Self::Database(_) | Self::Store(_) => true,
            Self::Migrate(MigrateError::Unavailable(_) | MigrateError::Held) => true,
            Self::Compile(CompileError::Cache { .. }) | Self::Watched(_) | Self::Unproven | Self::TakenBack => true,
            _ => false,
        }
    }
}

pub struct Swapper {
    pub engine: Arc<Engine>,
    pub compiler: Compiler,
    pub desired: DesiredState,
    pub artifacts: Artifacts,
    pub services: Arc<Services>,
    pub swap: config::Swap,
    pub development: bool,
}

impl Swapper {
    /// Everything up to the swap. Nothing that serves is touched.
    pub async fn prepare(
        &self,
        service: &Service,
        settings: &ServiceConfig,
        version: &Version,
    ) -> Result<Generation, NotTaken> {
        let (number, digest) = (version.generation, version.digest.as_str());
        let artifact = self.artifacts.fetch_verified(digest).await?;
        let compiled = self.compiler.load(digest, &artifact).await?;
        let plugin = Plugin::load(&self.engine, &compiled, &service.name, &settings.grants).await?;
        if !plugin.unused_grants.is_empty() {
            let grants = plugin.unused_grants.join(", ");
            tracing::warn!(
                service = service.name.as_str(),
                grants,
                "granted, and not used: take away what is not needed"
            );
        }
        self.check_beside(service, &plugin, version)?;
        // Grants and settings are read anew, limits hold as long as the host runs.
        let config = ServiceConfig { limits: service.config.limits.clone(), ..settings.clone() };
        let context = ServiceContext::new(&config, number, &service.host, service.refusals.clone());
        let context = Arc::new(context);
        let statements = service.database.clone().map(|database| Statements::new(database, digest));
        let generation = Generation::new(version, plugin, context, statements)?;
        self.migrate(service, &generation).await?;
        self.probe(service, &generation).await?;
        self.seed(service, &generation).await?;
        Ok(generation)
    }

    /// Puts the generation in the place of the current one, which answers for it while it is watched. One that is gone back to, as its number
    /// says, is not: what is gone back from shall neither judge it nor have its calls. Returns what has left.
    pub fn swap(&self, service: &Service, generation: &Arc<Generation>) -> Result<Vec<Arc<Generation>>, NotTaken> {
        self.take_place(service, generation, |lineup| {
            let current = lineup.map(|lineup| lineup.current.clone());
            let before = current.filter(|current| current.number < generation.number);
            let watch = before.map(|before| Watch::new(generation.clone(), before, 100, &self.swap));
            Some(Lineup { current: generation.clone(), watch: watch.map(Arc::new) })
        })
    }

    /// Gives a generation a share of the calls beside the current one; a canary that gets another share is watched anew.
    pub fn try_out(
        &self,
        service: &Service,
        generation: &Arc<Generation>,
        percent: u8,
    ) -> Result<Vec<Arc<Generation>>, NotTaken> {
        self.take_place(service, generation, |lineup| {
            let current = lineup?.current.clone();
            let watch = Watch::new(generation.clone(), current.clone(), percent, &self.swap);
            Some(Lineup { current, watch: Some(Arc::new(watch)) })
        })
    }

    /// Ends the canary, if there is one.
    pub fn end_canary(&self, service: &Service) -> Vec<Arc<Generation>> {
        service.change(|lineup| {
            let lineup = lineup?;
            Some(if lineup.canary().is_some() { Lineup::of(lineup.current.clone()) } else { lineup.clone() })
        })
    }

    /// Changes what takes calls, if the generation still fits beside what has taken its place while it was prepared, and a canary was
    /// not taken back meanwhile.
    fn take_place(
        &self,
        service: &Service,
        generation: &Arc<Generation>,
        change: impl FnOnce(Option<&Lineup>) -> Option<Lineup>,
    ) -> Result<Vec<Arc<Generation>>, NotTaken> {
        self.services.one_by_one(|| {
            self.check_beside(service, &generation.plugin, &generation.version())?;
            let mut has_left = false;
            let left = service.change(|lineup| {
                has_left = service.has_left(generation);
                if has_left { lineup.cloned() } else { change(lineup) }
            });
            if has_left { Err(NotTaken::TakenBack) } else { Ok(left) }
        })
    }

    /// Holds its routes and contracts against what else takes calls on this host, and what may come back because its successor is still
    /// under watch.
    fn check_beside(&self, service: &Service, plugin: &Plugin, version: &Version) -> Result<(), NotTaken> {
        // What comes back with the host was checked when it was deployed, and another one may have been forced since.
        let comes_back = service.lineup().is_none() && service.taken().as_ref() == Some(&version.digest);
        let tolerated = version.forced.as_deref().or(comes_back.then_some("it served before"));
        let own = (plugin, service.name.as_str());
        for lineup in self.others(service) {
            for other in lineup.generations() {
                check_against(other, own, tolerated)?;
            }
            if let Some(watch) = &lineup.watch {
                check_against(&watch.before, own, tolerated).map_err(|error| NotTaken::Watched(Box::new(error)))?;
            }
        }
        let routes = plugin.description.routes.iter().map(|route| (route.method.as_str(), route.path.as_str()));
        paths::beside(std::iter::empty(), routes).map_err(route_taken)
    }

    /// The other services that take calls.
    fn others(&self, service: &Service) -> Vec<Arc<Lineup>> {
        let others = self.services.all().into_iter().filter(|other| other.name != service.name);
        others.filter_map(|other| other.lineup()).collect()
    }

    async fn migrate(&self, service: &Service, generation: &Generation) -> Result<(), NotTaken> {
        let Some(database) = &service.database else {
            return Ok(());
        };
        for setting in database.unsafe_settings().await.map_err(NotTaken::Database)? {
            tracing::warn!(service = service.name.as_str(), setting, "PostgreSQL may lose what it has committed");
        }
        let steps = generation.plugin.description.migrations.iter().map(|step| Migration {
            version: step.version,
            name: step.name.clone(),
            statements: step.statements.clone(),
        });
        let in_use = self.in_use(service, generation).await?;
        let done = migrate(database, &steps.collect::<Vec<_>>(), &in_use, &self.swap).await?;
        if done > 0 {
            tracing::info!(service = service.name.as_str(), steps = done, "migrated the schema");
        }
        Ok(())
    }

    /// The versions that a migration must leave able to work: those that serve here, and those that may serve on other hosts.
    async fn in_use(&self, service: &Service, next: &Generation) -> Result<Vec<InUse>, NotTaken> {
        let desired = self.desired.get(&service.name).await?.desired;
        let elsewhere = desired.as_ref().and_then(|desired| match desired.stable.digest == next.digest {
            true => desired.earlier.first(),
            false => desired.serving(),
        });
        let lineup = service.lineup();
        let draining = service.draining();
        let here =
            lineup.iter().flat_map(|lineup| lineup.held()).chain(&draining).map(|generation| generation.version());
        let all = here.chain(elsewhere.cloned()).filter(|version| version.digest != next.digest);
        let by_digest: BTreeMap<String, u64> = all.map(|version| (version.digest, version.generation)).collect();
        Ok(by_digest.into_iter().map(|(digest, generation)| InUse { generation, digest }).collect())
    }

    /// The component's own check, in a transaction that is rolled back.
    async fn probe(&self, service: &Service, generation: &Generation) -> Result<(), NotTaken> {
        let (outcome, work) = self.check(service, generation, Invocation::Probe).await;
        let store_failed = match work {
            Some(work) => work.rollback().await,
            None => None,
        };
        match (outcome, store_failed) {
            (Ok(()), _) => Ok(()),
            // That is not the component's fault.
            (
                Err(_),
                Some(
                    failed @ (StoreError::Unavailable(_)
                    | StoreError::Again(_)
                    | StoreError::Saturated
                    | StoreError::Unknown),
                ),
            ) => Err(NotTaken::Store(failed)),
            (Err(message), _) => Err(NotTaken::Probe(message)),
        }
    }

    async fn seed(&self, service: &Service, generation: &Generation) -> Result<(), NotTaken> {
        let (true, true, Some(database)) = (self.development, generation.plugin.has_seed(), &service.database) else {
            return Ok(());
        };
        let seeding = async {
            let (outcome, work) = self.check(service, generation, Invocation::Seed).await;
            outcome?;
            let work = work.ok_or_else(|| "the transaction was lost".to_owned())?;
            work.commit(None, None).await.map(|_| ()).map_err(|error| error.to_string())
        };
        match seeded_once(database, &self.swap, seeding).await? {
            None => Ok(()),
            Some(message) => Err(NotTaken::Seed(message)),
        }
    }

    async fn check(
        &self,
        service: &Service,
        generation: &Generation,
        invocation: Invocation,
    ) -> (Result<(), String>, Option<Work>) {
        let deadline = Instant::now() + Duration::from_millis(self.swap.probe_timeout_ms);
        let call =
            Call { id: envelope::new_id(), principal: None, trail: Trail::default(), deadline, idempotency_key: None };
        let limits = WorkLimits { statements: u32::MAX, rows: usize::MAX, ..service.work_limits() };
        let (database, seen) = (service.database.clone(), generation.statements.clone());
        let work = Work::new(database, Effect::Write, limits, seen, call.trail.clone());
        let state = CallState::new(call, generation.context.clone(), service.host.clone(), work, None);
        let (returned, work) = invoke(&generation.plugin, state, invocation, deadline).await;
        let outcome = match returned {
            Ok(Returned::Checked(outcome)) => outcome,
            Ok(_) => Err("it answered something else".to_owned()),
            Err(Crash::Trapped { cause, backtrace, .. }) => Err(format!("{cause} ({})", backtrace.join(" < "))),
            Err(crash) => Err(crash.to_string()),
        };
        (outcome, work)
    }
}

/// Its routes and its documentation, then what it calls against what is served, and what it serves against what is called.
fn check_against(other: &Generation, own: (&Plugin, &str), tolerated: Option<&str>) -> Result<(), NotTaken> {
    let (name, described) = (other.context.name.as_str(), &other.plugin.description);
    let (plugin, service) = own;
    let documentation = &plugin.description.documentation;
    if described.documentation == *documentation {
        return Err(NotTaken::DocumentationTaken(documentation.clone(), name.to_owned()));
    }
    let taken = described.routes.iter().map(|route| (name, route.method.as_str(), route.path.as_str()));
    let routes = plugin.description.routes.iter().map(|route| (route.method.as_str(), route.path.as_str()));
    paths::beside(taken, routes).map_err(route_taken)?;
    let theirs = (&*other.plugin, name);
    let broken =
        [(own, theirs), (theirs, own)].into_iter().find_map(|((caller, _), callee)| first_break(caller, callee));
    match (broken, tolerated) {
        (Some((function, place)), None) => Err(NotTaken::Contract { other: name.to_owned(), function, place }),
        (Some((function, place)), Some(reason)) => {
            tracing::warn!(service, other = name, function, place, reason, "taken although it breaks a contract");
            Ok(())
        }
        (None, _) => Ok(()),
    }
}

fn route_taken(((method, path), problem): ((&str, &str), String)) -> NotTaken {
    NotTaken::RouteTaken(format!("{method} {path}"), problem)
}

/// The first function of which a caller and a callee, by its name, have ideas that do not fit.
fn first_break(caller: &Plugin, (callee, name): (&Plugin, &str)) -> Option<(String, String)> {
    let offered = callee.offered();
    caller.imports.iter().find_map(|import| {
        let place = misfit(import, name, &offered)?;
        Some((format!("{}/{}", import.contract.text, import.name), place))
    })
}

/// Waits until no call may come to a generation any more, at most `drain_s`; stops what it is at after that.
pub(super) async fn drain(service: &Service, old: &Generation, drain_s: u64) {
    let until = Instant::now() + Duration::from_secs(drain_s);
    while !old.holders.close() && Instant::now() < until {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let left = old.in_flight();
    if left > 0 {
        service.count_cut_off(left);
        tracing::warn!(
            service = service.name.as_str(),
            generation = old.number,
            left,
            "calls outlasted swap.drain_s and were stopped"
        );
    }
    old.cut_off();
}
