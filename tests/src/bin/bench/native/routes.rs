//! The three routes. What is a refusal in Ward is one here, in fewer words.

use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::{Path, Query, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use clinic_patient::body::Body;
use clinic_patient::check;
use clinic_patient::duplicates::candidates;
use clinic_patient::list::Position;
use clinic_patient::list::Search;
use clinic_patient::model::{Patient, PatientId};
use serde::{Deserialize, Serialize};
use serde_json::json;
use uuid::Uuid;
use ward_sdk::fields::Fields;
use ward_sdk::http::etag;

use super::Native;
use super::store::{Answer, Registered, Request};
use super::tokens::{Principal, now};

const READERS: [&str; 4] = ["ADMIN", "CLINICIAN", "BILLING", "READER"];
const WRITERS: [&str; 2] = ["ADMIN", "CLINICIAN"];

pub struct Refusal(StatusCode, serde_json::Value);

impl From<sqlx::Error> for Refusal {
    fn from(error: sqlx::Error) -> Self {
        eprintln!("{error}");
        refuse(StatusCode::SERVICE_UNAVAILABLE)
    }
}

fn refuse(status: StatusCode) -> Refusal {
    let title = status.canonical_reason();
    Refusal(status, json!({"type": "about:blank", "title": title, "status": status.as_u16()}))
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let content = [(header::CONTENT_TYPE, "application/problem+json")];
        (self.0, content, self.1.to_string()).into_response()
    }
}

pub async fn find(
    State(native): State<Arc<Native>>,
    Path(id): Path<Uuid>,
    headers: HeaderMap,
) -> Result<Response, Refusal> {
    admit(&native, &headers, &READERS)?;
    let patient = native.store.find(id).await?.ok_or_else(|| refuse(StatusCode::NOT_FOUND))?;
    let tag = etag(patient.version);
    if headers.get(header::IF_NONE_MATCH).is_some_and(|known| known.as_bytes() == tag.as_bytes()) {
        return Ok(finish(StatusCode::NOT_MODIFIED, Vec::new(), &[(header::ETAG, &tag)]));
    }
    Ok(finish(StatusCode::OK, written(&Body::of(&patient)), &[(header::ETAG, &tag)]))
}

#[derive(Deserialize)]
pub struct Page {
    limit: Option<u32>,
    cursor: Option<String>,
}

pub async fn list(
    State(native): State<Arc<Native>>,
    Query(page): Query<Page>,
    headers: HeaderMap,
) -> Result<Response, Refusal> {
    admit(&native, &headers, &READERS)?;
    let (search, limit) = (Search::default(), page.limit.unwrap_or(50).clamp(1, 200));
    let after = match &page.cursor {
        None => Position::start(&search),
        Some(cursor) => Position::read_cursor(cursor, &search).ok_or_else(|| refuse(StatusCode::BAD_REQUEST))?,
    };
    let mut found = native.store.list(&after, i64::from(limit) + 1).await?;
    let more = found.len() > limit as usize;
    found.truncate(limit as usize);
    let body: Vec<Body> = found.iter().map(|(patient, _)| Body::of(patient)).collect();
    let next = found
        .last()
        .filter(|_| more)
        .map(|(_, position)| format!("</api/patients?limit={limit}&cursor={}>; rel=\"next\"", position.to_cursor()));
    let link: Vec<_> = next.iter().map(|link| (header::LINK, link.as_str())).collect();
    Ok(finish(StatusCode::OK, written(&body), &link))
}

pub async fn register(State(native): State<Arc<Native>>, headers: HeaderMap, body: Bytes) -> Result<Response, Refusal> {
    let principal = admit(&native, &headers, &WRITERS)?;
    let object = serde_json::from_slice(&body).map_err(|_| refuse(StatusCode::BAD_REQUEST))?;
    let mut fields = Fields::new(object);
    let today = now().date();
    let registered_date = check::registered_date(&mut fields, today);
    let details = check::details(&mut fields, today);
    let Some(details) = details else {
        let errors = json!({"status": 400, "errors": fields.faults});
        return Err(Refusal(StatusCode::BAD_REQUEST, errors));
    };
    let key = headers.get("idempotency-key").map(HeaderValue::as_bytes);
    let request = Request::of(&principal.subject, key, &body);
    let patient = Patient { id: PatientId(Uuid::new_v4()), details, registered_date, version: 1 };
    let answer = Answer { location: format!("/api/patients/{}", patient.id.0), body: written(&Body::of(&patient)) };
    let likely = |known: &[Patient]| !candidates(&patient.details, known).is_empty();
    match native.store.register(&patient, &principal.subject, request, &answer, likely).await? {
        Registered::Done => Ok(registered(&answer)),
        Registered::Before(answer) => Ok(registered(&answer)),
        Registered::Duplicate => Err(refuse(StatusCode::CONFLICT)),
        Registered::KeyReused => Err(refuse(StatusCode::UNPROCESSABLE_ENTITY)),
    }
}

fn registered(answer: &Answer) -> Response {
    let headers = [(header::ETAG, "\"1\""), (header::LOCATION, answer.location.as_str())];
    finish(StatusCode::CREATED, answer.body.clone(), &headers)
}

fn admit(native: &Native, headers: &HeaderMap, roles: &[&str]) -> Result<Principal, Refusal> {
    let principal = native.tokens.principal(headers);
    let principal = principal.ok_or_else(|| refuse(StatusCode::UNAUTHORIZED))?;
    match roles.contains(&principal.role.as_str()) {
        true => Ok(principal),
        false => Err(refuse(StatusCode::FORBIDDEN)),
    }
}

fn written(body: &impl Serialize) -> Vec<u8> {
    serde_json::to_vec(body).unwrap()
}

/// With the headers that Ward's answers have.
fn finish(status: StatusCode, body: Vec<u8>, own: &[(header::HeaderName, &str)]) -> Response {
    let mut response = (status, body).into_response();
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    let id = Uuid::now_v7().to_string();
    headers.insert("x-request-id", HeaderValue::try_from(id).unwrap());
    for (name, value) in own {
        headers.insert(name, HeaderValue::from_str(value).unwrap());
    }
    response
}
