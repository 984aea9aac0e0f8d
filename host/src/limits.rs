//! The limits of a component: what each is called, and how often each has refused something.
//!
//! Values and defaults are the configuration's (`[limits]`, [`Limits`]); each is held where the thing happens: memory and
//! computing in `engine`, sizes and counts at the doors in `capabilities` and `store`, places in `services` and `calls`. Here they have
//! one name for messages, for the metric `ward_limit_refusals_total{service,limit}` and for the table in docs/limits.md.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::config::Limits;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Limit {
    Memory,
    TableElements,
    Cpu,
    Time,
    Concurrency,
    Queue,
    RequestBytes,
    ResponseBytes,
    TransferBytes,
    Statements,
    StatementBytes,
    ParameterBytes,
    Rows,
    ResultBytes,
    Events,
    EventBytes,
    Calls,
    CallBytes,
    Outgoing,
    LogLines,
    LogBytes,
    LogPerSecond,
}

impl Limit {
    /// In the order of `[limits]`.
    pub const ALL: [Self; 22] = [
        Self::Memory,
        Self::TableElements,
        Self::Cpu,
        Self::Time,
        Self::Concurrency,
        Self::Queue,
        Self::RequestBytes,
        Self::ResponseBytes,
        Self::TransferBytes,
        Self::Statements,
        Self::StatementBytes,
        Self::ParameterBytes,
        Self::Rows,
        Self::ResultBytes,
        Self::Events,
        Self::EventBytes,
        Self::Calls,
        Self::CallBytes,
        Self::Outgoing,
        Self::LogLines,
        Self::LogBytes,
        Self::LogPerSecond,
    ];

    /// The key in `[limits]`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Memory => "memory_mb",
            Self::TableElements => "table_elements",
            Self::Cpu => "cpu_ms",
            Self::Time => "time_ms",
            Self::Concurrency => "concurrency",
            Self::Queue => "queue",
            Self::RequestBytes => "request_bytes",
            Self::ResponseBytes => "response_bytes",
            Self::TransferBytes => "transfer_bytes",
            Self::Statements => "statements",
            Self::StatementBytes => "statement_bytes",
            Self::ParameterBytes => "parameter_bytes",
            Self::Rows => "rows",
            Self::ResultBytes => "result_bytes",
            Self::Events => "events",
            Self::EventBytes => "event_bytes",
            Self::Calls => "calls",
            Self::CallBytes => "call_bytes",
            Self::Outgoing => "outgoing",
            Self::LogLines => "log_lines",
            Self::LogBytes => "log_bytes",
            Self::LogPerSecond => "log_per_s",
        }
    }

    pub fn unit(self) -> &'static str {
        match self {
            Self::Memory => "MiB",
            Self::TableElements => "elements",
            Self::Cpu | Self::Time => "ms",
            Self::Concurrency | Self::Queue | Self::Calls | Self::Outgoing => "calls",
            Self::RequestBytes
            | Self::ResponseBytes
            | Self::TransferBytes
            | Self::StatementBytes
            | Self::ParameterBytes
            | Self::ResultBytes
            | Self::EventBytes
            | Self::CallBytes
            | Self::LogBytes => "bytes",
            Self::Statements => "statements",
            Self::Rows => "rows",
            Self::Events => "events",
            Self::LogLines => "lines",
            Self::LogPerSecond => "lines/s",
        }
    }

    pub fn value(self, limits: &Limits) -> u64 {
        match self {
            Self::Memory => limits.memory_mb as u64,
            Self::TableElements => limits.table_elements as u64,
            Self::Cpu => limits.cpu_ms,
            Self::Time => limits.time_ms,
            Self::Concurrency => limits.concurrency as u64,
            Self::Queue => limits.queue as u64,
            Self::RequestBytes => limits.request_bytes as u64,
            Self::ResponseBytes => limits.response_bytes as u64,
            Self::TransferBytes => limits.transfer_bytes as u64,
            Self::Statements => limits.statements.into(),
            Self::StatementBytes => limits.statement_bytes as u64,
            Self::ParameterBytes => limits.parameter_bytes as u64,
            Self::Rows => limits.rows as u64,
            Self::ResultBytes => limits.result_bytes as u64,
            Self::Events => limits.events.into(),
            Self::EventBytes => limits.event_bytes as u64,
            Self::Calls => limits.calls.into(),
            Self::CallBytes => limits.call_bytes as u64,
            Self::Outgoing => limits.outgoing as u64,
            Self::LogLines => limits.log_lines.into(),
            Self::LogBytes => limits.log_bytes as u64,
            Self::LogPerSecond => limits.log_per_s.into(),
        }
    }

    /// For messages: `limits.cpu_ms is 2000 ms`.
    pub fn told(self, limits: &Limits) -> String {
        format!("limits.{} is {} {}", self.name(), self.value(limits), self.unit())
    }
}

/// All limits of a component as (name, value, unit), in the order of `[limits]`.
pub fn list(limits: &Limits) -> Vec<(&'static str, u64, &'static str)> {
    Limit::ALL.iter().map(|limit| (limit.name(), limit.value(limits), limit.unit())).collect()
}

/// How often each limit of one service has refused something on this host.
#[derive(Debug, Default)]
pub struct Refusals([AtomicU64; Limit::ALL.len()]);

impl Refusals {
    pub fn count(&self, limit: Limit) {
        if let Some(count) = self.0.get(limit as usize) {
            count.fetch_add(1, Ordering::Relaxed);
        }
    }

    pub fn of(&self, limit: Limit) -> u64 {
        self.0.get(limit as usize).map_or(0, |count| count.load(Ordering::Relaxed))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ward_config::Settings;

    fn defaults() -> Limits {
        Settings::layer("", &Default::default()).unwrap().section("limits").unwrap()
    }

    #[test]
    fn every_key_of_the_section_is_a_limit_with_its_default() {
        let written: toml::Table = ward_config::DEFAULTS.parse().unwrap();
        let written = written["limits"].as_table().unwrap();
        let listed = list(&defaults());
        assert_eq!(listed.len(), written.len());
        for (name, value, _) in listed {
            assert_eq!(written[name].as_integer(), i64::try_from(value).ok(), "{name}");
        }
    }

    /// Each row of the first table begins with name, default and unit, in the order of the section.
    #[test]
    fn the_documented_table_says_what_the_defaults_are() {
        let page = include_str!("../../docs/limits.md");
        let is_row = |line: &&str| line.starts_with("| `");
        let rows: Vec<&str> = page.lines().skip_while(|line| !is_row(line)).take_while(is_row).collect();
        let expected = list(&defaults());
        let expected = expected.iter().map(|(name, value, unit)| format!("| `{name}` | {value} | {unit} |"));
        for (row, begins) in rows.iter().zip(expected) {
            assert!(row.starts_with(&begins), "docs/limits.md has {row:?}, defaults.toml says {begins:?}");
        }
        assert_eq!(rows.len(), Limit::ALL.len());
    }

    #[test]
    fn counts_each_limit_for_itself() {
        let refusals = Refusals::default();
        refusals.count(Limit::LogPerSecond);
        assert_eq!((refusals.of(Limit::LogPerSecond), refusals.of(Limit::Memory)), (1, 0));
        for (place, limit) in Limit::ALL.iter().enumerate() {
            assert_eq!(*limit as usize, place);
        }
    }
}
