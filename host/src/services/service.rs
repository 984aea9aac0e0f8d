//! A service on this host: its place in the queue, and the generations that serve.

use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use arc_swap::ArcSwapOption;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};

use super::lineup::{Held, Lineup, TURN};
use super::status::State;
use super::{Attendance, Away, Generation, Watch};
use crate::capabilities::HostServices;
use crate::config::{Placement, ServiceConfig, ServiceName};
use crate::limits::{Limit, Refusals};
use crate::store::{Database, WorkLimits};

pub struct Service {
    pub name: ServiceName,
    pub config: ServiceConfig,
    pub host: Arc<HostServices>,
    pub database: Option<Arc<Database>>,
    pub reruns: u32,
    pub admission: Admission,
    /// How often its limits refused something, over all generations.
    pub refusals: Arc<Refusals>,
    pub attendance: Attendance,
    lineup: ArcSwapOption<Lineup>,
    /// Held by whoever changes the lineup; those who read it never wait.
    changing: Mutex<()>,
    turn: AtomicU32,
    cut_off: AtomicU64,
    retired: Mutex<Vec<Weak<Generation>>>,
    standing: Mutex<Standing>,
    is_due: AtomicBool,
    has_begun: AtomicBool,
    taken: Mutex<Option<String>>,
    findings: mpsc::UnboundedSender<Finding>,
}

/// How a watch ended. The lineup is changed already.
pub enum Finding {
    /// The generation has proven itself, or its time under watch is over.
    Proven(Arc<Watch>),
    /// It has not, for this reason; the one before has all calls again.
    Failed(Arc<Watch>, String),
}

/// What an operator is told of the last change.
#[derive(Debug, Clone)]
pub struct Standing {
    /// The last revision of the desired state that was dealt with.
    pub revision: u64,
    pub state: State,
    pub reason: String,
}

impl Service {
    pub fn new(
        config: ServiceConfig,
        host: Arc<HostServices>,
        database: Option<Arc<Database>>,
        reruns: u32,
        findings: mpsc::UnboundedSender<Finding>,
    ) -> Self {
        let admission = Admission::new(config.limits.concurrency, config.limits.queue);
        let standing = Standing { revision: 0, state: State::Absent, reason: "never deployed".to_owned() };
        // Whom it is placed on is not known yet.
        let is_placed = config.placement != Placement::default();
        Self {
            name: config.name.clone(),
            config,
            host,
            database,
            reruns,
            admission,
            refusals: Arc::default(),
            attendance: Attendance::new(is_placed.then_some(Away::Elsewhere)),
            lineup: ArcSwapOption::empty(),
            changing: Mutex::default(),
            turn: AtomicU32::new(0),
            cut_off: AtomicU64::new(0),
            retired: Mutex::default(),
            standing: Mutex::new(standing),
            is_due: AtomicBool::new(false),
            has_begun: AtomicBool::new(false),
            taken: Mutex::default(),
            findings,
        }
    }

    /// Counts what a limit refused, and says it for a message.
    pub fn refuse(&self, limit: Limit) -> String {
        self.refusals.count(limit);
        limit.told(&self.config.limits)
    }

    /// What a call may do in the store.
    pub fn work_limits(&self) -> WorkLimits {
        WorkLimits::of(&self.config.limits, self.refusals.clone())
    }

    /// The generation that the service is described by, and that calls get but for the canary's share.
    pub fn current(&self) -> Option<Arc<Generation>> {
        self.lineup().map(|lineup| lineup.current.clone())
    }

    /// All generations that take calls.
    pub fn lineup(&self) -> Option<Arc<Lineup>> {
        self.lineup.load_full()
    }

    /// The generations for a call.
    pub fn hold(&self) -> Option<Held> {
        loop {
            if let Some(held) = Held::of(self.lineup()?) {
                return Some(held);
            }
            // Replaced just now.
        }
    }

    /// The turn of a new call, for [`Lineup::pick`].
    pub fn next_turn(&self) -> u32 {
        self.turn.fetch_add(TURN, Ordering::Relaxed)
    }

    /// Replaces the lineup by what `change` makes of it, as one step. Returns the generations that have left with it: they get no more
    /// calls, but for those which hold them, and are to be drained.
    pub(super) fn change(&self, change: impl FnOnce(Option<&Lineup>) -> Option<Lineup>) -> Vec<Arc<Generation>> {
        let _changing = self.changing.lock().unwrap_or_else(PoisonError::into_inner);
        let before = self.lineup.load_full();
        let now = change(before.as_deref()).map(Arc::new);
        let has_left = |old: &&Arc<Generation>| !now.as_ref().is_some_and(|now| now.holds(old));
        let left: Vec<_> = before.iter().flat_map(|before| before.held()).filter(has_left).cloned().collect();
        self.retire(&left);
        self.lineup.store(now);
        left
    }

    /// Ends the watch over a generation that has proven itself.
    pub fn end_watch(&self, watch: &Arc<Watch>) {
        self.conclude(watch, &watch.generation, Finding::Proven(watch.clone()));
    }

    /// Lets the generation before have all calls again, at once; telling the others is the supervisor's affair.
    pub fn go_back(&self, watch: &Arc<Watch>, reason: String) {
        self.conclude(watch, &watch.before, Finding::Failed(watch.clone(), reason));
    }

    /// Another one may have been swapped in meanwhile; then there is nothing to conclude.
    fn conclude(&self, watch: &Arc<Watch>, current: &Arc<Generation>, finding: Finding) {
        let mut is_news = false;
        self.change(|lineup| {
            let lineup = lineup?;
            is_news = lineup.watch.as_ref().is_some_and(|found| Arc::ptr_eq(found, watch));
            Some(if is_news { Lineup::of(current.clone()) } else { lineup.clone() })
        });
        if is_news {
            let _ = self.findings.send(finding);
        }
    }

    fn retire(&self, left: &[Arc<Generation>]) {
        let mut retired = self.retired.lock().unwrap_or_else(PoisonError::into_inner);
        retired.retain(|generation| generation.strong_count() > 0);
        retired.extend(left.iter().map(Arc::downgrade));
    }

    /// Was it in a lineup, and is not any more? Then it is about to end, and must not get calls again.
    pub(super) fn has_left(&self, generation: &Arc<Generation>) -> bool {
        let retired = self.retired.lock().unwrap_or_else(PoisonError::into_inner);
        retired.iter().any(|one| std::ptr::eq(one.as_ptr(), Arc::as_ptr(generation)))
    }

    /// Generations that get no more calls, but for those which have them in their lineup.
    pub(super) fn draining(&self) -> Vec<Arc<Generation>> {
        let retired = self.retired.lock().unwrap_or_else(PoisonError::into_inner);
        retired.iter().filter_map(Weak::upgrade).filter(|generation| generation.holders.is_held()).collect()
    }

    /// Calls that were stopped because their generation was replaced and they did not end within `swap.drain_s`.
    pub fn cut_off(&self) -> u64 {
        self.cut_off.load(Ordering::Relaxed)
    }

    pub(super) fn count_cut_off(&self, calls: usize) {
        self.cut_off.fetch_add(calls as u64, Ordering::Relaxed);
    }

    /// Is it on its way, and expected here?
    pub fn is_coming(&self) -> bool {
        self.is_due() && matches!(self.standing().state, State::Preparing | State::Waiting)
    }

    /// Is this host expected to serve it? What no host can take is not: that takes no host out of service.
    pub fn is_due(&self) -> bool {
        self.is_due.load(Ordering::Relaxed)
    }

    pub(super) fn set_due(&self, is_due: bool) {
        self.is_due.store(is_due, Ordering::Relaxed);
    }

    /// Are calls of what serves taken here, as far as the service is not away?
    pub fn has_begun(&self) -> bool {
        self.has_begun.load(Ordering::Relaxed)
    }

    pub(super) fn set_begun(&self, has_begun: bool) {
        self.has_begun.store(has_begun, Ordering::Relaxed);
    }

    /// The digest that a host has taken last, as far as this one knows; none of a newcomer.
    pub(super) fn taken(&self) -> Option<String> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// True when that is news.
    pub(super) fn set_taken(&self, digest: Option<&str>) -> bool {
        let mut taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        let is_news = taken.as_deref() != digest;
        *taken = digest.map(str::to_owned);
        is_news
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

    /// Takes note that what ran has failed. What is being prepared meanwhile says itself how it ends.
    pub(super) fn set_failed(&self, reason: &str) {
        let mut place = self.standing.lock().unwrap_or_else(PoisonError::into_inner);
        if place.state == State::Running {
            *place = Standing { revision: place.revision, state: State::Refused, reason: reason.to_owned() };
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
