//! Requests a second, for each client.

use std::num::NonZeroU32;
use std::time::Duration;

use governor::clock::{Clock, DefaultClock};
use governor::{DefaultKeyedRateLimiter, Quota};

use crate::config;

/// None where the configuration sets no limit.
pub struct RateLimit(Option<DefaultKeyedRateLimiter<String>>);

impl RateLimit {
    pub fn new(config: &config::Http) -> Self {
        let burst = NonZeroU32::new(config.rate_burst).unwrap_or(NonZeroU32::MIN);
        let quota = NonZeroU32::new(config.rate_per_s).map(|rate| Quota::per_second(rate).allow_burst(burst));
        Self(quota.map(DefaultKeyedRateLimiter::keyed))
    }

    /// How long the client must wait, if it was too fast.
    pub fn check(&self, client: &str) -> Result<(), Duration> {
        let Some(limiter) = &self.0 else { return Ok(()) };
        limiter.check_key(&client.to_owned()).map_err(|until| until.wait_time_from(DefaultClock::default().now()))
    }

    /// Forgets clients that have not been seen for a while, so that the table stays small.
    pub fn forget_idle(&self) {
        if let Some(limiter) = &self.0 {
            limiter.retain_recent();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(rate_per_s: u32, rate_burst: u32) -> config::Http {
        config::Http {
            body_bytes: 1,
            header_bytes: 1,
            idle_ms: 1,
            connections: 1,
            timeout_ms: 1,
            concurrency: 1,
            rate_per_s,
            rate_burst,
            live_streams: 1,
            live_pause_ms: 1,
            pin_generation: false,
            hedge_ms: 1,
            hedges: 1,
        }
    }

    #[test]
    fn each_client_has_its_burst_and_no_more() {
        let limit = RateLimit::new(&config(1, 3));
        let passed = (0..10).filter(|_| limit.check("a").is_ok()).count();
        assert_eq!(passed, 3);
        assert!(limit.check("a").unwrap_err() > Duration::ZERO);
        assert!(limit.check("b").is_ok());
    }

    #[test]
    fn zero_is_no_limit() {
        let limit = RateLimit::new(&config(0, 0));
        assert!((0..1000).all(|_| limit.check("a").is_ok()));
    }
}
