//! OpenAPI: each service's own document, and all of them merged.

use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::header;
use axum::response::{IntoResponse, Response};
use serde_json::{Map, Value, json};

use super::{Gateway, problem};
use crate::engine::METHODS;

pub async fn merged(State(gateway): State<Arc<Gateway>>) -> Response {
    document(gateway.routes.load().merged.clone())
}

pub async fn of_service(State(gateway): State<Arc<Gateway>>, Path(name): Path<String>) -> Response {
    match gateway.routes.load().documents.get(&name) {
        Some(found) => document(found.clone()),
        None => problem::unknown_route().into_response(),
    }
}

fn document(text: Bytes) -> Response {
    ([(header::CONTENT_TYPE, "application/json")], text).into_response()
}

/// A service's document with what the gateway adds: the address and the way to log in.
pub fn dress(document: &Value, public_url: &str) -> Value {
    let mut dressed = document.clone();
    if let Some(fields) = dressed.as_object_mut() {
        fields.insert("servers".to_owned(), json!([{ "url": public_url }]));
        fields.entry("openapi").or_insert_with(|| "3.1.0".into());
        let components = fields.entry("components").or_insert_with(|| json!({}));
        if let Some(components) = components.as_object_mut() {
            components.insert("securitySchemes".to_owned(), schemes());
        }
    }
    dressed
}

fn schemes() -> Value {
    json!({"bearer": {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"}})
}

/// All documents in one. A schema of one name in two services that differ is kept under the name of each.
pub fn merge(documents: &[(String, Value)], public_url: &str) -> Value {
    let mut paths = Map::new();
    let mut components: Map<String, Value> = Map::new();
    for (name, document) in documents {
        let mut document = document.clone();
        for (kind, clashing) in clashes(&components, &document) {
            rename(&mut document, &kind, &clashing, name);
        }
        if let Some(own) = document.get("paths").and_then(Value::as_object) {
            for (path, item) in own {
                let place = paths.entry(path.clone()).or_insert_with(|| json!({}));
                if let (Some(place), Some(item)) = (place.as_object_mut(), item.as_object()) {
                    place.extend(operations(item));
                }
            }
        }
        for (kind, own) in document.get("components").and_then(Value::as_object).into_iter().flatten() {
            let place = components.entry(kind.clone()).or_insert_with(|| json!({}));
            if let (Some(place), Some(own)) = (place.as_object_mut(), own.as_object()) {
                place.extend(own.clone());
            }
        }
    }
    components.insert("securitySchemes".to_owned(), schemes());
    json!({
        "openapi": "3.1.0",
        "info": {"title": "Ward", "version": env!("CARGO_PKG_VERSION")},
        "servers": [{ "url": public_url }],
        "paths": paths,
        "components": components,
    })
}

/// The operations of a path, each with what the path says of all of them: another service may have the same path with other methods.
fn operations(item: &Map<String, Value>) -> impl Iterator<Item = (String, Value)> {
    let shared = item.get("parameters").and_then(Value::as_array).cloned().unwrap_or_default();
    let operations = item.iter().filter(|(field, _)| METHODS.contains(&field.to_uppercase().as_str()));
    operations.map(move |(method, operation)| {
        let mut operation = operation.clone();
        let own = operation.get("parameters").and_then(Value::as_array).cloned().unwrap_or_default();
        let is_its_own =
            |parameter: &Value| own.iter().any(|one| ["name", "in"].iter().all(|key| one[*key] == parameter[*key]));
        let parameters: Vec<Value> =
            shared.iter().filter(|parameter| !is_its_own(parameter)).chain(&own).cloned().collect();
        if let Some(fields) = operation.as_object_mut().filter(|_| !parameters.is_empty()) {
            fields.insert("parameters".to_owned(), parameters.into());
        }
        (method.clone(), operation)
    })
}

/// The components of `document` whose names are taken by others that differ.
fn clashes(components: &Map<String, Value>, document: &Value) -> Vec<(String, String)> {
    let own = document.get("components").and_then(Value::as_object).into_iter().flatten();
    own.flat_map(|(kind, items)| {
        items.as_object().into_iter().flatten().filter_map(move |(name, item)| {
            let taken = components.get(kind)?.get(name)?;
            (taken != item).then(|| (kind.clone(), name.clone()))
        })
    })
    .collect()
}

/// Gives a component the prefix of its service, there and wherever it is referred to.
fn rename(document: &mut Value, kind: &str, name: &str, service: &str) {
    let new_name = format!("{service}.{name}");
    if let Some(items) = document.pointer_mut(&format!("/components/{kind}")).and_then(Value::as_object_mut)
        && let Some(item) = items.remove(name)
    {
        items.insert(new_name.clone(), item);
    }
    let from = format!("#/components/{kind}/{name}");
    redirect(document, &from, &format!("#/components/{kind}/{new_name}"));
}

fn redirect(value: &mut Value, from: &str, to: &str) {
    match value {
        Value::Object(fields) => {
            for (key, inner) in fields.iter_mut() {
                match inner {
                    Value::String(text) if key == "$ref" && text == from => *text = to.to_owned(),
                    inner => redirect(inner, from, to),
                }
            }
        }
        Value::Array(items) => items.iter_mut().for_each(|item| redirect(item, from, to)),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(path: &str, schema: &Value) -> Value {
        json!({
            "paths": {path: {"get": {"schema": {"$ref": "#/components/schemas/Thing"}}}},
            "components": {"schemas": {"Thing": schema}},
        })
    }

    #[test]
    fn same_schemas_are_shared_and_different_ones_renamed() {
        let one = ("a".to_owned(), of("/a", &json!(1)));
        let same = ("b".to_owned(), of("/b", &json!(1)));
        let other = ("c".to_owned(), of("/c", &json!(2)));
        let merged = merge(&[one, same, other], "http://x");
        assert_eq!(merged["components"]["schemas"], json!({"Thing": 1, "c.Thing": 2}));
        assert_eq!(merged["paths"]["/b"]["get"]["schema"]["$ref"], "#/components/schemas/Thing");
        assert_eq!(merged["paths"]["/c"]["get"]["schema"]["$ref"], "#/components/schemas/c.Thing");
    }

    #[test]
    fn what_a_path_says_of_its_operations_stays_with_its_service() {
        let parameter = |name: &str, text: &str| json!({"name": name, "in": "path", "description": text});
        let item = json!({
            "summary": "one's", "parameters": [parameter("id", "shared"), parameter("x", "shared")],
            "get": {"parameters": [parameter("id", "own")]}, "delete": {},
        });
        let one = ("a".to_owned(), json!({"paths": {"/a/{id}": item}}));
        let other = ("b".to_owned(), json!({"paths": {"/a/{id}": {"put": {}}}}));
        let merged = merge(&[one, other], "http://x");
        let [shared, own] = [parameter("x", "shared"), parameter("id", "own")];
        let expected = json!({
            "get": {"parameters": [shared, own]},
            "delete": {"parameters": [parameter("id", "shared"), parameter("x", "shared")]},
            "put": {},
        });
        assert_eq!(merged["paths"]["/a/{id}"], expected);
    }
}
