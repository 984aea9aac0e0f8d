//! Errors as clients see them: `application/problem+json` (RFC 9457).
//!
//! A problem names the situation and the fields; the values that a client sent, and anything about a patient, stay out
//! of its texts.

use serde::Serialize;
use serde_json::{Map, Value};

use crate::fields::Faults;
use crate::http::Response;
use crate::log;
use crate::ports::StoreError;

#[derive(Debug, Clone, PartialEq)]
pub struct Problem(Box<Body>);

#[derive(Debug, Clone, PartialEq, Serialize)]
struct Body {
    /// A name for the situation that programs can compare; `about:blank` when the status says it all.
    #[serde(rename = "type")]
    kind: &'static str,
    title: &'static str,
    status: u16,
    #[serde(skip_serializing_if = "Option::is_none")]
    detail: Option<String>,
    #[serde(skip_serializing_if = "Faults::is_empty")]
    errors: Faults,
    #[serde(flatten)]
    members: Map<String, Value>,
    #[serde(skip)]
    headers: Vec<(&'static str, &'static str)>,
}

impl Problem {
    /// With the status's own title.
    pub fn new(status: u16) -> Self {
        Self(Box::new(Body {
            kind: "about:blank",
            title: title_of(status),
            status,
            detail: None,
            errors: Faults::default(),
            members: Map::new(),
            headers: Vec::new(),
        }))
    }

    /// 400 with every fault of the request.
    pub fn invalid(errors: Faults) -> Self {
        let mut problem = Self::new(400).named("urn:ward:problem:invalid", "The request is not valid");
        problem.0.errors = errors;
        problem
    }

    pub fn not_found(detail: &str) -> Self {
        Self::new(404).detail(detail)
    }

    /// 503 that a client may repeat soon.
    pub fn unavailable() -> Self {
        Self::new(503).detail("The service cannot answer now. Try again in a moment.").header("retry-after", "1")
    }

    /// A situation with a name and a title of its own.
    pub fn named(mut self, kind: &'static str, title: &'static str) -> Self {
        (self.0.kind, self.0.title) = (kind, title);
        self
    }

    pub fn detail(mut self, detail: impl Into<String>) -> Self {
        self.0.detail = Some(detail.into());
        self
    }

    /// A member of its own, beside the standard ones.
    pub fn member(mut self, name: &str, value: Value) -> Self {
        self.0.members.insert(name.to_owned(), value);
        self
    }

    pub fn header(mut self, name: &'static str, value: &'static str) -> Self {
        self.0.headers.push((name, value));
        self
    }

    pub fn status(&self) -> u16 {
        self.0.status
    }
}

/// The reason goes to the log; the client learns whether to try again.
impl From<StoreError> for Problem {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Unavailable => Self::unavailable(),
            StoreError::Violated(_) | StoreError::Failed(_) => {
                log::error("the store refused a statement", &[("reason", &error.to_string())]);
                Self::new(500)
            }
        }
    }
}

impl From<Problem> for Response {
    fn from(problem: Problem) -> Self {
        let body = problem.0;
        let response = Response::json(body.status, &body).header("content-type", "application/problem+json");
        body.headers.into_iter().fold(response, |response, (name, value)| response.header(name, value))
    }
}

fn title_of(status: u16) -> &'static str {
    match status {
        400 => "Bad Request",
        401 => "Unauthorized",
        403 => "Forbidden",
        404 => "Not Found",
        409 => "Conflict",
        412 => "Precondition Failed",
        422 => "Unprocessable Content",
        503 => "Service Unavailable",
        _ => "Internal Server Error",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_problem_has_the_standard_members_and_its_own() {
        let problem = Problem::invalid(Faults::of("name", "Name is required")).member("code", Value::from(7));
        let response = Response::from(problem);
        assert_eq!(response.status, 400);
        assert_eq!(response.headers, [("content-type".to_owned(), "application/problem+json".to_owned())]);
        assert_eq!(
            String::from_utf8(response.body).unwrap(),
            r#"{"type":"urn:ward:problem:invalid","title":"The request is not valid","status":400,"errors":{"name":["Name is required"]},"code":7}"#
        );
    }

    #[test]
    fn a_plain_problem_is_short() {
        let response = Response::from(Problem::unavailable());
        assert!(response.headers.contains(&("retry-after".to_owned(), "1".to_owned())));
        let response = Response::from(Problem::new(404));
        assert_eq!(
            String::from_utf8(response.body).unwrap(),
            r#"{"type":"about:blank","title":"Not Found","status":404}"#
        );
    }

    #[test]
    fn an_unavailable_store_is_a_503() {
        assert_eq!(Problem::from(StoreError::Unavailable).status(), 503);
    }
}
