//! `ward:host/random`: randomness of the operating system.

use uuid::Uuid;
use wasmtime::component::{HasSelf, Linker};

use super::CallState;
use crate::bindings::ward::host::random;

const MOST: u32 = 4096;

impl random::Host for CallState {
    fn bytes(&mut self, length: u32) -> wasmtime::Result<Vec<u8>> {
        if length > MOST {
            return Err(wasmtime::Error::msg("more than 4096 random bytes at once"));
        }
        let mut bytes = vec![0; length as usize];
        getrandom::fill(&mut bytes).map_err(|error| wasmtime::Error::msg(error.to_string()))?;
        Ok(bytes)
    }

    fn uuid(&mut self) -> (u64, u64) {
        Uuid::now_v7().as_u64_pair()
    }
}

pub fn add_to_linker(linker: &mut Linker<CallState>) -> wasmtime::Result<()> {
    random::add_to_linker::<_, HasSelf<_>>(linker, |state| state)
}
