//! The old system's gRPC.

use std::time::Duration;

use tonic::{Code, Request};
use uuid::Uuid;
use ward_tests::System;
use ward_tests::grpc::message;

#[tokio::test]
async fn the_same_patient_always_gets_the_same_account() {
    let billing = System::shared().await.grpc().await;
    let patient = Uuid::new_v4().to_string();
    let first = billing.create_account(&patient, "John Doe", "john.doe@example.com").await.unwrap();
    assert_eq!(first.status, "ACTIVE");
    assert!(Uuid::parse_str(&first.account_id).is_ok(), "{}", first.account_id);
    let second = billing.create_account(&patient, "John Doe", "john.doe@example.com").await.unwrap();
    assert_eq!(second.account_id, first.account_id);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_at_once_get_the_same_account() {
    let billing = System::shared().await.grpc().await;
    let patient = Uuid::new_v4().to_string();
    let calls = (0..16).map(|_| billing.create_account(&patient, "John Doe", "john.doe@example.com"));
    let mut accounts: Vec<String> =
        futures_util::future::join_all(calls).await.into_iter().map(|answer| answer.unwrap().account_id).collect();
    accounts.dedup();
    assert_eq!(accounts.len(), 1);
}

#[tokio::test]
async fn a_registered_patients_account_is_the_one_that_grpc_gives() {
    let system = System::shared().await;
    let (admin, billing) = (system.admin().await, system.grpc().await);
    let patient = ward_tests::clinic::register(&admin).await;
    let id = patient["id"].as_str().unwrap();
    let asked = billing.create_account(id, "Somebody", "somebody@example.com").await.unwrap();
    let account = admin.until(&format!("/api/billing/accounts/{id}"), 200).await.json();
    assert_eq!(account["id"], asked.account_id);
}

#[tokio::test]
async fn bad_input_is_an_invalid_argument() {
    let billing = System::shared().await.grpc().await;
    let id = Uuid::new_v4().to_string();
    for (patient, name, email) in [
        ("", "John Doe", "john.doe@example.com"),
        ("not-an-id", "John Doe", "john.doe@example.com"),
        (id.as_str(), " ", "john.doe@example.com"),
        (id.as_str(), "John Doe", "not an address"),
    ] {
        let status = billing.create_account(patient, name, email).await.unwrap_err();
        assert_eq!(status.code(), Code::InvalidArgument, "{status}");
    }
}

#[tokio::test]
async fn a_passed_deadline_is_said_so() {
    let billing = System::shared().await.grpc().await;
    let mut request = Request::new(message(&Uuid::new_v4().to_string(), "John Doe", "john.doe@example.com"));
    request.set_timeout(Duration::from_micros(1));
    let status = billing.send(request).await.unwrap_err();
    assert!(matches!(status.code(), Code::DeadlineExceeded | Code::Cancelled), "{status}");
}

#[tokio::test]
async fn billing_that_does_not_run_is_unavailable_at_once() {
    let system = System::with().without("billing").bridge().start().await;
    let billing = system.grpc().await;
    let begin = std::time::Instant::now();
    let id = Uuid::new_v4().to_string();
    let status = billing.create_account(&id, "John Doe", "john.doe@example.com").await.unwrap_err();
    assert_eq!(status.code(), Code::Unavailable, "{status}");
    assert!(begin.elapsed() < Duration::from_secs(2));
    system.end_broken();
}
