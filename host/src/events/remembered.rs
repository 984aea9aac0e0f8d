//! What a host remembers of its subscriptions: what it has made of them, and how often an event was no good.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::bus::Known;

/// Events that [`Counts`] remember. Another host may have handled one meanwhile, so that it would be remembered for ever.
const MOST_COUNTED: usize = 10_000;

/// The types that this host gave a durable name last. It does so once: other hosts, with other versions, do it too.
#[derive(Default)]
pub struct Made(Mutex<BTreeMap<String, Vec<String>>>);

impl Made {
    pub fn known(&self, name: &str, event_types: &[String]) -> Known {
        let made = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if made.get(name).is_some_and(|made| made == event_types) { Known::Keep } else { Known::Replace }
    }

    pub fn note(&self, name: String, event_types: &[String]) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(name, event_types.to_vec());
    }
}

/// By an event's place in the stream.
#[derive(Default)]
pub struct Counts(Mutex<BTreeMap<u64, u32>>);

impl Counts {
    pub fn of(&self, sequence: u64) -> u32 {
        self.all().get(&sequence).copied().unwrap_or(0)
    }

    /// Returns how often it was noted with this time.
    pub fn note(&self, sequence: u64) -> u32 {
        let mut all = self.all();
        let count = all.entry(sequence).or_default();
        *count += 1;
        let count = *count;
        if all.len() > MOST_COUNTED {
            all.pop_first();
        }
        count
    }

    pub fn forget(&self, sequence: u64) {
        self.all().remove(&sequence);
    }

    fn all(&self) -> MutexGuard<'_, BTreeMap<u64, u32>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn subjects_are_made_once_for_the_same_types() {
        let (made, [sold, both]) = (Made::default(), [vec!["sold".to_owned()], vec!["sold".into(), "lost".into()]]);
        assert_eq!(made.known("shop_all", &sold), Known::Replace);
        made.note("shop_all".to_owned(), &sold);
        assert_eq!(made.known("shop_all", &sold), Known::Keep);
        assert_eq!(made.known("shop_all", &both), Known::Replace);
    }

    #[test]
    fn events_are_counted_until_they_are_forgotten() {
        let counts = Counts::default();
        assert_eq!((counts.of(1), counts.note(1), counts.note(1), counts.of(1)), (0, 1, 2, 2));
        counts.forget(1);
        assert_eq!(counts.of(1), 0);
        for sequence in 0..=MOST_COUNTED as u64 {
            counts.note(sequence);
        }
        assert_eq!((counts.of(0), counts.of(1)), (0, 1), "the oldest is let go");
    }
}
