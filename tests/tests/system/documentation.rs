//! What Ward says about itself over HTTP.

use sqlx::AssertSqlSafe;
use ward_tests::machine::component;
use ward_tests::{System, eventually};

#[tokio::test]
async fn each_service_has_its_openapi_document() {
    let rest = System::shared().await.rest();
    for (name, path) in [
        ("patients", "/api/patients"),
        ("auth", "/auth/login"),
        ("billing", "/api/billing/accounts/{patientId}"),
        ("analytics", "/api/analytics/summary"),
    ] {
        let document = rest.get(&format!("/api-docs/{name}")).await.expect(200).json();
        assert!(document["openapi"].as_str().is_some_and(|version| version.starts_with("3.")), "{name}");
        assert!(document["paths"][path].is_object(), "{name}: {path}");
    }
}

#[tokio::test]
async fn one_document_has_all_services() {
    let rest = System::shared().await.rest();
    let request = rest.request(reqwest::Method::GET, "/api-docs").header("accept", "application/json");
    let document = request.send().await.expect(200).json();
    for path in ["/api/patients", "/auth/login", "/api/billing/accounts/{patientId}"] {
        assert!(document["paths"][path].is_object(), "{path}");
    }
}

#[tokio::test]
async fn health_readiness_and_metrics_are_open() {
    let rest = System::shared().await.rest();
    for path in ["/healthz", "/readyz", "/metrics"] {
        rest.get(path).await.expect(200);
    }
}

#[tokio::test]
async fn readiness_waits_for_what_ran_and_not_for_what_never_did() {
    let mut system = System::with().without("billing").start().await;
    system.rest().until("/readyz", 200).await;
    system.deploy("billing", component("billing")).await;
    let administrator = system.database("patient").await;
    let open = async |is_open: bool| {
        let order = format!("alter database billing allow_connections {is_open}");
        sqlx::query(AssertSqlSafe(order)).execute(&administrator).await.unwrap();
    };
    system.hosts[0].server.kill();
    open(false).await;
    system.hosts[0].start_again().await;
    let rest = system.rest();
    eventually("it says what is missing", async || {
        let answer = rest.try_get("/readyz").await.filter(|answer| answer.status == 503)?;
        let missing = answer.json()["missing"].clone();
        (missing.as_array()?.len() == 1 && missing[0]["service"] == "billing" && missing[0]["state"] == "waiting")
            .then_some(())
    })
    .await;
    open(true).await;
    rest.until("/readyz", 200).await;
    system.end_broken();
}
