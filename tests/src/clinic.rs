//! What clients of the clinic send, and how they call.

use serde_json::{Value, json};

use crate::rest::{Answer, Rest};
use crate::unique;

/// The patients of the development profile include John Doe.
pub const JOHN: &str = "123e4567-e89b-12d3-a456-426614174000";
/// An id that never was.
pub const NOBODY: &str = "00000000-0000-4000-8000-000000000000";

/// A registration that resembles no other.
pub fn registration() -> Value {
    registration_of(&unique("Person"))
}

/// A registration under a name of the test's own, with an address made of it.
pub fn registration_of(name: &str) -> Value {
    json!({
        "name": name,
        "email": format!("{}@example.com", name.to_lowercase().replace(' ', ".")),
        "address": "12 Square, Springfield",
        "dateOfBirth": "1985-12-10",
        "registeredDate": "2024-11-28",
    })
}

/// `body` with one field set, or taken away by null.
pub fn with(body: &Value, field: &str, value: Value) -> Value {
    let mut body = body.clone();
    match value {
        Value::Null => drop(body.as_object_mut().unwrap().remove(field)),
        value => body[field] = value,
    }
    body
}

/// Registers somebody new and returns the answer's body.
pub async fn register(rest: &Rest) -> Value {
    post(rest, registration()).await.expect(201).json()
}

pub async fn post(rest: &Rest, body: Value) -> Answer {
    rest.post("/api/patients", body).await
}

/// Where a patient is.
pub fn path(patient: &Value) -> String {
    format!("/api/patients/{}", patient["id"].as_str().expect("a patient has an id"))
}
