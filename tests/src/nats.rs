//! A nats-server of a test, with the configuration that is deployed.

use std::net::TcpStream;

use async_nats::jetstream;
use tempfile::TempDir;
use uuid::Uuid;
use ward_proto::call::{ce, subject};

use crate::eventually;
use crate::machine::{directory, port, repository, tool};
use crate::server::{Recipe, Server};

pub struct Nats {
    pub server: Server,
    port: u16,
    _directory: TempDir,
}

impl Nats {
    pub async fn start() -> Self {
        let (directory, port) = (directory("nats-"), port());
        let program = tool("nats-server", &[repository().join(".ward/tools")]);
        let recipe = Recipe::new("nats", program, directory.path())
            .argument("--config")
            .argument(repository().join("deploy/nats/nats.conf"))
            .arguments(["--addr", "127.0.0.1", "--port", &port.to_string()])
            .argument("--store_dir")
            .argument(directory.path().join("store"));
        let mut nats = Self { server: Server::start(recipe), port, _directory: directory };
        nats.until_ready().await;
        nats
    }

    pub fn url(&self) -> String {
        format!("nats://127.0.0.1:{}", self.port)
    }

    /// After a kill or a stop, on the same port and store.
    pub async fn start_again(&mut self) {
        self.server.start_again();
        self.until_ready().await;
    }

    pub async fn client(&self) -> async_nats::Client {
        eventually("a connection to NATS", async || async_nats::connect(self.url()).await.ok()).await
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
