//! The composition root: the one place that sees everything.

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Context;
use tokio::net::TcpListener;
use tokio::sync::{mpsc, watch};
use ward_proto::call::subject;

use crate::bus::{Bus, Headers};
use crate::calls::client::Client;
use crate::calls::worker::{Workers, drained};
use crate::capabilities::HostServices;
use crate::config::{Capability, Config, ServiceConfig};
use crate::engine::{Compiler, Engine};
use crate::events::{Consumers, Relay, RelayState, Wakes};
use crate::gateway::{Gateway, Parts};
use crate::metrics::Metrics;
use crate::security::{KeyRing, Passwords, Tokens};
use crate::services::desired::DesiredState;
use crate::services::{HostStatus, Service, ServiceStatus, Supervisor, Swapper};
use crate::store::{Database, RoleSecret, housekeep};

/// A running host.
pub struct App {
    config: Config,
    host: String,
    began: Instant,
    bus: Arc<Bus>,
    services: Vec<Arc<Service>>,
    tokens: Arc<Tokens>,
    gateway: Arc<Gateway>,
    wakes: Arc<Wakes>,
    supervisor: Arc<Supervisor>,
    changed: watch::Receiver<()>,
    alarms: mpsc::UnboundedReceiver<Arc<crate::services::Watch>>,
}

impl App {
    /// Connects and composes; nothing serves yet.
    pub async fn compose(config: Config) -> anyhow::Result<Self> {
        let host = host_name(&config);
        let bus = Arc::new(Bus::connect(&config.nats, &format!("ward host {host}")).await?);
        bus.ensure_streams(&config.events).await?;
        let desired = DesiredState::open(&bus).await?;

        let keys = Arc::new(KeyRing::open(&config.tokens.key_dir)?);
        let tokens = Arc::new(Tokens::new(&config.tokens, keys));
        let client = Client::new(bus.clone());
        let passwords = Passwords::new(&config.passwords)?;
        let host_services = Arc::new(HostServices {
            client: client.clone(),
            passwords,
            tokens: tokens.clone(),
        });

        let (raise_alarm, alarms) = mpsc::unbounded_channel();
        let secret = RoleSecret::read(&config.database.secret_file)?;
        let open = |service: &ServiceConfig| -> anyhow::Result<Arc<Service>> {
            let wants_store = service.grants.capabilities.contains(&Capability::Sql);
            let database = wants_store
                .then(|| Database::new(&config.database, &secret, &service.name))
                .transpose()?;
            let (host, database) = (host_services.clone(), database.map(Arc::new));
            Ok(Arc::new(Service::new(
                service.clone(),
                host,
                database,
                config.store.reruns,
                raise_alarm.clone(),
            )))
        };
        let services: Vec<Arc<Service>> = config.services.iter().map(open).collect::<anyhow::Result<_>>()?;

        let engine = Arc::new(Engine::new(&config.engine)?);
        let executable = std::path::PathBuf::from("/proc/self/exe");
        let compiler = Compiler::new(engine.clone(), &config.engine, &config.host.cache_dir, executable)?;
        let wakes = Wakes::new(bus.clone(), host.clone(), services.iter().map(|service| &service.name));
        let wakes = Arc::new(wakes);
        let (changed_sender, changed) = watch::channel(());
        let supervisor = Arc::new(Supervisor {
            host: host.clone(),
            swapper: Swapper {
                engine,
                compiler,
                desired,
                services: services
                    .iter()
                    .map(|service| (service.name.clone(), service.clone()))
                    .collect(),
                swap: config.swap.clone(),
                development: config.is_development(),
            },
            workers: Workers::new(bus.clone(), host.clone(), config.calls.clone()),
            consumers: Consumers::new(bus.clone(), config.events.clone()),
            changed: changed_sender,
        });
        let gateway = Gateway::new(Parts {
            config: config.http.clone(),
            public_url: config.gateway.public_url.clone(),
            client,
            tokens: tokens.clone(),
            services: services.clone(),
            wakes: wakes.clone(),
            metrics: Arc::new(Metrics::new()),
            max_payload: bus.max_payload(),
        });
        let began = Instant::now();
        Ok(Self {
            config,
            host,
            began,
            bus,
            services,
            tokens,
            gateway,
            wakes,
            supervisor,
            changed,
            alarms,
        })
    }

    /// Serves until `shutdown` ends, then drains within `host.drain_s`.
    pub async fn run(self, shutdown: impl Future<Output = ()> + Send + 'static) -> anyhow::Result<()> {
        self.check_sizes()?;
        let listen = &self.config.gateway.listen;
        let listener = TcpListener::bind(listen).await.with_context(|| {
            format!("cannot listen on {listen}: set gateway.listen (WARD_GATEWAY_LISTEN) to an address that is free")
        })?;
        self.announce(&listener)?;
        self.begin_background();
        tokio::spawn(self.supervisor.clone().run(self.alarms));

        let drain = Duration::from_secs(self.config.host.drain_s);
        let (begun, began_closing) = tokio::sync::oneshot::channel();
        let closing = async move {
            shutdown.await;
            let _ = begun.send(());
        };
        let serving = tokio::spawn(self.gateway.clone().serve(listener, closing));
        let _ = began_closing.await;
        tracing::info!("shutting down: finishing what is under way");
        let until = Instant::now() + drain;
        for service in &self.services {
            self.supervisor.consumers.stop(service).await;
        }
        // The gateway's last requests may need the services of this very host.
        let _ = tokio::time::timeout_at(until.into(), serving).await;
        for service in &self.services {
            self.supervisor.workers.stop(service).await;
        }
        let left = drained(self.services.iter(), until).await;
        self.bus.flush().await;
        for database in self.services.iter().filter_map(|service| service.database.as_ref()) {
            let _ = tokio::time::timeout(Duration::from_millis(500), database.close()).await;
        }
        tracing::info!(left, "stopped");
        Ok(())
    }

    /// A request and a response must each fit one message.
    fn check_sizes(&self) -> anyhow::Result<()> {
        let payload = self.bus.max_payload();
        let request = self.config.http.body_bytes + self.config.http.header_bytes * 2;
        anyhow::ensure!(
            request <= payload,
            "http.body_bytes and twice http.header_bytes ({request}) do not fit into one NATS message ({payload}): \
             lower them, or raise max_payload in the server's configuration"
        );
        for service in &self.services {
            let response = service.config.limits.response_bytes;
            anyhow::ensure!(
                response < payload,
                "limits.response_bytes of {} ({response}) does not fit into one NATS message ({payload})",
                service.name
            );
        }
        Ok(())
    }

    fn announce(&self, listener: &TcpListener) -> anyhow::Result<()> {
        let address = listener.local_addr()?;
        let profile = self.config.profile;
        tracing::info!(host = self.host, %address, nats = self.config.nats.url, ?profile, "gateway listens");
        if self.config.is_development() {
            tracing::warn!("the profile is development: example users with a known password are made");
        }
        Ok(())
    }

    fn begin_background(&self) {
        tokio::spawn(self.gateway.clone().follow(self.changed.clone()));
        for service in self.services.iter().filter(|service| service.database.is_some()) {
            tokio::spawn(self.wakes.clone().announce(service.clone()));
            if let Some(news) = self.wakes.of(service.name.as_str()) {
                let relay = Relay {
                    bus: self.bus.clone(),
                    service: service.clone(),
                    config: self.config.events.clone(),
                    news,
                    state: Arc::new(RelayState::default()),
                };
                tokio::spawn(relay.run());
            }
            tokio::spawn(keep_house(service.clone(), self.config.store.clone()));
        }
        tokio::spawn(report_failure("wakes", hear(self.wakes.clone())));
        let supervisor = self.supervisor.clone();
        tokio::spawn(report_failure("cancellations", async move {
            supervisor.workers.hear_cancellations().await
        }));
        let answers = Answers {
            bus: self.bus.clone(),
            tokens: self.tokens.clone(),
            services: self.services.clone(),
            host: self.host.clone(),
            gateway: self.config.gateway.listen.clone(),
            began: self.began,
        };
        tokio::spawn(report_failure("questions", answers.answer()));
        tokio::spawn(look_for_keys(self.tokens.clone()));
    }
}

/// Answers what is asked of hosts: who is there, and with which keys.
struct Answers {
    bus: Arc<Bus>,
    tokens: Arc<Tokens>,
    services: Vec<Arc<Service>>,
    host: String,
    gateway: String,
    began: Instant,
}

impl Answers {
    async fn answer(self) -> Result<(), crate::bus::BusError> {
        use futures_util::StreamExt;
        let mut hosts = self.bus.subscribe(subject::HOSTS.to_owned()).await?;
        let mut keys = self
            .bus
            .subscribe_in_group(subject::KEYS.to_owned(), "keys".to_owned())
            .await?;
        loop {
            let (request, body) = tokio::select! {
                Some(request) = hosts.next() => (request, serde_json::to_vec(&self.status())),
                Some(request) = keys.next() => (request, serde_json::to_vec(&self.tokens.jwks())),
                else => return Ok(()),
            };
            self.bus
                .reply(&request, Headers::new(), body.unwrap_or_default().into())
                .await;
        }
    }

    fn status(&self) -> HostStatus {
        HostStatus {
            host: self.host.clone(),
            gateway: self.gateway.clone(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            up_s: self.began.elapsed().as_secs(),
            services: self.services.iter().map(|service| ServiceStatus::of(service)).collect(),
        }
    }
}

async fn hear(wakes: Arc<Wakes>) -> Result<(), crate::bus::BusError> {
    wakes.hear().await
}

async fn report_failure(what: &'static str, work: impl Future<Output = Result<(), crate::bus::BusError>>) {
    if let Err(error) = work.await {
        tracing::error!(what, %error, "ended");
    }
}

async fn look_for_keys(tokens: Arc<Tokens>) {
    let mut pause = tokio::time::interval(Duration::from_secs(2));
    loop {
        pause.tick().await;
        tokens.refresh();
    }
}

async fn keep_house(service: Arc<Service>, config: crate::config::Store) {
    let Some(database) = &service.database else { return };
    let mut pause = tokio::time::interval(Duration::from_secs(3600));
    loop {
        pause.tick().await;
        match housekeep(database, &config).await {
            Ok(0) => {}
            Ok(forgotten) => tracing::info!(
                service = service.name.as_str(),
                forgotten,
                "forgot old answers and events"
            ),
            Err(error) => tracing::debug!(service = service.name.as_str(), %error, "no housekeeping now"),
        }
    }
}

/// The configured name, or the machine's with a random part. Part of subjects, so only what may stand there.
fn host_name(config: &Config) -> String {
    if !config.host.name.is_empty() {
        return clean(&config.host.name);
    }
    let machine = std::fs::read_to_string("/etc/hostname").unwrap_or_default();
    let machine = clean(machine.trim());
    let machine = if machine.is_empty() { "host".to_owned() } else { machine };
    let random = uuid::Uuid::new_v4().simple().to_string();
    format!("{machine}-{}", random.get(..6).unwrap_or_default())
}

fn clean(name: &str) -> String {
    name.chars()
        .filter(|character| character.is_ascii_alphanumeric() || *character == '-')
        .collect()
}
