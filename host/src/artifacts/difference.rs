//! What a swap from one artifact to another would change, and for whom it would break something.
//!
//! To break means: somebody who relied on the old one gets an error or silence from the new one, or a host refuses it. What other
//! services call is judged by the rules of `values/compatible`, which hosts apply as well.

use std::collections::BTreeSet;

use serde::Serialize;

use crate::config::{Capability, Grants};
use crate::engine::{Access, Effect, Offered, Outline, Route, Subscription};
use crate::values::disagreement;

/// The part of a component that changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Area {
    Service,
    Function,
    Route,
    Role,
    Subscription,
    Event,
    Grant,
    Call,
    Migration,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    Added,
    Removed,
    Changed,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Change {
    pub area: Area,
    pub kind: Kind,
    /// Its name: of the function, the route, the grant.
    pub what: String,
    /// What exactly, and what follows from it. Can be empty.
    pub detail: String,
    pub breaks: bool,
}

impl Change {
    fn new(area: Area, kind: Kind, what: impl Into<String>) -> Self {
        Self { area, kind, what: what.into(), detail: String::new(), breaks: false }
    }

    fn because(mut self, detail: impl Into<String>) -> Self {
        self.detail = detail.into();
        self
    }

    fn breaking(mut self, detail: impl Into<String>) -> Self {
        self.breaks = true;
        self.because(detail)
    }
}

/// All changes, by area. `granted` is what the operator's configuration grants the service, if it has it.
pub fn differences(old: &Outline, new: &Outline, granted: Option<&Grants>) -> Vec<Change> {
    let mut changes = service(old, new);
    changes.extend(functions(&old.functions, &new.functions));
    changes.extend(routes(&old.description.routes, &new.description.routes));
    changes.extend(subscriptions(old, new, granted));
    changes.extend(events(old, new, granted));
    changes.extend(grants(old, new, granted));
    changes.extend(calls(old, new, granted));
    changes.extend(migrations(old, new));
    changes
}

fn service(old: &Outline, new: &Outline) -> Vec<Change> {
    let (old, new) = (&old.description, &new.description);
    let change = || Change::new(Area::Service, Kind::Changed, &new.name);
    match (old.name == new.name, old.version == new.version) {
        (false, _) => vec![change().breaking(format!("it is another service than {}", old.name))],
        (true, false) => vec![change().because(format!("version {} instead of {}", new.version, old.version))],
        (true, true) => Vec::new(),
    }
}

/// What is in one list alone or in both, told apart by a key.
fn compare<'a, T, K: PartialEq>(
    (old, new): (&'a [T], &'a [T]),
    key: impl Fn(&T) -> K,
    mut difference: impl FnMut(Option<&'a T>, Option<&'a T>) -> Option<Change>,
) -> Vec<Change> {
    let in_new = |one: &T| new.iter().find(|other| key(other) == key(one));
    let mut changes: Vec<Change> = old.iter().filter_map(|one| difference(Some(one), in_new(one))).collect();
    let added = new.iter().filter(|one| !old.iter().any(|other| key(other) == key(one)));
    changes.extend(added.filter_map(|one| difference(None, Some(one))));
    changes
}

fn functions(old: &[Offered], new: &[Offered]) -> Vec<Change> {
    let name = |function: &Offered| format!("{}/{}", function.contract.text, function.name);
    let key = |function: &Offered| (function.contract.name.clone(), function.name.clone());
    compare((old, new), key, |old, new| match (old, new) {
        (Some(old), None) => {
            let removed = Change::new(Area::Function, Kind::Removed, name(old));
            Some(removed.breaking("who calls it gets an error"))
        }
        (Some(old), Some(new)) => changed_function(old, new, name(new)),
        (None, new) => Some(Change::new(Area::Function, Kind::Added, name(new?))),
    })
}

fn changed_function(old: &Offered, new: &Offered, name: String) -> Option<Change> {
    let change = Change::new(Area::Function, Kind::Changed, name);
    if !old.contract.agrees_with(&new.contract) {
        return Some(change.breaking(format!("who calls {} is not understood", old.contract.text)));
    }
    if let Some(place) = disagreement(&old.plan, &new.plan) {
        return Some(
            change.breaking(format!("who calls it as before does not agree about {}", place.trim_start_matches('.'))),
        );
    }
    if old.plan != new.plan {
        return Some(change.because("its types changed, and callers of before still understand it"));
    }
    let (before, now) = (effect(old.effect), effect(new.effect));
    (before != now).then(|| change.because(format!("{now} instead of {before}")))
}

fn routes(old: &[Route], new: &[Route]) -> Vec<Change> {
    let name = |route: &Route| format!("{} {}", route.method, route.path);
    // The names of parameters are nobody's business but the component's.
    let key = |route: &Route| (route.method.clone(), without_names(&route.path));
    let mut changes = compare((old, new), key, |old, new| match (old, new) {
        (Some(old), None) => Some(Change::new(Area::Route, Kind::Removed, name(old)).breaking("clients get a 404")),
        (Some(old), Some(new)) => changed_route(old, new, name(new)),
        (None, new) => {
            let new = new?;
            Some(Change::new(Area::Route, Kind::Added, name(new)).because(format!("for {}", access(&new.access))))
        }
    });
    changes.extend(compare((old, new), key, |old, new| changed_access(old?, new?, name(new?))));
    changes
}

fn changed_route(old: &Route, new: &Route, name: String) -> Option<Change> {
    let change = Change::new(Area::Route, Kind::Changed, name);
    if old.live && !new.live {
        return Some(change.breaking("it is no stream of events any more"));
    }
    let mut details = Vec::new();
    if new.live != old.live {
        details.push("it is a stream of events now".to_owned());
    }
    if effect(old.effect) != effect(new.effect) {
        details.push(format!("{} instead of {}", effect(new.effect), effect(old.effect)));
    }
    if old.operation != new.operation {
        details.push(format!("the operation {} instead of {}", new.operation, old.operation));
    }
    (!details.is_empty()).then(|| change.because(details.join("; ")))
}

/// Whoever was let in and no longer is finds it broken.
fn changed_access(old: &Route, new: &Route, name: String) -> Option<Change> {
    let (before, now) = (access(&old.access), access(&new.access));
    let change = Change::new(Area::Role, Kind::Changed, name);
    let detail = format!("for {now} instead of {before}");
    match (&old.access, &new.access) {
        _ if before == now => None,
        (_, Access::Public) | (Access::Roles(_), Access::Authenticated) => Some(change.because(detail)),
        (Access::Roles(old), Access::Roles(new)) if old.iter().all(|role| new.contains(role)) => {
            Some(change.because(detail))
        }
        _ => Some(change.breaking(detail)),
    }
}

fn subscriptions(old: &Outline, new: &Outline, granted: Option<&Grants>) -> Vec<Change> {
    let needing = |change: Change, subscription: &Subscription, told: String| {
        let is_granted = |name: &String| granted.is_none_or(|grants| grants.hear.contains(name));
        match subscription.event_types.iter().all(is_granted) {
            true => change.because(told),
            false => change.breaking(format!("{told}: hosts refuse it: add it to `hear`")),
        }
    };
    let (old, new) = (&old.description.subscriptions, &new.description.subscriptions);
    compare(
        (old, new),
        |subscription| subscription.name.clone(),
        |old, new| match (old, new) {
            (Some(old), None) => {
                let removed = Change::new(Area::Subscription, Kind::Removed, &old.name);
                Some(removed.because(format!("{} are heard no longer", old.event_types.join(", "))))
            }
            (Some(old), Some(new)) => {
                let changed = Change::new(Area::Subscription, Kind::Changed, &new.name);
                let (before, now) = (old.event_types.join(", "), new.event_types.join(", "));
                (before != now).then(|| needing(changed, new, format!("{now} instead of {before}")))
            }
            (None, new) => {
                let added = Change::new(Area::Subscription, Kind::Added, &new?.name);
                Some(needing(added, new?, format!("hears {}", new?.event_types.join(", "))))
            }
        },
    )
}

fn events(old: &Outline, new: &Outline, granted: Option<&Grants>) -> Vec<Change> {
    let (old, new) = (&old.description.publishes, &new.description.publishes);
    compare((old, new), String::clone, |old, new| match (old, new) {
        (Some(old), None) => {
            let removed = Change::new(Area::Event, Kind::Removed, old);
            Some(removed.breaking("who hears it hears nothing any more"))
        }
        (None, Some(new)) => {
            let added = Change::new(Area::Event, Kind::Added, new);
            let is_missing = granted.is_some_and(|grants| !grants.publish.contains(new));
            Some(if is_missing { added.breaking("hosts refuse it: add it to `publish`") } else { added })
        }
        _ => None,
    })
}

fn grants(old: &Outline, new: &Outline, granted: Option<&Grants>) -> Vec<Change> {
    let capabilities =
        |outline: &Outline| -> BTreeSet<Capability> { outline.needs.iter().map(|need| need.capability).collect() };
    let (old, new) = (capabilities(old), capabilities(new));
    let removed = old.difference(&new).map(|capability| {
        Change::new(Area::Grant, Kind::Removed, capability.name()).because("it is needed no longer: take it away")
    });
    let added = new.difference(&old).map(|capability| {
        let added = Change::new(Area::Grant, Kind::Added, capability.name());
        let is_missing = granted.is_some_and(|grants| !grants.capabilities.contains(capability));
        if is_missing { added.breaking("hosts refuse it: add it to `grants`") } else { added }
    });
    removed.chain(added).collect()
}

fn calls(old: &Outline, new: &Outline, granted: Option<&Grants>) -> Vec<Change> {
    let key = |import: &crate::engine::Import| (import.contract.name.clone(), import.name.clone());
    compare((&old.calls, &new.calls), key, |old, new| {
        let import = new.or(old)?;
        let what = format!("{}/{}", import.contract.text, import.name);
        match (old, new) {
            (Some(_), None) => Some(Change::new(Area::Call, Kind::Removed, what)),
            (Some(old), Some(new)) => (old.contract != new.contract || old.plan != new.plan).then(|| {
                let changed = Change::new(Area::Call, Kind::Changed, what);
                changed.because("hosts hold it against the service that serves it")
            }),
            (None, _) => {
                let added = Change::new(Area::Call, Kind::Added, what);
                let is_missing = granted.is_some_and(|grants| !grants.call.contains(&import.contract.name));
                Some(if is_missing { added.breaking("hosts refuse it: add its interface to `call`") } else { added })
            }
        }
    })
}

fn migrations(old: &Outline, new: &Outline) -> Vec<Change> {
    let (old, new) = (&old.description.migrations, &new.description.migrations);
    compare(
        (old, new),
        |step| step.version,
        |old, new| {
            let step = new.or(old)?;
            let what = format!("{} {}", step.version, step.name);
            match (old, new) {
                (Some(_), None) => {
                    let removed = Change::new(Area::Migration, Kind::Removed, what);
                    Some(removed.because("what it did stays: steps only go forward"))
                }
                (Some(old), Some(new)) => (old.statements != new.statements || old.name != new.name).then(|| {
                    let changed = Change::new(Area::Migration, Kind::Changed, what);
                    changed.breaking("hosts refuse it: a step that was run is never changed")
                }),
                (None, _) => Some(Change::new(Area::Migration, Kind::Added, what)),
            }
        },
    )
}

pub fn effect(effect: Effect) -> &'static str {
    match effect {
        Effect::Read => "read",
        Effect::Write => "write",
        Effect::WriteSerializable => "write-serializable",
    }
}

/// Who may use a route, in words.
pub fn access(access: &Access) -> String {
    match access {
        Access::Public => "everybody".to_owned(),
        Access::Authenticated => "anybody with a token".to_owned(),
        Access::Roles(roles) => {
            let mut roles = roles.clone();
            roles.sort();
            roles.join(", ")
        }
    }
}

/// `/a/{}` of `/a/{id}`.
fn without_names(path: &str) -> String {
    let segments = path.split('/').map(|segment| if segment.starts_with('{') { "{}" } else { segment });
    segments.collect::<Vec<_>>().join("/")
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::calls::typed::Contract;
    use crate::engine::{Description, Import, Need};
    use crate::values::{Field, FunctionPlan, Plan};

    fn plan(fields: &[(&str, Plan)]) -> Arc<FunctionPlan> {
        let field = |(name, plan): &(&str, Plan)| Field { name: (*name).into(), plan: plan.clone() };
        let parameters = Plan::Record(fields.iter().map(field).collect());
        Arc::new(FunctionPlan { parameters, result: Plan::Bool })
    }

    fn offered(name: &str, fields: &[(&str, Plan)]) -> Offered {
        let contract = Arc::new(Contract::parse("shop:stock/items@0.1.0").unwrap());
        Offered { contract, name: name.into(), plan: plan(fields), effect: Effect::Read }
    }

    fn route(path: &str, access: Access) -> Route {
        Route {
            operation: "list".into(),
            method: "GET".into(),
            path: path.into(),
            effect: Effect::Read,
            access,
            live: false,
        }
    }

    fn outline() -> Outline {
        let description = Description {
            name: "stock".into(),
            version: "1.0.0".into(),
            documentation: "stock".into(),
            openapi: String::new(),
            routes: vec![route("/items/{id}", Access::Roles(vec!["A".into(), "B".into()]))],
            functions: vec![],
            subscriptions: vec![],
            publishes: vec!["item.sold".into()],
            migrations: vec![],
        };
        let needs = vec![Need { capability: Capability::Sql, interface: "ward:store/sql@0.1.0".into() }];
        Outline { needs, calls: vec![], functions: vec![offered("find", &[("id", Plan::U64)])], description }
    }

    /// The one change that `change` makes.
    fn change(change: impl FnOnce(&mut Outline)) -> Change {
        let mut new = outline();
        change(&mut new);
        let changes = differences(&outline(), &new, Some(&Grants::default()));
        assert_eq!(changes.len(), 1, "{changes:?}");
        changes.into_iter().next().unwrap()
    }

    #[test]
    fn equal_ones_do_not_differ() {
        assert_eq!(differences(&outline(), &outline(), None), []);
    }

    #[test]
    fn functions_break_at_the_place_that_is_named() {
        let retyped = change(|new| new.functions = vec![offered("find", &[("id", Plan::String)])]);
        assert!(retyped.breaks && retyped.detail.contains("id (another type)"), "{retyped:?}");
        let wider = [("id", Plan::U64), ("place", Plan::Option(Box::new(Plan::U64)))];
        assert!(!change(|new| new.functions = vec![offered("find", &wider)]).breaks);
        assert!(change(|new| new.functions.clear()).breaks);
        assert!(!change(|new| new.functions.push(offered("count", &[]))).breaks);
        let series = change(|new| {
            new.functions[0].contract = Arc::new(Contract::parse("shop:stock/items@0.2.0").unwrap());
        });
        assert!(series.breaks && series.what.contains("0.2.0"));
    }

    #[test]
    fn routes_break_for_whoever_is_no_longer_let_in() {
        let access = |access: Access| change(|new| new.description.routes = vec![route("/items/{id}", access)]);
        let narrower = access(Access::Roles(vec!["A".into()]));
        assert_eq!((narrower.area, narrower.breaks), (Area::Role, true));
        for wider in [Access::Roles(vec!["C".into(), "B".into(), "A".into()]), Access::Authenticated, Access::Public] {
            assert!(!access(wider).breaks);
        }
        assert!(change(|new| new.description.routes.clear()).breaks);
        let renamed = |new: &mut Outline| new.description.routes[0].path = "/items/{item}".into();
        let mut new = outline();
        renamed(&mut new);
        assert_eq!(differences(&outline(), &new, None), []);
    }

    #[test]
    fn what_is_not_granted_breaks_where_the_grants_are_known() {
        let need = Need { capability: Capability::Clock, interface: "ward:host/clock@0.1.0".into() };
        assert!(change(|new| new.needs.push(need.clone())).breaks);
        assert!(change(|new| new.description.publishes.push("item.bought".into())).breaks);
        let contract = Arc::new(Contract::parse("shop:till/sales@0.1.0").unwrap());
        let call = Import { contract, name: "sell".into(), plan: FunctionPlan::clone(&plan(&[])) };
        assert!(change(|new| new.calls.push(call)).breaks);
        let mut new = outline();
        new.needs.push(need);
        assert!(!differences(&outline(), &new, None)[0].breaks);
        assert!(!change(|new| new.needs.clear()).breaks);
        assert!(change(|new| new.description.publishes.clear()).breaks);
    }

    #[test]
    fn steps_may_come_and_never_change() {
        use crate::bindings::exports::ward::component::description::Migration;
        let step = |statements: &str| Migration { version: 1, name: "make".into(), statements: statements.into() };
        assert!(!change(|new| new.description.migrations.push(step("create"))).breaks);
        let with = |statements| {
            let mut outline = outline();
            outline.description.migrations.push(step(statements));
            outline
        };
        let changes = differences(&with("create"), &with("create "), None);
        assert!(changes[0].breaks && changes[0].what == "1 make");
        assert!(!differences(&with("create"), &outline(), None)[0].breaks);
    }
}
