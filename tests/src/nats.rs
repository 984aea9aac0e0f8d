//! The nats-servers of a test, with the configuration that is deployed: one, or a cluster of three.

use std::net::{Ipv4Addr, SocketAddr, TcpStream};

use async_nats::ServerAddr;
use async_nats::jetstream::{self, kv};
use tempfile::TempDir;
use uuid::Uuid;
use ward_proto::call::{ce, subject};

use crate::eventually;
use crate::machine::{directory, port, repository, tool};
use crate::server::{Recipe, Server};

pub struct Nats {
    pub server: Server,
    port: u16,
    /// All servers of its cluster.
    ports: Vec<u16>,
    _directory: TempDir,
}

impl Nats {
    pub async fn start() -> Self {
        let port = port();
        let mut nats = Self::begin("nats", port, vec![port], &[]);
        nats.until_ready().await;
        nats
    }

    /// One server of a cluster whose others never begin: it takes connections, and nobody answers for its streams and buckets.
    pub async fn leaderless() -> Self {
        let mut nats = Self::begin_member(0, &[port()], &links());
        nats.until_ready().await;
        nats
    }

    /// Three servers of one cluster. Returns when a stream with three copies can be made.
    pub async fn cluster() -> Vec<Self> {
        let ports: Vec<u16> = (0..3).map(|_| port()).collect();
        let links = links();
        let mut servers: Vec<Self> = (0..3).map(|place| Self::begin_member(place, &ports, &links)).collect();
        for server in &mut servers {
            server.until_ready().await;
        }
        let context = jetstream::new(servers[0].client().await);
        eventually("the cluster has a leader", async || {
            let config = kv::Config { bucket: "probe".into(), num_replicas: 3, ..Default::default() };
            context.create_key_value(config).await.ok()
        })
        .await;
        context.delete_key_value("probe").await.unwrap();
        servers
    }

    fn begin_member(place: usize, ports: &[u16], links: &[String]) -> Self {
        let (name, routes) = (format!("nats-{}", place + 1), links.join(","));
        let own = ["--name", &name, "--cluster_name", "ward", "--cluster", &links[place], "--routes", &routes];
        Self::begin(&name, ports[place], ports.to_vec(), &own)
    }

    fn begin(name: &str, port: u16, ports: Vec<u16>, arguments: &[&str]) -> Self {
        let directory = directory("nats-");
        let program = tool("nats-server", &[repository().join(".ward/tools")]);
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let recipe = Recipe::new(name, program, directory.path())
            .argument("--config")
            .argument(repository().join("deploy/nats/nats.conf"))
            .arguments(["--addr", "127.0.0.1", "--port", &port.to_string()])
            .argument("--store_dir")
            .argument(directory.path().join("store"))
            .arguments(arguments)
            // As `./dev` gives it.
            .variable("GOMAXPROCS", cores.div_ceil(2).to_string());
        Self { server: Server::start(recipe), port, ports, _directory: directory }
    }

    /// Of all servers of the cluster, with commas between them.
    pub fn url(&self) -> String {
        self.ports.iter().map(|port| format!("nats://127.0.0.1:{port}")).collect::<Vec<_>>().join(",")
    }

    /// Where this one listens.
    pub fn address(&self) -> SocketAddr {
        (Ipv4Addr::LOCALHOST, self.port).into()
    }

    /// After a kill or a stop, on the same port and store.
    pub async fn start_again(&mut self) {
        self.server.start_again();
        self.until_ready().await;
    }

    pub async fn client(&self) -> async_nats::Client {
        let servers: Vec<ServerAddr> = self.url().split(',').map(|url| url.parse().unwrap()).collect();
        eventually("a connection to NATS", async || async_nats::connect(&servers[..]).await.ok()).await
    }

    /// An event of nobody's, in the stream when this returns.
    pub async fn publish_event(&self, kind: &str, about: &str) {
        let mut headers = async_nats::HeaderMap::new();
        let (id, time) = (Uuid::new_v4().to_string(), "2026-01-01T00:00:00Z");
        let attributes = [(ce::ID, id.as_str()), (ce::TYPE, kind), (ce::SOURCE, "/tests"), (ce::SUBJECT, about)];
        for (name, value) in attributes.into_iter().chain([(ce::TIME, time), (ce::VERSION, "1")]) {
            headers.insert(name, value);
        }
        let stream = jetstream::new(self.client().await);
        let subject = format!("{}.{kind}", subject::EVENT);
        stream.publish_with_headers(subject, headers, "".into()).await.unwrap().await.unwrap();
    }

    /// How often a subscription was given an event, the same one or another.
    pub async fn deliveries(&self, durable: &str) -> u64 {
        let stream = jetstream::new(self.client().await).get_stream(subject::EVENT_STREAM).await.unwrap();
        stream.consumer_info(durable).await.unwrap().delivered.consumer_sequence
    }

    async fn until_ready(&mut self) {
        let port = self.port;
        self.server.until("takes connections", async || TcpStream::connect(("127.0.0.1", port)).is_ok()).await;
    }
}

/// Where the three servers of a cluster meet.
fn links() -> [String; 3] {
    [(); 3].map(|()| format!("nats://127.0.0.1:{}", port()))
}
