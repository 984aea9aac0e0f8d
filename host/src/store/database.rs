//! The connections to one service's database, shared by all its generations on this host.

use std::sync::Arc;
use std::time::Duration;

use sqlx::postgres::{PgConnectOptions, PgPool, PgPoolOptions};
use tokio::sync::{Notify, OnceCell};

use super::pool::Pool;
use super::roles::{Role, RoleSecret, SecretError};
use crate::config::{self, ServiceName};

/// For the relay, migrations and housekeeping.
const HOST_CONNECTIONS: u32 = 3;

pub struct Database {
    pub(super) writers: Arc<Pool>,
    pub(super) readers: Arc<Pool>,
    /// Ward's own tables: the relay, migrations' records, housekeeping.
    pub(super) host: PgPool,
    pub(super) owner: PgConnectOptions,
    /// For [`super::Pulse`].
    pub(super) pulse: PgConnectOptions,
    pub check: config::DatabaseCheck,
    token: OnceCell<String>,
    /// Rung after each commit.
    pub committed: Notify,
}

impl Database {
    /// Connects when first used.
    pub fn new(config: &config::Database, secret: &RoleSecret, service: &ServiceName) -> Result<Self, SecretError> {
        let patience = Duration::from_millis(config.acquire_timeout_ms);
        let options = |role| secret.connect_options(config, service, role);
        Ok(Self {
            writers: Pool::new(options(Role::Writer)?, config.writers, patience),
            readers: Pool::new(options(Role::Reader)?, config.readers, patience),
            host: PgPoolOptions::new()
                .max_connections(HOST_CONNECTIONS)
                .acquire_timeout(patience)
                .connect_lazy_with(options(Role::Host)?),
            owner: options(Role::Owner)?,
            pulse: options(Role::Host)?,
            check: config.check.clone(),
            token: OnceCell::new(),
            committed: Notify::new(),
        })
    }

    /// What [`super::Work`] seals with.
    pub async fn token(&self) -> sqlx::Result<&str> {
        let read = || sqlx::query_scalar("select token from ward.token").fetch_one(&self.host);
        self.token.get_or_try_init(read).await.map(String::as_str)
    }

    /// Can the database be reached, and was it provisioned?
    pub async fn ping(&self) -> sqlx::Result<()> {
        sqlx::query("select 1 from ward.token").fetch_one(&self.host).await.map(|_| ())
    }

    /// Committed events that are not in the stream yet.
    pub async fn waiting_events(&self) -> sqlx::Result<i64> {
        sqlx::query_scalar("select count(*) from ward.outbox").fetch_one(&self.host).await
    }

    /// What an administrator has set that makes a commit less than durable.
    pub async fn unsafe_settings(&self) -> sqlx::Result<Vec<String>> {
        let statement = "select name || ' = ' || setting from pg_settings
            where (name in ('fsync', 'full_page_writes') and setting = 'off')
               or (name = 'synchronous_commit' and setting = 'off')";
        sqlx::query_scalar(statement).fetch_all(&self.host).await
    }

    pub async fn close(&self) {
        self.writers.close().await;
        self.readers.close().await;
        self.host.close().await;
    }
}
