//! `ward:events/publisher`: events that exist if and only if the call commits.

use uuid::Uuid;
use ward_telemetry::Hop;
use wasmtime::component::{HasSelf, Linker};

use super::CallState;
use crate::bindings::ward::events::publisher::{self, Error, NewEvent};
use crate::limits::Limit;
use crate::store::Published;

impl publisher::Host for CallState {
    fn publish(&mut self, event: NewEvent) -> Result<String, Error> {
        self.check(&event)?;
        let id = Uuid::now_v7();
        drop(self.call.trail.span(Hop::Publish, event.type_.clone()));
        self.work.publish(Published {
            id,
            event_type: event.type_,
            subject: event.subject,
            version: event.version,
            data: event.data,
        });
        Ok(id.to_string())
    }
}

impl CallState {
    fn check(&self, event: &NewEvent) -> Result<(), Error> {
        let limits = &self.service.limits;
        let too_large = |limit| Err(Error::TooLarge(self.service.refuse(limit)));
        if self.work.is_read() {
            return Err(Error::ReadOnly);
        }
        if !self.service.grants.publish.contains(&event.type_) {
            return Err(Error::NotGranted(event.type_.clone()));
        }
        if event.data.len() + event.subject.len() > limits.event_bytes {
            return too_large(Limit::EventBytes);
        }
        if self.work.published() >= limits.events as usize {
            return too_large(Limit::Events);
        }
        Ok(())
    }
}

pub fn add_to_linker(linker: &mut Linker<CallState>) -> wasmtime::Result<()> {
    publisher::add_to_linker::<_, HasSelf<_>>(linker, |state| state)
}
