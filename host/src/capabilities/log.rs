//! `ward:host/log`: lines for the operator, with the call that they belong to.

use wasmtime::component::{HasSelf, Linker};

use super::CallState;
use crate::bindings::ward::host::log::{self, Level};

impl log::Host for CallState {
    fn write(&mut self, level: Level, message: String, fields: Vec<(String, String)>) {
        self.log_lines += 1;
        if self.log_lines > self.service.limits.log_lines {
            return;
        }
        let service = self.service.name.as_str();
        let (generation, call) = (self.service.generation, self.call.id.as_str());
        let fields = fields.iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join(" ");
        let (message, fields) = (one_line(&message), one_line(&fields));
        match level {
            Level::Trace => tracing::trace!(target: "component", service, generation, call, fields, "{message}"),
            Level::Debug => tracing::debug!(target: "component", service, generation, call, fields, "{message}"),
            Level::Info => tracing::info!(target: "component", service, generation, call, fields, "{message}"),
            Level::Warn => tracing::warn!(target: "component", service, generation, call, fields, "{message}"),
            Level::Error => tracing::error!(target: "component", service, generation, call, fields, "{message}"),
        }
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
