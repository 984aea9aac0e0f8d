//! Reads the configuration: the defaults, then a file, then the environment.
//!
//! The defaults are `deploy/defaults.toml` itself, so that the commented reference cannot be wrong. This crate knows
//! how settings are layered and nothing of what they mean: each process deserializes the sections that it needs with
//! [`Settings::section`], whose types refuse unknown keys.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::de::DeserializeOwned;
use toml::{Table, Value};

/// The commented reference, and the values that hold without a file.
pub const DEFAULTS: &str = include_str!("../../defaults.toml");

/// Short names of settings that everybody sets, beside the long ones made of section and key.
const SHORT_NAMES: [(&str, &str); 3] =
    [("WARD_DATABASE_URL", "database.url"), ("WARD_NATS_URL", "nats.url"), ("WARD_KAFKA", "bridge.kafka.brokers")];

/// Sections without defaults: what they hold differs from clinic to clinic.
const OPEN_SECTIONS: [&str; 1] = ["services"];

#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    #[error("cannot read the configuration file {path}: {source}")]
    Unreadable { path: PathBuf, source: std::io::Error },
    #[error("{origin} is not valid TOML: {message}")]
    Malformed { origin: String, message: String },
    #[error("unknown section [{0}] in the configuration; the known ones are in deploy/defaults.toml")]
    UnknownSection(String),
    #[error("in the section [{section}]: {message}")]
    Invalid { section: String, message: String },
    #[error("{path} has [{section}], and may have sections [services.NAME] only: the rest is the operator's")]
    Included { path: PathBuf, section: String },
    #[error("the environment variable {name} must be {expected}, not {value:?}")]
    Environment { name: String, expected: &'static str, value: String },
}

/// The section that holds the services that components bring themselves, in the shape of `[services]`.
pub const OFFERED: &str = "offered";

/// All settings, layered.
#[derive(Debug, Clone)]
pub struct Settings(Table);

impl Settings {
    /// Layers the file at `path` (without one `./ward.toml`, if it exists) and the process environment over the defaults.
    pub fn load(path: Option<&Path>) -> Result<Self, ConfigError> {
        let path = match path {
            Some(path) => Some(path.to_owned()),
            None => Some(PathBuf::from("ward.toml")).filter(|path| path.exists()),
        };
        let file = path.as_deref().map(read).transpose()?.unwrap_or_default();
        let mut settings = Self::layer(&file, &std::env::vars().collect())?;
        settings.include(path.as_deref().and_then(Path::parent).unwrap_or(Path::new("")))?;
        Ok(settings)
    }

    /// In development: the services that stand in the files of `development.include`. What the operator wrote down wins.
    fn include(&mut self, folder: &Path) -> Result<(), ConfigError> {
        if self.section::<String>("profile")? != "development" {
            return Ok(());
        }
        let mut offered = Table::new();
        for pattern in self.section::<Vec<String>>("development.include")? {
            for path in matching(&folder.join(pattern)) {
                offered.extend(services_of(&path)?);
            }
        }
        let known: Table = self.section("services")?;
        offered.retain(|name, _| !known.contains_key(name));
        self.0.insert(OFFERED.to_owned(), Value::Table(offered));
        Ok(())
    }

    /// Layers the text of a file and an environment over the defaults.
    pub fn layer(file: &str, environment: &BTreeMap<String, String>) -> Result<Self, ConfigError> {
        let mut settings = parse("deploy/defaults.toml", DEFAULTS)?;
        let file = parse("the configuration file", file)?;
        if let Some(unknown) = file.keys().find(|key| !is_known(&settings, key)) {
            return Err(ConfigError::UnknownSection(unknown.clone()));
        }
        merge(&mut settings, file);
        overlay_environment(&mut settings, "WARD", environment)?;
        for (name, path) in SHORT_NAMES {
            if let Some(value) = environment.get(name) {
                set(&mut settings, path, value);
            }
        }
        Ok(Self(settings))
    }

    /// The section at a dotted path, e.g. `bridge.kafka`. A section that nothing sets is empty.
    pub fn section<T: DeserializeOwned>(&self, path: &str) -> Result<T, ConfigError> {
        let empty = Value::Table(Table::new());
        let value = path
            .split('.')
            .try_fold(None::<&Value>, |at, key| match at {
                None => self.0.get(key).map(Some),
                Some(value) => value.get(key).map(Some),
            })
            .flatten()
            .unwrap_or(&empty);
        value.clone().try_into().map_err(|error: toml::de::Error| ConfigError::Invalid {
            section: path.to_owned(),
            message: error.message().to_owned(),
        })
    }
}

fn read(path: &Path) -> Result<String, ConfigError> {
    std::fs::read_to_string(path).map_err(|source| ConfigError::Unreadable { path: path.to_owned(), source })
}

/// The files that a pattern stands for: a component of the path that is `*` is any directory. Those that are not there are passed over.
fn matching(pattern: &Path) -> Vec<PathBuf> {
    let mut found = vec![PathBuf::new()];
    for part in pattern.components() {
        found = match part.as_os_str() == "*" {
            false => found.into_iter().map(|path| path.join(part)).collect(),
            true => found.iter().flat_map(|path| directories(path)).collect(),
        };
    }
    found.retain(|path| path.is_file());
    found
}

fn directories(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path());
    let mut directories: Vec<_> = entries.filter(|path| path.is_dir()).collect();
    directories.sort();
    directories
}

/// The sections `[services.NAME]` of a file that has nothing else.
fn services_of(path: &Path) -> Result<Table, ConfigError> {
    let origin = path.display().to_string();
    let mut file = parse(&origin, &read(path)?)?;
    let services = file.remove("services");
    match (services, file.keys().next()) {
        (_, Some(other)) => Err(ConfigError::Included { path: path.to_owned(), section: other.clone() }),
        (Some(Value::Table(services)), None) => Ok(services),
        _ => Ok(Table::new()),
    }
}

fn parse(origin: &str, text: &str) -> Result<Table, ConfigError> {
    text.parse::<Table>()
        .map_err(|error| ConfigError::Malformed { origin: origin.to_owned(), message: error.to_string() })
}

fn is_known(settings: &Table, section: &str) -> bool {
    settings.contains_key(section) || OPEN_SECTIONS.contains(&section)
}

/// Tables are merged, everything else is replaced.
fn merge(under: &mut Table, over: Table) {
    for (key, value) in over {
        match (under.get_mut(&key), value) {
            (Some(Value::Table(under)), Value::Table(over)) => merge(under, over),
            (_, value) => {
                under.insert(key, value);
            }
        }
    }
}

/// Sets every value whose name, made of `prefix` and its keys, is in the environment. The type stays what it was.
fn overlay_environment(
    table: &mut Table,
    prefix: &str,
    environment: &BTreeMap<String, String>,
) -> Result<(), ConfigError> {
    for (key, value) in table.iter_mut() {
        let name = format!("{prefix}_{}", key.to_uppercase().replace('-', "_"));
        if let Value::Table(inner) = value {
            overlay_environment(inner, &name, environment)?;
        } else if let Some(text) = environment.get(&name) {
            *value = like(value, text).ok_or_else(|| ConfigError::Environment {
                expected: value.type_str(),
                value: text.clone(),
                name,
            })?;
        }
    }
    Ok(())
}

/// `text` as a value of the same type as `sample`.
fn like(sample: &Value, text: &str) -> Option<Value> {
    match sample {
        Value::String(_) => Some(Value::String(text.to_owned())),
        Value::Integer(_) => text.parse().ok().map(Value::Integer),
        Value::Float(_) => text.parse().ok().map(Value::Float),
        Value::Boolean(_) => text.parse().ok().map(Value::Boolean),
        Value::Array(_) => format!("value = {text}").parse::<Table>().ok()?.remove("value"),
        Value::Datetime(_) | Value::Table(_) => None,
    }
}

fn set(table: &mut Table, path: &str, text: &str) {
    let Some((section, rest)) = path.split_once('.') else {
        table.insert(path.to_owned(), Value::String(text.to_owned()));
        return;
    };
    if let Some(Value::Table(inner)) = table.get_mut(section) {
        set(inner, rest, text);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(serde::Deserialize, Debug)]
    #[serde(deny_unknown_fields)]
    struct Passwords {
        cost: u32,
        workers: u32,
        queue: u32,
    }

    fn environment(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
        pairs.iter().map(|(name, value)| (name.to_string(), value.to_string())).collect()
    }

    #[test]
    fn environment_wins_over_file_and_file_over_defaults() {
        let settings =
            Settings::layer("[passwords]\ncost = 10\nqueue = 1", &environment(&[("WARD_PASSWORDS_QUEUE", "2")]))
                .unwrap();
        let passwords: Passwords = settings.section("passwords").unwrap();
        assert_eq!((passwords.cost, passwords.workers, passwords.queue), (10, 0, 2));
    }

    #[test]
    fn refuses_unknown_sections_keys_and_types() {
        let none = environment(&[]);
        let unknown = Settings::layer("[pasword]\ncost = 1", &none).unwrap_err().to_string();
        assert!(unknown.contains("[pasword]"), "{unknown}");
        let settings = Settings::layer("[passwords]\ncots = 1", &none).unwrap();
        let unknown = settings.section::<Passwords>("passwords").unwrap_err().to_string();
        assert!(unknown.contains("cots"), "{unknown}");
        let wrong = Settings::layer("", &environment(&[("WARD_PASSWORDS_COST", "much")])).unwrap_err().to_string();
        assert!(wrong.contains("WARD_PASSWORDS_COST"), "{wrong}");
    }

    /// Two components and an operator's file, which names one of them too.
    fn workspace(profile: &str, service: &str) -> Result<Settings, ConfigError> {
        let folder = tempfile::tempdir().unwrap();
        for (path, text) in [
            ("deploy/ward.toml", "[development]\ninclude = [\"../components/*/service.toml\"]\n[services.a]\nx = 1"),
            ("components/a/service.toml", "[services.a]\nx = 2"),
            ("components/b/service.toml", service),
            ("components/c/other.toml", "not toml"),
        ] {
            let path = folder.path().join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        }
        let file = std::fs::read_to_string(folder.path().join("deploy/ward.toml")).unwrap();
        let mut settings = Settings::layer(&file, &environment(&[("WARD_PROFILE", profile)]))?;
        settings.include(&folder.path().join("deploy"))?;
        Ok(settings)
    }

    #[test]
    fn components_bring_their_services_in_development_only() {
        let offered = |profile: &str| {
            let settings = workspace(profile, "[services.b]\nx = 3").unwrap();
            settings.section::<Table>(OFFERED).unwrap().to_string()
        };
        assert_eq!(offered("development").trim(), "[b]\nx = 3");
        assert_eq!(offered("production").trim(), "");
    }

    #[test]
    fn a_component_brings_its_service_and_nothing_else() {
        let error = workspace("development", "[gateway]\nlisten = \"x\"").unwrap_err().to_string();
        assert!(error.contains("components/b/service.toml has [gateway]"), "{error}");
        let error = workspace("development", "nothing").unwrap_err().to_string();
        assert!(error.contains("components/b/service.toml is not valid TOML"), "{error}");
    }

    #[test]
    fn short_names_reach_their_settings() {
        let settings =
            Settings::layer("", &environment(&[("WARD_KAFKA", "one:9092"), ("WARD_NATS_URL", "nats://n")])).unwrap();
        assert_eq!(settings.section::<String>("bridge.kafka.brokers").unwrap(), "one:9092");
        assert_eq!(settings.section::<String>("nats.url").unwrap(), "nats://n");
    }
}
