//! A real nats-server, and the part of Ward that is behind it.

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use async_nats::jetstream::{self, stream};
use async_nats::{Client, HeaderMap, Message};
use futures_util::StreamExt;
use prost::Message as _;
use tempfile::TempDir;
use tokio::sync::mpsc;
use ward_proto::clinic_events::PatientRegistered;

use super::{eventually, port};

pub struct Nats {
    child: Child,
    pub port: u16,
    directory: TempDir,
}

impl Nats {
    pub async fn start() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let port = port();
        let child = spawn(port, directory.path());
        let nats = Self { child, port, directory };
        nats.client().await;
        nats
    }

    pub fn url(&self) -> String {
        format!("nats://127.0.0.1:{}", self.port)
    }

    pub async fn client(&self) -> Client {
        eventually("nats-server accepts", async || async_nats::connect(self.url()).await.ok()).await
    }

    /// kill -9.
    pub fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    pub async fn restart(&mut self) {
        self.child = spawn(self.port, self.directory.path());
        self.client().await;
    }

    /// The streams that the host makes.
    pub async fn with_streams(self) -> Self {
        let jetstream = jetstream::new(self.client().await);
        for (name, subjects) in
            [("WARD_EVENTS", vec!["ward.event.>", "ward.replay.>"]), ("WARD_DEAD", vec!["ward.dead.>"])]
        {
            let config = stream::Config {
                name: name.to_owned(),
                subjects: subjects.into_iter().map(str::to_owned).collect(),
                ..Default::default()
            };
            eventually("a stream", async || jetstream.create_stream(config.clone()).await.ok()).await;
        }
        self
    }
}

impl Drop for Nats {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn spawn(port: u16, directory: &Path) -> Child {
    let server = std::env::var("WARD_NATS_SERVER").unwrap_or_else(|_| "nats-server".to_owned());
    let config = directory.join("nats.conf");
    let store = directory.join("store");
    let text = format!("listen: 127.0.0.1:{port}\njetstream {{ store_dir: {store:?}, sync_interval: always }}\n");
    std::fs::write(&config, text).unwrap();
    Command::new(&server)
        .arg("-c")
        .arg(&config)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap_or_else(|error| panic!("cannot start {server} (set WARD_NATS_SERVER): {error}"))
}

/// The clinic, as far as the event stream knows it.
pub struct Clinic {
    jetstream: jetstream::Context,
}

impl Clinic {
    pub async fn new(nats: &Nats) -> Self {
        Self { jetstream: jetstream::new(nats.client().await) }
    }

    /// Publishes registrations `numbers`, spread over `patients` patients; each carries its number as the id.
    pub async fn register(&self, numbers: std::ops::Range<u64>, patients: u64) {
        for number in numbers {
            let patient = format!("patient-{}", number % patients);
            self.publish("patient.registered", &format!("event-{number}"), &patient, number, "John Doe").await;
        }
    }

    pub async fn publish(&self, kind: &str, id: &str, patient: &str, version: u64, name: &str) {
        let registered = PatientRegistered {
            patient_id: patient.to_owned(),
            name: name.to_owned(),
            email: "john.doe@example.com".to_owned(),
            registered_date: "2026-01-10".to_owned(),
        };
        let mut headers = HeaderMap::new();
        for (key, value) in [
            ("Nats-Msg-Id", id),
            ("ce-id", id),
            ("ce-type", kind),
            ("ce-source", "/services/patient"),
            ("ce-specversion", "1.0"),
            ("ce-subject", patient),
            ("ce-time", "2026-01-10T09:30:00Z"),
            ("ce-aggregateversion", &version.to_string()),
            ("Content-Type", "application/protobuf"),
            ("traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"),
        ] {
            headers.insert(key, value);
        }
        let subject = format!("ward.event.{kind}");
        let payload = registered.encode_to_vec();
        while self.store(&subject, &headers, &payload).await.is_none() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    async fn store(&self, subject: &str, headers: &HeaderMap, payload: &[u8]) -> Option<()> {
        let payload = payload.to_vec().into();
        let sent = self.jetstream.publish_with_headers(subject.to_owned(), headers.clone(), payload);
        sent.await.ok()?.await.ok().map(|_| ())
    }

    /// The dead letters so far.
    pub async fn dead_letters(&self) -> Vec<jetstream::message::StreamMessage> {
        let stream = self.jetstream.get_stream("WARD_DEAD").await.unwrap();
        let last = stream.cached_info().state.last_sequence;
        let mut letters = Vec::new();
        for sequence in 1..=last {
            letters.push(stream.get_raw_message(sequence).await.unwrap());
        }
        letters
    }
}

/// A billing that answers `accounts.open` as `answer` says, and shows the requests that it got.
pub struct Billing {
    pub requests: mpsc::UnboundedReceiver<Message>,
    task: tokio::task::JoinHandle<()>,
}

pub enum Answer {
    Payload(String),
    Failure(&'static str),
    Silence,
}

impl Billing {
    pub async fn start(nats: &Nats, answer: impl Fn(&Message) -> Answer + Send + 'static) -> Self {
        let client = nats.client().await;
        let mut subscription = client.queue_subscribe("ward.call.billing.accounts.*", "billing".into()).await.unwrap();
        client.flush().await.unwrap();
        let (sender, requests) = mpsc::unbounded_channel();
        let task = tokio::spawn(async move {
            while let Some(request) = subscription.next().await {
                let reply = request.reply.clone().unwrap();
                if request.subject.ends_with(".get") {
                    client.publish(reply, r#"{"err":"not-found"}"#.into()).await.unwrap();
                    continue;
                }
                match answer(&request) {
                    Answer::Payload(payload) => client.publish(reply, payload.into()).await.unwrap(),
                    Answer::Failure(kind) => {
                        let mut headers = HeaderMap::new();
                        headers.insert("Ward-Failure", kind);
                        client.publish_with_headers(reply, headers, "{}".into()).await.unwrap();
                    }
                    Answer::Silence => {}
                }
                let _ = sender.send(request);
            }
        });
        Self { requests, task }
    }

    pub async fn request(&mut self) -> Message {
        tokio::time::timeout(super::PATIENCE, self.requests.recv()).await.unwrap().unwrap()
    }
}

impl Drop for Billing {
    fn drop(&mut self) {
        self.task.abort();
    }
}
