//! Pharmacy: a service that no other crate knows of, on the real system.

use serde_json::{Value, json};
use ward_tests::clinic::{JOHN, NOBODY, path, register};
use ward_tests::machine::{component, repository};
use ward_tests::rest::Rest;
use ward_tests::{System, eventually};

const PATH: &str = "/api/prescriptions";

async fn system() -> System {
    System::with().services(&["auth", "patient", "billing"]).stranger("pharmacy", folder()).start().await
}

fn folder() -> std::path::PathBuf {
    repository().join("components/pharmacy")
}

fn prescription(patient: &str) -> Value {
    json!({"patientId": patient, "drug": "Amoxicillin 500 mg", "dose": "1-1-1, seven days"})
}

async fn prescribed(rest: &Rest, patient: &str) -> Value {
    rest.post(PATH, prescription(patient)).await.expect(201).json()
}

fn place(prescription: &Value) -> String {
    format!("{PATH}/{}", prescription["id"].as_str().unwrap())
}

#[tokio::test]
async fn a_prescription_lives_as_long_as_its_patient() {
    let system = system().await;
    let rest = system.user("clinician").await;
    let patient = register(&rest).await;
    let id = patient["id"].as_str().unwrap();
    let made = prescribed(&rest, id).await;
    assert_eq!((&made["status"], &made["prescribedBy"]), (&json!("active"), &json!("clinician@test.com")));
    assert_eq!(rest.get(&place(&made)).await.expect(200).json(), made);

    let dispensed = prescribed(&rest, id).await;
    let dispensed = rest.post(&format!("{}/dispense", place(&dispensed)), json!({})).await.expect(200).json();
    assert_eq!((&dispensed["status"], &dispensed["version"]), (&json!("dispensed"), &json!(2)));

    rest.delete(&path(&patient)).await.expect(204);
    let cancelled = eventually("the prescription is cancelled", async || {
        let now = rest.get(&place(&made)).await.expect(200).json();
        (now["status"] == "cancelled").then_some(now)
    })
    .await;
    assert_eq!((&cancelled["endedBy"], &cancelled["version"]), (&json!("pharmacy"), &json!(2)));
    assert_eq!(rest.get(&place(&dispensed)).await.expect(200).json(), dispensed);
    let (subject, _) = eventually("the event", async || system.last_event("prescription.cancelled").await).await;
    assert_eq!(subject, made["id"]);
    let refused = rest.post(PATH, prescription(id)).await.expect_problem(422);
    assert_eq!(refused["type"], "urn:ward:problem:no-such-patient");
    system.end().await;
}

#[tokio::test]
async fn prescribing_is_checked_repeatable_and_for_those_who_may() {
    let system = system().await;
    let rest = system.user("clinician").await;
    let faults = rest.post(PATH, json!({"patientId": "7", "drug": " "})).await.expect_problem(400);
    let fields: Vec<_> = faults["errors"].as_object().unwrap().keys().collect();
    assert_eq!(fields, ["dose", "drug", "patientId"]);
    rest.post(PATH, prescription(NOBODY)).await.expect_problem(422);

    let once = || {
        let request = rest.request(reqwest::Method::POST, PATH).header("idempotency-key", "prescription-1");
        request.json(prescription(JOHN)).send()
    };
    let first = once().await.expect(201).json();
    assert_eq!(once().await.expect(201).json(), first);
    let list = rest.get(&format!("{PATH}?patientId={JOHN}")).await.expect(200).json();
    assert_eq!(list, json!([first]));

    for (user, read, write) in [("testuser", 200, 201), ("reader", 200, 403), ("billing", 403, 403)] {
        let rest = system.user(user).await;
        rest.get(&place(&first)).await.expect(read);
        rest.post(PATH, prescription(JOHN)).await.expect(write);
    }
    system.end().await;
}

#[tokio::test]
async fn its_routes_stand_in_the_document_of_all() {
    let system = system().await;
    let document = system.rest().get("/api-docs").await.expect(200).json();
    let prescribe = &document["paths"][PATH]["post"];
    assert_eq!(prescribe["description"], "Roles: ADMIN, CLINICIAN.");
    assert!(prescribe["responses"]["422"].is_object(), "{prescribe}");
    system.end().await;
}

#[tokio::test]
async fn without_the_patient_service_it_says_so() {
    let plan = System::with().services(&["auth", "patient", "billing"]).without("patient");
    let system = plan.stranger("pharmacy", folder()).start().await;
    let rest = system.user("clinician").await;
    rest.post(PATH, prescription(JOHN)).await.expect_problem(503);
    system.deploy("patient", component("patient")).await;
    prescribed(&rest, JOHN).await;
    system.end().await;
}

/// The host does not know of it when it starts, and is not started again.
#[tokio::test]
async fn a_host_takes_up_a_service_that_is_new_and_keeps_it() {
    let mut system = system().await;
    let rest = system.user("clinician").await;
    let made = prescribed(&rest, JOHN).await;
    let host = &mut system.hosts[0];
    assert!(host.stop().await.success());
    host.start_again().await;
    rest.until(&place(&made), 200).await;
    system.end().await;
}

#[tokio::test]
async fn in_production_nothing_is_granted_that_the_operator_did_not_write_down() {
    let plan = System::with().services(&["auth"]).set("WARD_PROFILE", "production").set("WARD_HOST_NAME", "x");
    let include = format!("[{:?}]", folder().join("service.toml"));
    let system = plan.set("WARD_DEVELOPMENT_INCLUDE", include).start().await;
    let artifact = component("pharmacy");
    let output = system.try_command(&["deploy", "pharmacy", artifact.to_str().unwrap()]).await;
    let said = ward_tests::ward::said(&output);
    assert!(!output.status.success() && said.contains("[services.pharmacy]"), "{said}");
    system.end().await;
}
