//! Every error is a problem (RFC 9457), also those that no service ever sees.

use reqwest::Method;
use ward_tests::System;
use ward_tests::clinic::JOHN;

#[tokio::test]
async fn an_unknown_route_is_a_404() {
    let rest = System::shared().await.admin().await;
    rest.get("/api/unicorns").await.expect_problem(404);
}

#[tokio::test]
async fn a_wrong_method_is_a_405_with_the_right_ones() {
    let rest = System::shared().await.admin().await;
    let answer = rest.request(Method::PATCH, &format!("/api/patients/{JOHN}")).send().await;
    let allowed = answer.header("allow").expect("Allow").to_owned();
    for method in ["GET", "PUT", "DELETE"] {
        assert!(allowed.contains(method), "{allowed}");
    }
    answer.expect_problem(405);
}

#[tokio::test]
async fn broken_json_is_a_400() {
    let rest = System::shared().await.admin().await;
    for body in ["{\"name\": ", "", "[]", "\"text\"", "{\"name\": 7}"] {
        let request = rest.request(Method::POST, "/api/patients").header("content-type", "application/json");
        request.body(body).send().await.expect_problem(400);
    }
}

#[tokio::test]
async fn without_a_token_it_is_a_401_that_says_how() {
    let rest = System::shared().await.rest();
    let answer = rest.get("/api/patients").await;
    let how = answer.header("www-authenticate").expect("WWW-Authenticate").to_owned();
    assert!(how.starts_with("Bearer"), "{how}");
    answer.expect_problem(401);
}

#[tokio::test]
async fn problems_say_nothing_about_a_patient() {
    let rest = System::shared().await.admin().await;
    let request = rest.request(Method::POST, "/api/patients").header("content-type", "application/json");
    let body = r#"{"name": "Secret Name", "email": "secret@", "address": "Secret Street", "dateOfBirth": "secret"}"#;
    let problem = request.body(body).send().await.expect_problem(400);
    assert!(!problem.to_string().to_lowercase().contains("secret"), "{problem}");
}
