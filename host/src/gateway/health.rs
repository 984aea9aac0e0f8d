//! Is the host alive, can it serve, and how much does it do?

use std::sync::Arc;

use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};

use super::Gateway;
use crate::services::{ServiceStatus, State as ServiceState};

/// The process answers.
pub async fn alive() -> &'static str {
    "ok\n"
}

/// 200 when every service of the configuration is served, else 503 with what is missing and why.
pub async fn ready(State(gateway): State<Arc<Gateway>>) -> Response {
    let missing: Vec<_> = not_served(&gateway).map(said).collect();
    let connected = gateway.client.is_connected();
    let status = if missing.is_empty() && connected { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    let body = json!({"ready": status == StatusCode::OK, "nats": connected, "missing": missing});
    (status, axum::Json(body)).into_response()
}

impl Gateway {
    /// What was deployed and is not served.
    pub fn missing(&self) -> Vec<Value> {
        let deployed = not_served(self).filter(|status| status.state != ServiceState::Absent);
        deployed.map(said).collect()
    }
}

fn not_served(gateway: &Gateway) -> impl Iterator<Item = ServiceStatus> {
    let routes = gateway.routes.load();
    let statuses = gateway.services.all().into_iter().map(|service| ServiceStatus::of(&service));
    statuses.filter(move |status| match &status.serving {
        None => true,
        Some(serving) => status.state == ServiceState::Waiting || !routes.has(&status.service, serving.generation),
    })
}

fn said(status: ServiceStatus) -> Value {
    json!({"service": status.service, "state": status.state, "reason": status.reason})
}

pub async fn metrics(State(gateway): State<Arc<Gateway>>) -> Response {
    let text = gateway.metrics.render(&gateway.services.all());
    ([(header::CONTENT_TYPE, "application/openmetrics-text; version=1.0.0; charset=utf-8")], text).into_response()
}
