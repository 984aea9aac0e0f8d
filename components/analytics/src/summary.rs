//! The numbers, read.

use ward_sdk::ports::StoreError;
use ward_sdk::time::add_days;

use crate::model::{Day, Totals};
use crate::ports::Ports;

const DAYS: i64 = 30;

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Summary {
    pub totals: Totals,
    /// Those of the last thirty days on which somebody was registered, in order.
    pub days: Vec<Day>,
}

/// Reads a few dozen rows, whatever was counted. A clinic east of Greenwich may have tomorrow already.
pub fn summary(ports: &impl Ports) -> Result<Summary, StoreError> {
    let beyond = || StoreError::Failed("the clock is beyond the calendar".to_owned());
    let today = ports.now().date(0).ok_or_else(beyond)?;
    let days = ports.days(add_days(today, 1 - DAYS), add_days(today, 1))?;
    Ok(Summary { totals: ports.totals()?, days })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::count::registered;
    use crate::testing::{Fake, day, id};

    #[test]
    fn shows_the_last_thirty_days() {
        let fake = Fake::default();
        for (number, date) in
            (0..).zip(["2026-01-30", "2026-01-31", "2026-02-28", "2026-02-28", "2026-03-02", "2026-03-03"])
        {
            registered(&fake, id(number), day(date)).unwrap();
        }
        let summary = summary(&fake).unwrap();
        let expected = [("2026-01-31", 1), ("2026-02-28", 2), ("2026-03-02", 1)];
        let expected = expected.map(|(date, registered)| Day { day: day(date), registered });
        assert_eq!(summary.days, expected);
        assert_eq!(summary.totals.registered, 6);
    }
}
