//! A POST with an `Idempotency-Key` has one effect, however often it is sent.

use reqwest::Method;
use serde_json::{Value, json};
use ward_tests::clinic::{registration, with};
use ward_tests::rest::{Answer, Rest};
use ward_tests::{System, unique};

async fn post(rest: &Rest, key: &str, body: &Value) -> Answer {
    let request = rest.request(Method::POST, "/api/patients").header("idempotency-key", key);
    request.json(body.clone()).send().await
}

#[tokio::test]
async fn the_same_request_gets_the_same_answer_and_one_effect() {
    let rest = System::shared().await.admin().await;
    let (key, body) = (unique("key"), registration());
    let first = post(&rest, &key, &body).await.expect(201);
    let second = post(&rest, &key, &body).await.expect(201);
    assert_eq!(first.body, second.body);
    assert_eq!(first.header("location"), second.header("location"));
    let found = rest.get(&format!("/api/patients?name={}", body["name"].as_str().unwrap())).await;
    assert_eq!(found.expect(200).json().as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn another_body_under_the_same_key_is_a_422() {
    let rest = System::shared().await.admin().await;
    let (key, body) = (unique("key"), registration());
    post(&rest, &key, &body).await.expect(201);
    let other = with(&body, "address", json!("elsewhere"));
    post(&rest, &key, &other).await.expect_problem(422);
}

#[tokio::test]
async fn a_key_belongs_to_its_caller() {
    let system = System::shared().await;
    let key = unique("key");
    post(&system.admin().await, &key, &registration()).await.expect(201);
    post(&system.user("clinician").await, &key, &registration()).await.expect(201);
}

#[tokio::test]
async fn a_refused_request_may_be_mended_under_its_key() {
    let rest = System::shared().await.admin().await;
    let (key, body) = (unique("key"), registration());
    let broken = with(&body, "name", json!(""));
    post(&rest, &key, &broken).await.expect_problem(400);
    post(&rest, &key, &body).await.expect(201);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_at_once_have_one_effect() {
    let rest = System::shared().await.admin().await;
    let (key, body) = (unique("key"), registration());
    let answers = futures_util::future::join_all((0..16).map(|_| post(&rest, &key, &body))).await;
    let made: Vec<&Answer> = answers.iter().filter(|answer| answer.status == 201).collect();
    assert!(!made.is_empty());
    assert!(made.iter().all(|answer| answer.body == made[0].body));
    let others: Vec<u16> = answers.iter().map(|answer| answer.status).filter(|status| *status != 201).collect();
    assert!(others.iter().all(|status| *status == 409), "{others:?}");
    let found = rest.get(&format!("/api/patients?name={}", body["name"].as_str().unwrap())).await;
    assert_eq!(found.expect(200).json().as_array().unwrap().len(), 1);
}
