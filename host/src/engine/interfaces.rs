//! The interfaces of a component: what it imports, held against the grants and linked; what it exports, held against its
//! description.

use std::collections::HashMap;
use std::sync::Arc;

use wasmtime::component::types::{ComponentFunc, ComponentInstance, ComponentItem};
use wasmtime::component::{Component, ComponentExportIndex, Linker};

use super::description::{Description, Effect, Fault};
use super::{Engine, LoadError};
use crate::calls::typed::Contract;
use crate::capabilities::{CallState, ImportedFunction, add_to_linker, link_service};
use crate::config::{Capability, Grants, ServiceName};
use crate::values::{FunctionPlan, Room};

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

/// Opens a door for each import that is granted; refuses the component for one that is not.
pub(super) fn link_imports(
    engine: &Engine,
    component: &Component,
    service: &ServiceName,
    grants: &Grants,
    linker: &mut Linker<CallState>,
) -> Result<Vec<Import>, LoadError> {
    let (mut imports, mut room) = (Vec::new(), Room::default());
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
            let functions = imported_functions(engine, import, &instance, service, grants, &mut room)?;
            imports.extend(functions.iter().map(Import::of));
            link_service(linker, import, functions).map_err(LoadError::Link)?;
        }
    }
    Ok(imports)
}

/// The grants that no import needs.
pub(super) fn unused_grants(engine: &Engine, component: &Component, grants: &Grants) -> Vec<&'static str> {
    let needed: Vec<Capability> = needs(engine, component).into_iter().map(|need| need.capability).collect();
    grants.capabilities.iter().filter(|grant| !needed.contains(grant)).map(|grant| grant.name()).collect()
}

/// An import, and the grant that opens it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Need {
    pub capability: Capability,
    /// As it is imported, with version.
    pub interface: String,
}

/// Each import with functions. Those that are not the host's are other services'.
pub(super) fn needs(engine: &Engine, component: &Component) -> Vec<Need> {
    let ty = component.component_type();
    let with_functions = ty.imports(&engine.wasmtime).filter(|(_, item)| match &item.ty {
        ComponentItem::ComponentInstance(instance) => !functions_of(engine, instance).is_empty(),
        _ => false,
    });
    let need = |(import, _): (&str, _)| Need {
        capability: Capability::of_interface(import).unwrap_or(Capability::Call),
        interface: import.to_owned(),
    };
    with_functions.map(need).collect()
}

fn imported_functions(
    engine: &Engine,
    import: &str,
    instance: &ComponentInstance,
    service: &ServiceName,
    grants: &Grants,
    room: &mut Room,
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
        let plan = compile(import, &name, &function, room)?;
        Ok(ImportedFunction { contract: contract.clone(), name, plan })
    });
    compiled.collect()
}

/// The functions of the exported service interfaces, each with the effect that the description gives it.
pub(super) fn exported_functions(
    engine: &Engine,
    component: &Component,
    service: &ServiceName,
    described: &Description,
) -> Result<HashMap<(String, String), Vec<PluginFunction>>, LoadError> {
    let mut functions: HashMap<(String, String), Vec<PluginFunction>> = HashMap::new();
    let (ty, mut room) = (component.component_type(), Room::default());
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
                plan: Arc::new(compile(export, &name, &function, &mut room)?),
                effect,
                export: export_index,
            };
            let versions = functions.entry((contract.interface.clone(), name)).or_default();
            let is_twin =
                |other: &&PluginFunction| other.contract.name != contract.name || other.contract.agrees_with(&contract);
            if let Some(twin) = versions.iter().find(is_twin) {
                let (one, other) = (twin.contract.text.clone(), contract.text.clone());
                return Err(LoadError::Ambiguous { one, other });
            }
            versions.push(function);
            versions.sort_by(|one, other| other.contract.age(&one.contract));
        }
    }
    let missing = described.functions.iter().find(|described| {
        !functions
            .values()
            .flatten()
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

type Functions = Vec<(String, ComponentFunc)>;

fn functions_of(engine: &Engine, instance: &ComponentInstance) -> Functions {
    let items = instance.exports(&engine.wasmtime);
    let functions = items.filter_map(|(name, item)| match item.ty {
        ComponentItem::ComponentFunc(function) => Some((name.to_owned(), function)),
        _ => None,
    });
    functions.collect()
}

fn compile(interface: &str, name: &str, function: &ComponentFunc, room: &mut Room) -> Result<FunctionPlan, LoadError> {
    FunctionPlan::compile(function, room).map_err(|reason| LoadError::Unsupported {
        interface: interface.to_owned(),
        function: name.to_owned(),
        reason,
    })
}
