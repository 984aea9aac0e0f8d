//! `ward:call/context`: what the host knows about the call.

use wasmtime::component::{HasSelf, Linker};

use super::CallState;
use crate::bindings::ward::call::context;
use crate::security::Principal;

impl context::Host for CallState {
    fn current(&mut self) -> context::Call {
        context::Call {
            id: self.call.id.clone(),
            principal: self.call.principal.as_deref().map(Into::into),
            traceparent: self.call.trail.context().to_string(),
            remaining_ms: u32::try_from(self.call.remaining().as_millis()).unwrap_or(u32::MAX),
        }
    }
}

impl From<&Principal> for context::Principal {
    fn from(principal: &Principal) -> Self {
        Self { subject: principal.subject.clone(), role: principal.role.clone() }
    }
}

pub fn add_to_linker(linker: &mut Linker<CallState>) -> wasmtime::Result<()> {
    context::add_to_linker::<_, HasSelf<_>>(linker, |state| state)
}
