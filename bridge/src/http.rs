//! The bridge's own HTTP: is it alive, is it ready, what does it do.

use std::sync::Arc;

use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};

use crate::status::Status;

const OPENMETRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

pub fn router(status: Arc<Status>) -> Router {
    Router::new()
        .route("/healthz", get(|| async { "ok\n" }))
        .route("/readyz", get(ready))
        .route("/status", get(show))
        .route("/metrics", get(metrics))
        .with_state(status)
}

/// 200 when calls and events get through, else 503; either way with the state of each part.
async fn ready(State(status): State<Arc<Status>>) -> Response {
    let code = match status.is_ready() {
        true => StatusCode::OK,
        false => StatusCode::SERVICE_UNAVAILABLE,
    };
    (code, Json(status.to_json())).into_response()
}

async fn show(State(status): State<Arc<Status>>) -> Response {
    Json(status.to_json()).into_response()
}

async fn metrics(State(status): State<Arc<Status>>) -> Response {
    match status.metrics.encode() {
        Ok(text) => ([(header::CONTENT_TYPE, OPENMETRICS)], text).into_response(),
        Err(_) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}
