//! The tests of the system that Ward took over, as they are written there.

use serde_json::json;
use ward_tests::System;

#[tokio::test]
async fn should_return_ok_with_valid_token() {
    let rest = System::shared().await.rest();
    let body = json!({ "email": "testuser@test.com", "password": "password123" });
    let answer = rest.post("/auth/login", body).await.expect(200);
    assert!(!answer.json()["token"].is_null());
}

#[tokio::test]
async fn should_return_unauthorized_on_invalid_login() {
    let rest = System::shared().await.rest();
    let body = json!({ "email": "invalid_user@test.com", "password": "wrongpassword" });
    rest.post("/auth/login", body).await.expect(401);
}

#[tokio::test]
async fn should_return_patients_with_valid_token() {
    let rest = System::shared().await.rest();
    let body = json!({ "email": "testuser@test.com", "password": "password123" });
    let token = rest.post("/auth/login", body).await.expect(200).json()["token"].as_str().unwrap().to_owned();
    let answer = rest.with_token(&token).get("/api/patients").await.expect(200);
    // `body("patients", notNullValue())` in RestAssured: a member of each element of a root array.
    assert!(answer.json().is_array());
}

#[tokio::test]
async fn should_return_429_after_limit_exceeded() {
    let limited = System::with().set("WARD_HTTP_RATE_PER_S", 1).set("WARD_HTTP_RATE_BURST", 5);
    let system = limited.start().await;
    let rest = system.admin().await;
    let mut too_many = 0;
    for _ in 0..10 {
        let answer = rest.get("/api/patients").await;
        if answer.status == 429 {
            assert!(answer.header("retry-after").is_some());
            answer.expect_problem(429);
            too_many += 1;
        } else {
            answer.expect(200);
        }
    }
    assert!(too_many >= 1);
    system.end().await;
}
