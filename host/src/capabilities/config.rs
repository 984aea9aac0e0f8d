//! `ward:host/config`: the operator's settings for the service.

use wasmtime::component::{HasSelf, Linker};

use super::CallState;
use crate::bindings::ward::host::config;

impl config::Host for CallState {
    fn get(&mut self, key: String) -> Option<String> {
        self.service.settings.get(&key).cloned()
    }
}

pub fn add_to_linker(linker: &mut Linker<CallState>) -> wasmtime::Result<()> {
    config::add_to_linker::<_, HasSelf<_>>(linker, |state| state)
}
