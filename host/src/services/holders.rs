//! Who may still come to something that is about to end.

use std::sync::atomic::{AtomicUsize, Ordering};

/// Counts those who hold a thing, until it is closed: from then on nobody gets hold of it.
#[derive(Default)]
pub struct Holders(AtomicUsize);

const CLOSED: usize = 1 << (usize::BITS - 1);

impl Holders {
    /// False once it is closed.
    pub fn enter(&self) -> bool {
        let is_open = self.0.fetch_add(1, Ordering::AcqRel) & CLOSED == 0;
        if !is_open {
            self.leave();
        }
        is_open
    }

    pub fn leave(&self) {
        self.0.fetch_sub(1, Ordering::AcqRel);
    }

    /// Closes it if nobody holds it. True when it is closed.
    pub fn close(&self) -> bool {
        let closed = self.0.compare_exchange(0, CLOSED, Ordering::AcqRel, Ordering::Acquire);
        closed.map_or_else(|found| found & CLOSED != 0, |_| true)
    }

    /// Closes it, whoever holds it.
    pub fn shut(&self) {
        self.0.fetch_or(CLOSED, Ordering::AcqRel);
    }

    pub fn is_held(&self) -> bool {
        self.0.load(Ordering::Acquire) & !CLOSED > 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_held_is_not_closed_and_what_is_closed_is_not_held() {
        let holders = Holders::default();
        assert!(holders.enter() && holders.enter());
        holders.leave();
        assert!(!holders.close() && holders.is_held());
        holders.leave();
        assert!(holders.close() && holders.close());
        assert!(!holders.enter() && !holders.is_held());
    }

    #[test]
    fn whoever_holds_it_when_it_is_shut_may_finish() {
        let holders = Holders::default();
        assert!(holders.enter());
        holders.shut();
        assert!(!holders.enter() && holders.is_held());
        holders.leave();
        assert!(!holders.is_held() && holders.close());
    }
}
