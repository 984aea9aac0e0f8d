//! One version of a service on this host: immutable, but for its counters.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Instant;

use tokio::sync::watch;

use super::desired::Version;
use super::durations::Durations;
use super::holders::Holders;
use super::rates::Rates;
use crate::capabilities::ServiceContext;
use crate::engine::{Description, Plugin};
use crate::store::Statements;

pub struct Generation {
    /// What its deployment numbered it; see [`super::desired::Version`].
    pub number: u64,
    pub digest: String,
    /// Why it may break a contract; see [`super::desired::Version`].
    forced: Option<String>,
    pub plugin: Arc<Plugin>,
    pub context: Arc<ServiceContext>,
    /// What it asks of its database; none without one.
    pub statements: Option<Arc<Statements>>,
    pub since: Instant,
    /// Of the calls that it answered.
    pub durations: Durations,
    routers: HashMap<String, matchit::Router<usize>>,
    /// Calls that have it in their lineup, and may come to it.
    pub(super) holders: Holders,
    /// Calls that it is at.
    in_flight: AtomicUsize,
    calls: AtomicU64,
    failures: AtomicU64,
    /// True once its time to finish is over.
    over: watch::Sender<bool>,
    pub rates: Rates,
}

/// A route of this generation, and what stood in the braces.
pub struct Matched<'a> {
    pub route: &'a crate::engine::Route,
    pub parameters: Vec<(String, String)>,
}

impl Generation {
    pub fn new(
        version: &Version,
        plugin: Plugin,
        context: Arc<ServiceContext>,
        statements: Option<Arc<Statements>>,
    ) -> Result<Self, matchit::InsertError> {
        let routers = routers(&plugin.description)?;
        Ok(Self {
            number: version.generation,
            digest: version.digest.clone(),
            forced: version.forced.clone(),
            plugin: Arc::new(plugin),
            context,
            statements,
            since: Instant::now(),
            durations: Durations::default(),
            routers,
            holders: Holders::default(),
            in_flight: AtomicUsize::new(0),
            calls: AtomicU64::new(0),
            failures: AtomicU64::new(0),
            over: watch::channel(false).0,
            rates: Rates::new(),
        })
    }

    pub fn version(&self) -> Version {
        Version { generation: self.number, digest: self.digest.clone(), forced: self.forced.clone() }
    }

    /// The route for a request; parameters are percent-decoded.
    pub fn route(&self, method: &str, path: &str) -> Option<Matched<'_>> {
        let matched = self.routers.get(method)?.at(path).ok()?;
        let route = self.plugin.description.routes.get(*matched.value)?;
        let parameters = matched.params.iter().map(|(name, value)| (name.to_owned(), percent_decode(value)));
        Some(Matched { route, parameters: parameters.collect() })
    }

    /// Counts a call until the guard is dropped.
    pub fn enter(&self) -> UnderWay<'_> {
        self.in_flight.fetch_add(1, Ordering::Relaxed);
        self.calls.fetch_add(1, Ordering::Relaxed);
        UnderWay { generation: self, began: Instant::now() }
    }

    pub fn count_failure(&self) {
        self.failures.fetch_add(1, Ordering::Relaxed);
        self.rates.note_failure();
    }

    /// Stops the calls that are still under way.
    pub(super) fn cut_off(&self) {
        self.holders.shut();
        self.over.send_replace(true);
    }

    /// Returns when [`Self::cut_off`] is called, for most generations never.
    pub async fn is_over(&self) {
        let _ = self.over.subscribe().wait_for(|over| *over).await;
    }

    pub fn in_flight(&self) -> usize {
        self.in_flight.load(Ordering::Relaxed)
    }

    pub fn calls(&self) -> u64 {
        self.calls.load(Ordering::Relaxed)
    }

    pub fn failures(&self) -> u64 {
        self.failures.load(Ordering::Relaxed)
    }
}

pub struct UnderWay<'a> {
    generation: &'a Generation,
    began: Instant,
}

impl Drop for UnderWay<'_> {
    fn drop(&mut self) {
        self.generation.in_flight.fetch_sub(1, Ordering::Relaxed);
        self.generation.rates.note(self.began.elapsed());
    }
}

fn routers(description: &Description) -> Result<HashMap<String, matchit::Router<usize>>, matchit::InsertError> {
    let mut routers: HashMap<String, matchit::Router<usize>> = HashMap::new();
    for (index, route) in description.routes.iter().enumerate() {
        routers.entry(route.method.clone()).or_default().insert(route.path.clone(), index)?;
    }
    Ok(routers)
}

/// Percent-decodes; what is no UTF-8 afterwards becomes the replacement character.
pub(crate) fn percent_decode(text: &str) -> String {
    if !text.contains('%') {
        return text.to_owned();
    }
    percent_encoding::percent_decode_str(text).decode_utf8_lossy().into_owned()
}
