//! A real Apache Kafka of a test: one node, with the configuration that `./dev up --kafka` uses.

use std::ffi::OsString;
use std::path::Path;
use std::time::Duration;

use rdkafka::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};
use tempfile::TempDir;

use crate::machine::{directory, port, repository, tool};
use crate::server::{Recipe, Server};

const CLUSTER: &str = "Wm9vbm9kZXJlYWxseXgyMg";

pub struct Kafka {
    pub server: Server,
    port: u16,
    _directory: TempDir,
}

impl Kafka {
    pub async fn start() -> Self {
        let (directory, port) = (directory("kafka-"), port());
        let properties = directory.path().join("server.properties");
        std::fs::write(&properties, configuration(directory.path(), port)).unwrap();
        let format = java(directory.path())
            .argument("kafka.tools.StorageTool")
            .arguments(["format", "--standalone", "-t", CLUSTER, "-c"])
            .argument(&properties);
        let output = format.command().output().unwrap();
        assert!(output.status.success(), "formatting Kafka: {}", String::from_utf8_lossy(&output.stdout));
        let server = Server::start(java(directory.path()).argument("kafka.Kafka").argument(&properties));
        let mut kafka = Self { server, port, _directory: directory };
        kafka.until_ready().await;
        kafka
    }

    pub fn brokers(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// After a kill or a stop, on the same port and log.
    pub async fn start_again(&mut self) {
        self.server.start_again();
        self.until_ready().await;
    }

    async fn until_ready(&mut self) {
        let brokers = self.brokers();
        self.server
            .until("knows its cluster", async || {
                let brokers = brokers.clone();
                tokio::task::spawn_blocking(move || is_ready(&brokers)).await.unwrap()
            })
            .await;
    }
}

fn is_ready(brokers: &str) -> bool {
    let consumer: BaseConsumer =
        ClientConfig::new().set("bootstrap.servers", brokers).set("log_level", "0").create().unwrap();
    consumer.fetch_metadata(None, Duration::from_secs(1)).is_ok_and(|metadata| !metadata.brokers().is_empty())
}

fn java(directory: &Path) -> Recipe {
    let jars = repository().join(".ward/tools/kafka");
    assert!(jars.exists(), "Apache Kafka is not there: ./dev test fetches it");
    let mut jars = OsString::from(jars);
    jars.push("/*");
    Recipe::new("kafka", tool("java", &[]), directory)
        .arguments(["-Xmx192m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-cp"])
        .argument(jars)
}

fn configuration(directory: &Path, port: u16) -> String {
    let deployed = std::fs::read_to_string(repository().join("deploy/kafka/server.properties")).unwrap();
    let controller = crate::machine::port();
    let data = directory.join("data");
    format!(
        "{deployed}\n\
         listeners=PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller}\n\
         controller.quorum.bootstrap.servers=127.0.0.1:{controller}\n\
         log.dirs={}\n",
        data.display()
    )
}
