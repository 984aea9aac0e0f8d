//! `ward:host/clock`: the time.

use wasmtime::component::{HasSelf, Linker};

use super::CallState;
use crate::bindings::ward::host::clock;

impl clock::Host for CallState {
    fn now(&mut self) -> i64 {
        crate::clock::now_micros()
    }
}

pub fn add_to_linker(linker: &mut Linker<CallState>) -> wasmtime::Result<()> {
    clock::add_to_linker::<_, HasSelf<_>>(linker, |state| state)
}
