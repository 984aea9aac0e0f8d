//! Does the database answer? Asked on a connection of its own, so that neither a full pool nor a dead link in it delays the answer.

use std::time::Duration;

use sqlx::Connection;
use sqlx::postgres::{PgConnectOptions, PgConnection};

use super::Database;

pub struct Pulse {
    options: PgConnectOptions,
    connection: Option<PgConnection>,
    patience: Duration,
}

impl Pulse {
    pub fn of(database: &Database, patience: Duration) -> Self {
        Self { options: database.pulse.clone(), connection: None, patience }
    }

    /// False when nothing comes back in time, or when the server says that it is going or coming.
    pub async fn beats(&mut self) -> bool {
        let asked = tokio::time::timeout(self.patience, self.ask()).await;
        match asked {
            Ok(Ok(())) => true,
            Ok(Err(error)) => is_answer(&error),
            Err(_) => false,
        }
    }

    /// A connection that does not answer is dropped, here or by the timeout.
    async fn ask(&mut self) -> sqlx::Result<()> {
        let mut connection = match self.connection.take() {
            Some(connection) => connection,
            None => PgConnection::connect_with(&self.options).await?,
        };
        connection.ping().await?;
        self.connection = Some(connection);
        Ok(())
    }
}

/// Too many connections, or a role that is missing: the server lives, and calls may still get along with what they have.
fn is_answer(error: &sqlx::Error) -> bool {
    match error {
        sqlx::Error::Database(error) => !error.code().is_some_and(|code| code.starts_with("57")),
        _ => false,
    }
}
