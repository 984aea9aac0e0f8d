//! Who may do what: docs/roles.md, line by line.

use ward_tests::System;
use ward_tests::clinic::{JOHN, path, post, register, registration};
use ward_tests::rest::Answer;

const USERS: [&str; 4] = ["testuser", "clinician", "billing", "reader"];

/// For each user whether the answer is a refusal; the others have to be `status`.
#[track_caller]
fn expect(user: &str, allowed: &[&str], answer: Answer, status: u16) {
    match allowed.contains(&user) {
        true => drop(answer.expect(status)),
        false => drop(answer.expect_problem(403)),
    }
}

#[tokio::test]
async fn everybody_reads_patients() {
    let system = System::shared().await;
    for user in USERS {
        let rest = system.user(user).await;
        rest.get("/api/patients").await.expect(200);
        rest.get(&format!("/api/patients/{JOHN}")).await.expect(200);
        rest.get(&format!("/api/patients/{JOHN}?include=account")).await.expect(200);
    }
}

#[tokio::test]
async fn administrators_and_clinicians_keep_records() {
    let system = System::shared().await;
    let allowed = ["testuser", "clinician"];
    let admin = system.admin().await;
    for user in USERS {
        let rest = system.user(user).await;
        let patient = register(&admin).await;
        expect(user, &allowed, post(&rest, registration()).await, 201);
        expect(user, &allowed, rest.put(&path(&patient), patient.clone()).await, 200);
        expect(user, &allowed, rest.delete(&path(&patient)).await, 204);
    }
}

#[tokio::test]
async fn administrators_and_billing_read_accounts() {
    let system = System::shared().await;
    let account = format!("/api/billing/accounts/{JOHN}");
    system.admin().await.until(&account, 200).await;
    for user in USERS {
        expect(user, &["testuser", "billing"], system.user(user).await.get(&account).await, 200);
    }
}

#[tokio::test]
async fn everybody_reads_the_numbers() {
    let system = System::shared().await;
    for user in USERS {
        system.user(user).await.get("/api/analytics/summary").await.expect(200);
    }
}
