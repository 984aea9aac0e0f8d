//! Components that are replaced while requests run.

use serde_json::Value;
use ward_tests::artifact::{Fault, marked, variant, write};
use ward_tests::clinic::{JOHN, post, registration};
use ward_tests::load::Load;
use ward_tests::machine::component;
use ward_tests::rest::Rest;
use ward_tests::{System, eventually};

/// Three reads to one registration.
fn mixed(rest: Rest) -> Load {
    Load::start(4, move |number| {
        let rest = rest.clone();
        async move {
            match number % 4 {
                0 => post(&rest, registration()).await.check(201),
                _ => rest.get(&format!("/api/patients/{JOHN}")).await.check(200),
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
    let before = system.serving("patient").await;
    system.deploy("patient", variant(&system, "patient", 1)).await;
    assert_ne!(system.serving("patient").await, before);
    system.command(&["rollback", "patient"]).await;
    assert_eq!(system.serving("patient").await, before);
    system.end().await;
}

#[tokio::test]
async fn a_call_that_outlasts_its_generation_is_stopped_rolled_back_and_counted() {
    let plan = System::with().set("WARD_SWAP_DRAIN_S", 0).set("WARD_SWAP_WATCH_CALLS", 1);
    let system = plan.set("WARD_DATABASE_STATEMENT_TIMEOUT_MS", 30_000).start().await;
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
    system.deploy("patient", variant(&system, "patient", 1)).await;
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

/// The version before ends only when no call may need it any more, whatever has taken its place meanwhile.
#[tokio::test]
async fn a_late_call_is_answered_by_the_version_before_after_two_swaps() {
    let plan = System::with().services(&[]).hostile().limits("hostile", "memory_mb = 16");
    let plan = plan.set("WARD_HTTP_PIN_GENERATION", true);
    let system = plan.set("WARD_SWAP_WATCH_PATIENCE_MS", 3000).start().await;
    let version = |mark: u32| variant(&system, "hostile", mark);
    let database = system.database("hostile").await;
    system.deploy("hostile", version(2)).await;
    let mut lock = database.begin().await.unwrap();
    sqlx::query("lock table mark in exclusive mode").execute(&mut *lock).await.unwrap();
    let waiting = async || {
        let pid = "select pid from pg_locks where not granted and relation = 'mark'::regclass";
        sqlx::query_scalar::<_, i32>(pid).fetch_optional(&database).await.unwrap()
    };
    let rest = system.rest();
    let mut call = tokio::spawn(async move { rest.post("/hostile/write/mark?name=late", Value::Null).await });
    let first = eventually("the call is at the second version", waiting).await;
    system.deploy("hostile", version(3)).await;
    let second = eventually("the call is at the first version", async || waiting().await.filter(|pid| *pid != first));
    tokio::select! {
        answer = &mut call => panic!("answered while the table is locked: {:?}", answer.unwrap()),
        _ = second => {}
    }
    lock.rollback().await.unwrap();
    let answer = call.await.unwrap().expect(200);
    assert_eq!(answer.header("ward-generation"), Some("1"));
    system.end_broken();
}
