//! The connections to one service's database, shared by all its generations on this host.

use std::time::Duration;

use sqlx::postgres::{PgConnectOptions, PgPool, PgPoolOptions};
use tokio::sync::{Notify, OnceCell};

use super::roles::{Role, RoleSecret, SecretError};
use crate::config::{self, ServiceName};

pub struct Database {
    pub(super) writers: PgPool,
    pub(super) readers: PgPool,
    /// Ward's own tables: the relay, migrations' records, housekeeping.
    pub(super) host: PgPool,
    pub(super) owner: PgConnectOptions,
    token: OnceCell<String>,
    /// Rung after each commit.
    pub committed: Notify,
}

impl Database {
    /// Connects when first used.
    pub fn new(config: &config::Database, secret: &RoleSecret, service: &ServiceName) -> Result<Self, SecretError> {
        let pool = |role, size| -> Result<PgPool, SecretError> {
            Ok(PgPoolOptions::new()
                .max_connections(size)
                .acquire_timeout(Duration::from_millis(config.acquire_timeout_ms))
                // One round trip less for each call; a dead connection shows in its first statement, and is replaced.
                .test_before_acquire(false)
                .idle_timeout(Duration::from_secs(300))
                .connect_lazy_with(secret.connect_options(config, service, role)?))
        };
        Ok(Self {
            writers: pool(Role::Writer, config.writers)?,
            readers: pool(Role::Reader, config.readers)?,
            host: pool(Role::Host, 3)?,
            owner: secret.connect_options(config, service, Role::Owner)?,
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
        sqlx::query("select 1 from ward.token")
            .fetch_one(&self.host)
            .await
            .map(|_| ())
    }

    /// Committed events that are not in the stream yet.
    pub async fn waiting_events(&self) -> sqlx::Result<i64> {
        sqlx::query_scalar("select count(*) from ward.outbox")
            .fetch_one(&self.host)
            .await
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
