//! A service on this host: its place in the queue, the generation that serves, and the one before.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use arc_swap::ArcSwapOption;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};

use super::Generation;
use super::status::State;
use crate::capabilities::HostServices;
use crate::config::{ServiceConfig, ServiceName};
use crate::store::Database;

pub struct Service {
    pub name: ServiceName,
    pub config: ServiceConfig,
    pub host: Arc<HostServices>,
    pub database: Option<Arc<Database>>,
    pub reruns: u32,
    pub admission: Admission,
    current: ArcSwapOption<Generation>,
    watched: ArcSwapOption<Watch>,
    standing: Mutex<Standing>,
    alarms: mpsc::UnboundedSender<Arc<Watch>>,
}

/// What an operator is told of the last change.
#[derive(Debug, Clone)]
pub struct Standing {
    /// The last revision of the desired state that was dealt with.
    pub revision: u64,
    pub state: State,
    pub reason: String,
}

/// A new generation over its first calls, and the one that answers for it.
pub struct Watch {
    pub generation: Arc<Generation>,
    pub before: Arc<Generation>,
    calls_left: AtomicUsize,
    failures_left: AtomicUsize,
}

impl Service {
    pub fn new(
        config: ServiceConfig,
        host: Arc<HostServices>,
        database: Option<Arc<Database>>,
        reruns: u32,
        alarms: mpsc::UnboundedSender<Arc<Watch>>,
    ) -> Self {
        let admission = Admission::new(config.limits.concurrency, config.limits.queue);
        let standing = Standing { revision: 0, state: State::Absent, reason: "never deployed".to_owned() };
        Self {
            name: config.name.clone(),
            config,
            host,
            database,
            reruns,
            admission,
            current: ArcSwapOption::empty(),
            watched: ArcSwapOption::empty(),
            standing: Mutex::new(standing),
            alarms,
        }
    }

    /// The generation that new calls get.
    pub fn current(&self) -> Option<Arc<Generation>> {
        self.current.load_full()
    }

    /// Puts `generation` in the place of the current one, which is returned.
    pub(super) fn swap(&self, generation: Option<Arc<Generation>>) -> Option<Arc<Generation>> {
        self.current.swap(generation)
    }

    pub(super) fn watch(&self, watch: Option<Arc<Watch>>) {
        self.watched.store(watch);
    }

    /// Ends the watch over a generation that has proven itself.
    pub fn end_watch(&self, watch: &Arc<Watch>) {
        self.watched.compare_and_swap(watch, None);
    }

    /// Lets the generation before serve again, at once; telling the others is the supervisor's affair.
    pub fn go_back(&self, watch: &Arc<Watch>) {
        let found = self.current.compare_and_swap(&watch.generation, Some(watch.before.clone()));
        // Another one may have been swapped in meanwhile; then there is nothing to go back from.
        if found.as_ref().is_some_and(|found| Arc::ptr_eq(found, &watch.generation)) {
            self.end_watch(watch);
            let _ = self.alarms.send(watch.clone());
        }
    }

    /// The watch over `generation`, if there is one.
    pub fn watch_over(&self, generation: &Arc<Generation>) -> Option<Arc<Watch>> {
        self.watched.load_full().filter(|watch| Arc::ptr_eq(&watch.generation, generation))
    }

    /// Shall it run here, and does not yet?
    pub fn is_coming(&self) -> bool {
        let state = self.standing().state;
        matches!(state, State::Preparing | State::Waiting)
    }

    pub fn standing(&self) -> Standing {
        self.standing.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Takes note, unless a later revision was dealt with meanwhile.
    pub(super) fn set_standing(&self, revision: u64, state: State, reason: impl Into<String>) {
        let standing = Standing { revision, state, reason: reason.into() };
        let mut place = self.standing.lock().unwrap_or_else(PoisonError::into_inner);
        if place.revision <= revision {
            *place = standing;
        }
    }
}

/// What a watched call's outcome means.
#[derive(Debug, PartialEq, Eq)]
pub enum Verdict {
    Undecided,
    Proven,
    Failed,
}

impl Watch {
    pub(super) fn new(generation: Arc<Generation>, before: Arc<Generation>, calls: usize, failures: usize) -> Self {
        Self {
            generation,
            before,
            calls_left: AtomicUsize::new(calls.max(1)),
            failures_left: AtomicUsize::new(failures.max(1)),
        }
    }

    /// Takes note of a call. `Proven` and `Failed` are each said once.
    pub fn note(&self, failed: bool) -> Verdict {
        let count = if failed { &self.failures_left } else { &self.calls_left };
        let before = count.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1));
        match (before, failed) {
            (Ok(1), true) => Verdict::Failed,
            (Ok(1), false) => Verdict::Proven,
            _ => Verdict::Undecided,
        }
    }
}

/// A bounded number of calls at once, a bounded number waiting, the rest shed at once.
pub struct Admission {
    slots: Arc<Semaphore>,
    inside: Arc<AtomicUsize>,
    limit: usize,
}

/// A place in the queue, given back when dropped.
pub struct Place {
    inside: Arc<AtomicUsize>,
    slots: Arc<Semaphore>,
}

impl Admission {
    fn new(concurrency: usize, queue: usize) -> Self {
        Self {
            slots: Arc::new(Semaphore::new(concurrency)),
            inside: Arc::new(AtomicUsize::new(0)),
            limit: concurrency + queue,
        }
    }

    /// None when the queue is full.
    pub fn enter(&self) -> Option<Place> {
        let inside = self.inside.fetch_add(1, Ordering::Relaxed);
        let place = Place { inside: self.inside.clone(), slots: self.slots.clone() };
        (inside < self.limit).then_some(place)
    }

    /// Calls that run or wait.
    pub fn inside(&self) -> usize {
        self.inside.load(Ordering::Relaxed)
    }
}

impl Place {
    /// Waits for a slot, at most `patience`.
    pub async fn slot(&self, patience: Duration) -> Option<OwnedSemaphorePermit> {
        if let Ok(permit) = self.slots.clone().try_acquire_owned() {
            return Some(permit);
        }
        tokio::time::timeout(patience, self.slots.clone().acquire_owned()).await.ok()?.ok()
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.inside.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn sheds_what_fits_neither_slots_nor_queue() {
        let admission = Admission::new(1, 1);
        let (first, second) = (admission.enter().unwrap(), admission.enter().unwrap());
        assert!(admission.enter().is_none());
        assert_eq!(admission.inside(), 2);
        let slot = first.slot(Duration::ZERO).await;
        assert!(slot.is_some());
        assert!(second.slot(Duration::ZERO).await.is_none());
        drop((slot, first));
        assert!(second.slot(Duration::ZERO).await.is_some());
        assert!(admission.enter().is_some());
    }
}
