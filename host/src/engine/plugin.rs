//! A component, linked and described: everything about it that does not depend on a call.
//!
//! Its imports are held against the grants before a single instruction of it runs (`interfaces`). Then it is asked what it
//! is, in a sandbox where every import traps (`asked`).

use std::collections::HashMap;
use std::sync::Arc;

use wasmtime::component::{Instance, InstancePre, Linker};
use wasmtime::{AsContextMut, Store};

use super::cache::Lease;
use super::compile::Compiled;
use super::description::{self, Description, Fault};
use super::interfaces::{Import, PluginFunction, exported_functions, link_imports, unused_grants};
use super::outline::Offered;
use super::{Engine, asked};
use crate::artifacts::Lines;
use crate::bindings::exports::ward::component::{description as description_interface, seed};
use crate::bindings::exports::ward::events::subscriber;
use crate::bindings::exports::ward::http::handler;
use crate::calls::typed::Contract;
use crate::capabilities::CallState;
use crate::config::{Grants, ServiceName};
use crate::values::Unsupported;

/// Why a component is not taken.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    #[error("it imports {interface}, which needs the grant {grant:?}: add it to `grants` in [services.{service}]")]
    MissingGrant { service: String, interface: String, grant: &'static str },
    #[error("it calls {interface}, which is not granted: add {name:?} to `call` in [services.{service}]")]
    MissingCall { service: String, interface: String, name: String },
    #[error("it imports {0}, which no host offers")]
    UnknownImport(String),
    #[error("the function {function} of {interface}: {reason}")]
    Unsupported { interface: String, function: String, reason: Unsupported },
    #[error("it exports {interface}/{function} without describing it, or describes it without exporting it")]
    Undescribed { interface: String, function: String },
    #[error("it exports {one} and {other}, which a caller cannot tell apart: the name and the series are the same")]
    Ambiguous { one: String, other: String },
    #[error(transparent)]
    Description(#[from] Fault),
    #[error("asking it what it is failed: {0}")]
    Silent(String),
    #[error("it cannot be linked: {0}")]
    Link(wasmtime::Error),
}

pub struct Plugin {
    pre: InstancePre<CallState>,
    pub description: Description,
    /// By interface (short) and function; of several versions of an interface the newest first.
    functions: HashMap<(String, String), Vec<PluginFunction>>,
    /// What it calls of others.
    pub imports: Vec<Import>,
    /// Grants that it makes no use of.
    pub unused_grants: Vec<&'static str>,
    description_interface: description_interface::GuestIndices,
    handler: Option<handler::GuestIndices>,
    subscriber: Option<subscriber::GuestIndices>,
    seed: Option<seed::GuestIndices>,
    /// Of its source.
    pub(super) lines: Arc<Lines>,
    _lease: Arc<Lease>,
}

impl Plugin {
    pub async fn load(
        engine: &Engine,
        compiled: &Compiled,
        service: &ServiceName,
        grants: &Grants,
    ) -> Result<Self, LoadError> {
        let component = &compiled.component;
        let mut linker = Linker::new(&engine.wasmtime);
        let imports = link_imports(engine, component, service, grants, &mut linker)?;
        let pre = linker.instantiate_pre(component).map_err(LoadError::Link)?;
        let described = asked::describe(engine, compiled).await?;
        description::check(&described, service, grants)?;
        let functions = exported_functions(engine, component, service, &described)?;
        let handler = handler::GuestIndices::new(&pre).ok();
        let subscriber = subscriber::GuestIndices::new(&pre).ok();
        demand(described.routes.is_empty() || handler.is_some(), "routes", "ward:http/handler")?;
        demand(described.subscriptions.is_empty() || subscriber.is_some(), "subscriptions", "ward:events/subscriber")?;
        Ok(Self {
            description_interface: description_interface::GuestIndices::new(&pre).map_err(LoadError::Link)?,
            seed: seed::GuestIndices::new(&pre).ok(),
            handler,
            subscriber,
            functions,
            imports,
            unused_grants: unused_grants(engine, component, grants),
            description: described,
            pre,
            lines: compiled.lines.clone(),
            _lease: compiled.lease.clone(),
        })
    }

    /// The function as a caller who knows `contract` knows it; without one, the newest. One that the caller would not
    /// understand is better than none: its contract says why.
    pub fn function(&self, interface: &str, name: &str, contract: Option<&Contract>) -> Option<&PluginFunction> {
        let versions = self.functions.get(&(interface.to_owned(), name.to_owned()))?;
        let agreeing = |function: &&PluginFunction| contract.is_none_or(|known| known.agrees_with(&function.contract));
        versions.iter().find(agreeing).or(versions.first())
    }

    pub fn functions(&self) -> impl Iterator<Item = &PluginFunction> {
        self.functions.values().flatten()
    }

    /// What other services may call.
    pub fn offered(&self) -> Vec<Offered> {
        self.functions().map(Offered::of).collect()
    }

    pub fn has_seed(&self) -> bool {
        self.seed.is_some()
    }

    pub(super) fn engine(&self) -> &wasmtime::Engine {
        self.pre.engine()
    }

    pub(super) async fn instantiate(&self, store: &mut Store<CallState>) -> wasmtime::Result<Instance> {
        self.pre.instantiate_async(store).await
    }

    pub(super) fn handler(&self, store: impl AsContextMut, instance: &Instance) -> wasmtime::Result<handler::Guest> {
        self.handler.as_ref().ok_or_else(|| missing("ward:http/handler"))?.load(store, instance)
    }

    pub(super) fn subscriber(
        &self,
        store: impl AsContextMut,
        instance: &Instance,
    ) -> wasmtime::Result<subscriber::Guest> {
        self.subscriber.as_ref().ok_or_else(|| missing("ward:events/subscriber"))?.load(store, instance)
    }

    pub(super) fn description_interface(
        &self,
        store: impl AsContextMut,
        instance: &Instance,
    ) -> wasmtime::Result<description_interface::Guest> {
        self.description_interface.load(store, instance)
    }

    pub(super) fn seed(&self, store: impl AsContextMut, instance: &Instance) -> wasmtime::Result<seed::Guest> {
        self.seed.as_ref().ok_or_else(|| missing("ward:component/seed"))?.load(store, instance)
    }
}

fn missing(interface: &str) -> wasmtime::Error {
    wasmtime::Error::msg(format!("the component does not export {interface}"))
}

fn demand(holds: bool, what: &'static str, interface: &'static str) -> Result<(), LoadError> {
    if holds { Ok(()) } else { Err(Fault::NotExported { what, interface }.into()) }
}
