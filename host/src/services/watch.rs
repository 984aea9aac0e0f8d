//! A new generation over its first calls, or a canary for as long as it is one, held against the generation that answers for it.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::Generation;
use crate::config;

/// Over how many calls failures are counted; after that, those before count half.
const RECENT: u64 = 1000;

/// How often, in calls, durations are compared.
const COMPARE: u64 = 10;

/// The share of late calls that is too many: as few as nine of ten in time, which is what [`Watch::slower`] asks for as well.
const LATE_PERCENT: u64 = 10;

pub struct Watch {
    pub generation: Arc<Generation>,
    /// Answers what the new one fails.
    pub before: Arc<Generation>,
    /// The new one's share of the calls; 100 when it is no canary.
    pub percent: u8,
    rules: config::Swap,
    began: Instant,
    counts: Mutex<Counts>,
}

/// How a call of a watched generation went. `Failed` and `Late` are those in which the one before did better.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Trial {
    Well,
    Failed,
    /// There was no answer within [`Watch::patience`].
    Late,
}

#[derive(Default)]
struct Counts {
    calls: u64,
    failures: u64,
    late: u64,
    /// Moments in which calls were late, and the last of them.
    late_moments: u64,
    last_late: Option<Instant>,
    decided: bool,
}

impl Counts {
    /// Why so many of them were no good that the version cannot stay.
    fn too_many(&self, rules: &config::Swap, patience: Duration) -> Option<String> {
        let Self { calls, failures, late, late_moments, .. } = *self;
        if failures >= rules.watch_failures && failures * 100 >= calls * rules.watch_failure_percent {
            return Some(format!("{failures} of {calls} calls failed that the one before answered"));
        }
        // A store that stands still holds up all calls of that moment, of any generation.
        (late_moments >= rules.watch_failures && self.are_many_late()).then(|| {
            format!("{late} of {calls} calls had no answer after {patience:.0?}, and one from the version before")
        })
    }

    /// Has it answered enough of them, and few too late?
    fn is_enough(&self, rules: &config::Swap) -> bool {
        self.calls - self.failures - self.late >= rules.watch_calls && !self.are_many_late()
    }

    fn are_many_late(&self) -> bool {
        self.late * 100 >= self.calls * LATE_PERCENT
    }
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
        Self { generation, before, percent, rules: rules.clone(), began: Instant::now(), counts: Mutex::default() }
    }

    pub fn is_canary(&self) -> bool {
        self.percent < 100
    }

    /// How long the new generation has for a call before the one before answers it.
    pub fn patience(&self) -> Duration {
        let usual = self.before.durations.p90().unwrap_or_default();
        let rules = &self.rules;
        usual.saturating_mul(rules.watch_slowdown).max(Duration::from_millis(rules.watch_patience_ms))
    }

    /// Takes note of a call of the new generation.
    pub fn note(&self, trial: Trial) -> Verdict {
        let mut counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        if counts.decided {
            return Verdict::Undecided;
        }
        if trial == Trial::Late && counts.last_late.is_none_or(|last| last.elapsed() >= self.patience()) {
            counts.late_moments += 1;
            counts.last_late = Some(Instant::now());
        }
        counts.calls += 1;
        counts.failures += u64::from(trial == Trial::Failed);
        counts.late += u64::from(trial == Trial::Late);
        let verdict = self.judge(&counts);
        counts.decided = verdict != Verdict::Undecided;
        if counts.calls >= RECENT {
            let Counts { calls, failures, late, .. } = &mut *counts;
            (*calls, *failures, *late) = (*calls / 2, *failures / 2, *late / 2);
        }
        verdict
    }

    fn judge(&self, counts: &Counts) -> Verdict {
        let patience = self.patience();
        if let Some(reason) = counts.too_many(&self.rules, patience) {
            return Verdict::Failed(reason);
        }
        if counts.calls.is_multiple_of(COMPARE)
            && let Some(slower) = self.slower()
        {
            return Verdict::Failed(slower);
        }
        // Who hangs is not seen before; others would have proven themselves meanwhile.
        let is_old = self.began.elapsed() > patience * 2;
        if is_old && !self.is_canary() && counts.is_enough(&self.rules) { Verdict::Proven } else { Verdict::Undecided }
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

#[cfg(test)]
mod tests {
    use ward_config::Settings;

    use super::*;

    fn rules() -> config::Swap {
        let settings = Settings::layer("", &Default::default()).unwrap();
        config::Config::from_settings(&settings).unwrap().swap
    }

    fn counts(calls: u64, failures: u64, late: u64, late_moments: u64) -> Counts {
        Counts { calls, failures, late, late_moments, ..Counts::default() }
    }

    #[test]
    fn three_failures_and_one_in_a_hundred_are_too_many() {
        let rules = rules();
        let reason = |counts: Counts| counts.too_many(&rules, Duration::from_millis(300));
        assert_eq!(reason(counts(3, 2, 0, 0)), None);
        assert_eq!(reason(counts(3, 3, 0, 0)).as_deref(), Some("3 of 3 calls failed that the one before answered"));
        assert!(reason(counts(300, 3, 0, 0)).is_some());
        assert_eq!(reason(counts(301, 3, 0, 0)), None);
    }

    #[test]
    fn late_calls_are_too_many_at_several_moments_and_as_a_tenth_of_all() {
        let rules = rules();
        let reason = |counts: Counts| counts.too_many(&rules, Duration::from_millis(300));
        assert_eq!(reason(counts(50, 0, 50, 2)), None, "one store that stood still, and then another");
        let late = "10 of 100 calls had no answer after 300ms, and one from the version before";
        assert_eq!(reason(counts(100, 0, 10, 3)).as_deref(), Some(late));
        assert_eq!(reason(counts(101, 0, 10, 3)), None);
    }

    #[test]
    fn who_leaves_a_tenth_unanswered_has_proven_nothing() {
        let rules = rules();
        assert!(!counts(99, 0, 0, 0).is_enough(&rules));
        assert!(counts(100, 0, 0, 0).is_enough(&rules));
        assert!(!counts(112, 0, 12, 2).is_enough(&rules));
        assert!(counts(121, 0, 12, 2).is_enough(&rules));
    }
}
