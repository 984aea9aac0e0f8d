//! What a call computes, and where it goes on when that is much.
//!
//! A guest gives its thread back at every tick. That keeps the others going, but each of their steps would wait for a tick of a
//! guest that spins, and a few of those would have all cores. So a call that has computed for `engine.busy_after_ms` goes on on
//! threads that are there for such calls, `engine.busy_cores` of them, to which the operating system prefers all others. Time is
//! counted while the call is polled: what it waits for, be it a statement or another service, costs it nothing of
//! `limits.cpu_ms`.

use std::panic::resume_unwind;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use tokio::runtime::Runtime;
use tokio::task::AbortHandle;

use crate::config;

/// By how much the threads of busy calls stand back (`nice`): a thread beside one of them gets nine tenths of a core.
const NICE: i32 = 10;

/// The threads for all guests of this host that compute for long.
pub struct Busy {
    /// None only while it is dropped.
    threads: Option<Runtime>,
    after: Duration,
}

impl Busy {
    pub fn new(config: &config::Engine) -> std::io::Result<Self> {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let threads = if config.busy_cores == 0 { (cores / 2).max(1) } else { config.busy_cores };
        Self::with(threads, Duration::from_millis(config.busy_after_ms))
    }

    fn with(threads: usize, after: Duration) -> std::io::Result<Self> {
        let threads = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(threads)
            .thread_name("busy")
            .enable_all()
            // Polled often, as the host's own threads are.
            .event_interval(8)
            .on_thread_start(stand_back)
            .build()?;
        Ok(Self { threads: Some(threads), after })
    }

    /// Runs a call until it is done or has computed for `limit`. When this future is dropped, the call is.
    pub(super) async fn run<F>(&self, call: F, limit: Duration) -> Result<F::Output, Exhausted>
    where
        F: Future<Output: Send> + Send + 'static,
    {
        // In a box, since it is large and would be moved about.
        let mut metered = Metered { call: Box::pin(call), computed: Duration::ZERO, limit };
        let here = std::future::poll_fn(|context| match Pin::new(&mut metered).poll(context) {
            Poll::Pending if metered.computed >= self.after => Poll::Ready(None),
            polled => polled.map(Some),
        });
        if let Some(done) = here.await {
            return done;
        }
        let Some(threads) = &self.threads else { return Err(Exhausted) };
        let there = threads.spawn(metered);
        let _abort = AbortOnDrop(there.abort_handle());
        // It ends, or it panics.
        there.await.unwrap_or_else(|error| resume_unwind(error.into_panic()))
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        if let Some(threads) = self.threads.take() {
            threads.shutdown_background();
        }
    }
}

fn stand_back() {
    // Linux keeps this for each thread. Nobody is refused to stand back; if it was, calls would only be less fair.
    let _ = rustix::process::nice(NICE);
}

struct AbortOnDrop(AbortHandle);

impl Drop for AbortOnDrop {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// The call had computed for longer than it may.
#[derive(Debug, PartialEq)]
pub(super) struct Exhausted;

/// A call, and for how long it has computed.
struct Metered<F> {
    call: Pin<Box<F>>,
    computed: Duration,
    limit: Duration,
}

impl<F: Future> Future for Metered<F> {
    type Output = Result<F::Output, Exhausted>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let began = Instant::now();
        let polled = self.call.as_mut().poll(context);
        self.computed += began.elapsed();
        match polled {
            Poll::Ready(output) => Poll::Ready(Ok(output)),
            Poll::Pending if self.computed > self.limit => Poll::Ready(Err(Exhausted)),
            Poll::Pending => Poll::Pending,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LONG: Duration = Duration::from_secs(60);
    /// The furthest that a thread can stand back.
    const LEAST: i32 = 19;

    fn busy(after_ms: u64) -> Busy {
        Busy::with(1, Duration::from_millis(after_ms)).unwrap()
    }

    async fn compute(span: Duration) {
        let began = Instant::now();
        while began.elapsed() < span {
            std::hint::spin_loop();
        }
        tokio::task::yield_now().await;
    }

    /// Where the caller runs when it has computed for `span`, a millisecond at a time; and how far that thread stands back.
    async fn thread_after(span: Duration) -> (String, i32) {
        let began = Instant::now();
        while began.elapsed() < span {
            compute(Duration::from_millis(1)).await;
        }
        this_thread()
    }

    fn this_thread() -> (String, i32) {
        let name = std::thread::current().name().unwrap_or_default().to_owned();
        (name, rustix::process::getpriority_process(None).unwrap())
    }

    #[tokio::test]
    async fn computing_counts_and_waiting_does_not() {
        let busy = busy(5);
        let limit = Duration::from_millis(20);
        let waits = busy.run(tokio::time::sleep(Duration::from_millis(50)), limit).await;
        assert_eq!(waits, Ok(()));
        let computes = async {
            loop {
                compute(Duration::from_millis(1)).await;
            }
        };
        let computed: Result<(), Exhausted> = busy.run(computes, limit).await;
        assert_eq!(computed, Err(Exhausted));
    }

    #[tokio::test]
    async fn who_computes_for_long_goes_on_elsewhere() {
        let busy = busy(10);
        let here = this_thread();
        assert_eq!(busy.run(thread_after(Duration::ZERO), LONG).await, Ok(here.clone()));
        let there = ("busy".to_owned(), (here.1 + NICE).min(LEAST));
        assert_eq!(busy.run(thread_after(Duration::from_millis(30)), LONG).await, Ok(there));
    }

    #[tokio::test]
    async fn who_is_busy_ends_when_nobody_waits_any_more() {
        let busy = busy(0);
        let (ended, mut end) = tokio::sync::mpsc::channel::<()>(1);
        let call = async move {
            let _held = ended;
            loop {
                compute(Duration::from_millis(1)).await;
            }
        };
        let stopped: Result<Result<(), _>, _> =
            tokio::time::timeout(Duration::from_millis(20), busy.run(call, LONG)).await;
        assert!(stopped.is_err());
        assert_eq!(tokio::time::timeout(Duration::from_secs(10), end.recv()).await, Ok(None));
    }
}
