//! Who takes its place first when a host begins.
//!
//! What a newcomer wants is held against what serves already; so on a host that begins, what has served before has its place first. A newcomer
//! is a service of which no host has ever taken a version.

use std::collections::BTreeSet;

use tokio::sync::watch;

use crate::config::ServiceName;

#[derive(Default)]
pub struct Turns {
    /// Those that have served before and have not got their place yet.
    coming: watch::Sender<BTreeSet<ServiceName>>,
}

impl Turns {
    pub fn expect(&self, service: &ServiceName) {
        self.coming.send_modify(|coming| {
            coming.insert(service.clone());
        });
    }

    /// It has its place, or gets none.
    pub fn is_done(&self, service: &ServiceName) {
        self.coming.send_if_modified(|coming| coming.remove(service));
    }

    /// Returns when all of them are done.
    pub async fn of_newcomers(&self) {
        let _ = self.coming.subscribe().wait_for(BTreeSet::is_empty).await;
    }

    /// The first that is waited for.
    pub fn next(&self) -> Option<ServiceName> {
        self.coming.borrow().first().cloned()
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;

    #[test]
    fn newcomers_come_when_all_others_are_done() {
        let turns = Turns::default();
        assert!(turns.of_newcomers().now_or_never().is_some());
        let [one, other] = ["one", "other"].map(|name| ServiceName::parse(name).unwrap());
        turns.expect(&one);
        turns.expect(&other);
        turns.is_done(&one);
        assert!(turns.of_newcomers().now_or_never().is_none());
        assert_eq!(turns.next(), Some(other.clone()));
        turns.is_done(&other);
        turns.is_done(&other);
        assert!(turns.of_newcomers().now_or_never().is_some());
    }
}
