//! A service that is down takes nothing down with it.

use sqlx::{AssertSqlSafe, Executor};
use ward_tests::System;
use ward_tests::clinic::{path, register, registration};
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

#[tokio::test]
async fn a_server_that_takes_no_writes_for_a_while_is_a_503() {
    let system = System::start().await;
    let rest = system.admin().await;
    let patient = register(&rest).await;
    take_writes(&system, false).await;
    ward_tests::eventually("a registration is refused", async || {
        let status = rest.post("/api/patients", registration()).await.status;
        assert!(matches!(status, 201 | 503), "{status}");
        (status == 503).then_some(())
    })
    .await;
    rest.get(&path(&patient)).await.expect(200);
    take_writes(&system, true).await;
    ward_tests::eventually("a registration succeeds", async || {
        (rest.post("/api/patients", registration()).await.status == 201).then_some(())
    })
    .await;
    system.settle().await;
    system.end().await;
}

/// Makes the server like a standby, or like a primary again.
async fn take_writes(system: &System, shall: bool) {
    let mut connection = system.database("postgres").await.acquire().await.unwrap().detach();
    let change = if shall { "reset" } else { "set" };
    let value = if shall { "" } else { " = on" };
    for statement in [
        "set default_transaction_read_only = off".to_owned(),
        format!("alter system {change} default_transaction_read_only{value}"),
        "select pg_reload_conf()".to_owned(),
    ] {
        connection.execute(AssertSqlSafe(statement)).await.unwrap();
    }
}
