//! A new generation over its first calls, or a canary for as long as it is one, held against the generation that answers for it.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use super::Generation;
use crate::config;

/// Over how many calls failures are counted; after that, those before count half.
const RECENT: u64 = 1000;

/// How often, in calls, durations are compared.
const COMPARE: u64 = 10;

pub struct Watch {
    pub generation: Arc<Generation>,
    /// Answers what the new one fails.
    pub before: Arc<Generation>,
    /// The new one's share of the calls; 100 when it is no canary.
    pub percent: u8,
    rules: config::Swap,
    counts: Mutex<Counts>,
}

#[derive(Default)]
struct Counts {
    calls: u64,
    failures: u64,
    decided: bool,
}

/// What a watched call's outcome means. `Proven` and `Failed` are each said once.
#[derive(Debug, PartialEq, Eq)]
pub enum Verdict {
    Undecided,
    Proven,
    /// With the reason.
    Failed(String),
}

impl Watch {
    pub(super) fn new(generation: Arc<Generation>, before: Arc<Generation>, percent: u8, rules: &config::Swap) -> Self {
        Self { generation, before, percent, rules: rules.clone(), counts: Mutex::default() }
    }

    pub fn is_canary(&self) -> bool {
        self.percent < 100
    }

    /// Takes note of a call of the new generation. `failed`: and the one before did better.
    pub fn note(&self, failed: bool) -> Verdict {
        let mut counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        if counts.decided {
            return Verdict::Undecided;
        }
        counts.calls += 1;
        counts.failures += u64::from(failed);
        let verdict = self.judge(&counts);
        counts.decided = verdict != Verdict::Undecided;
        if counts.calls >= RECENT {
            (counts.calls, counts.failures) = (counts.calls / 2, counts.failures / 2);
        }
        verdict
    }

    fn judge(&self, counts: &Counts) -> Verdict {
        let Counts { calls, failures, .. } = *counts;
        let rules = &self.rules;
        if failures >= rules.watch_failures && failures * 100 >= calls * rules.watch_failure_percent {
            return Verdict::Failed(format!("{failures} of {calls} calls failed that the one before answered"));
        }
        if calls % COMPARE == 0
            && let Some(slower) = self.slower()
        {
            return Verdict::Failed(slower);
        }
        if !self.is_canary() && calls - failures >= rules.watch_calls { Verdict::Proven } else { Verdict::Undecided }
    }

    /// Is it slower than the one before, by far and to be felt?
    fn slower(&self) -> Option<String> {
        let (new, old) = (&self.generation.durations, &self.before.durations);
        let enough = u64::from(new.count().min(old.count())) >= self.rules.watch_min_calls;
        if !enough || self.rules.watch_slowdown == 0 {
            return None;
        }
        let (now, before) = new.p90().zip(old.p90())?;
        let bound =
            before.saturating_mul(self.rules.watch_slowdown).max(Duration::from_millis(self.rules.watch_slow_ms));
        (now > bound).then(|| format!("nine of ten calls took up to {now:.0?}, and {before:.0?} on the one before"))
    }
}
