//! The Kafka to mirror to: a real one, or one inside this process.
//!
//! The embedded broker is librdkafka's own mock: it speaks the protocol to any client on this machine and keeps
//! everything in memory. It is for trying Ward out, and only its address and its topics come from here; the rest is the
//! same code for both.

use rdkafka::ClientContext;
use rdkafka::client::Client;
use rdkafka::config::{ClientConfig, RDKafkaLogLevel};
use rdkafka::error::KafkaError;
use rdkafka::producer::{BaseProducer, Producer, ProducerContext};

use crate::config::Kafka;

/// Partitions of a topic on the embedded broker: enough to show that order holds for each key only.
const EMBEDDED_PARTITIONS: i32 = 3;

/// Kafka cannot be used as configured. That it is merely away is no error.
#[derive(Debug, thiserror::Error)]
pub enum BrokerError {
    #[error("the section [bridge.kafka] does not suit librdkafka")]
    Settings(#[source] KafkaError),
    #[error("the setting {0:?} in [bridge.kafka.options] must be a text, a number or a boolean")]
    Option(String),
    #[error("the embedded broker does not start")]
    Embedded(#[source] KafkaError),
}

/// How to reach Kafka.
pub struct Broker {
    base: ClientConfig,
    addresses: String,
    /// Lives as long as the bridge.
    embedded: Option<BaseProducer<Quiet>>,
}

impl Broker {
    /// Checks the settings; starts the embedded broker if that is what they say.
    pub fn new(config: &Kafka) -> Result<Self, BrokerError> {
        let embedded = match config.is_embedded() {
            true => Some(start_embedded(&config.topic_names()).map_err(BrokerError::Embedded)?),
            false => None,
        };
        let addresses = match &embedded {
            Some(holder) => embedded_address(holder.client()).unwrap_or_default(),
            None => config.brokers.clone(),
        };
        let broker = Self { base: base(config, &addresses)?, addresses, embedded };
        let trial: Result<BaseProducer<Quiet>, _> = broker.producer_config().create_with_context(Quiet);
        trial.map_err(BrokerError::Settings)?;
        Ok(broker)
    }

    /// What a client needs to connect: `host:port`, several with commas.
    pub fn addresses(&self) -> &str {
        &self.addresses
    }

    pub fn is_embedded(&self) -> bool {
        self.embedded.is_some()
    }

    /// Never loses, doubles or reorders on its own: idempotent, confirmed by all replicas, and it never gives up.
    pub(super) fn producer_config(&self) -> ClientConfig {
        let mut config = self.base.clone();
        config
            .set("enable.idempotence", "true")
            .set("acks", "all")
            .set("message.timeout.ms", "0")
            .set("statistics.interval.ms", "500");
        config
    }

    /// Reads what is there, belongs to no group and commits nothing.
    pub(super) fn consumer_config(&self) -> ClientConfig {
        let mut config = self.base.clone();
        config
            .set("group.id", "ward-bridge")
            .set("enable.auto.commit", "false")
            .set("enable.partition.eof", "true")
            .set("isolation.level", "read_uncommitted")
            .set("fetch.wait.max.ms", "50")
            .set("allow.auto.create.topics", "false")
            .remove("linger.ms");
        config.remove("partitioner");
        config
    }
}

fn base(config: &Kafka, addresses: &str) -> Result<ClientConfig, BrokerError> {
    let mut base = ClientConfig::new();
    base.set("client.id", "ward-bridge")
        // As the Java clients place keys, so that topics of both can be joined.
        .set("partitioner", "murmur2_random")
        .set("linger.ms", "2")
        .set("socket.nagle.disable", "true")
        .set("socket.keepalive.enable", "true")
        // A broker that comes back is found within a second.
        .set("reconnect.backoff.max.ms", "1000");
    for (key, value) in &config.options {
        base.set(key, text(value).ok_or_else(|| BrokerError::Option(key.clone()))?);
    }
    base.set("bootstrap.servers", addresses);
    base.set_log_level(RDKafkaLogLevel::Info);
    Ok(base)
}

fn text(value: &toml::Value) -> Option<String> {
    match value {
        toml::Value::String(text) => Some(text.clone()),
        toml::Value::Integer(_) | toml::Value::Float(_) | toml::Value::Boolean(_) => Some(value.to_string()),
        toml::Value::Datetime(_) | toml::Value::Array(_) | toml::Value::Table(_) => None,
    }
}

fn start_embedded(topics: &[String]) -> Result<BaseProducer<Quiet>, KafkaError> {
    let mut config = ClientConfig::new();
    config.set("test.mock.num.brokers", "1").set("client.id", "ward-bridge-embedded");
    let holder: BaseProducer<Quiet> = config.create_with_context(Quiet)?;
    if let Some(cluster) = holder.client().mock_cluster() {
        for topic in topics {
            cluster.create_topic(topic, EMBEDDED_PARTITIONS, 1)?;
        }
    }
    Ok(holder)
}

fn embedded_address(client: &Client<Quiet>) -> Option<String> {
    client.mock_cluster().map(|cluster| cluster.bootstrap_servers())
}

/// Says what librdkafka says at debug level: what matters of it is reported by the mirror in its own words.
pub(super) struct Quiet;

impl ClientContext for Quiet {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        log(level, facility, message);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        tracing::debug!(%error, reason, "librdkafka");
    }
}

impl ProducerContext for Quiet {
    type DeliveryOpaque = ();

    fn delivery(&self, _: &rdkafka::producer::DeliveryResult<'_>, _: Self::DeliveryOpaque) {}
}

impl rdkafka::consumer::ConsumerContext for Quiet {}

pub(super) fn log(level: RDKafkaLogLevel, facility: &str, message: &str) {
    tracing::debug!(?level, facility, message, "librdkafka");
}
