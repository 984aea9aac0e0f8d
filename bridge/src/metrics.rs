//! The numbers at `/metrics`.

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;
use ward_telemetry::Recorder;

/// From 1 ms to about 8 s.
const SECONDS: [f64; 12] = [0.001, 0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 3.0, 8.0];

/// The lag and the position before they are known.
pub const UNKNOWN: i64 = -1;

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct Rpc {
    pub method: &'static str,
    pub code: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct Topic {
    pub topic: String,
}

pub struct Metrics {
    registry: Registry,
    pub grpc_requests: Family<Rpc, Counter>,
    pub grpc_seconds: Histogram,
    pub delivered: Family<Topic, Counter>,
    pub dead: Family<Topic, Counter>,
    pub already_there: Counter,
    pub restarts: Counter,
    pub lag: Gauge,
    pub in_flight: Gauge,
    pub position: Gauge,
    pub kafka_up: Gauge,
    pub nats_up: Gauge,
    pub billing_up: Gauge,
}

impl Metrics {
    /// With the numbers of all hops that `recorder` sees.
    pub fn new(recorder: &Recorder) -> Self {
        let mut metrics = Self {
            registry: Registry::with_prefix("ward_bridge"),
            grpc_requests: Family::default(),
            grpc_seconds: Histogram::new(SECONDS),
            delivered: Family::default(),
            dead: Family::default(),
            already_there: Counter::default(),
            restarts: Counter::default(),
            lag: Gauge::default(),
            in_flight: Gauge::default(),
            position: Gauge::default(),
            kafka_up: Gauge::default(),
            nats_up: Gauge::default(),
            billing_up: Gauge::default(),
        };
        metrics.lag.set(UNKNOWN);
        metrics.position.set(UNKNOWN);
        recorder.register(&mut metrics.registry);
        metrics.register_grpc();
        metrics.register_kafka();
        metrics.register_neighbours();
        metrics
    }

    /// In the OpenMetrics text format.
    pub fn encode(&self) -> Result<String, std::fmt::Error> {
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, &self.registry)?;
        Ok(text)
    }

    fn register_grpc(&mut self) {
        let registry = &mut self.registry;
        registry.register("grpc_requests", "gRPC calls by method and status code", self.grpc_requests.clone());
        registry.register("grpc_seconds", "How long gRPC calls took", self.grpc_seconds.clone());
    }

    fn register_kafka(&mut self) {
        let registry = &mut self.registry;
        registry.register("kafka_delivered", "Records that Kafka has taken", self.delivered.clone());
        registry.register("kafka_dead", "Records that went to the dead letters", self.dead.clone());
        registry.register(
            "kafka_already_there",
            "Records that were found on Kafka after a restart and not sent again",
            self.already_there.clone(),
        );
        registry.register("kafka_restarts", "How often the mirror began again", self.restarts.clone());
        registry.register(
            "kafka_lag",
            "Events of the stream that are not yet on Kafka; -1 while unknown",
            self.lag.clone(),
        );
        registry.register("kafka_in_flight", "Events under way to Kafka", self.in_flight.clone());
        registry.register(
            "kafka_position",
            "Everything up to this stream sequence is done; -1 while unknown",
            self.position.clone(),
        );
    }

    fn register_neighbours(&mut self) {
        let registry = &mut self.registry;
        registry.register("kafka_up", "1 when a broker can be reached", self.kafka_up.clone());
        registry.register("nats_up", "1 when connected to NATS", self.nats_up.clone());
        registry.register("billing_up", "1 when billing answers calls", self.billing_up.clone());
    }
}
