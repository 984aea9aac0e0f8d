//! What goes on beside the calls: relays, answers about the host, metrics, housekeeping.

use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::StreamExt;
use tokio::sync::mpsc;
use ward_proto::call::subject;
use ward_telemetry::Recorder;

use super::questions::Questions;
use crate::bus::{Bus, BusError, Headers};
use crate::config::{self, Config};
use crate::events::{Relay, Wakes};
use crate::logs::Logs;
use crate::metrics::Metrics;
use crate::security::Tokens;
use crate::services::{HostStatus, Service, ServiceStatus, Services, Supervisor};
use crate::store::housekeep;

/// How often keys are looked for, and how often what waits is counted.
const KEYS_PAUSE: Duration = Duration::from_secs(2);
const METRICS_PAUSE: Duration = Duration::from_secs(5);
const HOUSEKEEPING_PAUSE: Duration = Duration::from_secs(3600);

#[derive(Clone)]
pub(super) struct Background {
    pub config: Arc<Config>,
    pub host: String,
    pub began: Instant,
    pub bus: Arc<Bus>,
    pub services: Arc<Services>,
    pub tokens: Arc<Tokens>,
    pub wakes: Arc<Wakes>,
    pub supervisor: Arc<Supervisor>,
    pub metrics: Arc<Metrics>,
    pub recorder: Recorder,
    pub logs: Logs,
}

impl Background {
    /// Begins all of it; it ends with the process. What each service needs begins when the service comes.
    pub fn begin(self, mut services: mpsc::UnboundedReceiver<Arc<Service>>) {
        let background = self.clone();
        tokio::spawn(async move {
            while let Some(service) = services.recv().await {
                background.begin_for(&service);
            }
        });
        tokio::spawn(reported("wakes", self.wakes.clone().hear()));
        let supervisor = self.supervisor.clone();
        tokio::spawn(reported("cancellations", async move { supervisor.workers.hear_cancellations().await }));
        tokio::spawn(reported("questions", self.clone().answer()));
        let questions = Questions {
            host: self.host.clone(),
            bus: self.bus.clone(),
            services: self.services.clone(),
            recorder: self.recorder.clone(),
            logs: self.logs.clone(),
        };
        tokio::spawn(reported("questions about calls", questions.answer()));
        tokio::spawn(self.logs.clone().publish(self.bus.clone(), self.host.clone()));
        tokio::spawn(look_for_keys(self.tokens.clone()));
        tokio::spawn(self.observe());
    }

    fn begin_for(&self, service: &Arc<Service>) {
        if service.database.is_none() {
            return;
        }
        tokio::spawn(self.wakes.clone().announce(service.clone()));
        tokio::spawn(keep_house(service.clone(), self.config.store.clone()));
        let relay = Relay {
            bus: self.bus.clone(),
            service: service.clone(),
            config: self.config.events.clone(),
            news: self.wakes.of(service.name.as_str()),
            metrics: self.metrics.clone(),
            recorder: self.recorder.clone(),
        };
        tokio::spawn(relay.run());
    }

    /// Answers what is asked of hosts: who is there, and with which keys.
    async fn answer(self) -> Result<(), BusError> {
        let mut hosts = self.bus.subscribe(subject::HOSTS.to_owned()).await?;
        let mut keys = self.bus.subscribe_in_group(subject::KEYS.to_owned(), "keys".to_owned()).await?;
        loop {
            let (request, body) = tokio::select! {
                Some(request) = hosts.next() => (request, serde_json::to_vec(&self.status())),
                Some(request) = keys.next() => (request, serde_json::to_vec(&self.tokens.jwks())),
                else => return Ok(()),
            };
            self.bus.reply(&request, Headers::new(), body.unwrap_or_default().into()).await;
        }
    }

    fn status(&self) -> HostStatus {
        HostStatus {
            host: self.host.clone(),
            gateway: self.config.gateway.listen.clone(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            up_s: self.began.elapsed().as_secs(),
            services: self.services.all().iter().map(|service| ServiceStatus::of(service)).collect(),
        }
    }

    /// Looks at what waits, for the metrics.
    async fn observe(self) {
        let mut pause = tokio::time::interval(METRICS_PAUSE);
        loop {
            pause.tick().await;
            for service in self.services.all() {
                let Some(database) = &service.database else { continue };
                if let Ok(events) = database.waiting_events().await {
                    self.metrics.set_waiting(service.name.as_str(), events);
                }
            }
            if let Some(letters) = self.bus.count_dead_letters().await {
                self.metrics.set_dead(letters);
            }
            for name in self.supervisor.consumers.names().await {
                if let Some((before, under_way)) = self.bus.backlog(&name).await {
                    self.metrics.set_backlog(&name, before + under_way as u64);
                }
            }
        }
    }
}

async fn reported(what: &'static str, work: impl Future<Output = Result<(), BusError>>) {
    if let Err(error) = work.await {
        tracing::error!(what, %error, "ended");
    }
}

async fn look_for_keys(tokens: Arc<Tokens>) {
    let mut pause = tokio::time::interval(KEYS_PAUSE);
    loop {
        pause.tick().await;
        tokens.refresh();
    }
}

async fn keep_house(service: Arc<Service>, config: config::Store) {
    let Some(database) = &service.database else { return };
    let name = service.name.as_str();
    let mut pause = tokio::time::interval(HOUSEKEEPING_PAUSE);
    loop {
        pause.tick().await;
        match housekeep(database, &config).await {
            Ok(0) => {}
            Ok(forgotten) => tracing::info!(service = name, forgotten, "forgot old answers and events"),
            Err(error) => tracing::debug!(service = name, %error, "no housekeeping now"),
        }
    }
}
