//! Does this host take calls and events of a service now?
//!
//! It does, unless the service is placed on other hosts, or its database does not answer here. Then the host is not in the
//! service's queue group: NATS sends the calls to the hosts that are, and where there is none the caller is told at once.
//! The service stays loaded, so that this host's gateway knows its routes and the host can step in without delay.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use super::{Service, Supervisor};
use crate::presence::Presence;
use crate::store::Pulse;

/// Why a host takes no calls of a service that it has loaded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Away {
    /// It is placed on other hosts.
    Elsewhere,
    /// Its database does not answer.
    NoDatabase,
}

impl Away {
    pub fn reason(self) -> &'static str {
        match self {
            Self::Elsewhere => "placed on other hosts (services.NAME.hosts)",
            Self::NoDatabase => "its database does not answer (database.check.timeout_ms)",
        }
    }
}

/// Read by whoever would subscribe; written by [`Supervisor::attend`] alone.
pub struct Attendance(AtomicU8);

impl Attendance {
    pub(super) fn new(away: Option<Away>) -> Self {
        Self(AtomicU8::new(code(away)))
    }

    pub fn away(&self) -> Option<Away> {
        match self.0.load(Ordering::SeqCst) {
            1 => Some(Away::Elsewhere),
            2 => Some(Away::NoDatabase),
            _ => None,
        }
    }

    fn set(&self, away: Option<Away>) {
        self.0.store(code(away), Ordering::SeqCst);
    }
}

fn code(away: Option<Away>) -> u8 {
    match away {
        None => 0,
        Some(Away::Elsewhere) => 1,
        Some(Away::NoDatabase) => 2,
    }
}

/// How often is looked, without a database to check.
const PAUSE: Duration = Duration::from_millis(500);
/// A host that is no longer chosen goes on for so long: whoever was chosen instead has begun by then.
const HANDOVER: Duration = Duration::from_millis(1000);

impl Supervisor {
    /// Keeps a service's attendance true until the host leaves.
    pub async fn attend(self: Arc<Self>, service: Arc<Service>, presence: Arc<Presence>) {
        let mut changed = presence.changed();
        let mut pulse = service.database.as_ref().map(|database| Pulse::of(database, database.check.timeout()));
        let pause = service.database.as_ref().map_or(PAUSE, |database| database.check.pause());
        let mut not_chosen_since = None;
        while !presence.has_left() {
            let answers = match &mut pulse {
                Some(pulse) => pulse.beats().await,
                None => true,
            };
            presence.offer(service.name.as_str(), answers && service.current().is_some()).await;
            let away = if answers {
                self.elsewhere(&service, &presence, &mut not_chosen_since)
            } else {
                Some(Away::NoDatabase)
            };
            self.go(&service, away).await;
            let _ = tokio::time::timeout(pause, changed.changed()).await;
        }
    }

    fn elsewhere(&self, service: &Service, presence: &Presence, since: &mut Option<Instant>) -> Option<Away> {
        let (placement, name) = (&service.config.placement, service.name.as_str());
        if !placement.allows(&presence.labels()) {
            return Some(Away::Elsewhere);
        }
        if placement.count == 0 {
            return None;
        }
        let is_chosen = placement.chooses(name, &presence.host(), &presence.offering(name));
        if is_chosen {
            *since = None;
            // Whoever was chosen before this host came may not have been heard yet.
            return (!presence.is_settled()).then_some(Away::Elsewhere);
        }
        let since = since.get_or_insert_with(Instant::now);
        let is_away = service.attendance.away().is_some();
        (is_away || since.elapsed() >= HANDOVER).then_some(Away::Elsewhere)
    }

    async fn go(&self, service: &Arc<Service>, away: Option<Away>) {
        let before = service.attendance.away();
        if before == away {
            return;
        }
        service.attendance.set(away);
        match away {
            Some(away) => {
                tracing::warn!(service = service.name.as_str(), reason = away.reason(), "takes no more calls here");
                self.workers.stop(service).await;
                // What is in work may take as long as its deadline, and nobody shall wait for it to come back.
                tokio::spawn(stop_events(self.consumers.clone(), service.clone()));
            }
            None => {
                tracing::info!(service = service.name.as_str(), "takes calls here");
                self.begin_again(service).await;
            }
        }
    }

    /// What has not been brought up yet begins when it is (`supervisor`).
    async fn begin_again(&self, service: &Arc<Service>) {
        if service.current().is_none() {
            return;
        }
        while let Err(error) = self.workers.ensure(service).await {
            tracing::warn!(service = service.name.as_str(), %error, "cannot take calls yet");
            tokio::time::sleep(PAUSE).await;
        }
        let (consumers, service) = (self.consumers.clone(), service.clone());
        tokio::spawn(async move { consumers.ensure(&service).await });
    }
}

async fn stop_events(consumers: Arc<crate::events::Consumers>, service: Arc<Service>) {
    consumers.stop(&service).await;
    // It may have come back meanwhile.
    consumers.ensure(&service).await;
}
