//! Asks a component what it is, in a sandbox where every import is a trap.

use std::time::Duration;

use wasmtime::component::Linker;
use wasmtime::{Store, StoreLimits, StoreLimitsBuilder};

use super::description::Description;
use super::{Compiled, Engine, LoadError, trap};
use crate::bindings::exports::ward::component::description as description_interface;

/// Answering takes a fraction of this; more is a fault.
const PATIENCE: Duration = Duration::from_secs(1);
const MEMORY: usize = 64 << 20;
/// Bytes of the answer in memory of the host; a real one has a hundredth.
const ANSWER: usize = 16 << 20;

pub(super) async fn describe(engine: &Engine, compiled: &Compiled) -> Result<Description, LoadError> {
    let component = &compiled.component;
    let silent = |error: wasmtime::Error| {
        let (cause, backtrace) = trap::explain(&error, &compiled.lines);
        LoadError::Silent(format!("{cause} {}", backtrace.join(" < ")))
    };
    let mut linker: Linker<StoreLimits> = Linker::new(&engine.wasmtime);
    linker.define_unknown_imports_as_traps(component).map_err(LoadError::Link)?;
    let pre = linker.instantiate_pre(component).map_err(LoadError::Link)?;
    let indices = description_interface::GuestIndices::new(&pre)
        .map_err(|_| LoadError::Silent("it does not export ward:component/description".to_owned()))?;
    let limits = StoreLimitsBuilder::new().memory_size(MEMORY).build();
    let mut store = Store::new(&engine.wasmtime, limits);
    store.limiter(|limits| limits);
    store.set_hostcall_fuel(ANSWER);
    store.set_epoch_deadline(1);
    store.epoch_deadline_async_yield_and_update(1);
    let asking = async {
        let instance = pre.instantiate_async(&mut store).await?;
        indices.load(&mut store, &instance)?.call_describe(&mut store).await
    };
    match tokio::time::timeout(PATIENCE, asking).await {
        Ok(described) => described.map_err(silent),
        Err(_) => Err(LoadError::Silent("it took longer than a second".to_owned())),
    }
}
