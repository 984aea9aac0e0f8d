//! The routes of all services that run, in one table that is swapped as a whole.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use axum::body::Bytes;
use serde_json::Value;

use super::documents;
use crate::engine::{Access, Description};
use crate::services::Lineup;

/// A route as the gateway sees it.
pub struct Entry {
    pub service: Arc<str>,
    /// For metrics: `books.list`, for example.
    pub operation: String,
    pub access: Access,
    pub live: bool,
}

#[derive(Default)]
pub struct RouteTable {
    router: matchit::Router<BTreeMap<String, Entry>>,
    /// What the table was made of: services and their generations.
    generations: BTreeMap<String, u64>,
    /// All services in one OpenAPI document.
    pub merged: Bytes,
    /// By the name that the service gives its documentation.
    pub documents: BTreeMap<String, Bytes>,
}

/// Each path with its methods; what comes first is first, and keeps what both have.
fn paths<'a>(descriptions: impl Iterator<Item = &'a Description>) -> Vec<(String, BTreeMap<String, Entry>)> {
    let mut paths: Vec<(String, BTreeMap<String, Entry>)> = Vec::new();
    let mut places: HashMap<&str, usize> = HashMap::new();
    for description in descriptions {
        let service: Arc<str> = description.name.as_str().into();
        for route in &description.routes {
            let entry = Entry {
                service: service.clone(),
                operation: format!("{service}.{}", route.operation),
                access: route.access.clone(),
                live: route.live,
            };
            let place = *places.entry(&route.path).or_insert(paths.len());
            if place == paths.len() {
                paths.push((route.path.clone(), BTreeMap::new()));
            }
            if let Some((_, methods)) = paths.get_mut(place) {
                methods.entry(route.method.clone()).or_insert(entry);
            }
        }
    }
    paths
}

/// What a path and a method lead to.
pub enum Found<'a> {
    Entry(&'a Entry),
    Unknown,
    /// The path exists, with other methods.
    Methods(String),
}

impl RouteTable {
    /// Services were checked against each other when they were taken, so no path and method occurs twice.
    pub fn of(serving: &[Arc<Lineup>], public_url: &str) -> Self {
        // A canary's new routes can be tried out; for those that both have, the current one says who may.
        let canaries = serving.iter().filter_map(|lineup| lineup.canary().map(|canary| &canary.generation));
        let generations = serving.iter().map(|lineup| &lineup.current).chain(canaries);
        let mut router: matchit::Router<BTreeMap<String, Entry>> = matchit::Router::new();
        for (path, methods) in paths(generations.map(|generation| &generation.plugin.description)) {
            // A canary that calls a parameter otherwise, for example: its calls come by the route of the current one.
            if let Err(error) = router.insert(path.clone(), methods) {
                tracing::warn!(path, %error, "a canary's route is not served beside those of the current versions");
            }
        }
        let parsed = serving.iter().map(|lineup| &lineup.current.plugin.description).map(|description| {
            let document: Value = serde_json::from_str(&description.openapi).unwrap_or_default();
            (description.documentation.clone(), document)
        });
        let parsed: Vec<(String, Value)> = parsed.collect();
        let dressed = parsed.iter().map(|(name, document)| (name.clone(), documents::dress(document, public_url)));
        let current = serving.iter().map(|lineup| &lineup.current);
        Self {
            router,
            generations: current.map(|one| (one.context.name.clone(), one.number)).collect(),
            merged: documents::merge(&parsed, public_url).to_string().into(),
            documents: dressed.map(|(name, document)| (name, document.to_string().into())).collect(),
        }
    }

    /// Is this generation of the service in the table?
    pub fn has(&self, service: &str, generation: u64) -> bool {
        self.generations.get(service) == Some(&generation)
    }

    pub fn find(&self, method: &str, path: &str) -> Found<'_> {
        let Ok(matched) = self.router.at(path) else {
            return Found::Unknown;
        };
        let method = if method == "HEAD" { "GET" } else { method };
        match matched.value.get(method) {
            Some(entry) => Found::Entry(entry),
            None => {
                let names: BTreeSet<&str> = matched.value.keys().map(String::as_str).collect();
                Found::Methods(names.into_iter().collect::<Vec<_>>().join(", "))
            }
        }
    }
}
