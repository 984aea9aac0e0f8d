//! A component, inspected, linked and described: everything about it that does not depend on a call.
//!
//! Its imports are held against the grants before a single instruction of it runs. Then it is asked what it is, in a
//! sandbox where every import traps.

use std::collections::HashMap;
use std::sync::Arc;

use wasmtime::component::types::{ComponentInstance, ComponentItem};
use wasmtime::component::{Component, ComponentExportIndex, Instance, InstancePre, Linker};
use wasmtime::{AsContextMut, Store};

use super::description::{self, Description, Effect, Fault};
use super::{Engine, trap};
use crate::bindings::exports::ward::component::{description as description_interface, seed};
use crate::bindings::exports::ward::events::subscriber;
use crate::bindings::exports::ward::http::handler;
use crate::calls::typed::Contract;
use crate::capabilities::{CallState, ImportedFunction, add_to_linker, link_service};
use crate::config::{Capability, Grants, ServiceName};
use crate::values::{FunctionPlan, Unsupported};

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
    #[error("two of its interfaces are named {0}, and the name is all that a subject has")]
    Ambiguous(String),
    #[error(transparent)]
    Description(#[from] Fault),
    #[error("asking it what it is failed: {0}")]
    Silent(String),
    #[error("it cannot be linked: {0}")]
    Link(wasmtime::Error),
}

/// A function of an exported service interface.
#[derive(Clone)]
pub struct PluginFunction {
    pub contract: Arc<Contract>,
    pub name: Arc<str>,
    pub plan: Arc<FunctionPlan>,
    pub effect: Effect,
    pub(super) export: ComponentExportIndex,
}

/// A function of another service as this component knows it.
pub struct Import {
    pub contract: Arc<Contract>,
    pub name: String,
    pub plan: FunctionPlan,
}

impl Import {
    fn of(function: &ImportedFunction) -> Self {
        Self { contract: function.contract.clone(), name: function.name.clone(), plan: function.plan.clone() }
    }
}

pub struct Plugin {
    pre: InstancePre<CallState>,
    pub description: Description,
    /// By interface (short) and function.
    functions: HashMap<(String, String), PluginFunction>,
    /// What it calls of others.
    pub imports: Vec<Import>,
    description_interface: description_interface::GuestIndices,
    handler: Option<handler::GuestIndices>,
    subscriber: Option<subscriber::GuestIndices>,
    seed: Option<seed::GuestIndices>,
}

impl Plugin {
    pub async fn load(
        engine: &Engine,
        component: &Component,
        service: &ServiceName,
        grants: &Grants,
    ) -> Result<Self, LoadError> {
        let mut linker = Linker::new(&engine.wasmtime);
        let imports = link_imports(engine, component, service, grants, &mut linker)?;
        let pre = linker.instantiate_pre(component).map_err(LoadError::Link)?;
        let described = describe(engine, component).await?;
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
            description: described,
            pre,
        })
    }

    pub fn function(&self, interface: &str, name: &str) -> Option<&PluginFunction> {
        self.functions.get(&(interface.to_owned(), name.to_owned()))
    }

    pub fn functions(&self) -> impl Iterator<Item = &PluginFunction> {
        self.functions.values()
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

/// Opens a door for each import that is granted; refuses the component for one that is not.
fn link_imports(
    engine: &Engine,
    component: &Component,
    service: &ServiceName,
    grants: &Grants,
    linker: &mut Linker<CallState>,
) -> Result<Vec<Import>, LoadError> {
    let mut imports = Vec::new();
    let ty = component.component_type();
    for (import, item) in ty.imports(&engine.wasmtime) {
        let ComponentItem::ComponentInstance(instance) = item.ty else {
            return Err(LoadError::UnknownImport(import.to_owned()));
        };
        // Interfaces of types alone open nothing.
        if functions_of(engine, &instance).is_empty() {
            continue;
        }
        if import.starts_with("ward:") {
            let capability = Capability::of_interface(import);
            let capability = capability.ok_or_else(|| LoadError::UnknownImport(import.to_owned()))?;
            if !grants.capabilities.contains(&capability) {
                return Err(LoadError::MissingGrant {
                    service: service.to_string(),
                    interface: import.to_owned(),
                    grant: capability.name(),
                });
            }
            add_to_linker(capability, linker).map_err(LoadError::Link)?;
        } else {
            let functions = imported_functions(engine, import, &instance, service, grants)?;
            imports.extend(functions.iter().map(Import::of));
            link_service(linker, import, functions).map_err(LoadError::Link)?;
        }
    }
    Ok(imports)
}

fn imported_functions(
    engine: &Engine,
    import: &str,
    instance: &ComponentInstance,
    service: &ServiceName,
    grants: &Grants,
) -> Result<Vec<ImportedFunction>, LoadError> {
    let contract = Contract::parse(import).ok_or_else(|| LoadError::UnknownImport(import.to_owned()))?;
    if !grants.call.contains(&contract.name) {
        return Err(LoadError::MissingCall {
            service: service.to_string(),
            interface: import.to_owned(),
            name: contract.name,
        });
    }
    let contract = Arc::new(contract);
    let compiled = functions_of(engine, instance).into_iter().map(|(name, function)| {
        let plan = compile(import, &name, &function)?;
        Ok(ImportedFunction { contract: contract.clone(), name, plan })
    });
    compiled.collect()
}

type Functions = Vec<(String, wasmtime::component::types::ComponentFunc)>;

fn functions_of(engine: &Engine, instance: &ComponentInstance) -> Functions {
    let items = instance.exports(&engine.wasmtime);
    let functions = items.filter_map(|(name, item)| match item.ty {
        ComponentItem::ComponentFunc(function) => Some((name.to_owned(), function)),
        _ => None,
    });
    functions.collect()
}

fn compile(
    interface: &str,
    name: &str,
    function: &wasmtime::component::types::ComponentFunc,
) -> Result<FunctionPlan, LoadError> {
    FunctionPlan::compile(function).map_err(|reason| LoadError::Unsupported {
        interface: interface.to_owned(),
        function: name.to_owned(),
        reason,
    })
}

/// The functions of the exported service interfaces, each with the effect that the description gives it.
fn exported_functions(
    engine: &Engine,
    component: &Component,
    service: &ServiceName,
    described: &Description,
) -> Result<HashMap<(String, String), PluginFunction>, LoadError> {
    let mut functions = HashMap::new();
    let ty = component.component_type();
    for (export, item) in ty.exports(&engine.wasmtime) {
        let ComponentItem::ComponentInstance(instance) = item.ty else {
            continue;
        };
        if export.starts_with("ward:") {
            continue;
        }
        let contract = Contract::parse(export).filter(|contract| contract.service == service.as_str());
        let contract = Arc::new(contract.ok_or_else(|| {
            LoadError::Description(Fault::Name { expected: service.to_string(), found: export.to_owned() })
        })?);
        let undescribed =
            |name: &str| LoadError::Undescribed { interface: contract.name.clone(), function: name.to_owned() };
        let (_, index) = component.get_export(None, export).ok_or_else(|| undescribed(""))?;
        for (name, function) in functions_of(engine, &instance) {
            let effect = effect_of(described, &contract.name, &name).ok_or_else(|| undescribed(&name))?;
            let (_, export_index) = component.get_export(Some(&index), &name).ok_or_else(|| undescribed(&name))?;
            let function = PluginFunction {
                contract: contract.clone(),
                name: name.as_str().into(),
                plan: Arc::new(compile(export, &name, &function)?),
                effect,
                export: export_index,
            };
            if functions.insert((contract.interface.clone(), name), function).is_some() {
                return Err(LoadError::Ambiguous(contract.interface.clone()));
            }
        }
    }
    let missing = described.functions.iter().find(|described| {
        !functions
            .values()
            .any(|function| function.contract.name == described.interface && *function.name == *described.name)
    });
    match missing {
        None => Ok(functions),
        Some(missing) => {
            Err(LoadError::Undescribed { interface: missing.interface.clone(), function: missing.name.clone() })
        }
    }
}

fn effect_of(described: &Description, interface: &str, name: &str) -> Option<Effect> {
    let function =
        described.functions.iter().find(|function| function.interface == interface && function.name == name)?;
    Some(function.effect)
}

/// Asks the component what it is. Every import is a trap, and so is more than a second.
async fn describe(engine: &Engine, component: &Component) -> Result<Description, LoadError> {
    let silent = |error: wasmtime::Error| {
        let (cause, backtrace) = trap::explain(&error);
        LoadError::Silent(format!("{cause} {}", backtrace.join(" < ")))
    };
    let mut linker: Linker<wasmtime::StoreLimits> = Linker::new(&engine.wasmtime);
    linker.define_unknown_imports_as_traps(component).map_err(LoadError::Link)?;
    let pre = linker.instantiate_pre(component).map_err(LoadError::Link)?;
    let indices = description_interface::GuestIndices::new(&pre)
        .map_err(|_| LoadError::Silent("it does not export ward:component/description".to_owned()))?;
    let limits = wasmtime::StoreLimitsBuilder::new().memory_size(64 << 20).build();
    let mut store = Store::new(&engine.wasmtime, limits);
    store.limiter(|limits| limits);
    store.set_epoch_deadline(1);
    store.epoch_deadline_async_yield_and_update(1);
    let asking = async {
        let instance = pre.instantiate_async(&mut store).await?;
        indices.load(&mut store, &instance)?.call_describe(&mut store).await
    };
    match tokio::time::timeout(std::time::Duration::from_secs(1), asking).await {
        Ok(described) => described.map_err(silent),
        Err(_) => Err(LoadError::Silent("it took longer than a second".to_owned())),
    }
}
