//! The way of a request: checked, turned into one call, and its answer turned into a response.

use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::time::Instant;

use axum::body::{Body, Bytes};
use axum::extract::{ConnectInfo, Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header as http};
use axum::response::{IntoResponse, Response};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use ward_proto::call::header;

use super::problem::{self, Problem};
use super::routes::{Entry, Found};
use super::{Gateway, access, live};
use crate::bus::Headers;
use crate::calls::client::Reply;
use crate::calls::{Call, envelope};
use crate::security::Principal;

/// What HTTP says about the connection, and what no component may see.
const NOT_FORWARDED: [HeaderName; 12] = [
    http::AUTHORIZATION,
    http::COOKIE,
    http::CONNECTION,
    http::HOST,
    http::CONTENT_LENGTH,
    http::TRANSFER_ENCODING,
    http::TE,
    http::TRAILER,
    http::UPGRADE,
    http::PROXY_AUTHORIZATION,
    http::EXPECT,
    http::ACCEPT_ENCODING,
];

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
    let response = match admitted(&gateway, entry, &peer, request).await {
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
    if header_bytes(&request) > gateway.config.header_bytes {
        return Err(problem::headers_too_large(gateway.config.header_bytes));
    }
    let prepared = Prepared::of(gateway, &request, principal)?;
    if entry.live {
        return live::stream(gateway.clone(), entry, prepared, access::bearer(request.headers()));
    }
    let head_only = request.method() == axum::http::Method::HEAD;
    let within = gateway.config.timeout();
    let exchange = async {
        let body = read_body(request.into_body(), gateway.config.body_bytes).await?;
        // Only now: a request that is sent slowly keeps nobody else out.
        let _permit = gateway.requests.try_acquire().map_err(|_| problem::busy())?;
        let id = prepared.call.id.clone();
        let reply = prepared.send(gateway, &entry.service, body).await?;
        response(reply, head_only, &id)
    };
    tokio::time::timeout(within, Box::pin(exchange)).await.unwrap_or_else(|_| Err(problem::timed_out()))
}

/// An IPv6 client has a whole network to choose its addresses from.
fn network(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V4(_) => address,
        IpAddr::V6(address) => IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() & !u128::from(u64::MAX))),
    }
}

/// A request, ready to be sent as often as need be.
pub struct Prepared {
    pub call: Call,
    headers: Headers,
}

impl Prepared {
    fn of(gateway: &Gateway, request: &Request, principal: Option<Principal>) -> Result<Self, Problem> {
        let own = request.headers();
        let call = Call {
            id: envelope::new_id(),
            principal,
            traceparent: envelope::traceparent(own.get("traceparent").and_then(|value| value.to_str().ok())),
            deadline: Instant::now() + gateway.config.timeout(),
            idempotency_key: idempotency_key(request)?,
        };
        let method = if request.method() == axum::http::Method::HEAD { "GET" } else { request.method().as_str() };
        let mut headers = Headers::new();
        headers.insert(header::METHOD, method);
        headers.insert(header::PATH, request.uri().path());
        if let Some(query) = request.uri().query() {
            headers.insert(header::QUERY, query);
        }
        for (name, value) in own.iter().filter(|(name, _)| !NOT_FORWARDED.contains(name)) {
            // A value that is no text is of no use to a component either.
            if let Ok(value) = value.to_str() {
                headers.append(format!("{}{name}", header::HTTP_PREFIX), value);
            }
        }
        Ok(Self { call, headers })
    }

    /// The same request as a call of its own, beginning now.
    pub fn again(&self, gateway: &Gateway) -> Self {
        let deadline = Instant::now() + gateway.config.timeout();
        let call = Call { id: envelope::new_id(), deadline, ..self.call.clone() };
        Self { call, headers: self.headers.clone() }
    }

    pub async fn send(self, gateway: &Gateway, service: &str, body: Bytes) -> Result<Reply, Problem> {
        let Self { call, headers } = self;
        gateway.client.call(&call, service, "http", "handle", headers, body).await.map_err(|failure| {
            tracing::warn!(call = call.id, service, %failure, "a request failed");
            problem::of_failure(&failure, service, &call.id)
        })
    }
}

fn idempotency_key(request: &Request) -> Result<Option<String>, Problem> {
    let Some(value) = request.headers().get("idempotency-key") else {
        return Ok(None);
    };
    if request.method() != axum::http::Method::POST {
        return Ok(None);
    }
    match value.to_str() {
        Ok(key) if envelope::is_idempotency_key(key) => Ok(Some(key.to_owned())),
        _ => Err(problem::malformed("Idempotency-Key must have 1 to 255 visible ASCII characters.")),
    }
}

fn header_bytes(request: &Request) -> usize {
    let target = request.uri().path_and_query().map_or(0, |target| target.as_str().len());
    let headers = request.headers().iter().map(|(name, value)| name.as_str().len() + value.len() + 4);
    target + headers.sum::<usize>()
}

async fn read_body(body: Body, limit: usize) -> Result<Bytes, Problem> {
    match Limited::new(body, limit).collect().await {
        Ok(collected) => Ok(collected.to_bytes()),
        Err(error) if error.is::<LengthLimitError>() => Err(problem::body_too_large(limit)),
        Err(_) => Err(problem::malformed("The body ended early.")),
    }
}

/// The reply of a component as a response.
pub fn response(reply: Reply, head_only: bool, call: &str) -> Result<Response, Problem> {
    let status = reply.headers.get(header::STATUS).and_then(|status| status.as_str().parse().ok());
    let status = status.and_then(|status: u16| StatusCode::from_u16(status).ok()).ok_or_else(|| {
        Problem::new(StatusCode::BAD_GATEWAY, "about:blank", "The service's answer was not a response.").of_call(call)
    })?;
    let length = reply.payload.len();
    let body = if head_only { Body::empty() } else { Body::from(reply.payload) };
    let mut response = Response::new(body);
    *response.status_mut() = status;
    let headers = response.headers_mut();
    copy_headers(&reply.headers, headers);
    if head_only {
        headers.insert(http::CONTENT_LENGTH, HeaderValue::from(length));
    }
    // What people have here must not stay in anybody's cache, nor be taken for something else by a browser.
    headers.entry(http::CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    headers.insert(http::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    if let Ok(id) = HeaderValue::from_str(call) {
        headers.insert("x-request-id", id);
    }
    Ok(response)
}

fn copy_headers(from: &Headers, to: &mut HeaderMap) {
    for (name, values) in from.iter() {
        let name: &str = name.as_ref();
        let Some(Ok(name)) = name.strip_prefix(header::HTTP_PREFIX).map(|name| name.parse::<HeaderName>()) else {
            continue;
        };
        if NOT_FORWARDED.contains(&name) {
            continue;
        }
        for value in values {
            if let Ok(value) = HeaderValue::from_str(value.as_str()) {
                to.append(name.clone(), value);
            }
        }
    }
}
