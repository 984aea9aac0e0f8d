//! A request as a call, and the reply to it as a response: what of their headers goes over and what does not.

use std::sync::Arc;
use std::time::Instant;

use axum::body::{Body, Bytes};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header as http};
use axum::response::Response;
use ward_proto::call::header;

use super::Gateway;
use super::problem::{self, Problem};
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

/// A request, ready to be sent as often as need be.
pub struct Prepared {
    pub call: Call,
    pub head: Parts,
    /// The generation that the client wants an answer of.
    pinned: Option<u64>,
}

impl Prepared {
    pub fn of(
        gateway: &Gateway,
        service: &Arc<str>,
        head: Parts,
        principal: Option<Arc<Principal>>,
    ) -> Result<Self, Problem> {
        let id = envelope::new_id();
        let sent = head.headers.get(header::TRACEPARENT).and_then(|value| value.to_str().ok());
        let call = Call {
            trail: gateway.recorder.enter(&id, service.clone(), sent),
            id,
            principal,
            deadline: Instant::now() + gateway.config.timeout(),
            idempotency_key: idempotency_key(&head)?,
        };
        let pinned = head.headers.get(header::GENERATION).map(|generation| pinned(gateway, generation)).transpose()?;
        Ok(Self { call, head, pinned })
    }

    /// The same request as a call of its own, beginning now.
    pub fn again(&self, gateway: &Gateway, service: &Arc<str>) -> Self {
        let (id, deadline) = (envelope::new_id(), Instant::now() + gateway.config.timeout());
        let trail = gateway.recorder.enter(&id, service.clone(), Some(&self.call.trail.context().to_string()));
        self.with(Call { id, deadline, trail, ..self.call.clone() })
    }

    /// The same request as another call with the same end, under an id of its own.
    pub fn twin(&self) -> Self {
        self.with(Call { id: envelope::new_id(), ..self.call.clone() })
    }

    fn with(&self, call: Call) -> Self {
        Self { call, head: self.head.clone(), pinned: self.pinned }
    }

    pub async fn send(&self, gateway: &Gateway, service: &str, body: Bytes) -> Result<Reply, Problem> {
        let call = &self.call;
        gateway.client.call(call, service, "http", "handle", self.headers(), body).await.map_err(|failure| {
            tracing::warn!(call = call.id, service, %failure, "a request failed");
            match self.pinned {
                Some(_) => problem::of_pinned_failure(&failure, service, &call.id),
                None => problem::of_failure(&failure, service, &call.id),
            }
        })
    }

    /// What goes over with the call.
    fn headers(&self) -> Headers {
        let Parts { method, uri, headers: own, .. } = &self.head;
        let mut headers = Headers::new();
        headers.insert(header::METHOD, if *method == Method::HEAD { "GET" } else { method.as_str() });
        headers.insert(header::PATH, uri.path());
        headers.insert(header::ADMITTED, "gateway");
        if let Some(query) = uri.query() {
            headers.insert(header::QUERY, query);
        }
        if let Some(generation) = self.pinned {
            headers.insert(header::GENERATION, generation.to_string());
        }
        for (name, value) in own.iter().filter(|(name, _)| !NOT_FORWARDED.contains(name)) {
            // A value that is no text is of no use to a component either.
            if let Ok(value) = value.to_str() {
                headers.append(format!("{}{name}", header::HTTP_PREFIX), value);
            }
        }
        headers
    }
}

fn pinned(gateway: &Gateway, generation: &HeaderValue) -> Result<u64, Problem> {
    if !gateway.config.pin_generation {
        return Err(problem::malformed("Ward-Generation is not allowed here (http.pin_generation)."));
    }
    let number = generation.to_str().ok().and_then(|text| text.parse().ok());
    number.ok_or_else(|| problem::malformed("Ward-Generation must be the number of a generation."))
}

fn idempotency_key(head: &Parts) -> Result<Option<String>, Problem> {
    let Some(value) = head.headers.get("idempotency-key") else {
        return Ok(None);
    };
    if head.method != Method::POST {
        return Ok(None);
    }
    match value.to_str() {
        Ok(key) if envelope::is_idempotency_key(key) => Ok(Some(key.to_owned())),
        _ => Err(problem::malformed("Idempotency-Key must have 1 to 255 visible ASCII characters.")),
    }
}

/// The reply of a component as a response.
pub fn response(gateway: &Gateway, reply: Reply, head_only: bool, call: &str) -> Result<Response, Problem> {
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
    if gateway.config.pin_generation
        && let Some(generation) = reply.headers.get(header::GENERATION)
        && let Ok(generation) = HeaderValue::from_str(generation.as_str())
    {
        headers.insert("ward-generation", generation);
    }
    if let Ok(id) = HeaderValue::from_str(call) {
        headers.insert(problem::REQUEST_ID, id);
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
