//! A component that is not written in Rust. It is built when its tools are there (`./dev test` says so), else skipped.

use serde_json::{Value, json};
use ward_tests::System;
use ward_tests::clinic::{JOHN, NOBODY};
use ward_tests::machine::repository;

#[tokio::test]
async fn javascript_answers_rest_and_typed_calls_and_makes_one() {
    let artifact = repository().join("target/components/letters.wasm");
    if !artifact.exists() {
        eprintln!("skipped: {} is not built; it needs Node.js 20 and npm", artifact.display());
        return;
    }
    let system = System::with().letters().start().await;
    system.deploy("letters", &artifact).await;
    let rest = system.user("clinician").await;
    let letter = rest.until(&format!("/api/letters/{JOHN}"), 200).await.json();
    assert_eq!(letter["text"], "Dear John Doe, please call us to arrange a visit.");
    rest.get(&format!("/api/letters/{NOBODY}")).await.expect_problem(404);
    let problem = rest.get("/api/letters/somebody").await.expect_problem(400);
    assert!(problem["detail"].as_str().unwrap().contains("UUID"), "{problem}");
    system.user("billing").await.get(&format!("/api/letters/{JOHN}")).await.expect_problem(403);
    assert_eq!(invitation(&system, JOHN).await["ok"], letter_of(&letter));
    assert_eq!(invitation(&system, NOBODY).await["err"], "not-found");
    let documents = system.rest().get("/api-docs/letters").await.expect(200).json();
    assert_eq!(documents["paths"]["/api/letters/{patientId}"]["get"]["operationId"], "getLetter");
    system.end().await;
}

/// The typed call, as any client of NATS makes it.
async fn invitation(system: &System, patient: &str) -> Value {
    let payload = json!({ "patient-id": patient }).to_string();
    let client = system.nats.client().await;
    let reply = client.request("ward.call.letters.letters.invitation", payload.into()).await.unwrap();
    serde_json::from_slice(&reply.payload).unwrap()
}

/// The REST answer as the record of the contract.
fn letter_of(answer: &Value) -> Value {
    json!({ "patient-id": answer["patientId"], "text": answer["text"] })
}
