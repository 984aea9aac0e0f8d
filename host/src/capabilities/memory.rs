//! What an instance may grow to: its linear memories together, and its tables together.

use std::sync::Arc;

use wasmtime::ResourceLimiter;

use crate::config::Limits;
use crate::limits::{Limit, Refusals};

/// The memory of one instance. A growth that is refused is the guest's to see (`memory.grow` answers -1); most guests panic.
pub struct InstanceMemory {
    bytes: Budget,
    elements: Budget,
    refusals: Arc<Refusals>,
    refused: Option<Limit>,
}

struct Budget {
    limit: usize,
    used: usize,
}

impl Budget {
    /// Takes what grows from `current` to `desired`, if that is left.
    fn take(&mut self, current: usize, desired: usize) -> bool {
        let used = self.used.saturating_add(desired.saturating_sub(current));
        let fits = used <= self.limit;
        if fits {
            self.used = used;
        }
        fits
    }
}

impl InstanceMemory {
    pub(super) fn new(limits: &Limits, refusals: Arc<Refusals>) -> Self {
        Self {
            bytes: Budget { limit: limits.memory_mb << 20, used: 0 },
            elements: Budget { limit: limits.table_elements, used: 0 },
            refusals,
            refused: None,
        }
    }

    /// The limit that refused a growth first.
    pub fn refused(&self) -> Option<Limit> {
        self.refused
    }

    fn refuse(&mut self, limit: Limit) {
        // Once for each call: a guest may ask for ever.
        if self.refused.is_none() {
            self.refused = Some(limit);
            self.refusals.count(limit);
        }
    }
}

impl ResourceLimiter for InstanceMemory {
    fn memory_growing(&mut self, current: usize, desired: usize, _: Option<usize>) -> wasmtime::Result<bool> {
        let fits = self.bytes.take(current, desired);
        if !fits {
            self.refuse(Limit::Memory);
        }
        Ok(fits)
    }

    fn table_growing(&mut self, current: usize, desired: usize, _: Option<usize>) -> wasmtime::Result<bool> {
        let fits = self.elements.take(current, desired);
        if !fits {
            self.refuse(Limit::TableElements);
        }
        Ok(fits)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ward_config::Settings;

    #[test]
    fn several_memories_and_tables_share_one_limit() {
        let limits = "[limits]\nmemory_mb = 2\ntable_elements = 10";
        let limits: Limits = Settings::layer(limits, &Default::default()).unwrap().section("limits").unwrap();
        let refusals = Arc::new(Refusals::default());
        let mut memory = InstanceMemory::new(&limits, refusals.clone());
        assert!(memory.memory_growing(0, 1 << 20, None).unwrap() && memory.memory_growing(0, 1 << 20, None).unwrap());
        assert!(memory.table_growing(0, 10, None).unwrap());
        assert_eq!(memory.refused(), None);
        for _ in 0..3 {
            assert!(!memory.memory_growing(1 << 20, 2 << 20, None).unwrap());
            assert!(!memory.table_growing(10, 11, None).unwrap());
        }
        assert_eq!((memory.refused(), refusals.of(Limit::Memory)), (Some(Limit::Memory), 1));
    }
}
