//! Components that are replaced while requests run.

use serde_json::Value;
use ward_tests::artifact::{Fault, marked, write};
use ward_tests::clinic::{JOHN, post, registration};
use ward_tests::load::Load;
use ward_tests::machine::component;
use ward_tests::rest::{Answer, Rest};
use ward_tests::{System, eventually};

fn ok(answer: Answer, status: u16) -> Result<(), String> {
    if answer.status == status { Ok(()) } else { Err(format!("{} {}", answer.status, answer.text())) }
}

/// Three reads to one registration.
fn mixed(rest: Rest) -> Load {
    Load::start(4, move |number| {
        let rest = rest.clone();
        async move {
            match number % 4 {
                0 => ok(post(&rest, registration()).await, 201),
                _ => ok(rest.get(&format!("/api/patients/{JOHN}")).await, 200),
            }
        }
    })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hundred_swaps_under_load_fail_no_request() {
    let system = System::start().await;
    let load = mixed(system.admin().await);
    let [patient, billing] = ["patient", "billing"].map(|name| std::fs::read(component(name)).unwrap());
    for round in 0..100 {
        load.goes_on_for(10).await;
        // One in five is no good, in one way after the other.
        let fault = (round % 5 == 4).then(|| Fault::ALL[round / 5 % Fault::ALL.len()]);
        let mark = round as u32;
        let bytes = match fault {
            None => marked(&patient, mark),
            Some(fault) => fault.apply(&patient, &billing, mark),
        };
        let artifact = write(system.folder(), "candidate", &bytes);
        let output = system.try_command(&["deploy", "patient", artifact.to_str().unwrap()]).await;
        let said = ward_tests::ward::said(&output);
        assert_eq!(output.status.success(), fault.is_none(), "round {round}, {fault:?}: {said}");
    }
    let (asked, failures) = load.end().await;
    assert!(failures.is_empty(), "{} of {asked} failed: {:?}", failures.len(), &failures[..1]);
    system.end().await;
}

#[tokio::test]
async fn a_rollback_brings_the_generation_before() {
    let system = System::start().await;
    let patient = std::fs::read(component("patient")).unwrap();
    let before = digest(&system).await;
    system.deploy("patient", write(system.folder(), "next", &marked(&patient, 1))).await;
    assert_ne!(digest(&system).await, before);
    system.command(&["rollback", "patient"]).await;
    assert_eq!(digest(&system).await, before);
    system.end().await;
}

#[tokio::test]
async fn a_call_that_outlasts_its_generation_is_stopped_rolled_back_and_counted() {
    let system = System::with().set("WARD_SWAP_DRAIN_S", 0).set("WARD_SWAP_WATCH_CALLS", 1).start().await;
    let rest = system.admin().await;
    let database = system.database("patient").await;
    let mut lock = database.begin().await.unwrap();
    sqlx::query("lock table patients in share row exclusive mode").execute(&mut *lock).await.unwrap();
    let waiting = tokio::spawn({
        let rest = rest.clone();
        async move { post(&rest, registration()).await }
    });
    eventually("the registration waits", async || {
        let statement = "select count(*) from pg_stat_activity where wait_event_type = 'Lock'";
        let waiting: i64 = sqlx::query_scalar(statement).fetch_one(&database).await.unwrap();
        (waiting > 0).then_some(())
    })
    .await;
    let patient = std::fs::read(component("patient")).unwrap();
    system.deploy("patient", write(system.folder(), "next", &marked(&patient, 1))).await;
    // A good call after a while, and the new generation has proven itself.
    while !waiting.is_finished() {
        rest.get(&format!("/api/patients/{JOHN}")).await.expect(200);
    }
    waiting.await.unwrap().expect_problem(504);
    let metrics = system.rest().get("/metrics").await.text();
    assert!(metrics.contains("ward_calls_cut_off_total{service=\"patient\"} 1"), "{metrics}");
    lock.rollback().await.unwrap();
    post(&rest, registration()).await.expect(201);
    system.end().await;
}

/// Of the component that serves patients.
async fn digest(system: &System) -> String {
    let hosts: Value = serde_json::from_str(&system.command(&["ps", "--json"]).await).unwrap();
    let services = hosts[0]["services"].as_array().unwrap();
    let patient = services.iter().find(|service| service["service"] == "patient").unwrap();
    patient["serving"]["digest"].as_str().unwrap().to_owned()
}
