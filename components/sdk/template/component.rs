//! {{name}} in the real engine, with a PostgreSQL and a NATS server of its own. `ward build` comes first.

{{#sql}}
{{#http}}
use ward_tests::{System, json};
{{/http}}
{{^http}}
use ward_tests::System;
{{/http}}
{{/sql}}
{{^sql}}
use ward_tests::System;
{{/sql}}

#[tokio::test]
{{#sql}}
async fn keeps_what_it_is_given() {
    let system = System::of("{{name}}", env!("CARGO_MANIFEST_DIR")).await;
{{#http}}
    let rest = system.admin().await;
    let item = rest.post("/api/{{name}}", json!({"text": "hello"})).await.expect(201).json();
    let path = format!("/api/{{name}}/{}", item["id"].as_str().unwrap());
    assert_eq!(rest.get(&path).await.expect(200).json(), item);
{{/http}}
{{#events}}
    system.publish("{{name}}.wanted", "1", b"\x0a\x05hello").await;
    system.until_published("{{name}}.added", b"\x0a\x05hello").await;
{{/events}}
    system.end().await;
}
{{/sql}}
{{^sql}}
async fn greets_by_name() {
    let system = System::of("{{name}}", env!("CARGO_MANIFEST_DIR")).await;
    let answer = system.admin().await.get("/api/{{name}}?name=Ada").await.expect(200);
    assert_eq!(answer.json()["text"], "Hello, Ada!");
    system.end().await;
}
{{/sql}}
