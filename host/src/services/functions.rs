//! What a host says of the functions that it serves (`ward call`).

use serde::{Deserialize, Serialize};

use super::Generation;
use crate::engine::{Effect, PluginFunction};
use crate::values;

/// A function of a service interface, as it is served now.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct FunctionStatus {
    pub service: String,
    /// Without package and version: `items`.
    pub interface: String,
    pub name: String,
    /// `shop:stock/items@0.1.0`.
    pub contract: String,
    /// May it change something?
    pub writes: bool,
    /// `func(…) -> result<…>`, in WIT's words.
    pub signature: String,
}

impl FunctionStatus {
    pub fn of(generation: &Generation) -> Vec<Self> {
        generation.plugin.functions().map(|function| Self::one(&generation.context.name, function)).collect()
    }

    fn one(service: &str, function: &PluginFunction) -> Self {
        Self {
            service: service.to_owned(),
            interface: function.contract.interface.clone(),
            name: function.name.to_string(),
            contract: function.contract.text.clone(),
            writes: function.effect != Effect::Read,
            signature: values::signature(&function.plan),
        }
    }

    /// As it is typed: `items.open`.
    pub fn path(&self) -> String {
        format!("{}.{}", self.interface, self.name)
    }
}
