//! The composition root: the one place that sees everything.

mod background;
mod openings;
mod questions;

use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use tokio::net::TcpListener;
use tokio::sync::{mpsc, watch};
use ward_telemetry::Recorder;

use self::background::Background;
use self::openings::Opener;
use crate::artifacts::{Artifacts, PublicKey};
use crate::bus::Bus;
use crate::calls::client::Client;
use crate::calls::worker::Workers;
use crate::capabilities::HostServices;
use crate::config::Config;
use crate::engine::{Busy, Compiler, Engine};
use crate::events::{Consumers, Wakes};
use crate::gateway::{Gateway, Parts};
use crate::logs::Logs;
use crate::machine;
use crate::metrics::Metrics;
use crate::presence::Presence;
use crate::security::{KeyRing, Passwords, Tokens};
use crate::services::desired::DesiredState;
use crate::services::{Finding, Notices, Service, Services, Supervisor, Swapper, Turns};
use crate::store::RoleSecret;
use crate::takeover;

/// A running host.
pub struct App {
    background: Background,
    gateway: Arc<Gateway>,
    changed: watch::Receiver<()>,
    findings: mpsc::UnboundedReceiver<Finding>,
    news: mpsc::UnboundedReceiver<Arc<Service>>,
}

impl App {
    /// Connects and composes; nothing serves yet.
    pub async fn compose(config: Config, logs: Logs) -> anyhow::Result<Self> {
        let host = host_name(&config)?;
        let recorder = Recorder::new(&config.telemetry, "ward-host", &host);
        let bus = Arc::new(Bus::connect(&config.nats, &format!("ward host {host}")).await?);
        bus.ensure_streams(&config.events).await?;
        let desired = DesiredState::open(&bus).await?;
        let artifacts = Artifacts::open(&bus, &config.artifacts).await?;

        let keys = Arc::new(KeyRing::open(&config.tokens.key_dir)?);
        let tokens = Arc::new(Tokens::new(&config.tokens, keys));
        let client = Client::new(bus.clone());
        let passwords = Passwords::new(&config.passwords)?;
        let busy = Busy::new(&config.engine)?;
        let quarantine = config.quarantine.clone();
        let host_services =
            HostServices { client: client.clone(), passwords, tokens: tokens.clone(), busy, quarantine };
        let host_services = Arc::new(host_services);

        let (find, findings) = mpsc::unbounded_channel();
        let secret = RoleSecret::read(&config.database.secret_file)?;
        let opener = Opener {
            config: config.clone(),
            last: Mutex::new(config.clone()),
            secret,
            host: host_services,
            findings: find,
            max_payload: bus.max_payload(),
        };
        let (services, news) = Services::new();
        let services = Arc::new(services);
        for service in &config.services {
            services.add(opener.open(service)?);
        }
        // What a component brings for itself counts once it was deployed.
        for service in &config.offered {
            if desired.get(&service.name).await?.desired.is_some() {
                services.add(opener.open(service)?);
            }
        }

        let engine = Arc::new(Engine::new(&config.engine)?);
        let executable = std::path::PathBuf::from("/proc/self/exe");
        let compiler = Compiler::new(engine.clone(), &config.engine, &config.host.cache_dir, executable)?;
        let wakes = Arc::new(Wakes::new(bus.clone()));
        let (changed_sender, changed) = watch::channel(());
        let presence = Arc::new(Presence::new(bus.clone(), host.clone(), config.host.labels.clone()));
        let supervisor = Arc::new(Supervisor {
            host: host.clone(),
            openings: Arc::new(opener),
            swapper: Swapper {
                engine,
                compiler,
                desired,
                artifacts,
                services: services.clone(),
                swap: config.swap.clone(),
                development: config.is_development(),
            },
            workers: Workers::new(bus.clone(), host.clone(), config.calls.clone(), recorder.clone()),
            consumers: Arc::new(Consumers::new(bus.clone(), config.events.clone(), recorder.clone())),
            notices: Notices { bus: bus.clone(), host: host.clone() },
            presence: presence.clone(),
            turns: Turns::default(),
            changed: changed_sender,
        });
        let metrics = Arc::new(Metrics::new(&recorder));
        let gateway = Gateway::new(Parts {
            config: config.http.clone(),
            public_url: config.gateway.public_url.clone(),
            client,
            tokens: tokens.clone(),
            services: services.clone(),
            wakes: wakes.clone(),
            metrics: metrics.clone(),
            recorder: recorder.clone(),
        });
        let background = Background {
            config: Arc::new(config),
            host,
            began: Instant::now(),
            bus,
            services,
            tokens,
            wakes,
            supervisor,
            metrics,
            recorder,
            logs,
            presence,
        };
        Ok(Self { background, gateway, changed, findings, news })
    }

    /// Serves until `shutdown` ends, then drains within `host.drain_s`.
    pub async fn run(self, shutdown: impl Future<Output = ()> + Send + 'static) -> anyhow::Result<()> {
        self.check_sizes()?;
        let config = self.background.config.clone();
        let (listener, predecessor) = takeover::listen(&config.gateway.listen, &config.host.takeover_socket).await?;
        self.announce(&listener)?;
        self.background.supervisor.look_ahead().await?;
        self.background.clone().begin(self.news);
        tokio::spawn(self.gateway.clone().follow(self.changed));
        tokio::spawn(self.background.supervisor.clone().run(self.findings));

        let drain = Duration::from_secs(config.host.drain_s);
        let mut shutdown = Box::pin(shutdown);
        if predecessor.is_some() {
            let came_up = tokio::select! {
                came_up = up(&self.gateway, config.host.takeover_wait_s) => came_up,
                () = &mut shutdown => Err(anyhow::anyhow!("stopped before everything served")),
            };
            if let Err(error) = came_up {
                self.background.finish(drain, std::future::ready(())).await;
                return Err(error);
            }
        }
        let (begun, began_closing) = tokio::sync::oneshot::channel();
        let held = listener.as_fd().try_clone_to_owned()?;
        let closing = async move {
            tokio::select! {
                () = shutdown => {}
                () = replaced(&config.host.takeover_socket, held) => {}
            }
            let _ = begun.send(());
        };
        let serving = tokio::spawn(self.gateway.clone().serve(listener, drain / 2, closing));
        if let Some(predecessor) = predecessor {
            predecessor.dismiss().await;
        }
        let _ = began_closing.await;
        tracing::info!("shutting down: finishing what is under way");
        self.background.finish(drain, serving).await;
        Ok(())
    }

    /// A request must fit one message.
    fn check_sizes(&self) -> anyhow::Result<()> {
        let payload = self.background.bus.max_payload();
        let request = self.background.config.http.body_bytes + self.background.config.http.header_bytes * 2;
        anyhow::ensure!(
            request <= payload,
            "http.body_bytes and twice http.header_bytes ({request}) do not fit into one NATS message ({payload}): \
             lower them, or raise max_payload in the server's configuration"
        );
        Ok(())
    }

    fn announce(&self, listener: &TcpListener) -> anyhow::Result<()> {
        let address = listener.local_addr()?;
        let profile = self.background.config.profile;
        tracing::info!(host = self.background.host, %address, nats = crate::bus::without_password(&self.background.config.nats.url), ?profile, "gateway listens");
        if self.background.config.is_development() {
            tracing::warn!("the profile is development: example users with a known password are made");
        }
        self.announce_trust();
        Ok(())
    }
}

impl App {
    fn announce_trust(&self) {
        let keys: Vec<String> = self.background.config.artifacts.trusted_keys.iter().map(PublicKey::id).collect();
        if !keys.is_empty() {
            return tracing::info!(
                keys = keys.join(", "),
                "only artifacts that one of these keys has signed are loaded"
            );
        }
        tracing::warn!(
            profile = ?self.background.config.profile,
            "unsigned artifacts are loaded: artifacts.trusted_keys is empty, so whoever may write to NATS decides what runs"
        );
    }
}

/// Returns when everything that shall run serves, so that the host before may end.
async fn up(gateway: &Gateway, bound_s: u64) -> anyhow::Result<()> {
    let until = Instant::now() + Duration::from_secs(bound_s);
    loop {
        let missing = gateway.missing();
        if missing.is_empty() {
            return Ok(());
        }
        anyhow::ensure!(
            Instant::now() < until,
            "not everything serves after {bound_s} s (host.takeover_wait_s), so the host before goes on: {}",
            serde_json::to_string(&missing)?
        );
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// Returns when another host has taken the gateway over.
async fn replaced(socket: &Path, listener: OwnedFd) {
    match takeover::offer(socket, listener).await {
        Ok(()) => tracing::info!("another host has taken the gateway over"),
        Err(error) => {
            tracing::error!(error = format!("{error:#}"), "no host can take the gateway over from this one");
            std::future::pending().await
        }
    }
}

/// The configured name, or the machine's with a random part. Part of subjects, so only what may stand there.
fn host_name(config: &Config) -> anyhow::Result<String> {
    let configured = &config.host.name;
    anyhow::ensure!(
        clean(configured) == *configured,
        "host.name ({configured:?}) may have letters, digits and dashes only"
    );
    if !configured.is_empty() {
        return Ok(configured.clone());
    }
    let machine = clean(&machine::name());
    let machine = if machine.is_empty() { "host" } else { machine.as_str() };
    let random = uuid::Uuid::new_v4().simple().to_string();
    Ok(format!("{machine}-{}", random.get(..6).unwrap_or_default()))
}

fn clean(name: &str) -> String {
    name.chars().filter(|character| character.is_ascii_alphanumeric() || *character == '-').collect()
}
