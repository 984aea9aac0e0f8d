//! Places for what is under way at once, so many in all, and shared so that whoever is slow leaves some to the others.
//!
//! Each may have up to [`SHARE`] times what is free at that moment, the rule that switches share their memory by (dynamic thresholds,
//! Choudhury and Hahne, 1998). So one alone gets three quarters, and each that comes leaves a quarter of what it found; those that give
//! back and take again come to have the same, two of them three sevenths each.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

const SHARE: usize = 3;

pub struct Places {
    count: usize,
    taken: Mutex<Taken>,
}

#[derive(Default)]
struct Taken {
    all: usize,
    /// Only of those who have some.
    by: HashMap<Arc<str>, usize>,
}

/// Given back when dropped.
pub struct Place {
    places: Arc<Places>,
    of: Arc<str>,
}

impl Places {
    pub fn new(count: usize) -> Arc<Self> {
        Arc::new(Self { count, taken: Mutex::default() })
    }

    /// None when all are taken, or the share of who asks.
    pub fn take(self: &Arc<Self>, of: &Arc<str>) -> Option<Place> {
        let mut taken = self.taken();
        let own = taken.by.get(of).copied().unwrap_or_default();
        if own >= SHARE * (self.count - taken.all) {
            return None;
        }
        taken.all += 1;
        taken.by.insert(of.clone(), own + 1);
        Some(Place { places: self.clone(), of: of.clone() })
    }

    fn taken(&self) -> MutexGuard<'_, Taken> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut taken = self.places.taken();
        taken.all -= 1;
        if let Some(own) = taken.by.get_mut(&self.of) {
            *own -= 1;
            if *own == 0 {
                taken.by.remove(&self.of);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(places: &Arc<Places>, of: &str) -> Vec<Place> {
        let of = of.into();
        std::iter::from_fn(|| places.take(&of)).take(1000).collect()
    }

    #[test]
    fn whoever_is_slow_leaves_a_quarter_of_what_there_was() {
        let places = Places::new(512);
        let slow: Vec<Vec<Place>> = ["a", "b", "c", "d"].map(|of| all(&places, of)).into();
        assert_eq!(slow.iter().map(Vec::len).collect::<Vec<_>>(), [384, 96, 24, 6]);
        assert_eq!(all(&places, "next").len(), 2);
        drop(slow);
        assert_eq!(all(&places, "next").len(), 384);
    }

    #[test]
    fn what_is_given_back_is_shared_anew() {
        let places = Places::new(512);
        let (mut first, mut second) = (all(&places, "a"), all(&places, "b"));
        for _ in 0..1000 {
            first.pop();
            first.extend(places.take(&"a".into()));
            second.extend(places.take(&"b".into()));
        }
        // Three sevenths, and what was free for a moment.
        assert!(first.len().abs_diff(219) < 4 && second.len().abs_diff(219) < 4, "{} {}", first.len(), second.len());
    }

    #[test]
    fn a_single_place_is_anybodys() {
        let places = Places::new(1);
        let only = places.take(&"one".into());
        assert!(only.is_some() && places.take(&"other".into()).is_none());
        drop(only);
        assert!(places.take(&"other".into()).is_some());
        assert!(places.taken().by.is_empty());
    }
}
