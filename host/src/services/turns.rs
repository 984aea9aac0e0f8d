//! Who takes its place first when a host begins.
//!
//! What runs together was checked together when it was deployed, one after another. A host that begins prepares all at once, and whichever came
//! first would be what the others are held against. So they take their places in the order in which they were desired; what is
//! waited for holds nobody up, and what was refused before comes last of all.

use std::collections::BTreeMap;

use tokio::sync::watch;

use super::desired::Current;
use crate::config::ServiceName;

#[derive(Default)]
pub struct Turns {
    /// Those that have neither taken their place nor were refused.
    coming: watch::Sender<BTreeMap<ServiceName, Coming>>,
}

struct Coming {
    revision: u64,
    was_refused: bool,
    /// For something outside.
    waits: bool,
}

impl Coming {
    fn precedes(&self, other: &Self) -> bool {
        match (self.was_refused, other.was_refused) {
            (false, true) => true,
            (false, false) => !self.waits && self.revision < other.revision,
            (true, _) => false,
        }
    }
}

impl Turns {
    pub fn expect(&self, service: &ServiceName, current: &Current) {
        let was_refused = current.desired.as_ref().is_some_and(|desired| desired.is_refused());
        let coming = Coming { revision: current.revision, was_refused, waits: false };
        self.coming.send_modify(|all| {
            all.insert(service.clone(), coming);
        });
    }

    /// Something outside is missing for it.
    pub fn waits(&self, service: &ServiceName) {
        self.coming.send_if_modified(|all| {
            let coming = all.get_mut(service).filter(|coming| !coming.waits);
            coming.map(|coming| coming.waits = true).is_some()
        });
    }

    /// It has its place, or gets none.
    pub fn is_done(&self, service: &ServiceName) {
        self.coming.send_if_modified(|all| all.remove(service).is_some());
    }

    /// Returns when nothing that precedes it is coming any more.
    pub async fn turn_of(&self, service: &ServiceName) {
        let is_next = |all: &BTreeMap<ServiceName, Coming>| {
            all.get(service).is_none_or(|own| !all.values().any(|other| other.precedes(own)))
        };
        let _ = self.coming.subscribe().wait_for(is_next).await;
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::super::desired::{Change, Desired, Note};
    use super::*;

    const NAMES: [&str; 4] = ["refused", "younger", "older", "stranger"];

    fn name(text: &str) -> ServiceName {
        ServiceName::parse(text).unwrap()
    }

    /// Something that was refused first of all, and two that were deployed after it.
    fn turns() -> Turns {
        let turns = Turns::default();
        for (service, revision, change) in
            [("refused", 1, Change::Refused), ("older", 2, Change::Deployed), ("younger", 3, Change::Promoted)]
        {
            let note = Note { at: String::new(), by: "ann".into(), change, reason: String::new() };
            let current = Current { desired: Some(Desired::first("d", None, note)), revision };
            turns.expect(&name(service), &current);
        }
        turns
    }

    /// Those that may take their place.
    fn next(turns: &Turns) -> Vec<&'static str> {
        NAMES.into_iter().filter(|service| turns.turn_of(&name(service)).now_or_never().is_some()).collect()
    }

    #[test]
    fn the_order_is_that_of_the_wishes_and_the_refused_come_last() {
        let turns = turns();
        assert_eq!(next(&turns), ["older", "stranger"]);
        turns.is_done(&name("older"));
        assert_eq!(next(&turns), ["younger", "older", "stranger"]);
        turns.is_done(&name("younger"));
        assert_eq!(next(&turns), NAMES);
    }

    #[test]
    fn what_waits_for_something_holds_up_only_what_was_refused() {
        let turns = turns();
        turns.waits(&name("older"));
        assert_eq!(next(&turns), ["younger", "older", "stranger"]);
        turns.is_done(&name("younger"));
        assert_eq!(next(&turns), ["younger", "older", "stranger"]);
    }
}
