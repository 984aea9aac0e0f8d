//! WebAssembly: artifacts to code, code to plugins, and each call in an instance of its own.
//!
//! `compile` turns an artifact into machine code in a process with limits, once per digest. `interfaces` holds what it
//! imports against the grants, `asked` asks it what it is, `plugin` is all of it together. `instance` runs one call, and
//! `busy` has threads of their own for calls that compute for long. The settings below decide whether calls scale over cores (docs/adr/0003-fresh-instance-per-call.md).

mod asked;
mod busy;
mod cache;
mod compile;
mod description;
mod fit;
mod instance;
mod interfaces;
mod outline;
mod plugin;
mod trap;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use wasmtime::{Enabled, InstanceAllocationStrategy, OptLevel, PoolingAllocationConfig};

pub use busy::Busy;
pub use compile::{CompileError, Compiled, Compiler, compile_here};
pub use description::{Access, Description, Effect, Fault, METHODS, Route, Subscription};
pub use fit::misfit;
pub use instance::{Crash, Invocation, Returned, invoke};
pub use interfaces::{Import, Need, PluginFunction};
pub use outline::{Look, Offered, Outline};
pub use plugin::{LoadError, Plugin};

use crate::config;

/// How often a running guest may be interrupted.
const TICK: Duration = Duration::from_millis(1);

/// Memory that one instance may ever get, whatever its limit says: 4 GiB is what its addresses reach.
const LARGEST_MEMORY: usize = 1 << 32;

pub struct Engine {
    wasmtime: wasmtime::Engine,
    ticking: Arc<AtomicBool>,
}

impl Engine {
    pub fn new(config: &config::Engine) -> wasmtime::Result<Self> {
        let wasmtime = wasmtime::Engine::new(&settings(config))?;
        let ticking = Arc::new(AtomicBool::new(true));
        tick(wasmtime.clone(), ticking.clone())?;
        Ok(Self { wasmtime, ticking })
    }

    /// An engine that only compiles.
    fn compiler(config: &config::Engine) -> wasmtime::Result<wasmtime::Engine> {
        wasmtime::Engine::new(&settings(config))
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        self.ticking.store(false, Ordering::Relaxed);
    }
}

/// Where instances come from.
pub fn pool(config: &config::Engine) -> PoolingAllocationConfig {
    let mut pool = PoolingAllocationConfig::new();
    // A component made of one module has three core instances: the module, and two small ones around it.
    pool.total_component_instances(config.instances)
        .total_core_instances(config.instances * 4)
        .total_memories(config.instances)
        .total_tables(config.instances * 4)
        .total_stacks(config.instances)
        // So that no component takes the places of many with one call: the largest toolchains need a dozen modules and one memory.
        .max_core_instances_per_component(16)
        .max_memories_per_component(1)
        .max_tables_per_component(16)
        .max_memory_size(LARGEST_MEMORY)
        // Pages that stay with a slot are cleared by writing zeros instead of by a system call, which would stop the
        // other cores' address translation.
        .linear_memory_keep_resident(256 << 10)
        .table_keep_resident(16 << 10)
        .async_stack_keep_resident(64 << 10)
        .pagemap_scan(Enabled::Auto);
    pool
}

fn settings(config: &config::Engine) -> wasmtime::Config {
    let mut settings = wasmtime::Config::new();
    settings
        .allocation_strategy(InstanceAllocationStrategy::Pooling(pool(config)))
        .epoch_interruption(true)
        .cranelift_opt_level(OptLevel::Speed)
        .wasm_backtrace_max_frames(std::num::NonZeroUsize::new(32));
    settings
}

/// On a thread of the operating system: a guest that spins can keep the runtime's own timers from running.
fn tick(engine: wasmtime::Engine, ticking: Arc<AtomicBool>) -> wasmtime::Result<()> {
    let thread = std::thread::Builder::new().name("epoch".to_owned());
    thread.spawn(move || {
        while ticking.load(Ordering::Relaxed) {
            std::thread::sleep(TICK);
            engine.increment_epoch();
        }
    })?;
    Ok(())
}
