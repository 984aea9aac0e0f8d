//! Requests and responses of REST, and how a component reads and makes them.

use serde::Serialize;
use serde_json::{Map, Value};
use uuid::Uuid;

use crate::bindings::served::exports::ward::http::handler;
use crate::fields::Faults;
use crate::problem::Problem;

pub use crate::bindings::capabilities::ward::call::context::Principal;
pub use handler::{Request, Response};

impl Request {
    /// A parameter of the path that is an id. One that is none belongs to nothing, so it is a 404.
    pub fn id(&self, name: &str) -> Result<Uuid, Problem> {
        value(&self.path_parameters, name)
            .and_then(|text| Uuid::try_parse(text).ok())
            .ok_or_else(|| Problem::not_found("There is nothing with this id."))
    }

    /// The first value of a query parameter, without the blanks around it; one with nothing in it counts as missing.
    pub fn parameter(&self, name: &str) -> Option<&str> {
        value(&self.query, name).map(str::trim).filter(|text| !text.is_empty())
    }

    /// The name in lower case.
    pub fn header(&self, name: &str) -> Option<&str> {
        value(&self.headers, name)
    }

    /// The body as a JSON object.
    pub fn object(&self) -> Result<Map<String, Value>, Problem> {
        match serde_json::from_slice(&self.body) {
            Ok(Value::Object(object)) => Ok(object),
            Ok(_) => Err(broken("The body must be a JSON object.".to_owned())),
            Err(error) => {
                let (line, column) = (error.line(), error.column());
                Err(broken(format!("The body is not valid JSON (line {line}, column {column}).")))
            }
        }
    }

    /// The `Link` to the page after this one (RFC 8288): the same request, with another cursor.
    pub fn link_to_next(&self, cursor: &str) -> String {
        let others = self.query.iter().filter(|(name, _)| name != "cursor");
        let mut query: String = others.map(|(name, value)| format!("{}={}&", encoded(name), encoded(value))).collect();
        query.push_str("cursor=");
        query.push_str(&encoded(cursor));
        format!("<{}?{query}>; rel=\"next\"", self.path)
    }

    /// Who asks. The gateway lets nobody in without a name where a route says so.
    pub fn subject(&self) -> &str {
        self.principal.as_ref().map_or("nobody", |principal| &principal.subject)
    }

    /// Whether the version that the client has (`If-Match`) is still the current one; without the header it does not matter.
    pub fn matches(&self, version: u64) -> bool {
        let Some(wanted) = self.header("if-match") else {
            return true;
        };
        let current = etag(version);
        wanted.trim() == "*" || wanted.split(',').any(|tag| tag.trim() == current)
    }

    /// Whether the client has this version already (`If-None-Match`).
    pub fn has(&self, version: u64) -> bool {
        let Some(known) = self.header("if-none-match") else {
            return false;
        };
        let current = etag(version);
        let same = |tag: &str| tag.strip_prefix("W/").unwrap_or(tag) == current;
        known.trim() == "*" || known.split(',').any(|tag| same(tag.trim()))
    }
}

fn value<'a>(pairs: &'a [(String, String)], name: &str) -> Option<&'a str> {
    pairs.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
}

/// For a query (RFC 3986).
fn encoded(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => encoded.push(char::from(byte)),
            _ => encoded.push_str(&format!("%{byte:02X}")),
        }
    }
    encoded
}

fn broken(detail: String) -> Problem {
    Problem::new(400).named("urn:ward:problem:broken-body", "The body cannot be read").detail(detail)
}

/// The tag of a version, for `ETag`, `If-Match` and `If-None-Match`.
pub fn etag(version: u64) -> String {
    format!("\"{version}\"")
}

impl Response {
    pub fn empty(status: u16) -> Self {
        Self { status, headers: Vec::new(), body: Vec::new() }
    }

    pub fn json(status: u16, body: &impl Serialize) -> Self {
        let Ok(body) = serde_json::to_vec(body) else {
            return Self::empty(500);
        };
        Self { status, headers: Vec::new(), body }.header("content-type", "application/json")
    }

    /// In place of a header of that name, if there is one.
    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.retain(|(other, _)| other != name);
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }
}

impl Request {
    /// A request with nothing in it, for tests.
    pub fn test(operation: &str) -> Self {
        Self {
            operation: operation.to_owned(),
            method: String::new(),
            path: String::new(),
            path_parameters: Vec::new(),
            query: Vec::new(),
            headers: Vec::new(),
            body: Vec::new(),
            principal: None,
        }
    }
}

/// What a list's page is asked for: `limit` and `cursor`.
pub struct Paging {
    pub limit: u32,
    pub cursor: Option<String>,
}

impl Paging {
    /// A limit that is no number between 1 and `most` is a fault.
    pub fn read(request: &Request, usual: u32, most: u32, faults: &mut Faults) -> Self {
        let limit = match request.parameter("limit").map(str::parse) {
            None => usual,
            Some(Ok(limit)) if (1..=most).contains(&limit) => limit,
            Some(_) => {
                faults.add("limit", format!("Limit must be a number from 1 to {most}"));
                usual
            }
        };
        Self { limit, cursor: request.parameter("cursor").map(str::to_owned) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(header: &str, value: &str) -> Request {
        Request { headers: vec![(header.to_owned(), value.to_owned())], ..Request::test("test") }
    }

    #[test]
    fn if_match_compares_strongly() {
        assert!(Request::test("test").matches(3));
        for tags in ["\"3\"", "*", " \"2\" , \"3\" "] {
            assert!(request("if-match", tags).matches(3), "{tags}");
        }
        for tags in ["\"2\"", "3", "W/\"3\"", ""] {
            assert!(!request("if-match", tags).matches(3), "{tags}");
        }
    }

    #[test]
    fn if_none_match_compares_weakly() {
        assert!(!Request::test("test").has(3));
        for tags in ["\"3\"", "*", "W/\"3\"", "\"2\",\"3\""] {
            assert!(request("if-none-match", tags).has(3), "{tags}");
        }
        assert!(!request("if-none-match", "\"2\"").has(3));
    }

    #[test]
    fn a_body_is_an_object_or_a_problem_without_its_content() {
        let body = |text: &str| Request { body: text.as_bytes().to_vec(), ..Request::test("test") };
        assert!(body(r#"{"a": 1}"#).object().is_ok());
        for text in ["", "[1]", "{\"secret\"", "\u{feff}{}", "nul"] {
            let problem = body(text).object().unwrap_err();
            assert_eq!(problem.status(), 400, "{text}");
            assert!(!format!("{problem:?}").contains("secret"));
        }
    }

    #[test]
    fn a_path_id_that_is_none_is_not_found() {
        let path =
            |id: &str| Request { path_parameters: vec![("id".to_owned(), id.to_owned())], ..Request::test("test") };
        assert!(path("123e4567-e89b-12d3-a456-426614174000").id("id").is_ok());
        assert_eq!(path("7").id("id").unwrap_err().status(), 404);
        assert_eq!(Request::test("test").id("id").unwrap_err().status(), 404);
    }

    #[test]
    fn the_next_page_is_the_same_request_with_another_cursor() {
        let query = [("name", "José & co"), ("cursor", "old"), ("limit", "2")];
        let query = query.map(|(name, value)| (name.to_owned(), value.to_owned())).to_vec();
        let request = Request { path: "/api/patients".to_owned(), query, ..Request::test("test") };
        let expected = "</api/patients?name=Jos%C3%A9%20%26%20co&limit=2&cursor=new>; rel=\"next\"";
        assert_eq!(request.link_to_next("new"), expected);
    }

    #[test]
    fn a_limit_has_bounds() {
        let limited = |limit: &str| {
            let mut faults = Faults::default();
            let request = Request { query: vec![("limit".to_owned(), limit.to_owned())], ..Request::test("test") };
            let paging = Paging::read(&request, 50, 200, &mut faults);
            (paging.limit, faults.is_empty())
        };
        assert_eq!(limited("1"), (1, true));
        assert_eq!(limited("200"), (200, true));
        assert_eq!(limited(""), (50, true));
        for wrong in ["0", "201", "-1", "x", "1.5", "99999999999"] {
            assert_eq!(limited(wrong), (50, false), "{wrong}");
        }
    }
}
