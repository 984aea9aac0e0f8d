//! Reads that go on while something breaks, each with when it began, how long it took and what came back.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use crate::load::Load;
use crate::rest::Rest;

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
        let taken: Arc<Mutex<Vec<Sample>>> = Arc::default();
        let (rest, path, all) = (rest.clone(), path.to_owned(), taken.clone());
        let load = Load::start(clients, move |_| {
            let (rest, path, all) = (rest.clone(), path.clone(), all.clone());
            async move {
                let began = Instant::now();
                let status = rest.try_get(&path).await.map_or(0, |answer| answer.status);
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

/// Those that did not get 200 within `bound`, and began no sooner than `since`.
pub fn bad(samples: &[Sample], since: Instant, bound: Duration) -> Vec<Sample> {
    let bad = samples.iter().filter(|sample| sample.began >= since && (sample.status != 200 || sample.took > bound));
    bad.copied().collect()
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
