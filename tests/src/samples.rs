//! Requests that go on while something breaks, each with when it began, how long it took and what came back.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use reqwest::Method;

use crate::clinic::registration_of;
use crate::load::Load;
use crate::rest::{Request, Rest};
use crate::unique;

#[derive(Debug, Clone, Copy)]
pub struct Sample {
    pub began: Instant,
    pub took: Duration,
    /// 0 when there was no answer.
    pub status: u16,
}

pub struct Samples {
    load: Load,
    taken: Arc<Mutex<Vec<Sample>>>,
}

impl Samples {
    /// So many clients that ask for `path`, one request after the other.
    pub fn start(clients: usize, rest: &Rest, path: &str) -> Self {
        let path = path.to_owned();
        Self::of(clients, rest, move |rest| rest.request(Method::GET, &path))
    }

    /// So many clients that register one patient after the other.
    pub fn registering(clients: usize, rest: &Rest) -> Self {
        Self::of(clients, rest, |rest| {
            rest.request(Method::POST, "/api/patients").json(registration_of(&unique("Somebody")))
        })
    }

    fn of<F>(clients: usize, rest: &Rest, ask: F) -> Self
    where
        F: Fn(&Rest) -> Request<'_> + Clone + Send + Sync + 'static,
    {
        let taken: Arc<Mutex<Vec<Sample>>> = Arc::default();
        let (rest, all) = (rest.clone(), taken.clone());
        let load = Load::start(clients, move |_| {
            let (rest, ask, all) = (rest.clone(), ask.clone(), all.clone());
            async move {
                let began = Instant::now();
                let status = ask(&rest).try_send().await.map_or(0, |answer| answer.status);
                all.lock().unwrap().push(Sample { began, took: began.elapsed(), status });
                // Enough to see what happens, and not so many that nothing else does.
                tokio::time::sleep(Duration::from_millis(5)).await;
                Ok(())
            }
        });
        Self { load, taken }
    }

    pub async fn go_on_for(&self, more: u64) {
        self.load.goes_on_for(more).await;
    }

    pub async fn end(self) -> Vec<Sample> {
        self.load.end().await;
        Arc::try_unwrap(self.taken).unwrap().into_inner().unwrap()
    }
}

/// Those that were not done within `bound`, and began no sooner than `since`.
pub fn bad(samples: &[Sample], since: Instant, bound: Duration) -> Vec<Sample> {
    let is_done = |sample: &Sample| matches!(sample.status, 200 | 201) && sample.took <= bound;
    samples.iter().filter(|sample| sample.began >= since && !is_done(sample)).copied().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_failures_and_slow_answers_after_an_instant() {
        let now = Instant::now();
        let at = |ms, took, status| Sample {
            began: now + Duration::from_millis(ms),
            took: Duration::from_millis(took),
            status,
        };
        let samples = [at(0, 5, 503), at(10, 5, 200), at(20, 500, 200), at(30, 5, 0)];
        let found = bad(&samples, now + Duration::from_millis(1), Duration::from_millis(100));
        assert_eq!(found.iter().map(|sample| sample.status).collect::<Vec<_>>(), [200, 0]);
    }
}
