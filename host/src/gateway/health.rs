//! Is the host alive, can it serve, and how much does it do?

use std::sync::Arc;

use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};

use super::Gateway;
use crate::services::{Service, State as ServiceState};

/// The process answers.
pub async fn alive() -> &'static str {
    "ok\n"
}

/// 200 when everything is served that this host is expected to serve, else 503 with what is missing and why.
pub async fn ready(State(gateway): State<Arc<Gateway>>) -> Response {
    let missing = gateway.missing();
    let connected = gateway.client.is_connected();
    let status = if missing.is_empty() && connected { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    let body = json!({"ready": status == StatusCode::OK, "nats": connected, "missing": missing});
    (status, axum::Json(body)).into_response()
}

impl Gateway {
    /// What this host is expected to serve, and does not.
    pub fn missing(&self) -> Vec<Value> {
        let (routes, services) = (self.routes.load(), self.services.all());
        // What no host can take is missed where nothing else is there.
        let serves = services.iter().any(|service| service.lineup().is_some());
        let is_refused = |service: &Service| service.standing().state == ServiceState::Refused;
        let is_missing = |service: &Arc<Service>| match service.current() {
            None => service.is_due() || (!serves && is_refused(service)),
            Some(current) => !service.has_begun() || !routes.has(service.name.as_str(), current.number),
        };
        let missing = services.iter().filter(|service| is_missing(service));
        missing
            .map(|service| {
                let standing = service.standing();
                json!({"service": service.name.as_str(), "state": standing.state, "reason": standing.reason})
            })
            .collect()
    }
}

pub async fn metrics(State(gateway): State<Arc<Gateway>>) -> Response {
    let text = gateway.metrics.render(&gateway.services.all());
    ([(header::CONTENT_TYPE, "application/openmetrics-text; version=1.0.0; charset=utf-8")], text).into_response()
}
