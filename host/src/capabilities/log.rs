//! `ward:host/log`: lines for the operator, with the call that they belong to.
//!
//! What is over a limit is dropped, and the guest is not told: a log is for people. That it was dropped is said once for each
//! call, and once a second where the component as a whole is too loud.

use std::num::NonZeroU32;

use governor::{DefaultDirectRateLimiter, Quota, RateLimiter};
use wasmtime::component::{HasSelf, Linker};

use super::CallState;
use crate::bindings::ward::host::log::{self, Level};
use crate::limits::Limit;

impl log::Host for CallState {
    fn write(&mut self, level: Level, message: String, fields: Vec<(String, String)>) {
        let bytes = fields.iter().map(|(name, value)| name.len() + value.len()).sum::<usize>() + message.len();
        if !self.admit_line(bytes) {
            return;
        }
        let fields = fields.iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join(" ");
        let service = self.service.name.as_str();
        let (generation, call, trace) = (self.service.generation, self.call.id.as_str(), self.call.trace());
        let (message, fields) = (one_line(&message), one_line(&fields));
        match level {
            Level::Trace => tracing::trace!(target: "component", service, generation, call, trace, fields, "{message}"),
            Level::Debug => tracing::debug!(target: "component", service, generation, call, trace, fields, "{message}"),
            Level::Info => tracing::info!(target: "component", service, generation, call, trace, fields, "{message}"),
            Level::Warn => tracing::warn!(target: "component", service, generation, call, trace, fields, "{message}"),
            Level::Error => tracing::error!(target: "component", service, generation, call, trace, fields, "{message}"),
        }
    }
}

/// What one call has logged.
#[derive(Default)]
pub(super) struct Logged {
    lines: u32,
    bytes: usize,
    is_full: bool,
}

/// Lines a second of one component on this host.
pub struct LogRate {
    lines: DefaultDirectRateLimiter,
    complaints: DefaultDirectRateLimiter,
}

impl LogRate {
    pub fn new(lines_per_s: u32) -> Self {
        let limiter = |quota| RateLimiter::direct(quota);
        Self {
            lines: limiter(Quota::per_second(NonZeroU32::new(lines_per_s).unwrap_or(NonZeroU32::MIN))),
            complaints: limiter(Quota::per_second(NonZeroU32::MIN)),
        }
    }
}

impl CallState {
    fn admit_line(&mut self, bytes: usize) -> bool {
        let limits = &self.service.limits;
        self.logged.lines = self.logged.lines.saturating_add(1);
        self.logged.bytes = self.logged.bytes.saturating_add(bytes);
        let over = match () {
            () if self.logged.lines > limits.log_lines => Limit::LogLines,
            () if self.logged.bytes > limits.log_bytes => Limit::LogBytes,
            () if self.service.log_rate.lines.check().is_err() => return self.complain(Limit::LogPerSecond),
            () => return true,
        };
        if self.logged.is_full {
            self.service.refusals.count(over);
            return false;
        }
        self.logged.is_full = true;
        self.complain(over)
    }

    /// Says that lines are dropped, unless that was said within this second.
    fn complain(&self, limit: Limit) -> bool {
        let (service, call, told) = (self.service.name.as_str(), self.call.id.as_str(), self.service.refuse(limit));
        if self.service.log_rate.complaints.check().is_ok() {
            tracing::warn!(service, call, "lines of the component were dropped: {told}");
        }
        false
    }
}

/// Characters of a message, and of its fields.
const LONGEST: usize = 4096;

/// Without line breaks, which would look like lines of somebody else.
fn one_line(text: &str) -> String {
    text.chars().take(LONGEST).map(|character| if character.is_control() { ' ' } else { character }).collect()
}

pub fn add_to_linker(linker: &mut Linker<CallState>) -> wasmtime::Result<()> {
    log::add_to_linker::<_, HasSelf<_>>(linker, |state| state)
}
