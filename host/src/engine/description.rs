//! What a component says of itself, checked.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::bindings::exports::ward::component::description as wit;
use crate::config::{Grants, ServiceName};
use crate::security::Principal;

pub use wit::{Access, Component as Description, Effect, Route, Subscription};

impl Access {
    /// None is somebody without a token.
    pub fn lets_in(&self, principal: Option<&Principal>) -> bool {
        match self {
            Self::Public => true,
            Self::Authenticated => principal.is_some(),
            Self::Roles(roles) => principal.is_some_and(|principal| roles.contains(&principal.role)),
        }
    }
}

/// A description that cannot be true, or asks for what is not granted.
#[derive(Debug, thiserror::Error)]
pub enum Fault {
    #[error("the component is named {found:?}, and was deployed as {expected:?}")]
    Name { expected: String, found: String },
    #[error("{0} is described twice")]
    Twice(String),
    #[error("the route {operation}: {message}")]
    Route { operation: String, message: &'static str },
    #[error("it publishes {0}, which is not granted: add it to `publish` in [services.{1}]")]
    Publish(String, String),
    #[error("it hears {0}, which is not granted: add it to `hear` in [services.{1}]")]
    Hear(String, String),
    #[error("it describes {what}, but does not export {interface}")]
    NotExported { what: &'static str, interface: &'static str },
    #[error("its OpenAPI document is not JSON: {0}")]
    OpenApi(String),
    #[error("its OpenAPI document does not have {0}")]
    Undocumented(String),
    #[error("its OpenAPI document has {0}, which is no route")]
    Unrouted(String),
    #[error(
        "its OpenAPI document has `{field}` at {path}: whoever tries a request out there would send it, with a token, where that leads"
    )]
    LeadsAway { path: String, field: &'static str },
    #[error("the name {0:?} is not usable: lower case letters, digits and dashes")]
    Unusable(String),
    #[error("it describes {found} {what}; at most {most} are possible")]
    TooMany { what: &'static str, found: usize, most: usize },
    #[error("it describes a {0} of more than {LONGEST_TEXT} bytes")]
    TooLong(&'static str),
    #[error("its OpenAPI document has more than {} KiB", LARGEST_DOCUMENT >> 10)]
    LargeDocument,
    #[error("the type of event {0:?} is not usable: lower case letters, digits and dashes, with dots between")]
    EventType(String),
}

/// Each route is a metric of its own, and a place in the gateway's router.
const MOST_ROUTES: usize = 500;
/// Each subscription is a consumer in NATS.
const MOST_SUBSCRIPTIONS: usize = 50;
const MOST_FUNCTIONS: usize = 500;
const MOST_EVENTS: usize = 200;
/// Every reader of `/api-docs` gets it.
const LARGEST_DOCUMENT: usize = 512 << 10;
/// Names, versions and paths travel in heartbeats and metrics.
const LONGEST_TEXT: usize = 200;

pub const METHODS: [&str; 5] = ["GET", "POST", "PUT", "PATCH", "DELETE"];

/// Everything that can be known without the exports.
pub fn check(description: &Description, service: &ServiceName, grants: &Grants) -> Result<(), Fault> {
    if description.name != service.as_str() {
        return Err(Fault::Name { expected: service.to_string(), found: description.name.clone() });
    }
    if ServiceName::parse(&description.documentation).is_none() {
        return Err(Fault::Unusable(description.documentation.clone()));
    }
    check_sizes(description)?;
    unique("route", description.routes.iter().map(|route| format!("{} {}", route.method, route.path)))?;
    unique("operation", description.routes.iter().map(|route| route.operation.clone()))?;
    unique("subscription", description.subscriptions.iter().map(|subscription| subscription.name.clone()))?;
    description.routes.iter().try_for_each(check_route)?;
    for subscription in &description.subscriptions {
        if ServiceName::parse(&subscription.name).is_none() {
            return Err(Fault::Unusable(subscription.name.clone()));
        }
    }
    let mut heard = description.subscriptions.iter().flat_map(|subscription| &subscription.event_types);
    if let Some(unusable) = heard.clone().chain(&description.publishes).find(|name| !is_event_type(name)) {
        return Err(Fault::EventType(unusable.clone()));
    }
    if let Some(missing) = heard.find(|name| !grants.hear.contains(*name)) {
        return Err(Fault::Hear(missing.clone(), service.to_string()));
    }
    if let Some(missing) = description.publishes.iter().find(|name| !grants.publish.contains(*name)) {
        return Err(Fault::Publish(missing.clone(), service.to_string()));
    }
    check_documentation(description)
}

fn check_sizes(description: &Description) -> Result<(), Fault> {
    for (what, found, most) in [
        ("routes", description.routes.len(), MOST_ROUTES),
        ("functions", description.functions.len(), MOST_FUNCTIONS),
        ("subscriptions", description.subscriptions.len(), MOST_SUBSCRIPTIONS),
        ("events that it publishes", description.publishes.len(), MOST_EVENTS),
        ("events that it hears", description.subscriptions.iter().map(|one| one.event_types.len()).sum(), MOST_EVENTS),
    ] {
        if found > most {
            return Err(Fault::TooMany { what, found, most });
        }
    }
    if description.openapi.len() > LARGEST_DOCUMENT {
        return Err(Fault::LargeDocument);
    }
    let version = [("version", &description.version)].into_iter();
    let routes = description.routes.iter().flat_map(|route| [("operation", &route.operation), ("path", &route.path)]);
    let subscribed = description.subscriptions.iter().flat_map(|subscription| &subscription.event_types);
    let events = subscribed.chain(&description.publishes).map(|event| ("type of event", event));
    match version.chain(routes).chain(events).find(|(_, text)| text.len() > LONGEST_TEXT) {
        Some((what, _)) => Err(Fault::TooLong(what)),
        None => Ok(()),
    }
}

/// A token of its own in NATS for each part: no wildcard.
fn is_event_type(name: &str) -> bool {
    let is_part = |part: &str| {
        let clean = part.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-');
        !part.is_empty() && clean
    };
    name.split('.').all(is_part)
}

fn unique(what: &str, names: impl Iterator<Item = String>) -> Result<(), Fault> {
    let mut seen = BTreeSet::new();
    for name in names {
        if !seen.insert(name.clone()) {
            return Err(Fault::Twice(format!("the {what} {name}")));
        }
    }
    Ok(())
}

fn check_route(route: &Route) -> Result<(), Fault> {
    let fault = |message| Err(Fault::Route { operation: route.operation.clone(), message });
    if !METHODS.contains(&route.method.as_str()) {
        return fault("its method is none of GET, POST, PUT, PATCH, DELETE");
    }
    if !route.path.starts_with('/') {
        return fault("its path does not begin with /");
    }
    if route.live && (route.method != "GET" || route.effect != Effect::Read) {
        return fault("only a GET route of effect read can be live");
    }
    Ok(())
}

/// Documentation and routes must be the same, both ways.
fn check_documentation(description: &Description) -> Result<(), Fault> {
    let document: Value =
        serde_json::from_str(&description.openapi).map_err(|error| Fault::OpenApi(error.to_string()))?;
    let documented: BTreeSet<String> = document
        .get("paths")
        .and_then(Value::as_object)
        .into_iter()
        .flatten()
        .flat_map(|(path, item)| {
            let methods = item.as_object().into_iter().flatten().map(|(method, _)| method.to_uppercase());
            methods.filter(|method| METHODS.contains(&method.as_str())).map(move |method| format!("{method} {path}"))
        })
        .collect();
    let routed: BTreeSet<String> =
        description.routes.iter().map(|route| format!("{} {}", route.method, route.path)).collect();
    if let Some(missing) = routed.difference(&documented).next() {
        return Err(Fault::Undocumented(missing.clone()));
    }
    if let Some(surplus) = documented.difference(&routed).next() {
        return Err(Fault::Unrouted(surplus.clone()));
    }
    for (path, item) in document.get("paths").and_then(Value::as_object).into_iter().flatten() {
        check_path(description, path, item)?;
    }
    Ok(())
}

/// The documents of all services become one. There a service could say something of another's path, or send those who try a
/// request out to a server of its own.
fn check_path(description: &Description, path: &str, item: &Value) -> Result<(), Fault> {
    if !description.routes.iter().any(|route| route.path == path) {
        return Err(Fault::Unrouted(path.to_owned()));
    }
    let leads_away = |field| Err(Fault::LeadsAway { path: path.to_owned(), field });
    if item.get("$ref").is_some() {
        return leads_away("$ref");
    }
    let operations = item.as_object().into_iter().flatten().map(|(_, operation)| operation);
    match operations.chain([item]).any(|place| place.get("servers").is_some()) {
        true => leads_away("servers"),
        false => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn described() -> Description {
        let route = Route {
            operation: "list".into(),
            method: "GET".into(),
            path: "/api/x/{id}".into(),
            effect: Effect::Read,
            access: Access::Authenticated,
            live: false,
        };
        Description {
            name: "x".into(),
            version: "0.1.0".into(),
            documentation: "xs".into(),
            openapi: r#"{"paths": {"/api/x/{id}": {"get": {}, "parameters": []}}}"#.into(),
            routes: vec![route],
            functions: vec![],
            subscriptions: vec![],
            publishes: vec![],
            migrations: vec![],
        }
    }

    fn fault(change: impl FnOnce(&mut Description)) -> String {
        let mut description = described();
        change(&mut description);
        let name = ServiceName::parse("x").unwrap();
        check(&description, &name, &Grants::default()).unwrap_err().to_string()
    }

    #[test]
    fn a_true_description_passes() {
        check(&described(), &ServiceName::parse("x").unwrap(), &Grants::default()).unwrap();
    }

    #[test]
    fn each_fault_is_named() {
        assert!(fault(|d| d.name = "y".into()).contains("deployed as \"x\""));
        assert!(fault(|d| d.publishes = vec!["a.b".into()]).contains("a.b"));
        assert!(fault(|d| d.routes.push(d.routes[0].clone())).contains("twice"));
        assert!(fault(|d| d.openapi = "{}".into()).contains("GET /api/x/{id}"));
        assert!(fault(|d| d.routes.clear()).contains("no route"));
        for (field, refusal) in [
            (r#""/api/others": {"parameters": []}"#, "has /api/others, which is no route"),
            (r#""/api/x/{id}": {"get": {}, "servers": []}"#, "`servers` at /api/x/{id}"),
            (r#""/api/x/{id}": {"get": {"servers": []}}"#, "`servers` at /api/x/{id}"),
            (r##""/api/x/{id}": {"get": {}, "$ref": "#/a"}"##, "`$ref` at /api/x/{id}"),
        ] {
            let document = format!(r#"{{"paths": {{"/api/x/{{id}}": {{"get": {{}}}}, {field}}}}}"#);
            assert!(fault(|d| d.openapi = document).contains(refusal), "{field}");
        }
        assert!(fault(|d| d.routes[0].method = "get".into()).contains("method"));
        assert!(fault(|d| d.routes = vec![d.routes[0].clone(); 501]).contains("501 routes; at most 500"));
        let hears = |name: &str| wit::Subscription { name: "s".into(), event_types: vec![name.into()] };
        assert!(fault(|d| d.subscriptions = vec![hears("a.b")]).contains("add it to `hear`"));
        for name in [">", "a.*", "a..b", "a b", ""] {
            assert!(fault(|d| d.subscriptions = vec![hears(name)]).contains("type of event"), "{name}");
        }
        assert!(fault(|d| d.openapi = " ".repeat(600 << 10)).contains("512 KiB"));
        assert!(fault(|d| d.version = "1".repeat(201)).contains("version of more than 200 bytes"));
        assert!(fault(|d| (d.routes[0].live, d.routes[0].effect) = (true, Effect::Write)).contains("live"));
    }
}
