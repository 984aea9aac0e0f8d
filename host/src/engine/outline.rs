//! What a component needs and offers, for people who decide whether to take it.
//!
//! It is loaded as a host loads it, with every grant that it asks for: nothing of it runs but `describe`, in the sandbox
//! without capabilities, so a grant opens no door here.

use std::sync::Arc;

use super::description::{Description, Effect};
use super::interfaces::{Import, Need, needs};
use super::{Compiled, Engine, Fault, LoadError, Plugin, PluginFunction, asked};
use crate::calls::typed::Contract;
use crate::config::{Capability, Grants, ServiceName};
use crate::values::FunctionPlan;

/// A function that a component exports for other services.
#[derive(Clone)]
pub struct Offered {
    pub contract: Arc<Contract>,
    pub name: Arc<str>,
    pub plan: Arc<FunctionPlan>,
    pub effect: Effect,
}

/// A component that a host would load if everything were granted.
pub struct Outline {
    pub needs: Vec<Need>,
    /// The functions that it calls of others.
    pub calls: Vec<Import>,
    /// By interface and name.
    pub functions: Vec<Offered>,
    pub description: Description,
}

/// What can be seen of a component, however bad it is.
pub struct Look {
    pub needs: Vec<Need>,
    /// An error is why no host would load it, whatever is granted.
    pub outline: Result<Outline, LoadError>,
}

impl Look {
    pub async fn at(engine: &Engine, compiled: &Compiled) -> Self {
        Self { needs: needs(engine, &compiled.component), outline: Outline::of(engine, compiled).await }
    }
}

impl Outline {
    async fn of(engine: &Engine, compiled: &Compiled) -> Result<Self, LoadError> {
        let needs = needs(engine, &compiled.component);
        let description = asked::describe(engine, compiled).await?;
        let service = ServiceName::parse(&description.name).ok_or(Fault::Unusable(description.name))?;
        let heard = description.subscriptions.iter().flat_map(|subscription| &subscription.event_types);
        let grants = Grants {
            hear: heard.cloned().collect(),
            capabilities: needs.iter().map(|need| need.capability).collect(),
            publish: description.publishes.into_iter().collect(),
            call: needs.iter().filter_map(called).collect(),
        };
        let plugin = Plugin::load(engine, compiled, &service, &grants).await?;
        let mut functions = plugin.offered();
        functions.sort_by(|a, b| (&a.contract.name, &a.name).cmp(&(&b.contract.name, &b.name)));
        Ok(Self { needs, functions, description: plugin.description, calls: plugin.imports })
    }
}

impl Offered {
    pub(super) fn of(function: &PluginFunction) -> Self {
        let PluginFunction { contract, name, plan, effect, .. } = function;
        Self { contract: contract.clone(), name: name.clone(), plan: plan.clone(), effect: *effect }
    }
}

/// The name under which an interface of another service is granted.
fn called(need: &Need) -> Option<String> {
    let contract = Contract::parse(&need.interface).filter(|_| need.capability == Capability::Call)?;
    Some(contract.name)
}
