//! The bridge as a process.

use std::process::{Child, Command, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tonic::transport::{Channel, Endpoint};

use super::nats::Nats;
use super::{eventually, port};

pub struct Bridge {
    child: Child,
    http: u16,
    grpc: u16,
    _directory: TempDir,
}

const TABLE: &str = r#"
[[bridge.kafka.topics]]
event = "patient.registered"
topic = "patient"
format = "patient-event"

[[bridge.kafka.topics]]
event = "patient.registered"
topic = "patient.registered"
format = "event"
"#;

impl Bridge {
    /// Starts a bridge with further lines for `[bridge.kafka]`.
    pub fn start(nats: &Nats, brokers: &str, kafka: &str) -> Self {
        Self::start_with(nats, "development", &format!("[bridge.kafka]\nbrokers = {brokers:?}\n{kafka}\n{TABLE}"))
    }

    pub fn start_with(nats: &Nats, profile: &str, more: &str) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let (http, grpc) = (port(), port());
        let file = directory.path().join("ward.toml");
        let text = format!(
            "profile = {profile:?}\n[nats]\nurl = {:?}\n[bridge]\nlisten = \"127.0.0.1:{http}\"\n\
             [bridge.grpc]\nlisten = \"127.0.0.1:{grpc}\"\n{more}",
            nats.url()
        );
        std::fs::write(&file, text).unwrap();
        let child = Command::new(env!("CARGO_BIN_EXE_ward-bridge"))
            .arg("--config")
            .arg(&file)
            .env("WARD_LOG_LEVEL", std::env::var("WARD_TEST_LOG").unwrap_or_else(|_| "warn".to_owned()))
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        Self { child, http, grpc, _directory: directory }
    }

    /// kill -9.
    pub fn kill(mut self) {
        self.child.kill().unwrap();
    }

    /// SIGTERM, and the end.
    pub async fn stop(mut self) {
        let id = Pid::from_raw(self.child.id() as i32).unwrap();
        kill_process(id, Signal::TERM).unwrap();
        let status = eventually("the bridge ends", async || self.child.try_wait().unwrap()).await;
        assert!(status.success(), "{status}");
    }

    pub async fn status(&self) -> Option<Value> {
        let (_, body) = self.get("/status").await?;
        serde_json::from_str(&body).ok()
    }

    /// Waits until a field of the status is `value`, e.g. `/kafka/mirror`.
    pub async fn wait_until(&self, pointer: &str, value: impl Into<Value>) {
        let value = value.into();
        eventually(&format!("{pointer} is {value}"), async || {
            self.status().await.filter(|status| status.pointer(pointer) == Some(&value))
        })
        .await;
    }

    /// Status code and body.
    pub async fn get(&self, path: &str) -> Option<(u16, String)> {
        let exchange = async {
            let mut stream = tokio::net::TcpStream::connect(("127.0.0.1", self.http)).await.ok()?;
            let request = format!("GET {path} HTTP/1.1\r\nhost: bridge\r\nconnection: close\r\n\r\n");
            stream.write_all(request.as_bytes()).await.ok()?;
            let mut response = String::new();
            stream.read_to_string(&mut response).await.ok()?;
            let (head, body) = response.split_once("\r\n\r\n")?;
            Some((head.split(' ').nth(1)?.parse().ok()?, body.to_owned()))
        };
        tokio::time::timeout(Duration::from_secs(5), exchange).await.ok()?
    }

    pub async fn channel(&self) -> Channel {
        let endpoint = Endpoint::from_shared(format!("http://127.0.0.1:{}", self.grpc)).unwrap();
        eventually("gRPC accepts", async || endpoint.connect().await.ok()).await
    }
}

impl Drop for Bridge {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
