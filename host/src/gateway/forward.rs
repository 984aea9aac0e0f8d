//! The way of a request: checked step by step, then one call.

use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::time::Instant;

use axum::body::{Body, Bytes};
use axum::extract::{ConnectInfo, Request, State};
use axum::http::Method;
use axum::http::request::Parts;
use axum::response::{IntoResponse, Response};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use ward_telemetry::Hop;

use super::exchange::{Prepared, response};
use super::problem::{self, Problem};
use super::routes::{Entry, Found};
use super::{Gateway, access, hedge, live};

pub async fn forward(
    State(gateway): State<Arc<Gateway>>,
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
    request: Request,
) -> Response {
    let began = Instant::now();
    let routes = gateway.routes.load();
    let (method, path) = (request.method().as_str(), request.uri().path());
    let entry = match routes.find(method, path) {
        Found::Entry(entry) => entry,
        Found::Unknown => return gateway.unknown().into_response(),
        Found::Methods(allowed) => return problem::method_not_allowed(&allowed).into_response(),
    };
    // In a box, since it is large and would be moved about.
    let response = match Box::pin(admitted(&gateway, entry, &peer, request)).await {
        Ok(response) => response,
        Err(problem) => problem.into_response(),
    };
    gateway.metrics.request(&entry.operation, response.status(), began.elapsed());
    response
}

async fn admitted(
    gateway: &Arc<Gateway>,
    entry: &Entry,
    peer: &SocketAddr,
    request: Request,
) -> Result<Response, Problem> {
    let admitted = access::admit(&entry.access, request.headers(), &gateway.tokens);
    // Who is not let in is counted too: guessing tokens is what the limit is for.
    let client = match &admitted {
        Ok(Some(principal)) => format!("user {}", principal.subject),
        _ => format!("address {}", network(peer.ip())),
    };
    gateway.rate.check(&client).map_err(problem::too_many_requests)?;
    let principal = admitted?;
    let (head, body) = request.into_parts();
    if header_bytes(&head) > gateway.config.header_bytes {
        return Err(problem::headers_too_large(gateway.config.header_bytes));
    }
    let prepared = Prepared::of(gateway, &entry.service, head, principal)?;
    let id = prepared.call.id.clone();
    let mut span = prepared.call.trail.own(Hop::Gateway, entry.operation.clone());
    span.attribute("http.request.method", prepared.head.method.as_str());
    let outcome = exchange(gateway, entry, &client, prepared, body).await.map_err(|problem| problem.of_call(&id));
    let status = outcome.as_ref().map_or_else(Problem::status, Response::status);
    span.attribute("http.response.status_code", status.as_str());
    if status.is_server_error() {
        span.fail(status.as_str());
    }
    outcome
}

/// What is admitted, sent on.
async fn exchange(
    gateway: &Arc<Gateway>,
    entry: &Entry,
    client: &str,
    prepared: Prepared,
    body: Body,
) -> Result<Response, Problem> {
    if entry.live {
        return live::stream(gateway.clone(), entry, client, prepared);
    }
    let changes_nothing = prepared.head.method.is_safe();
    let head_only = prepared.head.method == Method::HEAD;
    let within = gateway.config.timeout();
    let exchange = async {
        let body = read_body(body, gateway.config.body_bytes).await?;
        // Only now: a request that is sent slowly keeps nobody else out.
        let _place = gateway.requests.take(&entry.service).ok_or_else(problem::busy)?;
        let reply = match changes_nothing {
            true => hedge::send(&prepared, gateway, &entry.service, body).await?,
            false => prepared.send(gateway, &entry.service, body).await?,
        };
        response(gateway, reply, head_only, &prepared.call.id)
    };
    tokio::time::timeout(within, exchange).await.unwrap_or_else(|_| Err(problem::timed_out()))
}

/// An IPv6 client has a whole network to choose its addresses from.
fn network(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V4(_) => address,
        IpAddr::V6(address) => IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() & !u128::from(u64::MAX))),
    }
}

fn header_bytes(head: &Parts) -> usize {
    let target = head.uri.path_and_query().map_or(0, |target| target.as_str().len());
    let headers = head.headers.iter().map(|(name, value)| name.as_str().len() + value.len() + 4);
    target + headers.sum::<usize>()
}

async fn read_body(body: Body, limit: usize) -> Result<Bytes, Problem> {
    match Limited::new(body, limit).collect().await {
        Ok(collected) => Ok(collected.to_bytes()),
        Err(error) if error.is::<LengthLimitError>() => Err(problem::body_too_large(limit)),
        Err(_) => Err(problem::malformed("The body ended early.")),
    }
}
