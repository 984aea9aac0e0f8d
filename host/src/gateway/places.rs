//! Places for what is under way at once, so many in all. One service gets no more than three quarters of them, so that those who ask for the
//! others find some when it is slow.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

pub struct Places {
    all: Arc<Semaphore>,
    of_one: usize,
    by_service: RwLock<HashMap<String, Arc<Semaphore>>>,
}

/// Given back when dropped.
pub struct Place {
    _of_all: OwnedSemaphorePermit,
    _of_one: OwnedSemaphorePermit,
}

impl Places {
    pub fn new(count: usize) -> Self {
        Self { all: Arc::new(Semaphore::new(count)), of_one: count - count / 4, by_service: RwLock::default() }
    }

    /// None when all are taken, or all that a service may have.
    pub fn take(&self, service: &str) -> Option<Place> {
        let _of_one = self.of(service).try_acquire_owned().ok()?;
        let _of_all = self.all.clone().try_acquire_owned().ok()?;
        Some(Place { _of_all, _of_one })
    }

    fn of(&self, service: &str) -> Arc<Semaphore> {
        let known = self.by_service.read().unwrap_or_else(PoisonError::into_inner).get(service).cloned();
        known.unwrap_or_else(|| {
            let mut all = self.by_service.write().unwrap_or_else(PoisonError::into_inner);
            all.entry(service.to_owned()).or_insert_with(|| Arc::new(Semaphore::new(self.of_one))).clone()
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_service_leaves_places_for_others() {
        let places = Places::new(8);
        let slow: Vec<Place> = std::iter::from_fn(|| places.take("slow")).take(100).collect();
        assert_eq!(slow.len(), 6);
        let others: Vec<Place> = std::iter::from_fn(|| places.take("other")).take(100).collect();
        assert_eq!(others.len(), 2);
        assert!(places.take("third").is_none());
        drop(slow);
        assert!(places.take("third").is_some());
    }

    #[test]
    fn a_single_place_is_anybodys() {
        let places = Places::new(1);
        let only = places.take("one");
        assert!(only.is_some() && places.take("other").is_none());
        drop(only);
        assert!(places.take("other").is_some());
    }
}
