//! The news that a service committed something: to the relay, which may be another host's, and to live routes.
//!
//! PostgreSQL's NOTIFY would do it in the transaction, and halve the throughput (a lock at each commit). So the news is sent after
//! the commit, by NATS, at most once in five milliseconds; whoever must not miss one polls as well.

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use futures_util::StreamExt;
use tokio::sync::watch;
use uuid::Uuid;
use ward_proto::call::subject;

use crate::bus::{Bus, BusError, Headers};
use crate::services::Service;

const PAUSE: Duration = Duration::from_millis(5);

pub struct Wakes {
    bus: Arc<Bus>,
    /// Of this process: while one takes over from another, two may have one name.
    own: String,
    news: RwLock<BTreeMap<String, watch::Sender<u64>>>,
}

impl Wakes {
    pub fn new(bus: Arc<Bus>) -> Self {
        Self { bus, own: Uuid::new_v4().to_string(), news: RwLock::default() }
    }

    /// Changes whenever the service committed, on whatever host.
    pub fn of(&self, service: &str) -> watch::Receiver<u64> {
        let mut news = self.news.write().unwrap_or_else(PoisonError::into_inner);
        news.entry(service.to_owned()).or_insert_with(|| watch::channel(0).0).subscribe()
    }

    /// Tells everybody of the commits of this host, for ever.
    pub async fn announce(self: Arc<Self>, service: Arc<Service>) {
        let Some(database) = &service.database else { return };
        loop {
            database.committed.notified().await;
            self.ring(service.name.as_str());
            let subject = format!("{}.{}", subject::WAKE, service.name);
            self.bus.publish(subject, Headers::new(), self.own.clone().into()).await;
            tokio::time::sleep(PAUSE).await;
        }
    }

    /// Hears of the commits of other hosts, for ever.
    pub async fn hear(self: Arc<Self>) -> Result<(), BusError> {
        let mut wakes = self.bus.subscribe(format!("{}.*", subject::WAKE)).await?;
        while let Some(message) = wakes.next().await {
            if message.payload != self.own.as_bytes() {
                self.ring(message.subject.rsplit('.').next().unwrap_or_default());
            }
        }
        Ok(())
    }

    fn ring(&self, service: &str) {
        let news = self.news.read().unwrap_or_else(PoisonError::into_inner);
        if let Some(news) = news.get(service) {
            news.send_modify(|count| *count = count.wrapping_add(1));
        }
    }
}
