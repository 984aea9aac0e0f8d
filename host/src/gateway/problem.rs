//! Refusals and failures as RFC 9457 problem details. Nothing of a request's content is ever in one.

use std::time::Duration;

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::json;
use ward_proto::call::FailureKind;

use super::RETRY_AFTER;
use crate::calls::{Failure, request};

#[derive(Debug)]
pub struct Problem {
    status: StatusCode,
    /// Names the kind of problem, `about:blank` where the status says it all.
    kind: &'static str,
    detail: String,
    /// The call, for the operator's log.
    call: Option<String>,
    headers: Vec<(header::HeaderName, HeaderValue)>,
}

impl Problem {
    pub fn new(status: StatusCode, kind: &'static str, detail: impl Into<String>) -> Self {
        Self { status, kind, detail: detail.into(), call: None, headers: Vec::new() }
    }

    /// Does the service not want this request, rather than not being able to answer it just now?
    pub fn is_refusal(&self) -> bool {
        self.status.is_client_error() || self.kind == REFUSED
    }

    pub fn with_header(mut self, name: header::HeaderName, value: &str) -> Self {
        if let Ok(value) = HeaderValue::from_str(value) {
            self.headers.push((name, value));
        }
        self
    }

    /// Whole seconds, rounded up.
    pub fn retry_after(self, pause: Duration) -> Self {
        let seconds = pause.as_millis().div_ceil(1000).max(1).to_string();
        self.with_header(header::RETRY_AFTER, &seconds)
    }

    pub fn status(&self) -> StatusCode {
        self.status
    }

    pub fn of_call(mut self, id: &str) -> Self {
        self.call = Some(id.to_owned());
        self
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let title = self.status.canonical_reason().unwrap_or_default();
        let mut body =
            json!({"type": self.kind, "title": title, "status": self.status.as_u16(), "detail": self.detail});
        if let (Some(call), Some(fields)) = (&self.call, body.as_object_mut()) {
            fields.insert("instance".to_owned(), format!("urn:ward:call:{call}").into());
        }
        let mut response = (self.status, body.to_string()).into_response();
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
        if let Some(Ok(id)) = self.call.map(|call| HeaderValue::from_str(&call)) {
            headers.insert(REQUEST_ID, id);
        }
        for (name, value) in self.headers {
            headers.append(name, value);
        }
        response
    }
}

/// The call's id, in every response that came of one.
pub const REQUEST_ID: header::HeaderName = header::HeaderName::from_static("x-request-id");

const BLANK: &str = "about:blank";
const REFUSED: &str = "urn:ward:problem:refused";

pub fn unknown_route() -> Problem {
    Problem::new(StatusCode::NOT_FOUND, BLANK, "There is nothing at this path; /api-docs lists what there is.")
}

pub fn starting(service: &str) -> Problem {
    let detail = format!("The service {service} is still coming up, and may have this path; try again soon.");
    Problem::new(StatusCode::SERVICE_UNAVAILABLE, "urn:ward:problem:starting", detail).retry_after(RETRY_AFTER)
}

pub fn method_not_allowed(allowed: &str) -> Problem {
    Problem::new(StatusCode::METHOD_NOT_ALLOWED, BLANK, format!("This path knows {allowed}."))
        .with_header(header::ALLOW, allowed)
}

pub fn unauthenticated(detail: impl Into<String>) -> Problem {
    Problem::new(StatusCode::UNAUTHORIZED, BLANK, detail).with_header(header::WWW_AUTHENTICATE, "Bearer")
}

pub fn forbidden(role: &str, roles: &[String]) -> Problem {
    Problem::new(StatusCode::FORBIDDEN, BLANK, format!("The role {role} may not do this; {} may.", roles.join(", ")))
}

pub fn body_too_large(limit: usize) -> Problem {
    Problem::new(StatusCode::PAYLOAD_TOO_LARGE, BLANK, format!("The body may have {limit} bytes (http.body_bytes)."))
}

pub fn headers_too_large(limit: usize) -> Problem {
    let detail = format!("Target and headers may have {limit} bytes together (http.header_bytes).");
    Problem::new(StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE, BLANK, detail)
}

pub fn too_many_requests(pause: Duration) -> Problem {
    let detail = "You send more requests a second than one client may; wait as long as Retry-After says.";
    Problem::new(StatusCode::TOO_MANY_REQUESTS, BLANK, detail).retry_after(pause)
}

pub fn busy() -> Problem {
    let detail = "More requests are under way than the gateway takes, in all or for this service (http.concurrency); try again soon.";
    Problem::new(StatusCode::SERVICE_UNAVAILABLE, BLANK, detail).retry_after(RETRY_AFTER)
}

pub fn too_many_streams() -> Problem {
    let detail = "More live streams are open than the gateway takes, in all or for you (http.live_streams); close one, or try again soon.";
    Problem::new(StatusCode::SERVICE_UNAVAILABLE, BLANK, detail).retry_after(RETRY_AFTER)
}

pub fn timed_out() -> Problem {
    let detail = "There was no answer in time (http.timeout_ms). It was stopped if it could be; whether it was done is not \
                  known. Repeat it with the same Idempotency-Key.";
    Problem::new(StatusCode::GATEWAY_TIMEOUT, BLANK, detail)
}

pub fn malformed(detail: &str) -> Problem {
    Problem::new(StatusCode::BAD_REQUEST, BLANK, detail)
}

/// A call that one generation alone may answer. What that one refuses no other is asked, and the client can change it.
pub fn of_pinned_failure(failure: &Failure, service: &str, call: &str) -> Problem {
    let problem = of_failure(failure, service, call);
    match problem.status {
        StatusCode::BAD_GATEWAY | StatusCode::FORBIDDEN if failure.kind == FailureKind::Refused => {
            Problem::new(StatusCode::UNPROCESSABLE_ENTITY, BLANK, failure.message.as_str()).of_call(call)
        }
        _ => problem,
    }
}

/// A call that the service did not answer.
pub fn of_failure(failure: &Failure, service: &str, call: &str) -> Problem {
    let problem = match failure.kind {
        FailureKind::Unavailable if failure.retry_after.is_some() => {
            let detail =
                format!("The service {service} has crashed too often and rests for a while; nothing was done.");
            Problem::new(StatusCode::SERVICE_UNAVAILABLE, "urn:ward:problem:quarantined", detail)
                .retry_after(failure.retry_after.unwrap_or(RETRY_AFTER))
        }
        FailureKind::Unavailable => {
            let detail = format!("The service {service} is not running now; nothing was done.");
            Problem::new(StatusCode::SERVICE_UNAVAILABLE, "urn:ward:problem:unavailable", detail)
                .retry_after(RETRY_AFTER)
        }
        FailureKind::Overloaded => {
            let detail = format!("The service {service} has too much to do; nothing was done.");
            Problem::new(StatusCode::SERVICE_UNAVAILABLE, "urn:ward:problem:overloaded", detail)
                .retry_after(RETRY_AFTER)
        }
        FailureKind::Failed => {
            let detail = format!("The store of {service} failed; everything was rolled back.");
            Problem::new(StatusCode::SERVICE_UNAVAILABLE, "urn:ward:problem:failed", detail).retry_after(RETRY_AFTER)
        }
        FailureKind::DeadlineExceeded => timed_out(),
        FailureKind::Trapped => {
            let detail = format!("The service {service} crashed; everything was rolled back.");
            Problem::new(StatusCode::BAD_GATEWAY, "urn:ward:problem:trapped", detail)
        }
        FailureKind::Refused if failure.message == request::NOT_ADMITTED => {
            Problem::new(StatusCode::FORBIDDEN, BLANK, "The version of the service that answers lets fewer callers in.")
        }
        _ if request::is_key_in_use(failure) => {
            let detail = "A request with this Idempotency-Key is under way; try again soon.";
            Problem::new(StatusCode::CONFLICT, "urn:ward:problem:key-in-use", detail).retry_after(RETRY_AFTER)
        }
        FailureKind::Refused if failure.message == request::KEY_REUSED => {
            let detail = "This Idempotency-Key was used for another request; take a new one.";
            Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "urn:ward:problem:key-reused", detail)
        }
        FailureKind::Refused if failure.message.starts_with(request::TOO_LARGE) => {
            Problem::new(StatusCode::PAYLOAD_TOO_LARGE, BLANK, format!("{}.", failure.message))
        }
        FailureKind::Refused => {
            let detail =
                format!("The service {service} did not understand the gateway; it may just have been replaced.");
            Problem::new(StatusCode::BAD_GATEWAY, REFUSED, detail)
        }
    };
    problem.of_call(call)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_one_generation_refuses_is_the_clients_to_change() {
        for (message, pinned, not) in [
            (request::KEY_IN_USE, 409, 409),
            (request::TOO_LARGE, 413, 413),
            (request::NOT_ADMITTED, 422, 403),
            ("generation 3 of x does not serve; 4 does", 422, 502),
        ] {
            let failure = Failure::new(FailureKind::Refused, message);
            assert_eq!(of_pinned_failure(&failure, "x", "c").status, pinned, "{message}");
            assert_eq!(of_failure(&failure, "x", "c").status, not, "{message}");
        }
    }
}
