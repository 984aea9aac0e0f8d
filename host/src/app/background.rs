//! What goes on beside the calls: relays, answers about the host, metrics, housekeeping.

use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::future::join_all;
use futures_util::{FutureExt, StreamExt};
use tokio::sync::mpsc;
use ward_proto::call::subject;
use ward_telemetry::Recorder;

use super::questions::Questions;
use crate::bus::{Bus, BusError, Headers};
use crate::calls::worker::drained;
use crate::config::{self, Config};
use crate::events::{Relay, Wakes};
use crate::logs::Logs;
use crate::metrics::Metrics;
use crate::presence::Presence;
use crate::security::Tokens;
use crate::services::{HostStatus, Service, ServiceStatus, Services, Supervisor};
use crate::store::housekeep;

/// How often keys are looked for, and how often what waits is counted.
const KEYS_PAUSE: Duration = Duration::from_secs(2);
const METRICS_PAUSE: Duration = Duration::from_secs(5);
const HOUSEKEEPING_PAUSE: Duration = Duration::from_secs(3600);
/// How long the connections to a database may take to close.
const DATABASE_PATIENCE: Duration = Duration::from_millis(500);
/// How long others have to begin with what was placed on a host that ends.
const HANDOVER: Duration = Duration::from_millis(300);

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
    pub presence: Arc<Presence>,
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
        tokio::spawn(reported("presence", self.presence.clone().run()));
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

    /// Ends within `drain`. Calls are taken until events are handled and the gateway has answered, whose last requests may need the services of
    /// this very host; but no longer than half of the time.
    pub async fn finish<T>(&self, drain: Duration, serving: impl Future<Output = T>) {
        let (half, until) = (Instant::now() + drain / 2, Instant::now() + drain);
        let services = self.services.all();
        let consumers = &self.supervisor.consumers;
        let events = async { drop(tokio::time::timeout_at(until.into(), consumers.leave(&services)).await) }.shared();
        let halfway = tokio::time::timeout_at(half.into(), events.clone());
        let _ = tokio::join!(serving, halfway, self.hand_over_places());
        let ((), left) = tokio::join!(events, self.stop_calls(&services, until));
        self.bus.flush().await;
        self.recorder.flush().await;
        for database in services.iter().filter_map(|service| service.database.as_ref()) {
            let _ = tokio::time::timeout(DATABASE_PATIENCE, database.close()).await;
        }
        tracing::info!(left, "stopped");
    }

    /// Offers nothing any more, and leaves those who are to run instead what is placed here the time to begin.
    async fn hand_over_places(&self) {
        self.presence.leave().await;
        if self.services.all().iter().any(|service| service.config.placement.count > 0) {
            tokio::time::sleep(HANDOVER).await;
        }
    }

    /// Takes no more calls, and finishes those in work, at most until `until`. Returns how many are left.
    async fn stop_calls(&self, services: &[Arc<Service>], until: Instant) -> usize {
        let _ = tokio::time::timeout_at(until.into(), self.supervisor.workers.leave()).await;
        drained(services.iter(), until).await
    }

    fn begin_for(&self, service: &Arc<Service>) {
        tokio::spawn(self.supervisor.clone().attend(service.clone(), self.presence.clone()));
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
            labels: self.config.host.labels.iter().cloned().collect(),
            memory_bytes: resident_bytes(),
            peers: self.presence.peers(),
            services: self.services.all().iter().map(|service| ServiceStatus::of(service)).collect(),
        }
    }

    /// Looks at what waits, for the metrics.
    async fn observe(self) {
        let mut pause = tokio::time::interval(METRICS_PAUSE);
        loop {
            pause.tick().await;
            let services = self.services.all();
            // One that does not answer shall not hide what the others say.
            join_all(services.iter().map(|service| async {
                let Some(database) = &service.database else { return };
                if let Ok(Ok(events)) = tokio::time::timeout(METRICS_PAUSE, database.waiting_events()).await {
                    self.metrics.set_waiting(service.name.as_str(), events);
                }
            }))
            .await;
            if let Some(letters) = self.bus.count_dead_letters().await {
                self.metrics.set_dead(letters);
            }
            for name in self.supervisor.consumers.names() {
                if let Some((before, under_way)) = self.bus.backlog(&name).await {
                    self.metrics.set_backlog(&name, before + under_way as u64);
                }
            }
        }
    }
}

/// Resident memory of this process; 0 where the kernel does not say.
fn resident_bytes() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kilobytes = line.and_then(|line| line.split_whitespace().next()).and_then(|number| number.parse::<u64>().ok());
    kilobytes.unwrap_or(0) * 1024
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
