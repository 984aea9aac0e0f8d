//! Requests that go on while a test does something else.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use tokio::task::JoinSet;

use crate::eventually;
use crate::rest::Rest;

/// Clients that ask one after the other, each without a pause.
pub struct Load {
    clients: JoinSet<Vec<String>>,
    enough: Arc<AtomicBool>,
    asked: Arc<AtomicU64>,
}

impl Load {
    /// `ask` gets the number of the request, and says what went wrong.
    pub fn start<F>(clients: usize, ask: impl Fn(u64) -> F + Clone + Send + 'static) -> Self
    where
        F: Future<Output = Result<(), String>> + Send + 'static,
    {
        let mut load = Self { clients: JoinSet::new(), enough: Arc::default(), asked: Arc::default() };
        for _ in 0..clients {
            let (ask, enough, asked) = (ask.clone(), load.enough.clone(), load.asked.clone());
            load.clients.spawn(async move {
                let mut failures = Vec::new();
                while !enough.load(Ordering::Relaxed) {
                    if let Err(failure) = ask(asked.fetch_add(1, Ordering::Relaxed)).await {
                        failures.push(failure);
                    }
                }
                failures
            });
        }
        load
    }

    /// Clients that get `path`, each time with this status.
    pub fn gets(clients: usize, rest: &Rest, path: &str, status: u16) -> Self {
        let (rest, path): (_, Arc<str>) = (rest.clone(), path.into());
        Self::start(clients, move |_| {
            let (rest, path) = (rest.clone(), path.clone());
            async move { rest.get(&path).await.check(status) }
        })
    }

    /// So many requests a second over all clients, however long each takes.
    pub fn paced<F>(clients: usize, per_s: u32, ask: impl Fn(u64) -> F + Clone + Send + 'static) -> Self
    where
        F: Future<Output = Result<(), String>> + Send + 'static,
    {
        let begin = Instant::now();
        let pause = Duration::from_secs(1) / per_s;
        Self::start(clients, move |number| {
            let asked = ask(number);
            let at = begin + pause * u32::try_from(number).unwrap();
            async move {
                tokio::time::sleep_until(at.into()).await;
                asked.await
            }
        })
    }

    pub fn asked(&self) -> u64 {
        self.asked.load(Ordering::Relaxed)
    }

    /// Waits until `more` requests were begun from now on.
    pub async fn goes_on_for(&self, more: u64) {
        let until = self.asked() + more;
        eventually("the load goes on", async || (self.asked() >= until).then_some(())).await;
    }

    /// Ends it: how many requests there were, and what went wrong.
    pub async fn end(self) -> (u64, Vec<String>) {
        self.enough.store(true, Ordering::Relaxed);
        let failures = self.clients.join_all().await.into_iter().flatten().collect();
        (self.asked.load(Ordering::Relaxed), failures)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn finds_the_one_request_that_failed() {
        let load = Load::start(2, |number| async move {
            tokio::task::yield_now().await;
            if number == 7 { Err("seeded".to_owned()) } else { Ok(()) }
        });
        load.goes_on_for(20).await;
        let (asked, failures) = load.end().await;
        assert!(asked >= 20);
        assert_eq!(failures, ["seeded"]);
    }
}
