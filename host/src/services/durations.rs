//! How long the calls of a generation took lately, in little room.

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

/// Four buckets for each doubling, from a microsecond to an hour.
const BUCKETS: usize = 128;

/// After so many calls, those before count half.
const RECENT: u32 = 1024;

pub struct Durations {
    buckets: [AtomicU32; BUCKETS],
    count: AtomicU32,
}

impl Default for Durations {
    fn default() -> Self {
        Self { buckets: [const { AtomicU32::new(0) }; BUCKETS], count: AtomicU32::new(0) }
    }
}

impl Durations {
    pub fn record(&self, took: Duration) {
        if let Some(bucket) = self.buckets.get(bucket(took)) {
            bucket.fetch_add(1, Ordering::Relaxed);
        }
        if self.count.fetch_add(1, Ordering::Relaxed) + 1 == RECENT {
            self.halve();
        }
    }

    /// Calls that count.
    pub fn count(&self) -> u32 {
        self.count.load(Ordering::Relaxed)
    }

    /// What nine of ten calls stayed below, to a fifth. None without calls.
    pub fn p90(&self) -> Option<Duration> {
        let counts = self.buckets.each_ref().map(|bucket| u64::from(bucket.load(Ordering::Relaxed)));
        let wanted = (counts.iter().sum::<u64>() * 9).div_ceil(10);
        let mut seen = 0;
        let place = counts.iter().position(|count| {
            seen += count;
            seen >= wanted && wanted > 0
        });
        place.map(upper)
    }

    fn halve(&self) {
        let mut count = 0;
        for bucket in &self.buckets {
            let half = bucket.load(Ordering::Relaxed) / 2;
            bucket.store(half, Ordering::Relaxed);
            count += half;
        }
        self.count.store(count, Ordering::Relaxed);
    }
}

fn bucket(took: Duration) -> usize {
    let micros = u64::try_from(took.as_micros()).unwrap_or(u64::MAX).max(1);
    let doublings = micros.ilog2();
    // The two bits behind the highest.
    let quarter = if doublings < 2 { 0 } else { (micros >> (doublings - 2)) & 3 };
    (doublings as usize * 4 + quarter as usize).min(BUCKETS - 1)
}

/// The longest time that falls into a bucket.
fn upper(bucket: usize) -> Duration {
    let (doublings, quarter) = (bucket / 4, bucket as u64 % 4);
    let micros = if doublings < 2 { (2 << doublings) - 1 } else { (1_u64 << doublings) * (5 + quarter) / 4 };
    Duration::from_micros(micros)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_the_ninth_of_ten() {
        let durations = Durations::default();
        assert_eq!(durations.p90(), None);
        (0..90).for_each(|_| durations.record(Duration::from_millis(10)));
        (0..10).for_each(|_| durations.record(Duration::from_secs(1)));
        let p90 = durations.p90().unwrap();
        assert!((Duration::from_millis(10)..Duration::from_millis(13)).contains(&p90), "{p90:?}");
        (0..20).for_each(|_| durations.record(Duration::from_secs(1)));
        assert!(durations.p90().unwrap() >= Duration::from_secs(1));
    }

    #[test]
    fn the_recent_past_counts_more() {
        let durations = Durations::default();
        (0..RECENT).for_each(|_| durations.record(Duration::from_millis(1)));
        assert_eq!(durations.count(), RECENT / 2);
        (0..RECENT).for_each(|_| durations.record(Duration::from_millis(100)));
        assert!(durations.p90().unwrap() >= Duration::from_millis(100));
    }

    #[test]
    fn every_duration_has_a_bucket() {
        for micros in [0, 1, 2, 3, 4, 5, 1000, 1_000_000, u64::MAX] {
            let took = Duration::from_micros(micros);
            let bucket = bucket(took);
            assert!(bucket < BUCKETS && (bucket == BUCKETS - 1 || upper(bucket) >= took), "{micros}");
        }
    }
}
