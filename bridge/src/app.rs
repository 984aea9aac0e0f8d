//! Builds the parts, puts them together, runs them, and ends them in order. The one place that sees everything.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio::task::JoinHandle;
use ward_telemetry::Recorder;

use crate::bus::Bus;
use crate::config::{Callers, Config};
use crate::grpc::{self, Billing, Gatekeeper};
use crate::http;
use crate::kafka::{Broker, Mirror};
use crate::status::{Facts, Status};
use crate::stop::{self, Stop};
use crate::tokens::{Principal, Verifier};

/// How long calls under way may take when the bridge ends; the mirror has its own bound, which is shorter.
const END_WITHIN: Duration = Duration::from_secs(10);

/// The bridge with its doors open, but nobody behind them yet.
pub struct App {
    config: Config,
    bus: Bus,
    broker: Arc<Broker>,
    status: Arc<Status>,
    grpc: TcpListener,
    http: TcpListener,
}

impl App {
    /// Takes the addresses and starts connecting. NATS and Kafka need not be there yet.
    pub async fn bind(config: Config) -> anyhow::Result<Self> {
        let grpc = listen(config.bridge.grpc.listen, "bridge.grpc.listen").await?;
        let http = listen(config.bridge.listen, "bridge.listen").await?;
        let broker = Arc::new(Broker::new(&config.bridge.kafka)?);
        let bus = Bus::connect(&config.nats).await?;
        let facts = Facts {
            grpc: grpc.local_addr()?,
            callers: match config.callers() {
                Callers::Trust => "trust",
                Callers::Require => "require",
            },
            brokers: broker.addresses().to_owned(),
            embedded: broker.is_embedded(),
            topics: config.bridge.kafka.topic_names(),
        };
        // One process of many has no other name than its id.
        let process = format!("bridge-{}", std::process::id());
        let recorder = Recorder::new(&config.telemetry, "ward-bridge", &process);
        let status = Arc::new(Status::new(facts, bus.clone(), recorder));
        Ok(Self { config, bus, broker, status, grpc, http })
    }

    pub fn status(&self) -> &Arc<Status> {
        &self.status
    }

    /// Where the bridge's own HTTP listens.
    pub fn http_address(&self) -> std::io::Result<std::net::SocketAddr> {
        self.http.local_addr()
    }

    /// Says where everything is.
    pub fn announce(&self) {
        let (grpc, http) = (self.grpc.local_addr().ok(), self.http.local_addr().ok());
        tracing::info!(address = ?grpc, callers = ?self.config.callers(), "gRPC listens");
        tracing::info!(address = ?http, "HTTP listens: /healthz /readyz /status /metrics");
        if self.config.callers() == Callers::Trust {
            let grpc = &self.config.bridge.grpc;
            tracing::warn!(
                subject = grpc.trusted_subject,
                role = grpc.trusted_role,
                "gRPC callers without a token are trusted"
            );
        }
        if self.broker.is_embedded() {
            tracing::warn!(
                brokers = self.broker.addresses(),
                "Kafka is embedded: in memory only, empty after every start, for trying Ward out"
            );
        } else {
            tracing::info!(brokers = self.broker.addresses(), "mirroring to Kafka");
        }
    }

    /// Works until `wish` is fulfilled, then ends: the doors close, what is under way finishes within a bound.
    pub async fn run(self, wish: impl Future<Output = ()>) {
        let (stopper, stop) = stop::channel();
        let recorder = self.status.recorder.clone();
        let tasks = self.start(stop);
        wish.await;
        tracing::info!("ending");
        stopper.stop();
        for (name, task) in tasks {
            if tokio::time::timeout(END_WITHIN, task).await.is_err() {
                tracing::warn!(part = name, "did not end in time");
            }
        }
        recorder.flush().await;
        tracing::info!("ended");
    }

    fn start(self, stop: Stop) -> Vec<(&'static str, JoinHandle<()>)> {
        let mirror = Mirror::new(
            self.bus.clone(),
            Arc::clone(&self.broker),
            Arc::clone(&self.status),
            &self.config.bridge.kafka,
        );
        let measuring = Arc::clone(&self.status);
        tokio::spawn(async move { measuring.measure().await });
        tokio::spawn(self.bus.clone().answer_spans(self.status.recorder.clone()));
        vec![
            ("the mirror", tokio::spawn(mirror.run(stop.clone()))),
            ("gRPC", tokio::spawn(self.serve_grpc(stop.clone()))),
        ]
    }

    async fn serve_grpc(self, stop: Stop) {
        let http = axum::serve(self.http, http::router(Arc::clone(&self.status)));
        let http = tokio::spawn(async move { http.await });
        let settings = &self.config.bridge.grpc;
        let trusted = Principal { subject: settings.trusted_subject.clone(), role: settings.trusted_role.clone() };
        let verifier = Verifier::new(self.bus.clone(), &self.config.tokens);
        let gatekeeper = Gatekeeper::new(verifier, self.config.callers(), trusted);
        let billing = Billing::new(
            self.bus.clone(),
            gatekeeper,
            Arc::clone(&self.status),
            settings.concurrency,
            settings.deadline(),
        );
        if let Err(error) = grpc::serve(self.grpc, billing, self.bus, self.status, stop).await {
            tracing::error!(error = &error as &dyn std::error::Error, "gRPC");
        }
        http.abort();
    }
}

/// Fulfilled by SIGTERM and SIGINT.
pub fn stop_signal() -> anyhow::Result<impl Future<Output = ()>> {
    let mut terminate = signal(SignalKind::terminate()).context("cannot wait for SIGTERM")?;
    let mut interrupt = signal(SignalKind::interrupt()).context("cannot wait for SIGINT")?;
    Ok(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
    })
}

async fn listen(address: std::net::SocketAddr, setting: &str) -> anyhow::Result<TcpListener> {
    let bound = TcpListener::bind(address).await;
    bound.with_context(|| format!("cannot listen on {address} (the setting {setting})"))
}
