//! Connections of one role, lent one at a time.
//!
//! sqlx's own pool asks the server after each use whether the connection is still good. That is a round trip for each call,
//! which costs a read a tenth of its time; here whoever was stopped in the middle closes the connection instead of
//! giving it back ([`Lease`]), so that what is in the pool was left in order.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use sqlx::Connection;
use sqlx::postgres::{PgConnectOptions, PgConnection};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// A connection that rested for longer is tested before it is lent: meanwhile the server may have been restarted.
const RESTED: Duration = Duration::from_millis(500);
/// How long a test may take before the connection counts as broken.
const TEST_PATIENCE: Duration = Duration::from_secs(1);

pub struct Pool {
    options: PgConnectOptions,
    slots: Arc<Semaphore>,
    /// The one that was used last is lent first; the others may rest.
    resting: Mutex<Vec<(PgConnection, Instant)>>,
    patience: Duration,
}

impl Pool {
    /// At most `size` connections at once; who waits for one longer than `patience` gets [`sqlx::Error::PoolTimedOut`].
    pub fn new(options: PgConnectOptions, size: u32, patience: Duration) -> Arc<Self> {
        let slots = Arc::new(Semaphore::new(size as usize));
        Arc::new(Self { options, slots, resting: Mutex::default(), patience })
    }

    pub async fn lease(self: &Arc<Self>) -> sqlx::Result<Lease> {
        tokio::time::timeout(self.patience, self.find()).await.map_err(|_| sqlx::Error::PoolTimedOut)?
    }

    async fn find(self: &Arc<Self>) -> sqlx::Result<Lease> {
        let slot = self.slots.clone().acquire_owned().await.map_err(|_| sqlx::Error::PoolClosed)?;
        loop {
            let connection = match self.take() {
                None => PgConnection::connect_with(&self.options).await?,
                Some((connection, since)) if since.elapsed() < RESTED => connection,
                Some((mut connection, _)) => {
                    let test = tokio::time::timeout(TEST_PATIENCE, connection.ping()).await;
                    if !matches!(test, Ok(Ok(()))) {
                        continue;
                    }
                    connection
                }
            };
            return Ok(Lease { connection: Some(connection), pool: self.clone(), _slot: slot });
        }
    }

    fn take(&self) -> Option<(PgConnection, Instant)> {
        self.resting.lock().unwrap_or_else(PoisonError::into_inner).pop()
    }

    /// Lends no more, and closes what rests.
    pub async fn close(&self) {
        self.slots.close();
        while let Some((connection, _)) = self.take() {
            let _ = connection.close().await;
        }
    }
}

/// A connection that goes back to its pool when it is released, and is closed when it is dropped before: whoever was
/// stopped in the middle leaves nothing running behind.
pub struct Lease {
    connection: Option<PgConnection>,
    pool: Arc<Pool>,
    _slot: OwnedSemaphorePermit,
}

impl Lease {
    pub fn connection(&mut self) -> sqlx::Result<&mut PgConnection> {
        self.connection.as_mut().ok_or(sqlx::Error::PoolClosed)
    }

    pub fn release(mut self) {
        if let Some(connection) = self.connection.take() {
            let mut resting = self.pool.resting.lock().unwrap_or_else(PoisonError::into_inner);
            resting.push((connection, Instant::now()));
        }
    }
}
