//! The generations of a service that take calls now: one, or two while one of them is watched.

use std::ops::Deref;
use std::sync::Arc;

use super::{Generation, Watch};

/// Immutable; a change of what serves is a change of the pointer to it.
#[derive(Clone)]
pub struct Lineup {
    /// Its description is the service's: routes, subscriptions, documentation.
    pub current: Arc<Generation>,
    /// Over `current` while it is new, or over a canary beside it.
    pub watch: Option<Arc<Watch>>,
}

impl Lineup {
    pub(super) fn of(current: Arc<Generation>) -> Self {
        Self { current, watch: None }
    }

    /// The generation for a call whose turn is `turn`, a number that runs evenly through all of `u32`.
    pub fn pick(&self, turn: u32) -> &Arc<Generation> {
        match self.canary() {
            Some(canary) if is_in_share(turn, canary.percent) => &canary.generation,
            _ => &self.current,
        }
    }

    pub fn canary(&self) -> Option<&Arc<Watch>> {
        self.watch.as_ref().filter(|watch| watch.is_canary())
    }

    /// All that may take a call, the current one first.
    pub fn generations(&self) -> impl Iterator<Item = &Arc<Generation>> {
        [&self.current].into_iter().chain(self.canary().map(|canary| &canary.generation))
    }

    /// All that may take a call, and the one that answers for what is watched; each once.
    pub fn held(&self) -> impl Iterator<Item = &Arc<Generation>> {
        let before = self.watch.iter().map(|watch| &watch.before);
        self.generations().chain(before.filter(|before| !Arc::ptr_eq(before, &self.current)))
    }

    pub(super) fn holds(&self, generation: &Arc<Generation>) -> bool {
        self.held().any(|held| Arc::ptr_eq(held, generation))
    }

    pub fn numbered(&self, number: u64) -> Option<&Arc<Generation>> {
        self.generations().find(|generation| generation.number == number)
    }

    /// The watch over `generation`.
    pub fn watch_over(&self, generation: &Arc<Generation>) -> Option<&Arc<Watch>> {
        self.watch.as_ref().filter(|watch| Arc::ptr_eq(&watch.generation, generation))
    }
}

/// The lineup of one call. None of its generations ends before the call does, not even the one that may never get it.
pub struct Held {
    lineup: Arc<Lineup>,
    entered: usize,
}

impl Held {
    /// None when one of them has ended: another lineup has taken this one's place.
    pub(super) fn of(lineup: Arc<Lineup>) -> Option<Self> {
        let entered = lineup.held().take_while(|generation| generation.holders.enter()).count();
        let is_whole = entered == lineup.held().count();
        let held = Self { lineup, entered };
        is_whole.then_some(held)
    }
}

impl Deref for Held {
    type Target = Lineup;

    fn deref(&self) -> &Lineup {
        &self.lineup
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.lineup.held().take(self.entered).for_each(|generation| generation.holders.leave());
    }
}

/// The step between two turns: the golden section of `u32`, so that any few turns in a row are spread evenly.
pub(super) const TURN: u32 = 0x9E37_79B9;

fn is_in_share(turn: u32, percent: u8) -> bool {
    u64::from(turn) * 100 < u64::from(percent) << 32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_hold_over_many_calls_and_over_few() {
        for percent in [1, 5, 50, 99] {
            for calls in [100_u32, 10_000] {
                let picked = (0..calls).filter(|call| is_in_share(call.wrapping_mul(TURN), percent)).count();
                let wished = calls as usize * usize::from(percent) / 100;
                assert!(picked.abs_diff(wished) <= 2, "{percent} % of {calls}: {picked}");
            }
        }
    }
}
