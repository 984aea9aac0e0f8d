//! A service that is down takes nothing down with it.

use ward_tests::System;
use ward_tests::clinic::{path, register};
use ward_tests::rest::Rest;

#[tokio::test]
async fn billing_down_never_fails_a_registration() {
    let split: [&[&str]; 2] = [&["auth", "patient", "analytics"], &["billing"]];
    let mut system = System::with().split(&split).start().await;
    let rest = system.admin().await;
    system.hosts[1].server.kill();

    let mut patients = Vec::new();
    for _ in 0..10 {
        patients.push(register(&rest).await);
    }
    let asked = rest.get(&format!("{}?include=account", path(&patients[0]))).await.expect(200).json();
    assert_eq!(asked["name"], patients[0]["name"]);
    assert_eq!(asked["account"]["state"], "unavailable", "{asked}");

    system.hosts[1].start_again().await;
    system.hosts[1].until_ready().await;
    for patient in &patients {
        let account = format!("{}?include=account", path(patient));
        ward_tests::eventually("the account appears", async || has_account(&rest, &account).await.then_some(())).await;
    }
    system.settle().await;
    let accounts = system.database("billing").await;
    let ids: Vec<String> = patients.iter().map(|patient| patient["id"].as_str().unwrap().to_owned()).collect();
    let count: i64 = sqlx::query_scalar("select count(*) from accounts where patient_id::text = any($1)")
        .bind(&ids)
        .fetch_one(&accounts)
        .await
        .unwrap();
    assert_eq!(count, 10);
    system.end().await;
}

async fn has_account(rest: &Rest, path: &str) -> bool {
    rest.get(path).await.expect(200).json()["account"]["state"] == "open"
}
