//! An idempotency key that is held a moment longer than the call that took it.

use std::time::{Duration, Instant};

/// How long PostgreSQL may take to notice that a call was stopped, and to give up the idempotency key that it held.
const RELEASE: Duration = Duration::from_millis(500);

/// Tries until the key is not held any more, at most [`RELEASE`]; for those who come after a try that was stopped.
pub async fn until_released<T, F>(is_held: impl Fn(&T) -> bool, mut attempt: impl FnMut() -> F) -> T
where
    F: Future<Output = T>,
{
    let began = Instant::now();
    loop {
        let outcome = attempt().await;
        if !is_held(&outcome) || began.elapsed() >= RELEASE {
            return outcome;
        }
        tokio::time::sleep(RELEASE / 20).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn waits_for_a_key_and_not_for_anything_else() {
        let mut held = [true, true, false].into_iter();
        assert!(!until_released(|held| *held, || std::future::ready(held.next().unwrap())).await);
        assert_eq!(held.next(), None);
        let mut others = [1, 2].into_iter();
        assert_eq!(until_released(|_| false, || std::future::ready(others.next().unwrap())).await, 1);
    }

    #[tokio::test]
    async fn a_key_that_stays_held_is_in_use() {
        assert!(until_released(|held| *held, || std::future::ready(true)).await);
    }
}
