//! The bridge's part of the configuration, checked.
//!
//! `deploy/defaults.toml` is the commented reference; the types here say what each value may be.

use std::collections::{BTreeMap, HashSet};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::Deserialize;
use ward_config::{ConfigError, Settings};
use ward_telemetry::Telemetry;

use crate::log::Log;

/// Everything that the bridge needs to know, from several sections.
#[derive(Debug, Clone)]
pub struct Config {
    pub profile: Profile,
    pub log: Log,
    pub telemetry: Telemetry,
    pub nats: Nats,
    pub tokens: Tokens,
    pub bridge: Bridge,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Profile {
    Development,
    Production,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Nats {
    pub url: String,
    /// Empty for none.
    pub credentials_file: String,
    /// Copies of what the bridge keeps on NATS: the mirror's position.
    pub replicas: usize,
    pub ping_interval_ms: u64,
}

/// What a valid token says. The keys come from the host.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tokens {
    pub issuer: String,
    pub audience: String,
    // The host's business; named here so that a misspelt key is still an error.
    #[serde(rename = "key_dir")]
    _key_dir: PathBuf,
    #[serde(rename = "key_rest_s")]
    _key_rest_s: u64,
    #[serde(rename = "lifetime_s")]
    _lifetime_s: u64,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Bridge {
    /// `/healthz`, `/readyz`, `/status` and `/metrics`.
    pub listen: SocketAddr,
    pub grpc: Grpc,
    pub kafka: Kafka,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Grpc {
    pub listen: SocketAddr,
    /// Use [`Config::callers`], which knows what empty means.
    callers: String,
    pub trusted_subject: String,
    pub trusted_role: String,
    pub deadline_ms: u64,
    /// Calls at once; more are RESOURCE_EXHAUSTED.
    pub concurrency: usize,
}

/// What becomes of a caller without a token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Callers {
    /// It is refused.
    Require,
    /// It acts as `trusted_subject` in the role `trusted_role`.
    Trust,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Kafka {
    /// As librdkafka takes them, or `embedded`.
    pub brokers: String,
    /// Further settings of librdkafka.
    pub options: BTreeMap<String, toml::Value>,
    /// Events that may be under way to Kafka at once.
    pub in_flight: usize,
    /// Which event goes to which topic.
    pub topics: Vec<Target>,
}

/// One line of the topic table.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Target {
    /// The event's type: `patient.registered`.
    pub event: String,
    pub topic: String,
    pub format: Format,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Format {
    /// The event's own message.
    Event,
    /// The old system's `patient.events.PatientEvent`.
    PatientEvent,
}

/// The broker inside the bridge.
const EMBEDDED: &str = "embedded";

/// Settings of librdkafka on which "nothing lost, nothing doubled, in order" rests.
const GUARDED: [&str; 10] = [
    "bootstrap.servers",
    "metadata.broker.list",
    "enable.idempotence",
    "acks",
    "request.required.acks",
    "message.timeout.ms",
    "delivery.timeout.ms",
    "retries",
    "message.send.max.retries",
    "test.mock.num.brokers",
];

impl Config {
    pub fn load(path: Option<&Path>) -> Result<Self, ConfigError> {
        Self::from_settings(&Settings::load(path)?)
    }

    pub fn from_settings(settings: &Settings) -> Result<Self, ConfigError> {
        let config = Self {
            profile: settings.section("profile")?,
            log: settings.section("log")?,
            telemetry: settings.section("telemetry")?,
            nats: settings.section("nats")?,
            tokens: settings.section("tokens")?,
            bridge: settings.section("bridge")?,
        };
        config.telemetry.check().or_else(|message| invalid("telemetry", message))?;
        config.bridge.grpc.validate()?;
        config.bridge.kafka.validate()?;
        Ok(config)
    }

    pub fn callers(&self) -> Callers {
        match (self.bridge.grpc.callers.as_str(), self.profile) {
            ("trust", _) | ("", Profile::Development) => Callers::Trust,
            _ => Callers::Require,
        }
    }
}

impl Nats {
    pub fn ping_interval(&self) -> Duration {
        Duration::from_millis(self.ping_interval_ms)
    }
}

impl Grpc {
    fn validate(&self) -> Result<(), ConfigError> {
        if !["", "trust", "require"].contains(&self.callers.as_str()) {
            return invalid("bridge.grpc", "callers must be \"require\", \"trust\" or empty");
        }
        if self.deadline_ms == 0 || self.concurrency == 0 {
            return invalid("bridge.grpc", "deadline_ms and concurrency must be at least 1");
        }
        Ok(())
    }

    pub fn deadline(&self) -> Duration {
        Duration::from_millis(self.deadline_ms)
    }
}

impl Kafka {
    fn validate(&self) -> Result<(), ConfigError> {
        if self.in_flight == 0 {
            return invalid("bridge.kafka", "in_flight must be at least 1");
        }
        if let Some(key) = self.options.keys().find(|key| GUARDED.contains(&key.as_str())) {
            return invalid("bridge.kafka.options", &format!("{key:?} is the bridge's own to set"));
        }
        let mut seen = HashSet::new();
        match self.topics.iter().find(|row| !seen.insert((&row.event, &row.topic))) {
            Some(row) => {
                invalid("bridge.kafka.topics", &format!("{:?} goes to the topic {:?} twice", row.event, row.topic))
            }
            None => Ok(()),
        }
    }

    pub fn is_embedded(&self) -> bool {
        self.brokers == EMBEDDED
    }

    /// The names in the table, each once.
    pub fn topic_names(&self) -> Vec<String> {
        let names: std::collections::BTreeSet<_> = self.topics.iter().map(|row| row.topic.clone()).collect();
        names.into_iter().collect()
    }
}

fn invalid<T>(section: &str, message: &str) -> Result<T, ConfigError> {
    Err(ConfigError::Invalid { section: section.to_owned(), message: message.to_owned() })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn load(file: &str) -> Result<Config, ConfigError> {
        Config::from_settings(&Settings::layer(file, &BTreeMap::new())?)
    }

    #[test]
    fn the_defaults_and_the_clinics_table_are_valid() {
        let defaults = load("").unwrap();
        assert!(defaults.bridge.kafka.is_embedded());
        let clinic = load(include_str!("../../deploy/ward.toml")).unwrap();
        assert!(clinic.bridge.kafka.topic_names().contains(&"patient".to_owned()));
    }

    #[test]
    fn callers_without_a_token_are_trusted_in_development_only_unless_said_otherwise() {
        let callers = |file| load(file).unwrap().callers();
        assert_eq!(callers(""), Callers::Require);
        assert_eq!(callers("profile = \"development\""), Callers::Trust);
        assert_eq!(callers("[bridge.grpc]\ncallers = \"trust\""), Callers::Trust);
        assert_eq!(callers("profile = \"development\"\n[bridge.grpc]\ncallers = \"require\""), Callers::Require);
    }

    #[test]
    fn refuses_what_would_break_the_mirrors_promises() {
        for file in [
            "[bridge.kafka.options]\nacks = 1",
            "[bridge.kafka]\nin_flight = 0",
            "[bridge.grpc]\ncallers = \"some\"",
            "[[bridge.kafka.topics]]\nevent = \"a\"\ntopic = \"t\"\nformat = \"event\"\n\
             [[bridge.kafka.topics]]\nevent = \"a\"\ntopic = \"t\"\nformat = \"patient-event\"",
        ] {
            assert!(load(file).is_err(), "{file}");
        }
    }
}
