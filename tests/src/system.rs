//! A whole Ward: PostgreSQL, nats-server, hosts with the four components, and if wanted the bridge and Kafka.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::process::Output;
use std::time::Duration;

use async_nats::jetstream;
use futures_util::TryStreamExt;
use futures_util::future::join_all;
use serde_json::Value;
use sqlx::PgPool;
use tempfile::TempDir;
use tokio::sync::{Mutex, OnceCell, OwnedSemaphorePermit};
use ward_proto::call::{ce, header, subject};

use crate::grpc::Billing;
use crate::kafka::Kafka;
use crate::link::Link;
use crate::machine::{component, repository, room};
use crate::nats::Nats;
use crate::postgres::Postgres;
use crate::rest::Rest;
use crate::server::Server;
use crate::topic::Topic;
use crate::ward::{Bridge, Environment, Host, command, folder, running, said, services, shell};
use crate::{eventually, within};

/// What a system shall be made of.
#[derive(Debug, Clone)]
pub struct Plan {
    hosts: Vec<Vec<&'static str>>,
    services: Vec<&'static str>,
    deployed: Vec<&'static str>,
    /// One that brings its own folder.
    stranger: Option<Stranger>,
    bridge: bool,
    kafka: bool,
    cluster: bool,
    linked: bool,
    environment: Environment,
    /// Settings of one host, by its place.
    own: Vec<(usize, String, String)>,
    /// Of the configuration files of all hosts: a service and its `hosts`.
    placements: Vec<(&'static str, String)>,
}

/// A component in a folder of its own, with what it asks for in its `service.toml`.
#[derive(Debug, Clone)]
struct Stranger {
    name: String,
    folder: PathBuf,
}

impl Stranger {
    /// Where `ward build` put it: in the target directory of its workspace.
    fn artifact(&self) -> PathBuf {
        let file = format!("target/components/{}.wasm", self.name);
        let mut built = self.folder.ancestors().map(|folder| folder.join(&file));
        built.find(|path| path.exists()).unwrap_or_else(|| panic!("{} is not built: `ward build` does it", self.name))
    }
}

impl Plan {
    /// With these services only.
    pub fn services(mut self, services: &[&'static str]) -> Self {
        self.services = services.to_vec();
        self.deployed = services.to_vec();
        self.hosts = vec![services.to_vec()];
        self
    }

    /// With a component that stands in no configuration but its own.
    pub fn stranger(mut self, name: &str, folder: impl Into<PathBuf>) -> Self {
        let folder = folder.into();
        let include = format!("[{:?}]", folder.join("service.toml"));
        self.stranger = Some(Stranger { name: name.to_owned(), folder });
        self.set("WARD_DEVELOPMENT_INCLUDE", include)
    }

    /// So many hosts, each with all services.
    pub fn hosts(mut self, count: usize) -> Self {
        self.hosts = vec![services(); count];
        self
    }

    /// One host for each list of services; what none of them runs is not deployed.
    pub fn split(mut self, hosts: &[&[&'static str]]) -> Self {
        self.hosts = hosts.iter().map(|services| services.to_vec()).collect();
        self.deployed.retain(|service| hosts.iter().any(|services| services.contains(service)));
        self
    }

    /// With the component of `tests/hostile` on every host.
    pub fn hostile(mut self) -> Self {
        self.services.push("hostile");
        self.deployed.push("hostile");
        self.hosts.iter_mut().for_each(|services| services.push("hostile"));
        self
    }

    /// With the component of `examples/letters-js` on every host.
    pub fn letters(mut self) -> Self {
        self.services.push("letters");
        self.hosts.iter_mut().for_each(|services| services.push("letters"));
        self
    }

    /// This service is configured, and no component was ever deployed for it.
    pub fn without(mut self, service: &str) -> Self {
        self.deployed.retain(|deployed| *deployed != service);
        self
    }

    /// With a bridge; its Kafka is the one inside, unless there is a real one.
    pub fn bridge(mut self) -> Self {
        self.bridge = true;
        self
    }

    /// With a bridge and a real Apache Kafka.
    pub fn kafka(mut self) -> Self {
        self.kafka = true;
        self.bridge()
    }

    /// A setting, as an operator would make it in the environment.
    pub fn set(mut self, name: &str, value: impl ToString) -> Self {
        self.environment = self.environment.with(name, value);
        self
    }

    /// A setting of one host alone, by its place.
    pub fn set_on(mut self, host: usize, name: &str, value: impl ToString) -> Self {
        self.own.push((host, name.to_owned(), value.to_string()));
        self
    }

    /// `[services.SERVICE] hosts = …`, as TOML.
    pub fn placed(mut self, service: &'static str, hosts: &str) -> Self {
        self.placements.push((service, hosts.to_owned()));
        self
    }

    /// With three nats-servers, and three copies of everything.
    pub fn cluster(mut self) -> Self {
        self.cluster = true;
        self.set("WARD_NATS_REPLICAS", 3)
    }

    /// The last host reaches NATS and PostgreSQL by links that can be cut.
    pub fn linked(mut self) -> Self {
        self.linked = true;
        self
    }

    /// A service's limits, as TOML, instead of those that it has otherwise.
    pub fn limits(mut self, service: &str, limits: &str) -> Self {
        self.environment = self.environment.with_limits(service, limits);
        self
    }

    pub async fn start(self) -> System {
        let room = room().await;
        self.start_in(Some(room)).await
    }

    async fn start_in(self, room: Option<OwnedSemaphorePermit>) -> System {
        let kafka = async { if self.kafka { Some(Kafka::start().await) } else { None } };
        let nats = async { if self.cluster { Nats::cluster().await } else { vec![Nats::start().await] } };
        let (postgres, mut servers, kafka) = tokio::join!(Postgres::start(), nats, kafka);
        let (nats, nodes) = (servers.remove(0), servers);
        let folder = folder();
        let environment = self
            .environment
            .with("WARD_DATABASE_URL", postgres.url())
            .with("WARD_DATABASE_SECRET_FILE", folder.path().join("secrets/database").display())
            .with("WARD_TOKENS_KEY_DIR", folder.path().join("secrets/keys").display())
            .with("WARD_NATS_URL", nats.url())
            .with("WARD_KAFKA", kafka.as_ref().map_or("embedded".to_owned(), Kafka::brokers));
        let mut system = System {
            hosts: Vec::new(),
            bridge: None,
            kafka,
            nats,
            nodes,
            postgres,
            links: None,
            services: self.services,
            stranger: self.stranger.as_ref().map(|stranger| stranger.name.clone()),
            environment,
            folder,
            tokens: Mutex::default(),
            is_ended: room.is_none(),
            _room: room,
        };
        system.command(&["provision"]).await;
        for (place, services) in self.hosts.iter().enumerate() {
            let name = format!("host-{}", place + 1);
            let own = self.own.iter().filter(|(host, _, _)| *host == place);
            let mut environment = own.fold(system.environment.clone(), |all, (_, name, value)| all.with(name, value));
            if self.linked && place + 1 == self.hosts.len() {
                let links = Links::to(&system.nats, &system.postgres).await;
                environment = environment
                    .with("WARD_NATS_URL", format!("nats://127.0.0.1:{}", links.nats.port()))
                    .with("WARD_DATABASE_URL", system.postgres.url_by(links.database.port()));
                system.links = Some(links);
            }
            let host = Host::start(&name, services, &self.placements, &environment, system.folder.path()).await;
            system.hosts.push(host);
        }
        let strange = self.stranger.map(|stranger| (stranger.name.clone(), stranger.artifact()));
        join_all(self.deployed.iter().map(|service| system.deploy(service, component(service)))).await;
        if let Some((name, artifact)) = strange {
            system.deploy(&name, artifact).await;
        }
        for host in &mut system.hosts {
            if host.services.iter().all(|service| self.deployed.contains(service)) {
                host.until_ready().await;
            }
        }
        if self.bridge {
            system.bridge = Some(Bridge::start(&system.environment, system.folder.path()).await);
        }
        system
    }
}

/// A running system. What is declared first is dropped first: hosts before the servers that they use.
pub struct System {
    pub hosts: Vec<Host>,
    pub bridge: Option<Bridge>,
    pub kafka: Option<Kafka>,
    pub nats: Nats,
    /// The other servers of the cluster.
    pub nodes: Vec<Nats>,
    pub postgres: Postgres,
    links: Option<Links>,
    /// Those of the operator's configuration.
    services: Vec<&'static str>,
    stranger: Option<String>,
    environment: Environment,
    folder: TempDir,
    tokens: Mutex<HashMap<String, String>>,
    is_ended: bool,
    _room: Option<OwnedSemaphorePermit>,
}

/// The ways of the last host to its servers.
pub struct Links {
    pub nats: Link,
    pub database: Link,
}

impl Links {
    async fn to(nats: &Nats, postgres: &Postgres) -> Self {
        Self { nats: Link::to(nats.address()).await, database: Link::to(postgres.address()).await }
    }
}

impl System {
    /// One host, everything deployed, no bridge, no limit of the rate.
    pub async fn start() -> Self {
        Self::with().start().await
    }

    /// One component, and what it takes to log in. `folder` is that of its crate: `env!("CARGO_MANIFEST_DIR")`.
    pub async fn of(name: &str, folder: &str) -> Self {
        Self::with().services(&["auth"]).stranger(name, folder).start().await
    }

    pub fn with() -> Plan {
        let plan = Plan {
            hosts: vec![services()],
            services: services(),
            deployed: services(),
            stranger: None,
            bridge: false,
            kafka: false,
            cluster: false,
            linked: false,
            own: Vec::new(),
            placements: Vec::new(),
            environment: Environment::default(),
        };
        // Compiled components are the same for all tests.
        plan.set("WARD_HOST_CACHE_DIR", repository().join("target/test-cache").display())
            .set("WARD_PROFILE", "development")
            // A machine that is busy with other tests is slow, and that is not what is tested.
            .set("WARD_DATABASE_ACQUIRE_TIMEOUT_MS", 10_000)
            .set("WARD_HTTP_RATE_PER_S", 0)
    }

    /// A system with a bridge for all tests that harm nobody else's. It ends with the process.
    pub async fn shared() -> &'static Self {
        static SHARED: OnceCell<System> = OnceCell::const_new();
        SHARED.get_or_init(|| Self::with().bridge().start_in(None)).await
    }

    /// A client of the first host, without a token.
    pub fn rest(&self) -> Rest {
        self.hosts[0].rest()
    }

    /// A client of the first host with the token of a user of the development profile: `testuser` (ADMIN),
    /// `clinician`, `billing` or `reader`.
    pub async fn user(&self, name: &str) -> Rest {
        let mut tokens = self.tokens.lock().await;
        if let Some(token) = tokens.get(name) {
            return self.rest().with_token(token);
        }
        let rest = self.rest().login(&format!("{name}@test.com")).await;
        tokens.insert(name.to_owned(), rest.token().unwrap().to_owned());
        rest
    }

    pub async fn admin(&self) -> Rest {
        self.user("testuser").await
    }

    pub async fn grpc(&self) -> Billing {
        Billing::connect(self.bridge().grpc()).await
    }

    pub async fn topic(&self, name: &str) -> Topic {
        Topic::new(&self.bridge().brokers().await, name)
    }

    pub fn bridge(&self) -> &Bridge {
        self.bridge.as_ref().expect("the test asked for a bridge")
    }

    /// An administrator's connections to a service's database.
    pub async fn database(&self, service: &str) -> PgPool {
        self.postgres.database(service).await
    }

    /// The links of the last host.
    pub fn links(&self) -> &Links {
        self.links.as_ref().expect("the test asked for links")
    }

    /// A directory for the test's own files.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Runs a command of the operator, which has to succeed.
    pub async fn command(&self, arguments: &[&str]) -> String {
        let output = self.try_command(arguments).await;
        assert!(output.status.success(), "ward {}: {}", arguments.join(" "), said(&output));
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    pub async fn try_command(&self, arguments: &[&str]) -> Output {
        self.command_with_input(arguments, "").await
    }

    /// Starts a command that goes on until it is stopped, with more in its environment.
    pub fn running(&self, arguments: &[&str], environment: &[(&str, &str)]) -> Server {
        let add = |all: Environment, (name, value): &(&str, &str)| all.with(name, value);
        let environment = environment.iter().fold(self.environment.clone(), add);
        running(arguments, &self.services, &environment, self.folder.path())
    }

    /// Runs a command that reads from its standard input.
    pub async fn command_with_input(&self, arguments: &[&str], input: &str) -> Output {
        command(arguments, input, &self.services, &self.environment, self.folder.path()).await
    }

    /// Runs a script of bash as the operator, in a directory: `ward`, `cargo` and `$URL` are there, and it ends at the first failure.
    pub async fn shell(&self, script: &str, folder: &Path) -> Output {
        let environment = self.environment.clone().with("URL", self.hosts[0].url());
        shell(script, &self.services, &environment, folder, self.folder.path()).await
    }

    pub async fn deploy(&self, service: &str, artifact: impl AsRef<Path>) -> String {
        self.command(&["deploy", service, artifact.as_ref().to_str().unwrap()]).await
    }

    /// What `ward ps` says of a service on the first host.
    pub async fn status(&self, service: &str) -> Value {
        eventually("host-1 says how it is", async || self.status_on("host-1", service).await).await
    }

    /// None when the host does not answer, or knows no such service.
    pub async fn status_on(&self, host: &str, service: &str) -> Option<Value> {
        let answered = self.try_command(&["ps", "--json"]).await;
        let hosts: Vec<Value> = serde_json::from_slice(&answered.stdout).ok()?;
        let host = hosts.into_iter().find(|one| one["host"] == host)?;
        host["services"].as_array()?.iter().find(|one| one["service"] == service).cloned()
    }

    /// The digest of what serves on the first host; empty when nothing does.
    pub async fn serving(&self, service: &str) -> String {
        self.status(service).await["serving"]["digest"].as_str().unwrap_or_default().to_owned()
    }

    /// Another bridge over the same servers, which stands by or takes over.
    pub async fn another_bridge(&self) -> Bridge {
        Bridge::start(&self.environment, self.folder.path()).await
    }

    /// Waits until every event has had all its effects: outboxes empty, subscriptions done, Kafka written.
    pub async fn settle(&self) {
        let client = self.nats.client().await;
        let mut databases = Vec::new();
        for service in
            self.services.iter().copied().filter(|service| *service != "hostile").chain(self.stranger.as_deref())
        {
            databases.push(self.database(service).await);
        }
        within(Duration::from_secs(90), "no event is under way", async || {
            // Twice: what one look saw leaving may arrive where it had looked before.
            let first = self.what_is_under_way(&client, &databases).await?;
            let second = self.what_is_under_way(&client, &databases).await?;
            (first == 0 && second == 0).then_some(())
        })
        .await;
    }

    /// Ends a test: nothing is left under way, nothing lies in the dead letters, and hosts stop in order.
    pub async fn end(mut self) {
        self.settle().await;
        let letters = self.dead_letters().await;
        assert_eq!(letters, 0, "events are in the dead letters: {}", self.command(&["events", "dead"]).await);
        for host in &mut self.hosts {
            if host.server.id().is_some() {
                let status = host.stop().await;
                assert!(status.success(), "a host ended with {status}\n{}", host.server.log());
            }
        }
        self.is_ended = true;
    }

    /// Ends a test that broke things on purpose, where [`System::end`] would find them.
    pub fn end_broken(mut self) {
        self.is_ended = true;
    }

    /// Publishes an event, as another service would, with a protobuf message.
    pub async fn publish(&self, kind: &str, about: &str, message: &[u8]) {
        let id = uuid::Uuid::new_v4().to_string();
        let mut headers = async_nats::HeaderMap::new();
        for (name, value) in [
            (ce::ID, id.as_str()),
            (header::MESSAGE_ID, id.as_str()),
            (ce::SPECVERSION, "1.0"),
            (ce::TYPE, kind),
            (ce::SOURCE, "/services/test"),
            (ce::SUBJECT, about),
            (ce::TIME, "2026-01-10T09:30:00Z"),
            (ce::VERSION, "1"),
        ] {
            headers.insert(name, value);
        }
        let context = jetstream::new(self.nats.client().await);
        let subject = format!("{}.{kind}", subject::EVENT);
        context.publish_with_headers(subject, headers, message.to_vec().into()).await.unwrap().await.unwrap();
    }

    /// Waits until the last event of a type has this message; returns what it is about.
    pub async fn until_published(&self, kind: &str, message: &[u8]) -> String {
        eventually(&format!("{kind} is published"), async || {
            self.last_event(kind).await.filter(|(_, last)| last == message).map(|(about, _)| about)
        })
        .await
    }

    /// What the last event of a type is about, and its message.
    pub async fn last_event(&self, kind: &str) -> Option<(String, Vec<u8>)> {
        let stream = jetstream::new(self.nats.client().await).get_stream(subject::EVENT_STREAM).await.ok()?;
        let last = stream.get_last_raw_message_by_subject(&format!("{}.{kind}", subject::EVENT)).await.ok()?;
        Some((last.headers.get(ce::SUBJECT)?.as_str().to_owned(), last.payload.to_vec()))
    }

    pub async fn dead_letters(&self) -> u64 {
        let context = jetstream::new(self.nats.client().await);
        match context.get_stream(subject::DEAD_STREAM).await {
            Ok(stream) => stream.cached_info().state.messages,
            Err(_) => 0,
        }
    }

    /// None while a server cannot be asked.
    async fn what_is_under_way(&self, client: &async_nats::Client, databases: &[PgPool]) -> Option<u64> {
        let mut sum = 0;
        for database in databases {
            let rows: i64 = sqlx::query_scalar("select count(*) from ward.outbox").fetch_one(database).await.ok()?;
            sum += rows as u64;
        }
        let stream = jetstream::new(client.clone()).get_stream(subject::EVENT_STREAM).await.ok()?;
        let mut consumers = stream.consumers();
        while let Some(consumer) = consumers.try_next().await.ok()? {
            sum += consumer.num_pending + consumer.num_ack_pending as u64;
        }
        if let Some(bridge) = self.bridge.as_ref().filter(|bridge| bridge.server.id().is_some()) {
            sum += u64::from(!bridge.is_settled().await);
        }
        Some(sum)
    }
}

impl Drop for System {
    fn drop(&mut self) {
        if !self.is_ended && !std::thread::panicking() {
            panic!("a test has to end its system: System::end, or System::end_broken");
        }
    }
}
