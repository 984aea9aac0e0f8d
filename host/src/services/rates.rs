//! How much a generation did over the last seconds, and how fast.
//!
//! A ring of seconds. A call that ends adds to its second with a few relaxed atomics: no lock, no allocation. The first call of a
//! second clears what the slot held a ring ago; a call that ends in that very instant may be lost from the numbers, and from nothing else.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

/// Whole seconds that the numbers are about.
const WINDOW_S: u64 = 10;
/// The window, the second that goes on now, and one that is being cleared.
const SLOTS: usize = 12;
/// Four to a doubling of the time, from 1 us to 16 s: a quantile is too high by a fifth at most.
const BUCKETS: usize = 4 * 24;

/// What `ward ps` shows of a generation's last ten seconds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct Recent {
    pub calls_per_s: f64,
    pub failures_per_s: f64,
    /// From admission to the end of the transaction; 0 without calls.
    pub p50_ms: f64,
    pub p99_ms: f64,
}

pub struct Rates {
    began: Instant,
    slots: [Slot; SLOTS],
}

struct Slot {
    /// Which second this is of, counted from 1; 0 for none yet.
    second: AtomicU64,
    failures: AtomicU32,
    /// Calls by how long they took.
    calls: [AtomicU32; BUCKETS],
}

impl Rates {
    pub fn new() -> Self {
        Self { began: Instant::now(), slots: std::array::from_fn(|_| Slot::new()) }
    }

    /// A call has ended.
    pub fn note(&self, took: Duration) {
        if let Some(slot) = self.slot(self.second())
            && let Some(count) = slot.calls.get(bucket(took))
        {
            count.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// And it has failed.
    pub fn note_failure(&self) {
        if let Some(slot) = self.slot(self.second()) {
            slot.failures.fetch_add(1, Ordering::Relaxed);
        }
    }

    pub fn recent(&self) -> Recent {
        self.before(self.second())
    }

    /// Over the whole seconds before `now`.
    fn before(&self, now: u64) -> Recent {
        let window = now.saturating_sub(WINDOW_S).max(1)..now;
        let seconds = (window.end - window.start).max(1) as f64;
        let mut calls = [0u64; BUCKETS];
        let mut failures = 0;
        for slot in self.slots.iter().filter(|slot| window.contains(&slot.second.load(Ordering::Relaxed))) {
            failures += slot.failures.load(Ordering::Relaxed);
            for (sum, count) in calls.iter_mut().zip(&slot.calls) {
                *sum += u64::from(count.load(Ordering::Relaxed));
            }
        }
        Recent {
            calls_per_s: calls.iter().sum::<u64>() as f64 / seconds,
            failures_per_s: f64::from(failures) / seconds,
            p50_ms: quantile_ms(&calls, 0.5),
            p99_ms: quantile_ms(&calls, 0.99),
        }
    }

    fn second(&self) -> u64 {
        self.began.elapsed().as_secs() + 1
    }

    fn slot(&self, second: u64) -> Option<&Slot> {
        let slot = self.slots.get(usize::try_from(second).ok()? % SLOTS)?;
        slot.turn_to(second);
        Some(slot)
    }
}

impl Slot {
    fn new() -> Self {
        Self {
            second: AtomicU64::new(0),
            failures: AtomicU32::new(0),
            calls: std::array::from_fn(|_| AtomicU32::new(0)),
        }
    }

    /// Clears what it held of an earlier second; whoever comes first does.
    fn turn_to(&self, second: u64) {
        let held = self.second.load(Ordering::Relaxed);
        if held < second && self.second.compare_exchange(held, second, Ordering::Relaxed, Ordering::Relaxed).is_ok() {
            self.failures.store(0, Ordering::Relaxed);
            self.calls.iter().for_each(|count| count.store(0, Ordering::Relaxed));
        }
    }
}

/// The doubling, and the quarter within it; of one that is too short for quarters the last.
fn bucket(took: Duration) -> usize {
    let micros = u64::try_from(took.as_micros()).unwrap_or(u64::MAX).max(1);
    let doubling = micros.ilog2() as usize;
    let quarter = match doubling {
        0 | 1 => 3,
        _ => (micros >> (doubling - 2)) as usize & 3,
    };
    (doubling * 4 + quarter).min(BUCKETS - 1)
}

/// Upper bound in milliseconds.
fn bound_ms(bucket: usize) -> f64 {
    let (doubling, quarter) = (bucket / 4, bucket % 4);
    2f64.powi(i32::try_from(doubling).unwrap_or(i32::MAX)) * (1.0 + (quarter as f64 + 1.0) / 4.0) / 1000.0
}

fn quantile_ms(calls: &[u64], part: f64) -> f64 {
    let wanted = (calls.iter().sum::<u64>() as f64 * part).ceil();
    let mut seen = 0.0;
    for (bucket, count) in calls.iter().enumerate() {
        seen += *count as f64;
        if wanted > 0.0 && seen >= wanted {
            return bound_ms(bucket);
        }
    }
    0.0
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 100 calls in a second, of which one is slow and two failed.
    fn fill(rates: &Rates, second: u64) {
        let slot = rates.slot(second).unwrap();
        slot.calls[bucket(Duration::from_millis(2))].fetch_add(99, Ordering::Relaxed);
        slot.calls[bucket(Duration::from_millis(300))].fetch_add(1, Ordering::Relaxed);
        slot.failures.fetch_add(2, Ordering::Relaxed);
    }

    #[test]
    fn numbers_are_of_the_window_and_of_nothing_before_it() {
        let rates = Rates::new();
        assert_eq!(rates.before(1), Recent::default());
        (1..=30).for_each(|second| fill(&rates, second));
        let recent = rates.before(31);
        assert_eq!((recent.calls_per_s, recent.failures_per_s), (100.0, 2.0));
        assert_eq!(rates.before(36).calls_per_s, 50.0);
        assert_eq!(rates.before(41), Recent::default());
    }

    #[test]
    fn a_young_generation_is_measured_over_its_life() {
        let rates = Rates::new();
        fill(&rates, 1);
        fill(&rates, 2);
        assert_eq!(rates.before(3).calls_per_s, 100.0);
    }

    #[test]
    fn quantiles_are_at_most_a_quarter_too_high() {
        for micros in [1u64, 3, 7, 100, 2_000, 300_000, 9_000_000] {
            let bound = bound_ms(bucket(Duration::from_micros(micros))) * 1000.0;
            let least = if micros < 4 { 2.0 } else { 1.25 };
            assert!(bound > micros as f64 && bound <= micros as f64 * least + 2.0, "{micros}: {bound}");
        }
        let rates = Rates::new();
        fill(&rates, 1);
        let recent = rates.before(2);
        assert!((2.0..2.6).contains(&recent.p50_ms) && (2.0..2.6).contains(&recent.p99_ms), "{recent:?}");
        rates.slot(1).unwrap().calls[bucket(Duration::from_millis(300))].fetch_add(1, Ordering::Relaxed);
        assert!(rates.before(2).p99_ms > 300.0);
    }

    #[test]
    fn what_takes_for_ever_is_in_the_last_bucket() {
        assert_eq!(bucket(Duration::MAX), BUCKETS - 1);
        assert_eq!(bound_ms(bucket(Duration::ZERO)), 0.002);
    }
}
