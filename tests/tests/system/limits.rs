//! Limits of the gateway, each with its status.

use reqwest::Method;
use serde_json::json;
use ward_tests::System;
use ward_tests::clinic::{registration, with};

#[tokio::test]
async fn a_large_body_is_a_413() {
    let rest = System::shared().await.admin().await;
    let body = with(&registration(), "address", json!("x".repeat(300_000)));
    rest.post("/api/patients", body).await.expect_problem(413);
}

#[tokio::test]
async fn large_headers_are_a_431() {
    let rest = System::shared().await.admin().await;
    let request = rest.request(Method::GET, "/api/patients").header("x-large", &"x".repeat(20_000));
    let answer = request.send().await;
    assert_eq!(answer.status, 431);
}

#[tokio::test]
async fn each_client_has_its_own_rate() {
    let system = System::with().set("WARD_HTTP_RATE_PER_S", 5).set("WARD_HTTP_RATE_BURST", 5).start().await;
    let (eager, calm) = (system.admin().await, system.user("reader").await);
    let mut refused = 0;
    for _ in 0..10 {
        refused += u32::from(eager.get("/api/patients").await.status == 429);
    }
    assert!(refused >= 1);
    calm.get("/api/patients").await.expect(200);
    system.end().await;
}
