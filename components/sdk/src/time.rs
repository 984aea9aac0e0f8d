//! Dates and instants as the contracts write them.

use std::fmt;

use ::time::format_description::well_known::Rfc3339;
use ::time::{Date, Duration, Month, OffsetDateTime, UtcOffset};
use serde::{Serialize, Serializer};

/// An instant: microseconds since 1970-01-01T00:00:00Z. Written in RFC 3339, UTC.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(pub i64);

impl Timestamp {
    /// The local date, so many minutes east of UTC. None beyond what a calendar can hold.
    pub fn date(self, utc_offset_minutes: i32) -> Option<Date> {
        let offset = UtcOffset::from_whole_seconds(utc_offset_minutes.checked_mul(60)?).ok()?;
        Some(self.utc()?.checked_to_offset(offset)?.date())
    }

    /// RFC 3339, with any offset; what is finer than a microsecond is cut off.
    pub fn parse(text: &str) -> Option<Self> {
        let instant = OffsetDateTime::parse(text, &Rfc3339).ok()?;
        i64::try_from(instant.unix_timestamp_nanos() / 1000).ok().map(Self)
    }

    fn utc(self) -> Option<OffsetDateTime> {
        OffsetDateTime::from_unix_timestamp_nanos(i128::from(self.0) * 1000).ok()
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(utc) = self.utc() else {
            return write!(formatter, "{} us", self.0);
        };
        let (hour, minute, second, micro) = utc.time().as_hms_micro();
        write!(formatter, "{}T{hour:02}:{minute:02}:{second:02}.{micro:06}Z", write_date(utc.date()))
    }
}

impl Serialize for Timestamp {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// `yyyy-MM-dd`, and nothing else: no signs, no blanks, four digits of year.
pub fn read_date(text: &str) -> Option<Date> {
    let mut parts = text.split('-');
    let (year, month, day) = (digits(parts.next()?, 4)?, digits(parts.next()?, 2)?, digits(parts.next()?, 2)?);
    if parts.next().is_some() {
        return None;
    }
    let month = Month::try_from(u8::try_from(month).ok()?).ok()?;
    Date::from_calendar_date(i32::from(year), month, u8::try_from(day).ok()?).ok()
}

pub fn write_date(date: Date) -> String {
    format!("{:04}-{:02}-{:02}", date.year(), u8::from(date.month()), date.day())
}

/// So many days later; earlier, if negative. Stops at the calendar's ends.
pub fn add_days(date: Date, days: i64) -> Date {
    date.saturating_add(Duration::days(days))
}

fn digits(text: &str, length: usize) -> Option<u16> {
    let clean = text.len() == length && text.bytes().all(|byte| byte.is_ascii_digit());
    clean.then(|| text.parse().ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_dates_of_the_contract_only() {
        assert_eq!(read_date("1985-06-15").map(write_date).as_deref(), Some("1985-06-15"));
        assert!(read_date("2024-02-29").is_some());
        for wrong in
            ["", "1985", "1985-06", "1985-06-15-1", "85-06-15", "1985-6-15", "1985-13-01", "2023-02-29", "+985-06-15"]
        {
            assert_eq!(read_date(wrong), None, "{wrong}");
        }
        assert_eq!(read_date("1985-06-15T00:00:00Z"), None);
    }

    #[test]
    fn writes_instants_in_utc() {
        assert_eq!(Timestamp(0).to_string(), "1970-01-01T00:00:00.000000Z");
        assert_eq!(Timestamp(1_767_225_599_000_001).to_string(), "2025-12-31T23:59:59.000001Z");
    }

    #[test]
    fn reads_what_it_writes() {
        for instant in [Timestamp(0), Timestamp(1_767_225_599_000_001)] {
            assert_eq!(Timestamp::parse(&instant.to_string()), Some(instant));
        }
        assert_eq!(Timestamp::parse("1970-01-01T01:00:00+01:00"), Some(Timestamp(0)));
        assert_eq!(Timestamp::parse("1970-01-01"), None);
    }

    #[test]
    fn days_are_counted_over_months() {
        let day = read_date("2024-03-01").unwrap();
        assert_eq!(write_date(add_days(day, -1)), "2024-02-29");
        assert_eq!(write_date(add_days(day, 31)), "2024-04-01");
    }

    #[test]
    fn a_day_begins_in_the_clinics_zone() {
        let late = Timestamp(1_767_225_599_000_000);
        assert_eq!(late.date(0).map(write_date).as_deref(), Some("2025-12-31"));
        assert_eq!(late.date(60).map(write_date).as_deref(), Some("2026-01-01"));
        assert_eq!(late.date(i32::MAX), None);
    }
}
