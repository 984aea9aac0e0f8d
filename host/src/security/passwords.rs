//! bcrypt on threads of its own: a bounded number at once, a bounded number waiting.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::sync::Semaphore;

use crate::config;

#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PasswordError {
    /// bcrypt would silently cut it.
    #[error("a password has at most 72 bytes")]
    TooLong,
    #[error("too many passwords are being checked")]
    Overloaded,
}

/// bcrypt looks at no more; its own terminating zero counts.
const LONGEST: usize = 72;

pub struct Passwords {
    cost: u32,
    queue: usize,
    waiting: AtomicUsize,
    workers: Arc<Semaphore>,
    /// The hash of a password that nobody knows, to spend the time of a wrong password on.
    absent: String,
}

impl Passwords {
    pub fn new(config: &config::Passwords) -> Result<Self, bcrypt::BcryptError> {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let workers = if config.workers == 0 { cores } else { config.workers };
        Ok(Self {
            cost: config.cost,
            queue: config.queue,
            waiting: AtomicUsize::new(0),
            workers: Arc::new(Semaphore::new(workers)),
            absent: bcrypt::hash(uuid::Uuid::new_v4().to_string(), config.cost)?,
        })
    }

    pub async fn hash(&self, password: String) -> Result<String, PasswordError> {
        if password.len() > LONGEST {
            return Err(PasswordError::TooLong);
        }
        let cost = self.cost;
        self.work(move || bcrypt::hash(password, cost)).await?.map_err(|_| PasswordError::TooLong)
    }

    /// Without a hash: false, after as long as a wrong password takes.
    pub async fn verify(&self, password: String, hash: Option<String>) -> Result<bool, PasswordError> {
        let known = hash.filter(|hash| well_formed(hash));
        let genuine = known.is_some() && password.len() <= LONGEST;
        let hash = known.unwrap_or_else(|| self.absent.clone());
        let matches = self.work(move || bcrypt::verify(password, &hash).unwrap_or(false)).await?;
        Ok(matches && genuine)
    }

    async fn work<T: Send + 'static>(&self, job: impl FnOnce() -> T + Send + 'static) -> Result<T, PasswordError> {
        let _place = Place::take(&self.waiting, self.queue).ok_or(PasswordError::Overloaded)?;
        let permit = self.workers.clone().acquire_owned().await.map_err(|_| PasswordError::Overloaded)?;
        let job = move || {
            let result = job();
            drop(permit);
            result
        };
        tokio::task::spawn_blocking(job).await.map_err(|_| PasswordError::Overloaded)
    }
}

fn well_formed(hash: &str) -> bool {
    hash.parse::<bcrypt::HashParts>().is_ok()
}

/// A place in the queue, given back when dropped.
struct Place<'a>(&'a AtomicUsize);

impl<'a> Place<'a> {
    fn take(waiting: &'a AtomicUsize, limit: usize) -> Option<Self> {
        let taken = waiting.fetch_add(1, Ordering::Relaxed);
        let place = Self(waiting);
        (taken < limit).then_some(place)
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn passwords(queue: usize) -> Passwords {
        Passwords::new(&config::Passwords { cost: 4, workers: 1, queue }).unwrap()
    }

    #[tokio::test]
    async fn tells_right_from_wrong_absent_and_too_long() {
        let passwords = passwords(4);
        let hash = passwords.hash("secret".into()).await.unwrap();
        assert_eq!(passwords.verify("secret".into(), Some(hash.clone())).await, Ok(true));
        assert_eq!(passwords.verify("Secret".into(), Some(hash.clone())).await, Ok(false));
        assert_eq!(passwords.verify("secret".into(), None).await, Ok(false));
        assert_eq!(passwords.verify("secret".into(), Some("no hash".into())).await, Ok(false));
        assert_eq!(passwords.hash("x".repeat(73)).await, Err(PasswordError::TooLong));
        let longest = passwords.hash("x".repeat(72)).await.unwrap();
        assert_eq!(passwords.verify("x".repeat(73), Some(longest)).await, Ok(false));
    }

    /// What takes the time is the cost, so an unknown user costs what a known one does.
    #[tokio::test]
    async fn a_missing_hash_costs_as_much_as_one_that_is_there() {
        let passwords = passwords(4);
        let cost = |hash: &str| hash.parse::<bcrypt::HashParts>().unwrap().get_cost();
        assert_eq!(cost(&passwords.absent), cost(&passwords.hash("secret".into()).await.unwrap()));
    }

    #[tokio::test]
    async fn refuses_what_does_not_fit_the_queue() {
        let passwords = passwords(1);
        let place = Place::take(&passwords.waiting, 1);
        assert_eq!(passwords.hash("a".into()).await, Err(PasswordError::Overloaded));
        drop(place);
        assert!(passwords.hash("a".into()).await.is_ok());
    }

    #[tokio::test]
    async fn the_hash_of_the_example_users_verifies() {
        let hash = "$2b$12$7hoRZfJrRKD2nIm2vHLs7OBETy.LWenXXMLKf99W8M4PUwO6KB7fu";
        assert_eq!(passwords(4).verify("password123".into(), Some(hash.into())).await, Ok(true));
    }
}
