//! What the bridge knows about itself, for `/readyz`, `/status` and `/metrics`.
//!
//! The parts report into it; nothing reads it to decide anything.

use std::net::SocketAddr;
use std::time::Duration;

use prometheus_client::metrics::gauge::Gauge;
use serde_json::{Value, json};
use tokio::sync::watch;
use ward_telemetry::Recorder;

use crate::bus::Bus;
use crate::metrics::{Metrics, UNKNOWN};

/// How often the lag is measured.
const MEASURE_EVERY: Duration = Duration::from_secs(1);

/// What the mirror does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mirror {
    /// NATS or the event stream is not there yet.
    WaitingForEvents,
    /// Another bridge mirrors; this one takes over when it ends.
    Standby,
    /// It asks Kafka what is already there.
    WaitingForKafka,
    Running,
    /// Something broke; it begins again by itself.
    Recovering,
    Stopped,
}

impl Mirror {
    fn name(self) -> &'static str {
        match self {
            Self::WaitingForEvents => "waiting for events",
            Self::Standby => "standby",
            Self::WaitingForKafka => "waiting for Kafka",
            Self::Running => "running",
            Self::Recovering => "recovering",
            Self::Stopped => "stopped",
        }
    }
}

/// The state of the parts.
pub struct Status {
    pub metrics: Metrics,
    pub recorder: Recorder,
    mirror: watch::Sender<Mirror>,
    facts: Facts,
    bus: Bus,
}

/// What does not change while the bridge runs.
#[derive(Debug, Clone)]
pub struct Facts {
    pub grpc: SocketAddr,
    pub callers: &'static str,
    pub brokers: String,
    pub embedded: bool,
    pub topics: Vec<String>,
}

impl Status {
    pub fn new(facts: Facts, bus: Bus, recorder: Recorder) -> Self {
        let mirror = watch::Sender::new(Mirror::WaitingForEvents);
        Self { metrics: Metrics::new(&recorder), recorder, mirror, facts, bus }
    }

    pub fn mirror(&self) -> Mirror {
        *self.mirror.borrow()
    }

    pub fn set_mirror(&self, state: Mirror) {
        let before = self.mirror.send_replace(state);
        if before != state {
            tracing::info!("the mirror to Kafka is {}", state.name());
        }
    }

    /// Kafka can be reached, or can no longer.
    pub fn set_kafka(&self, reachable: bool) {
        let before = self.metrics.kafka_up.set(i64::from(reachable));
        match (before == 1, reachable) {
            (false, true) => tracing::info!(brokers = self.facts.brokers, "connected to Kafka"),
            (true, false) => tracing::warn!(brokers = self.facts.brokers, "Kafka is away; events wait in the stream"),
            _ => {}
        }
    }

    /// True when calls and events get through.
    pub fn is_ready(&self) -> bool {
        let mirrors = match self.mirror() {
            Mirror::Running => self.metrics.kafka_up.get() == 1,
            Mirror::Standby => true,
            Mirror::WaitingForEvents | Mirror::WaitingForKafka | Mirror::Recovering | Mirror::Stopped => false,
        };
        self.bus.is_connected() && mirrors
    }

    pub fn to_json(&self) -> Value {
        json!({
            "ready": self.is_ready(),
            "nats": { "connected": self.bus.is_connected() },
            "grpc": {
                "listen": self.facts.grpc,
                "callers": self.facts.callers,
                "billing": if self.metrics.billing_up.get() == 1 { "answers" } else { "silent" },
            },
            "kafka": {
                "brokers": self.facts.brokers,
                "embedded": self.facts.embedded,
                "reachable": self.metrics.kafka_up.get() == 1,
                "topics": self.facts.topics,
                "mirror": self.mirror().name(),
                "position": known(&self.metrics.position),
                "in_flight": self.metrics.in_flight.get(),
                "lag": known(&self.metrics.lag),
            },
        })
    }

    /// Measures what changes without the bridge's doing, for ever.
    pub async fn measure(&self) {
        let mut tick = tokio::time::interval(MEASURE_EVERY);
        loop {
            tick.tick().await;
            self.metrics.nats_up.set(i64::from(self.bus.is_connected()));
            self.measure_lag().await;
        }
    }

    async fn measure_lag(&self) {
        let done = known(&self.metrics.position).filter(|_| self.bus.is_connected());
        if let Some(done) = done
            && let Ok(stream) = self.bus.stream_state().await
        {
            let last = i64::try_from(stream.last_sequence).unwrap_or(i64::MAX);
            self.metrics.lag.set(last.saturating_sub(done).max(0));
        }
    }
}

fn known(gauge: &Gauge) -> Option<i64> {
    Some(gauge.get()).filter(|value| *value != UNKNOWN)
}
