//! A component that crashes again and again is left alone for a while, and everybody is told so.

use serde_json::{Value, json};
use ward_tests::artifact::variant;
use ward_tests::machine::component;
use ward_tests::rest::{Answer, Rest};
use ward_tests::{System, eventually};

const NOTHING: &str = "/hostile/read/nothing";

/// After four crashes it rests for so long.
async fn system(first_ms: u32) -> System {
    let plan = System::with().hostile().set("WARD_QUARANTINE_CRASHES", 4);
    plan.set("WARD_QUARANTINE_FIRST_MS", first_ms).set("WARD_EVENTS_MAX_DELIVERIES", 1).start().await
}

async fn crash(rest: &Rest) {
    for _ in 0..4 {
        rest.get("/hostile/read/panic").await.expect_problem(502);
    }
}

fn is_turned_away(answer: &Answer) -> bool {
    answer.status == 503 && answer.json()["type"] == "urn:ward:problem:quarantined"
}

/// A generation of its own, which behaves the same.
async fn deploy_anew(system: &System) {
    system.deploy("hostile", variant(system, "hostile", 7)).await;
}

#[tokio::test]
async fn its_callers_are_told_at_once_and_a_deploy_lifts_it() {
    let system = system(60_000).await;
    let (rest, admin) = (system.rest(), system.admin().await);
    crash(&rest).await;
    let answer = rest.get(NOTHING).await;
    assert!(is_turned_away(&answer), "{}", answer.text());
    let seconds: u32 = answer.header("retry-after").unwrap().parse().unwrap();
    assert!((1..=60).contains(&seconds), "{seconds}");
    assert!(system.command(&["ps"]).await.contains("quarantine"));
    let metrics = rest.get("/metrics").await.expect(200).text();
    assert!(metrics.contains("ward_quarantined{service=\"hostile\"} 1"), "{metrics}");
    // The others go on.
    admin.get("/api/patients").await.expect(200);
    let said = system.deploy("hostile", component("hostile")).await;
    assert!(said.contains("already"), "the same version shall serve: {said}");
    let history: Value = serde_json::from_str(&system.command(&["history", "hostile", "--json"]).await).unwrap();
    assert_eq!(history.as_array().map(Vec::len), Some(1), "and that is no change: {history}");
    rest.get(NOTHING).await.expect(200);
    assert!(!system.command(&["ps"]).await.contains("quarantine"));
    system.end_broken();
}

#[tokio::test]
async fn a_trial_that_ends_well_lifts_it_by_itself() {
    let system = system(3000).await;
    let rest = system.rest();
    crash(&rest).await;
    assert!(is_turned_away(&rest.get(NOTHING).await));
    rest.until(NOTHING, 200).await;
    // It crashes again at once, and rests again.
    crash(&rest).await;
    assert!(is_turned_away(&rest.get(NOTHING).await));
    system.end_broken();
}

#[tokio::test]
async fn an_event_waits_for_its_end_and_loses_no_try() {
    let system = system(60_000).await;
    let rest = system.rest();
    crash(&rest).await;
    let id = ward_tests::unique("waits");
    system.nats.publish_event("hostile.happened", &id).await;
    eventually("the event was put off, and is delivered again", async || {
        (system.nats.deliveries("hostile_happened").await >= 2).then_some(())
    })
    .await;
    deploy_anew(&system).await;
    eventually("the event had its effect", async || {
        let marks: Value = rest.try_get(&format!("/hostile/read/count?name={id}")).await?.json();
        (marks == json!(1)).then_some(())
    })
    .await;
    assert_eq!(system.dead_letters().await, 0);
    system.end_broken();
}
