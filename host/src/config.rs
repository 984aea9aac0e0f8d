//! The host's settings: one struct for each section of `deploy/defaults.toml`, where every key is explained.
//!
//! How files and environment are layered is `ward_config`'s affair. Here a section gets its types, and what no type can
//! say is checked by [`Config::validate`]. Start reading at [`Config`].

mod services;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::Deserialize;
use ward_config::{ConfigError, Settings};
use ward_telemetry::Telemetry;

use crate::artifacts::PublicKey;

pub use services::{Capability, Grants, Limits, Placement, ServiceConfig, ServiceName};

/// Everything that the host is told.
#[derive(Debug, Clone)]
pub struct Config {
    pub profile: Profile,
    pub host: Host,
    pub log: Log,
    pub telemetry: Telemetry,
    pub nats: Nats,
    pub database: Database,
    pub store: Store,
    pub calls: Calls,
    pub gateway: Gateway,
    pub http: Http,
    pub tokens: Tokens,
    pub passwords: Passwords,
    pub engine: Engine,
    pub artifacts: Artifacts,
    pub events: Events,
    pub swap: Swap,
    pub quarantine: Quarantine,
    /// Those that the operator wrote down.
    pub services: Vec<ServiceConfig>,
    /// Those that components bring themselves, in development; each counts once it was deployed.
    pub offered: Vec<ServiceConfig>,
    /// Where it was read from.
    pub file: Option<PathBuf>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Profile {
    Development,
    Production,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Host {
    pub name: String,
    pub labels: BTreeSet<String>,
    pub cache_dir: PathBuf,
    pub drain_s: u64,
    pub takeover_socket: PathBuf,
    pub takeover_wait_s: u64,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Log {
    pub level: String,
    pub format: LogFormat,
    pub ring_lines: usize,
    pub ring_bytes: usize,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    Text,
    Json,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Nats {
    pub url: String,
    pub credentials_file: String,
    pub replicas: usize,
    pub ping_interval_ms: u64,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Database {
    pub url: String,
    pub secret_file: PathBuf,
    pub writers: u32,
    pub readers: u32,
    pub acquire_timeout_ms: u64,
    pub statement_timeout_ms: u64,
    pub temp_file_mb: u64,
    pub check: DatabaseCheck,
}

/// When a service's database counts as lost to this host.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DatabaseCheck {
    pub pause_ms: u64,
    pub timeout_ms: u64,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Store {
    pub reruns: u32,
    pub idempotency_retention_h: u32,
    pub inbox_retention_h: u32,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Calls {
    pub default_deadline_ms: u64,
    pub max_deadline_ms: u64,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Gateway {
    pub listen: String,
    pub public_url: String,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Http {
    pub body_bytes: usize,
    pub header_bytes: usize,
    pub connections: usize,
    pub idle_ms: u64,
    pub timeout_ms: u64,
    pub concurrency: usize,
    pub rate_per_s: u32,
    pub rate_burst: u32,
    pub live_streams: usize,
    pub live_pause_ms: u64,
    pub pin_generation: bool,
    pub hedge_ms: u64,
    pub hedges: usize,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tokens {
    pub key_dir: PathBuf,
    pub key_rest_s: u64,
    pub issuer: String,
    pub audience: String,
    pub lifetime_s: u32,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Passwords {
    pub cost: u32,
    pub workers: usize,
    pub queue: usize,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Engine {
    pub instances: u32,
    pub busy_after_ms: u64,
    pub busy_cores: usize,
    pub compile_memory_mb: u64,
    pub compile_timeout_s: u64,
    pub cache_mb: u64,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Artifacts {
    pub trusted_keys: Vec<PublicKey>,
    pub signing_key_file: PathBuf,
    pub max_mb: usize,
    pub fetch_timeout_s: u64,
    pub keep: usize,
    pub keep_s: u64,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Events {
    pub max_deliveries: u32,
    pub backoff_ms: Vec<u64>,
    pub deadline_ms: u64,
    pub concurrency: usize,
    pub relay_batch: u32,
    pub relay_poll_ms: u64,
    pub retention_days: u64,
    pub stream_mb: u32,
    pub dead_mb: u32,
    pub duplicate_window_s: u64,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Swap {
    pub probe_timeout_ms: u64,
    pub watch_calls: u64,
    pub watch_s: u64,
    pub watch_failures: u64,
    pub watch_failure_percent: u64,
    pub watch_slowdown: u32,
    pub watch_slow_ms: u64,
    pub watch_min_calls: u64,
    pub watch_patience_ms: u64,
    pub migration_lock_timeout_ms: u64,
    pub migration_timeout_s: u64,
    pub drain_s: u64,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Quarantine {
    pub window_s: u64,
    pub crashes: u64,
    pub share: f64,
    pub first_ms: u64,
    pub longest_ms: u64,
}

impl Config {
    /// Reads defaults, file and environment, in this order.
    pub fn load(path: Option<&Path>) -> Result<Self, ConfigError> {
        let mut config = Self::from_settings(&Settings::load(path)?)?;
        config.file = path.map(Path::to_owned);
        Ok(config)
    }

    pub fn from_settings(settings: &Settings) -> Result<Self, ConfigError> {
        let config = Self {
            profile: settings.section("profile")?,
            host: settings.section("host")?,
            log: settings.section("log")?,
            telemetry: settings.section("telemetry")?,
            nats: settings.section("nats")?,
            database: settings.section("database")?,
            store: settings.section("store")?,
            calls: settings.section("calls")?,
            gateway: settings.section("gateway")?,
            http: settings.section("http")?,
            tokens: settings.section("tokens")?,
            passwords: settings.section("passwords")?,
            engine: settings.section("engine")?,
            artifacts: settings.section("artifacts")?,
            events: settings.section("events")?,
            swap: settings.section("swap")?,
            quarantine: settings.section("quarantine")?,
            services: services::parse(settings, "services")?,
            offered: services::parse(settings, ward_config::OFFERED)?,
            file: None,
        };
        config.validate()?;
        Ok(config)
    }

    fn validate(&self) -> Result<(), ConfigError> {
        let invalid = |section: &str, message: &str| {
            Err(ConfigError::Invalid { section: section.to_owned(), message: message.to_owned() })
        };
        if !(4..=31).contains(&self.passwords.cost) {
            return invalid("passwords", "cost must be between 4 and 31; 12 takes about 0.3 s");
        }
        if self.database.writers == 0 || self.database.readers == 0 {
            return invalid("database", "writers and readers must be at least 1");
        }
        if self.events.backoff_ms.is_empty() || self.events.max_deliveries == 0 || self.events.concurrency == 0 {
            return invalid(
                "events",
                "backoff_ms must not be empty; max_deliveries and concurrency must be at least 1",
            );
        }
        if self.events.stream_mb == 0 || self.events.dead_mb == 0 {
            return invalid("events", "stream_mb and dead_mb must be at least 1");
        }
        if self.calls.default_deadline_ms > self.calls.max_deadline_ms {
            return invalid("calls", "default_deadline_ms must not be above max_deadline_ms");
        }
        if self.artifacts.max_mb == 0 || self.artifacts.max_mb > 1024 {
            return invalid("artifacts", "max_mb must be between 1 and 1024");
        }
        let quarantine = &self.quarantine;
        if quarantine.crashes == 0 || quarantine.window_s == 0 || !(0.0..=1.0).contains(&quarantine.share) {
            return invalid("quarantine", "crashes and window_s must be at least 1, share between 0 and 1");
        }
        if quarantine.first_ms == 0 || quarantine.first_ms > quarantine.longest_ms {
            return invalid("quarantine", "first_ms must be at least 1 and not above longest_ms");
        }
        if self.swap.watch_patience_ms < 10 {
            return invalid(
                "swap",
                "watch_patience_ms must be at least 10, or no new version would have the time to answer",
            );
        }
        if let Err(message) = self.telemetry.check() {
            return invalid("telemetry", message);
        }
        if self.nats.replicas == 0 || self.nats.replicas > 5 {
            return invalid("nats", "replicas must be between 1 and 5");
        }
        Ok(())
    }

    /// The settings of a service that may run here.
    pub fn service(&self, name: &ServiceName) -> Option<&ServiceConfig> {
        self.all_services().find(|service| service.name == *name)
    }

    pub fn all_services(&self) -> impl Iterator<Item = &ServiceConfig> {
        self.services.iter().chain(&self.offered)
    }

    pub fn is_development(&self) -> bool {
        self.profile == Profile::Development
    }
}

impl DatabaseCheck {
    pub fn pause(&self) -> Duration {
        Duration::from_millis(self.pause_ms)
    }

    pub fn timeout(&self) -> Duration {
        Duration::from_millis(self.timeout_ms)
    }
}

impl Http {
    pub fn timeout(&self) -> Duration {
        Duration::from_millis(self.timeout_ms)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn defaults_and_what_is_deployed_are_valid() {
        let deployed = include_str!("../../deploy/ward.toml");
        let config = Config::from_settings(&Settings::layer(deployed, &Default::default()).unwrap()).unwrap();
        assert_eq!(config.services.len(), 4);
        assert_eq!(config.profile, Profile::Production);
    }

    #[test]
    fn refuses_unknown_grants_and_keys() {
        for (text, expected) in [
            ("[services.a]\ngrants = [\"network\"]", "network"),
            ("[services.a]\ngrant = []", "grant"),
            ("[services.a.limits]\nmemory = 1", "memory"),
            ("[services.Upper]\ngrants = []", "Upper"),
            ("[passwords]\ncost = 99", "cost"),
            ("[swap]\nwatch_patience_ms = 0", "watch_patience_ms must be at least 10"),
            ("[artifacts]\ntrusted_keys = [\"abc\"]", "ward keys artifact new"),
            ("[services.a]\npublish = [\"a.b\"]", "events"),
        ] {
            let settings = Settings::layer(text, &Default::default()).unwrap();
            let error = Config::from_settings(&settings).unwrap_err().to_string();
            assert!(error.contains(expected), "{text}: {error}");
        }
    }
}
