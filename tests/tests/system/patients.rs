//! Patients over REST: what clients of the old system rely on, and what is new.

use serde_json::{Value, json};
use ward_tests::System;
use ward_tests::clinic::{JOHN, NOBODY, path, post, register, registration, with};
use ward_tests::rest::{Answer, Rest};

#[tokio::test]
async fn a_registration_is_answered_with_the_patient_and_where_it_is() {
    let rest = System::shared().await.admin().await;
    let body = registration();
    let answer = post(&rest, body.clone()).await.expect(201);
    let patient = answer.json();
    assert_eq!(answer.header("location"), Some(path(&patient).as_str()));
    for field in ["name", "email", "address", "dateOfBirth"] {
        assert_eq!(patient[field], body[field]);
    }
    assert!(patient["id"].is_string());
    let found = rest.get(&path(&patient)).await.expect(200);
    assert!(found.header("etag").is_some());
    assert_eq!(found.json()["email"], body["email"]);
}

#[tokio::test]
async fn the_day_of_registration_is_today_unless_said() {
    let rest = System::shared().await.admin().await;
    post(&rest, with(&registration(), "registeredDate", Value::Null)).await.expect(201);
}

#[tokio::test]
async fn all_faults_of_a_registration_are_named_at_once() {
    let rest = System::shared().await.admin().await;
    let empty = json!({ "name": " ", "email": "", "address": "" });
    let problem = post(&rest, empty).await.expect_problem(400);
    expect_fault(&problem, "name", "Name is required");
    expect_fault(&problem, "email", "Email is required");
    expect_fault(&problem, "address", "Address is required");
    expect_fault(&problem, "dateOfBirth", "Date of birth is required");

    let wrong = with(&with(&registration(), "name", json!("x".repeat(101))), "email", json!("not an address"));
    let problem = post(&rest, wrong).await.expect_problem(400);
    expect_fault(&problem, "name", "Name cannot exceed 100 characters");
    expect_fault(&problem, "email", "Email should be valid");

    for date in ["1985-13-40", "yesterday", "2999-01-01"] {
        let wrong = with(&registration(), "dateOfBirth", json!(date));
        let problem = post(&rest, wrong).await.expect_problem(400);
        assert!(problem["errors"]["dateOfBirth"].is_array(), "{date}: {problem}");
    }
}

#[track_caller]
fn expect_fault(problem: &Value, field: &str, message: &str) {
    let faults = problem["errors"][field].as_array();
    assert!(faults.is_some_and(|faults| faults.contains(&json!(message))), "{field}: {problem}");
}

#[tokio::test]
async fn a_list_is_an_array_with_a_link_to_the_next_page() {
    let rest = System::shared().await.admin().await;
    for _ in 0..3 {
        register(&rest).await;
    }
    let mut seen = Vec::new();
    let mut next = Some("/api/patients?limit=7".to_owned());
    while let Some(page) = next {
        let answer = rest.get(&page).await.expect(200);
        let patients = answer.json().as_array().unwrap().clone();
        assert!(!patients.is_empty() && patients.len() <= 7, "{} on {page}", patients.len());
        seen.extend(patients.iter().map(|patient| patient["id"].as_str().unwrap().to_owned()));
        next = next_page(&answer);
    }
    let count = seen.len();
    seen.sort();
    seen.dedup();
    assert_eq!(seen.len(), count, "a patient is on two pages");
    assert!(count >= 18 && seen.contains(&JOHN.to_owned()), "{count} patients");
}

/// RFC 8288: `<…>; rel="next"`.
fn next_page(answer: &Answer) -> Option<String> {
    let links = answer.header("link")?;
    let link = links.split(", ").find(|link| link.ends_with("rel=\"next\""))?;
    let target = link.split(['<', '>']).nth(1)?;
    Some(target[target.find("/api/").unwrap()..].to_owned())
}

#[tokio::test]
async fn a_page_has_bounds() {
    let rest = System::shared().await.admin().await;
    rest.get("/api/patients?limit=0").await.expect_problem(400);
    rest.get("/api/patients?limit=many").await.expect_problem(400);
    rest.get("/api/patients?cursor=nonsense").await.expect_problem(400);
}

#[tokio::test]
async fn a_patient_is_found_by_name_address_and_date_of_birth() {
    let rest = System::shared().await.admin().await;
    let patient = register(&rest).await;
    let text = |field: &str| patient[field].as_str().unwrap().to_owned();
    for query in [
        format!("name={}", text("name")),
        format!("email={}", text("email")),
        format!("name={}&dateOfBirth={}", text("name"), text("dateOfBirth")),
    ] {
        let found = rest.get(&format!("/api/patients?{query}")).await.expect(200).json();
        assert_eq!(found.as_array().unwrap().len(), 1, "{query}: {found}");
        assert_eq!(found[0]["id"], patient["id"]);
    }
    let found = rest.get(&format!("/api/patients?name={}&dateOfBirth=1900-01-01", text("name"))).await;
    assert_eq!(found.expect(200).json(), json!([]));
}

#[tokio::test]
async fn an_unknown_patient_is_a_404() {
    let rest = System::shared().await.admin().await;
    let nobody = format!("/api/patients/{NOBODY}");
    rest.get(&nobody).await.expect_problem(404);
    rest.get("/api/patients/not-an-id").await.expect_problem(404);
    rest.put(&nobody, registration()).await.expect_problem(404);
    rest.delete(&nobody).await.expect_problem(404);
}

#[tokio::test]
async fn a_replacement_needs_the_current_version_if_it_names_one() {
    let rest = System::shared().await.admin().await;
    let patient = register(&rest).await;
    let first = etag(&rest, &patient).await;
    let moved = with(&patient, "address", json!("7 Circle, Springfield"));
    let answer = put_if(&rest, &patient, &moved, &first).await.expect(200);
    assert_eq!(answer.json()["address"], "7 Circle, Springfield");
    let second = etag(&rest, &patient).await;
    assert_ne!(first, second);
    put_if(&rest, &patient, &moved, &first).await.expect_problem(412);
    put_if(&rest, &patient, &moved, &second).await.expect(200);
    rest.put(&path(&patient), moved).await.expect(200);
}

async fn etag(rest: &Rest, patient: &Value) -> String {
    let answer = rest.get(&path(patient)).await.expect(200);
    answer.header("etag").expect("an ETag").to_owned()
}

async fn put_if(rest: &Rest, patient: &Value, body: &Value, etag: &str) -> Answer {
    let request = rest.request(reqwest::Method::PUT, &path(patient));
    request.json(body.clone()).header("if-match", etag).send().await
}

#[tokio::test]
async fn a_deletion_may_be_repeated_and_the_patient_is_gone() {
    let rest = System::shared().await.admin().await;
    let patient = register(&rest).await;
    rest.delete(&path(&patient)).await.expect(204);
    rest.delete(&path(&patient)).await.expect(204);
    rest.get(&path(&patient)).await.expect_problem(404);
    let name = patient["name"].as_str().unwrap();
    let found = rest.get(&format!("/api/patients?name={name}")).await.expect(200);
    assert_eq!(found.json(), json!([]));
}

#[tokio::test]
async fn a_likely_duplicate_is_reported_with_the_candidates_and_accepted_on_purpose() {
    let rest = System::shared().await.admin().await;
    let body = registration();
    let first = post(&rest, body.clone()).await.expect(201).json();
    let problem = post(&rest, body.clone()).await.expect_problem(409);
    assert!(problem.to_string().contains(first["id"].as_str().unwrap()), "{problem}");
    let again = rest.post("/api/patients?allowDuplicate=true", body).await.expect(201).json();
    assert_ne!(again["id"], first["id"]);
}

#[tokio::test]
async fn a_family_may_share_an_address() {
    let rest = System::shared().await.admin().await;
    let parent = registration();
    let child = with(&with(&registration(), "email", parent["email"].clone()), "dateOfBirth", json!("2015-03-01"));
    post(&rest, parent).await.expect(201);
    post(&rest, child).await.expect(201);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_registrations_of_the_same_person_at_once_store_one() {
    let rest = System::shared().await.admin().await;
    for _ in 0..10 {
        let body = registration();
        let (one, other) = tokio::join!(post(&rest, body.clone()), post(&rest, body.clone()));
        let mut statuses = [one.status, other.status];
        statuses.sort();
        assert_eq!(statuses, [201, 409], "{} {}", one.text(), other.text());
    }
}

#[tokio::test]
async fn the_account_comes_with_the_patient_when_it_is_asked_for() {
    let rest = System::shared().await.admin().await;
    let patient = register(&rest).await;
    let with_account = format!("{}?include=account", path(&patient));
    ward_tests::eventually("the account is there", async || {
        let account = rest.get(&with_account).await.expect(200).json()["account"].clone();
        (account["state"] == "open").then_some(())
    })
    .await;
}
