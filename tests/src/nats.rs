//! A nats-server of a test, with the configuration that is deployed.

use std::net::TcpStream;

use tempfile::TempDir;

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

    async fn until_ready(&mut self) {
        let port = self.port;
        self.server.until("takes connections", async || TcpStream::connect(("127.0.0.1", port)).is_ok()).await;
    }
}
