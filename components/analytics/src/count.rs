//! Counting what has happened.
//!
//! The host delivers an event once for its effect, and in order as long as nothing fails. The counts do not rely on it:
//! each fact of a patient is marked and counted together, once, and a deletion may be heard before its registration. So
//! the events of all time, in any order and however often, give the same numbers.

use ward_sdk::Date;
use ward_sdk::ports::StoreError;

use crate::model::{Delta, PatientId};
use crate::ports::{Counts, Deletion, Marks, Registration};

/// On which day of the clinic.
pub fn registered(ports: &(impl Marks + Counts), id: PatientId, day: Date) -> Result<(), StoreError> {
    let Some(registration) = ports.registered(id, day)? else {
        return Ok(());
    };
    let active = match registration {
        Registration::Timely => 1,
        Registration::AfterDeletion => 0,
    };
    ports.add(id.bucket(), Delta { registered: 1, active, ..Delta::default() }, Some(day))
}

pub fn deleted(ports: &(impl Marks + Counts), id: PatientId) -> Result<(), StoreError> {
    let Some(deletion) = ports.deleted(id)? else {
        return Ok(());
    };
    let active = match deletion {
        Deletion::Timely => -1,
        Deletion::BeforeRegistration => 0,
    };
    ports.add(id.bucket(), Delta { deleted: 1, active, ..Delta::default() }, None)
}

pub fn account_opened(ports: &(impl Marks + Counts), id: PatientId) -> Result<(), StoreError> {
    match ports.account_opened(id)? {
        true => ports.add(id.bucket(), Delta { accounts_opened: 1, ..Delta::default() }, None),
        false => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Totals;
    use crate::testing::{Fake, day, id};

    /// Two patients, one deleted; two accounts.
    fn facts() -> Vec<fn(&Fake)> {
        vec![
            |fake| registered(fake, id(1), day("2026-02-28")).unwrap(),
            |fake| registered(fake, id(2), day("2026-03-01")).unwrap(),
            |fake| deleted(fake, id(1)).unwrap(),
            |fake| account_opened(fake, id(1)).unwrap(),
            |fake| account_opened(fake, id(2)).unwrap(),
        ]
    }

    fn expected() -> Totals {
        Totals { registered: 2, active: 1, deleted: 1, accounts_opened: 2 }
    }

    #[test]
    fn counts_what_has_happened() {
        let fake = Fake::default();
        facts().iter().for_each(|fact| fact(&fake));
        assert_eq!(fake.totals(), Ok(expected()));
    }

    #[test]
    fn any_order_and_any_repetition_give_the_same_numbers() {
        let facts = facts();
        for seed in 0..200_usize {
            let fake = Fake::default();
            // A walk that meets every fact three times, in an order that depends on the seed.
            let mut order: Vec<usize> = (0..facts.len() * 3).map(|step| step % facts.len()).collect();
            for place in 0..order.len() {
                let other = (seed * 7919 + place * (seed + 31)) % order.len();
                order.swap(place, other);
            }
            order.iter().for_each(|fact| facts[*fact](&fake));
            assert_eq!(fake.totals(), Ok(expected()), "order {order:?}");
            assert_eq!(fake.days(day("2026-01-01"), day("2026-12-31")).unwrap().len(), 2);
        }
    }

    #[test]
    fn counts_are_spread_over_few_rows() {
        let mut buckets: Vec<_> = (0..1000).map(|number| id(number).bucket()).collect();
        buckets.sort_unstable();
        buckets.dedup();
        assert_eq!(buckets, (0..16).collect::<Vec<_>>());
    }
}
