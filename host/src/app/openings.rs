//! Makes the services of this host, those of its configuration at the start and new ones while it runs.

use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::mpsc;

use crate::capabilities::HostServices;
use crate::config::{Capability, Config, ServiceConfig, ServiceName};
use crate::services::{Finding, Openings, Service};
use crate::store::{Database, RoleSecret};

/// Room for the headers of an event, most of which are short and Ward's own.
const EVENT_HEADERS: usize = 4 << 10;

pub(super) struct Opener {
    pub config: Config,
    /// As it was read last.
    pub last: Mutex<Config>,
    pub secret: RoleSecret,
    pub host: Arc<HostServices>,
    pub findings: mpsc::UnboundedSender<Finding>,
    /// Bytes that fit into one NATS message.
    pub max_payload: usize,
}

impl Opener {
    pub fn open(&self, service: &ServiceConfig) -> anyhow::Result<Service> {
        self.check_sizes(service)?;
        // What a component brings for itself it changes as it grows; then its database is there already.
        let is_offered = self.config.offered.iter().any(|offered| offered.name == service.name);
        let wants_store = is_offered || service.grants.capabilities.contains(&Capability::Sql);
        let database =
            wants_store.then(|| Database::new(&self.config.database, &self.secret, &service.name)).transpose()?;
        let (host, database) = (self.host.clone(), database.map(Arc::new));
        Ok(Service::new(service.clone(), host, database, self.config.store.reruns, self.findings.clone()))
    }

    /// What a component sends must fit one message.
    fn check_sizes(&self, service: &ServiceConfig) -> anyhow::Result<()> {
        let (limits, payload) = (&service.limits, self.max_payload);
        let sizes = [
            ("response_bytes", limits.response_bytes),
            ("call_bytes", limits.call_bytes),
            ("event_bytes", limits.event_bytes + EVENT_HEADERS),
        ];
        for (name, bytes) in sizes {
            anyhow::ensure!(
                bytes < payload,
                "limits.{name} of {} ({bytes} with its headers) does not fit into one NATS message ({payload}): lower it, or \
                 raise max_payload in the server's configuration",
                service.name
            );
        }
        Ok(())
    }
}

impl Openings for Opener {
    fn settings(&self, name: &ServiceName) -> Option<ServiceConfig> {
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        match Config::load(self.config.file.as_deref()) {
            Ok(config) => *last = config,
            Err(error) => {
                tracing::warn!(service = name.as_str(), %error, "the configuration cannot be read anew; the one before holds");
            }
        }
        last.service(name).cloned()
    }

    fn open(&self, name: &ServiceName) -> Option<Service> {
        let settings = self.settings(name)?;
        Opener::open(self, &settings)
            .inspect_err(|error| tracing::error!(service = name.as_str(), %error, "the service cannot be opened"))
            .ok()
    }
}
