//! The four roles of a service's database, and their passwords.
//!
//! Passwords are derived from one secret, so that a host needs one file and no list, and a second host needs the same
//! file. `ward provision` sets them.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use sha2::{Digest, Sha256};
use sqlx::postgres::{PgConnectOptions, PgSslMode};

use crate::config::{Database, ServiceName};
use crate::hex::hex;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// Owns Ward's own schema: outbox, inbox, idempotency.
    Host,
    /// Owns the component's tables; migrations run as it.
    Owner,
    /// Changes rows of the component's tables.
    Writer,
    /// Selects from the component's tables.
    Reader,
}

impl Role {
    pub const ALL: [Self; 4] = [Self::Host, Self::Owner, Self::Writer, Self::Reader];

    pub fn name(self, service: &ServiceName) -> String {
        let part = match self {
            Self::Host => "host",
            Self::Owner => "owner",
            Self::Writer => "writer",
            Self::Reader => "reader",
        };
        format!("ward_{service}_{part}")
    }
}

#[derive(Debug, thiserror::Error)]
pub enum SecretError {
    #[error(
        "cannot read the database secret {path}: {source}; `ward provision` makes one, and every host needs a copy of it"
    )]
    Unreadable { path: PathBuf, source: std::io::Error },
    #[error("the database secret {path} is shorter than 32 bytes")]
    Short { path: PathBuf },
    #[error("database.url is not a PostgreSQL address: {0}")]
    Url(sqlx::Error),
}

/// What the passwords of all roles come from.
#[derive(Clone)]
pub struct RoleSecret(Arc<[u8]>);

impl RoleSecret {
    pub fn read(path: &Path) -> Result<Self, SecretError> {
        let bytes = std::fs::read(path).map_err(|source| SecretError::Unreadable { path: path.to_owned(), source })?;
        if bytes.len() < 32 {
            return Err(SecretError::Short { path: path.to_owned() });
        }
        Ok(Self(bytes.into()))
    }

    /// The password of a role: SHA-256 of the secret and the role's name, in hexadecimal.
    pub fn password(&self, role: &str) -> String {
        hex(&Sha256::new().chain_update(&self.0).chain_update(b"/").chain_update(role).finalize())
    }

    /// How to reach the service's database in a role.
    pub fn connect_options(
        &self,
        config: &Database,
        service: &ServiceName,
        role: Role,
    ) -> Result<PgConnectOptions, SecretError> {
        let name = role.name(service);
        Ok(address(&config.url)?.username(&name).password(&self.password(&name)).database(service.as_str()))
    }
}

/// The server of `url`, without logging statements: they may hold what must not be in a log.
pub fn address(url: &str) -> Result<PgConnectOptions, SecretError> {
    use sqlx::ConnectOptions;
    let options: PgConnectOptions = url.parse().map_err(SecretError::Url)?;
    // Without a word about TLS in the address, loopback and sockets do without it, like PostgreSQL's own default.
    let options = if url.contains("sslmode") { options } else { options.ssl_mode(PgSslMode::Prefer) };
    Ok(options.application_name("ward").statement_cache_capacity(500).disable_statement_logging())
}
