//! The services that this host knows of. One that is new can come while the host runs; none goes.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use arc_swap::ArcSwap;
use tokio::sync::mpsc;

use super::Service;
use crate::config::ServiceName;

pub struct Services {
    known: ArcSwap<BTreeMap<ServiceName, Arc<Service>>>,
    adding: Mutex<()>,
    placing: Mutex<()>,
    added: mpsc::UnboundedSender<Arc<Service>>,
}

impl Services {
    /// The other end gets every service, also those that are added later.
    pub fn new() -> (Self, mpsc::UnboundedReceiver<Arc<Service>>) {
        let (added, news) = mpsc::unbounded_channel();
        (Self { known: ArcSwap::default(), adding: Mutex::default(), placing: Mutex::default(), added }, news)
    }

    /// Adds a service, or returns the one of that name that is there.
    pub fn add(&self, service: Service) -> Arc<Service> {
        let _alone = self.adding.lock().unwrap_or_else(PoisonError::into_inner);
        let known = self.known.load_full();
        if let Some(present) = known.get(&service.name) {
            return present.clone();
        }
        let service = Arc::new(service);
        let mut more = BTreeMap::clone(&known);
        more.insert(service.name.clone(), service.clone());
        self.known.store(Arc::new(more));
        let _ = self.added.send(service.clone());
        service
    }

    pub fn get(&self, name: &ServiceName) -> Option<Arc<Service>> {
        self.known.load().get(name).cloned()
    }

    /// Lets only one at a time take a place beside the others: what it is held against does not change meanwhile.
    pub(super) fn one_by_one<T>(&self, take: impl FnOnce() -> T) -> T {
        let _alone = self.placing.lock().unwrap_or_else(PoisonError::into_inner);
        take()
    }

    /// All of them, by name.
    pub fn all(&self) -> Vec<Arc<Service>> {
        self.known.load().values().cloned().collect()
    }
}
