//! What may run, and what the operator grants it. Deny by default: a service that is not listed does not run, and a
//! capability that is not granted does not exist for it.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use ward_config::{ConfigError, Settings};

/// Lower case letters, digits and dashes, beginning with a letter; at most 40 characters. It is part of subjects,
/// database names and roles.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ServiceName(Arc<str>);

impl ServiceName {
    pub fn parse(text: &str) -> Option<Self> {
        let first = text.bytes().next()?;
        let fits = text.len() <= 40 && first.is_ascii_lowercase();
        let clean = text.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-');
        (fits && clean).then(|| Self(text.into()))
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl From<&ServiceName> for Arc<str> {
    fn from(name: &ServiceName) -> Self {
        name.0.clone()
    }
}

impl fmt::Display for ServiceName {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

#[derive(Debug, Clone)]
pub struct ServiceConfig {
    pub name: ServiceName,
    pub grants: Grants,
    pub limits: Limits,
    pub placement: Placement,
    pub settings: Arc<BTreeMap<String, String>>,
}

/// A door of the sandbox. Each stands for one interface of `wit/deps/ward-*`, except `Call`, which opens the service
/// interfaces named with it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Capability {
    Sql,
    Events,
    Call,
    Passwords,
    Tokens,
    Clock,
    Random,
    Log,
    Config,
    Context,
}

impl Capability {
    /// The capability that an imported interface of the host needs; none for another's interface.
    pub fn of_interface(name: &str) -> Option<Self> {
        let (name, _version) = name.split_once('@').unwrap_or((name, ""));
        Some(match name {
            "ward:store/sql" => Self::Sql,
            "ward:events/publisher" => Self::Events,
            "ward:security/passwords" => Self::Passwords,
            "ward:security/tokens" => Self::Tokens,
            "ward:host/clock" => Self::Clock,
            "ward:host/random" => Self::Random,
            "ward:host/log" => Self::Log,
            "ward:host/config" => Self::Config,
            "ward:call/context" => Self::Context,
            _ => return None,
        })
    }

    /// As it is written in `grants`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Sql => "sql",
            Self::Events => "events",
            Self::Call => "call",
            Self::Passwords => "passwords",
            Self::Tokens => "tokens",
            Self::Clock => "clock",
            Self::Random => "random",
            Self::Log => "log",
            Self::Config => "config",
            Self::Context => "context",
        }
    }
}

#[derive(Debug, Clone, Default)]
pub struct Grants {
    pub capabilities: BTreeSet<Capability>,
    /// Event types.
    pub publish: BTreeSet<String>,
    /// Event types.
    pub hear: BTreeSet<String>,
    /// Service interfaces without version: `shop:stock/items`.
    pub call: BTreeSet<String>,
}

/// Which hosts run a service, `hosts = { label = "…", count = … }`. Without a word all do.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Placement {
    /// Only hosts with this label (`host.labels`); empty for all.
    pub label: String,
    /// So many of them, if there are so many; 0 for all.
    pub count: usize,
}

#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Limits {
    pub memory_mb: usize,
    pub table_elements: usize,
    pub cpu_ms: u64,
    pub time_ms: u64,
    pub concurrency: usize,
    pub queue: usize,
    pub request_bytes: usize,
    pub response_bytes: usize,
    pub transfer_bytes: usize,
    pub statements: u32,
    pub statement_bytes: usize,
    pub parameter_bytes: usize,
    pub rows: usize,
    pub result_bytes: usize,
    pub events: u32,
    pub event_bytes: usize,
    pub calls: u32,
    pub call_bytes: usize,
    pub outgoing: usize,
    pub log_lines: u32,
    pub log_bytes: usize,
    pub log_per_s: u32,
}

/// A section `[services.NAME]` as it is written.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    #[serde(default)]
    grants: BTreeSet<Capability>,
    #[serde(default)]
    publish: BTreeSet<String>,
    #[serde(default)]
    hear: BTreeSet<String>,
    #[serde(default)]
    call: BTreeSet<String>,
    #[serde(default)]
    settings: BTreeMap<String, String>,
    #[serde(default)]
    hosts: Placement,
    #[serde(default)]
    limits: toml::Table,
}

/// The services below one section.
pub(super) fn parse(settings: &Settings, section: &str) -> Result<Vec<ServiceConfig>, ConfigError> {
    let names: BTreeMap<String, toml::Value> = settings.section(section)?;
    names.keys().map(|name| service(settings, section, name)).collect()
}

fn service(settings: &Settings, section: &str, name: &str) -> Result<ServiceConfig, ConfigError> {
    let section = format!("{section}.{name}");
    let written: Written = settings.section(&section)?;
    let invalid = |message: String| ConfigError::Invalid { section: section.clone(), message };

    let service_name = ServiceName::parse(name).ok_or_else(|| {
        invalid(format!("{name:?} is not a service name: lower case letters, digits and dashes, at most 40"))
    })?;
    let Written { grants, publish, hear, call, .. } = written;
    let grants = Grants { capabilities: grants, publish, hear, call };
    for (list, capability) in [(&grants.publish, Capability::Events), (&grants.call, Capability::Call)] {
        if !list.is_empty() && !grants.capabilities.contains(&capability) {
            let capability = capability.name();
            return Err(invalid(format!(
                "names are listed, but {capability:?} is not in grants: add it or remove them"
            )));
        }
    }
    // The defaults with the service's own values over them.
    let mut limits: toml::Table = settings.section("limits")?;
    limits.extend(written.limits);
    let limits = limits.try_into().map_err(|error: toml::de::Error| invalid(error.message().to_owned()))?;
    let (placement, settings) = (written.hosts, Arc::new(written.settings));
    Ok(ServiceConfig { name: service_name, grants, limits, placement, settings })
}
