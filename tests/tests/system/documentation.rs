//! What Ward says about itself over HTTP.

use ward_tests::System;

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
async fn readiness_names_the_service_that_is_missing() {
    let system = System::with().without("billing").start().await;
    let answer = system.rest().get("/readyz").await.expect(503);
    assert!(answer.text().contains("billing"), "{}", answer.text());
    system.end_broken();
}
