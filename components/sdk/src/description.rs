//! What a component tells the host about itself, in a readable shape.

use crate::bindings::described::exports::ward::component::description as host;

pub use host::{Access, Component, Effect, Function, Migration, Route, Subscription};

/// With a token of one of these roles.
pub fn roles(names: &[&str]) -> Access {
    Access::Roles(owned(names))
}

pub fn owned(names: &[&str]) -> Vec<String> {
    names.iter().map(|name| name.to_string()).collect()
}

/// A GET route that only reads.
pub fn get(operation: &str, path: &str, access: Access) -> Route {
    route(operation, "GET", path, Effect::Read, access)
}

/// A route that writes.
pub fn writing(operation: &str, method: &str, path: &str, access: Access) -> Route {
    route(operation, method, path, Effect::Write, access)
}

pub fn route(operation: &str, method: &str, path: &str, effect: Effect, access: Access) -> Route {
    Route {
        operation: operation.to_owned(),
        method: method.to_owned(),
        path: path.to_owned(),
        effect,
        access,
        live: false,
    }
}

pub fn function(interface: &str, name: &str, effect: Effect) -> Function {
    Function { interface: interface.to_owned(), name: name.to_owned(), effect }
}

pub fn subscription(name: &str, event_types: &[&str]) -> Subscription {
    Subscription { name: name.to_owned(), event_types: owned(event_types) }
}

/// Numbered in the order given, from 1.
pub fn migrations(steps: &[(&str, &str)]) -> Vec<Migration> {
    (1..)
        .zip(steps)
        .map(|(version, (name, statements))| Migration {
            version,
            name: name.to_string(),
            statements: statements.to_string(),
        })
        .collect()
}

/// What the OpenAPI document and the routes do not have in common, one line each. For a component's tests.
pub fn openapi_mismatches(component: &Component) -> Vec<String> {
    let Ok(document) = serde_json::from_str::<serde_json::Value>(&component.openapi) else {
        return vec!["the document is not JSON".to_owned()];
    };
    let mut documented: Vec<_> = document
        .get("paths")
        .and_then(serde_json::Value::as_object)
        .into_iter()
        .flatten()
        .flat_map(|(path, methods)| methods.as_object().into_iter().flatten().map(move |method| (path, method)))
        .map(|(path, (method, operation))| format!("{} {path} {}", method.to_uppercase(), name_of(operation)))
        .collect();
    let mut missing = Vec::new();
    for route in &component.routes {
        let line = format!("{} {} {}", route.method, route.path, route.operation);
        match documented.iter().position(|other| *other == line) {
            Some(index) => drop(documented.swap_remove(index)),
            None => missing.push(format!("not documented: {line}")),
        }
    }
    missing.extend(documented.into_iter().map(|line| format!("not a route: {line}")));
    missing
}

fn name_of(operation: &serde_json::Value) -> &str {
    operation.get("operationId").and_then(serde_json::Value::as_str).unwrap_or_default()
}
