//! One call in a fresh instance. Nothing of it is left for the next one.

use std::sync::Arc;
use std::time::{Duration, Instant};

use wasmtime::Store;
use wasmtime::component::{Instance, Val};

use super::busy::Exhausted;
use super::{Plugin, PluginFunction, trap};
use crate::bindings::exports::ward::events::subscriber::{Disposition, Event};
use crate::bindings::exports::ward::http::handler::{Request, Response};
use crate::capabilities::CallState;
use crate::limits::Limit;
use crate::store::Work;

/// What an instance is made for.
pub enum Invocation {
    Http(Arc<Request>),
    Function { function: PluginFunction, parameters: Arc<[Val]> },
    Event { subscription: Arc<str>, event: Arc<Event> },
    Probe,
    Seed,
}

/// What the guest returned.
pub enum Returned {
    Http(Response),
    Function {
        value: Val,
        /// A call that it made of another service had no answer.
        is_let_down: bool,
    },
    Event(Result<(), Disposition>),
    Checked(Result<(), String>),
}

/// The guest did not return.
#[derive(Debug, thiserror::Error)]
pub enum Crash {
    #[error("{cause}")]
    Trapped {
        cause: String,
        backtrace: Vec<String>,
        /// The limit that the guest had met before.
        limit: Option<Limit>,
    },
    #[error("it computed for longer than limits.cpu_ms")]
    Exhausted,
    #[error("its time was over")]
    TimedOut,
    #[error("the host has no room for another instance (engine.instances)")]
    NoRoom,
}

/// Runs one invocation until `deadline`. The work comes back to be committed or rolled back, except after a time-out: then it
/// is gone, and its transaction with it.
pub async fn invoke(
    plugin: &Arc<Plugin>,
    state: CallState,
    invocation: Invocation,
    deadline: Instant,
) -> (Result<Returned, Crash>, Option<Work>) {
    let mut store = Store::new(plugin.engine(), state);
    store.limiter(|state| &mut state.memory);
    // Without the first line the first yield would come after the whole deadline of the store.
    store.set_epoch_deadline(1);
    let limits = &store.data().service.limits;
    let (cpu, transfer) = (Duration::from_millis(limits.cpu_ms), limits.transfer_bytes);
    store.set_hostcall_fuel(transfer);
    store.epoch_deadline_async_yield_and_update(1);
    let (host, running) = (store.data().host.clone(), plugin.clone());
    let call = async move {
        let outcome = run(&running, &mut store, invocation).await;
        (outcome, store.into_data())
    };
    match tokio::time::timeout_at(deadline.into(), host.busy.run(call, cpu)).await {
        Err(_) => (Err(Crash::TimedOut), None),
        Ok(Err(Exhausted)) => (Err(Crash::Exhausted), None),
        Ok(Ok((Ok(returned), state))) => (Ok(returned), Some(state.work)),
        Ok(Ok((Err(error), state))) => (Err(crash(&error, plugin, &state)), Some(state.work)),
    }
}

fn crash(error: &wasmtime::Error, plugin: &Plugin, state: &CallState) -> Crash {
    if error.downcast_ref::<wasmtime::PoolConcurrencyLimitError>().is_some() {
        return Crash::NoRoom;
    }
    let (cause, backtrace) = trap::explain(error, &plugin.lines);
    let mut limit = state.memory.refused();
    if trap::is_transfer(error) {
        state.service.refusals.count(Limit::TransferBytes);
        limit = Some(Limit::TransferBytes);
    }
    Crash::Trapped { cause, backtrace, limit }
}

async fn run(plugin: &Plugin, store: &mut Store<CallState>, invocation: Invocation) -> wasmtime::Result<Returned> {
    let instance = plugin.instantiate(&mut *store).await?;
    match invocation {
        Invocation::Http(request) => {
            let handler = plugin.handler(&mut *store, &instance)?;
            Ok(Returned::Http(handler.call_handle(store, &request).await?))
        }
        Invocation::Event { subscription, event } => {
            let subscriber = plugin.subscriber(&mut *store, &instance)?;
            Ok(Returned::Event(subscriber.call_receive(store, &subscription, &event).await?))
        }
        Invocation::Function { function, parameters } => {
            let value = call(&mut *store, &instance, &function, &parameters).await?;
            Ok(Returned::Function { value, is_let_down: store.data().is_let_down })
        }
        Invocation::Probe => {
            let description = plugin.description_interface(&mut *store, &instance)?;
            Ok(Returned::Checked(description.call_probe(store).await?))
        }
        Invocation::Seed => {
            let seed = plugin.seed(&mut *store, &instance)?;
            Ok(Returned::Checked(seed.call_seed(store).await?))
        }
    }
}

async fn call(
    store: &mut Store<CallState>,
    instance: &Instance,
    function: &PluginFunction,
    parameters: &[Val],
) -> wasmtime::Result<Val> {
    let callee = instance
        .get_func(&mut *store, function.export)
        .ok_or_else(|| wasmtime::Error::msg("an exported function is gone"))?;
    let mut results = [Val::Bool(false)];
    callee.call_async(store, parameters, &mut results).await?;
    let [result] = results;
    Ok(result)
}
