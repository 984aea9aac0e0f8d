//! What a call computes, and who may compute for long.
//!
//! A guest gives its thread back at every tick. That keeps the others going, but a few guests that spin would still have all
//! cores between the others' turns. So a guest that has computed for `engine.busy_after_ms` runs on only when it has one of
//! `engine.busy_cores` turns, for a tick at a time, in the order of asking. Time is counted while the call is polled: what it
//! waits for, be it a statement, another service or a turn, costs it nothing of `limits.cpu_ms`.

use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::config;

/// The turns of all guests of this host that compute for long.
pub struct Turns {
    free: Arc<Semaphore>,
    busy_after: Duration,
}

impl Turns {
    pub fn new(config: &config::Engine) -> Self {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let turns = if config.busy_cores == 0 { (cores / 2).max(1) } else { config.busy_cores };
        Self { free: Arc::new(Semaphore::new(turns)), busy_after: Duration::from_millis(config.busy_after_ms) }
    }
}

/// How long one call has computed, and its turn while it has one.
pub(super) struct Meter {
    turns: Arc<Turns>,
    micros: AtomicU64,
    turn: Mutex<Option<OwnedSemaphorePermit>>,
}

impl Meter {
    pub(super) fn new(turns: Arc<Turns>) -> Arc<Self> {
        Arc::new(Self { turns, micros: AtomicU64::new(0), turn: Mutex::new(None) })
    }

    /// Lets others run, and if the call has computed for long, waits for its turn.
    pub(super) async fn give_way(self: Arc<Self>) {
        tokio::task::yield_now().await;
        if self.computed() < self.turns.busy_after {
            return;
        }
        // The semaphore is never closed; without a turn the guest would run all the same.
        let turn = self.turns.free.clone().acquire_owned().await.ok();
        self.hold(turn);
    }

    fn computed(&self) -> Duration {
        Duration::from_micros(self.micros.load(Ordering::Relaxed))
    }

    fn add(&self, span: Duration) {
        self.micros.fetch_add(u64::try_from(span.as_micros()).unwrap_or(u64::MAX), Ordering::Relaxed);
    }

    fn hold(&self, turn: Option<OwnedSemaphorePermit>) {
        *self.turn.lock().unwrap_or_else(PoisonError::into_inner) = turn;
    }
}

/// The call had computed for longer than it may.
#[derive(Debug)]
pub(super) struct Exhausted;

/// Polls a call for as long as it may compute.
pub(super) struct Metered<F> {
    pub call: Pin<Box<F>>,
    pub meter: Arc<Meter>,
    pub limit: Duration,
}

impl<F: Future> Future for Metered<F> {
    type Output = Result<F::Output, Exhausted>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let began = Instant::now();
        let polled = self.call.as_mut().poll(context);
        self.meter.add(began.elapsed());
        match polled {
            Poll::Ready(output) => Poll::Ready(Ok(output)),
            Poll::Pending => {
                // What waits does not need its turn.
                self.meter.hold(None);
                if self.meter.computed() > self.limit { Poll::Ready(Err(Exhausted)) } else { Poll::Pending }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn turns(busy_after_ms: u64) -> Arc<Turns> {
        Arc::new(Turns { free: Arc::new(Semaphore::new(1)), busy_after: Duration::from_millis(busy_after_ms) })
    }

    #[tokio::test]
    async fn computing_counts_and_waiting_does_not() {
        let meter = Meter::new(turns(1000));
        let waits = Box::pin(async {
            let (sender, receiver) = tokio::sync::oneshot::channel::<()>();
            // On a thread of its own, as a statement is on another machine.
            std::thread::spawn(move || {
                spin(Duration::from_millis(50));
                let _ = sender.send(());
            });
            let _ = receiver.await;
        });
        let waited = Metered { call: waits, meter: meter.clone(), limit: Duration::from_millis(20) }.await;
        assert!(waited.is_ok());
        let computes = Box::pin(async {
            loop {
                spin(Duration::from_millis(5));
                tokio::task::yield_now().await;
            }
        });
        let computed: Result<(), Exhausted> = Metered { call: computes, meter, limit: Duration::from_millis(20) }.await;
        assert!(computed.is_err());
    }

    #[tokio::test]
    async fn who_computes_for_long_needs_a_turn_and_gives_it_back_while_waiting() {
        let turns = turns(10);
        let [busy, other] = [Meter::new(turns.clone()), Meter::new(turns.clone())];
        for meter in [&busy, &other] {
            meter.add(Duration::from_millis(11));
        }
        busy.clone().give_way().await;
        assert_eq!(turns.free.available_permits(), 0);
        let waiting = futures_util::FutureExt::now_or_never(async {
            other.clone().give_way().await;
        });
        assert!(waiting.is_none());
        busy.hold(None);
        other.clone().give_way().await;
        assert_eq!(turns.free.available_permits(), 0);
    }

    #[tokio::test]
    async fn who_computes_briefly_needs_none() {
        let turns = turns(10);
        let taken = turns.free.clone().acquire_owned().await;
        Meter::new(turns.clone()).give_way().await;
        drop(taken);
    }

    fn spin(span: Duration) {
        let began = Instant::now();
        while began.elapsed() < span {
            std::hint::spin_loop();
        }
    }
}
