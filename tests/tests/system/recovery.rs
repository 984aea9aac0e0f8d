//! What an outage or a wrong version leaves behind: nothing that an operator would have to mend.

use async_nats::jetstream;
use serde_json::Value;
use ward_tests::artifact::{hostile, migrating, variant, write};
use ward_tests::clinic::{JOHN, register};
use ward_tests::load::Load;
use ward_tests::machine::component;
use ward_tests::ward::said;
use ward_tests::{System, eventually};

#[tokio::test]
async fn a_restart_of_the_database_is_no_reason_to_go_back_and_fails_no_later_call() {
    let mut system = System::start().await;
    let rest = system.admin().await;
    system.deploy("patient", variant(&system, "patient", 7)).await;
    let deployed = system.serving("patient").await;
    // Connections to rest in the pools.
    let load = Load::start(8, {
        let rest = rest.clone();
        move |_| {
            let rest = rest.clone();
            async move { if register(&rest).await.is_object() { Ok(()) } else { Err(String::new()) } }
        }
    });
    load.goes_on_for(50).await;
    load.end().await;

    system.postgres.server.kill();
    for _ in 0..5 {
        rest.get(&format!("/api/patients/{JOHN}")).await.expect_problem(503);
    }
    system.postgres.server.start_again();
    rest.until(&format!("/api/patients/{JOHN}"), 200).await;
    for _ in 0..30 {
        rest.get(&format!("/api/patients/{JOHN}")).await.expect(200);
        register(&rest).await;
    }
    assert_eq!(system.serving("patient").await, deployed);
    system.end().await;
}

#[tokio::test]
async fn arguments_that_do_not_decode_are_no_reason_to_go_back() {
    let system = System::start().await;
    let next = variant(&system, "billing", 7);
    system.deploy("billing", next).await;
    let deployed = system.serving("billing").await;
    let client = system.nats.client().await;
    for _ in 0..10 {
        let reply = client.request("ward.call.billing.accounts.open", r#"{"nonsense": 1}"#.into()).await.unwrap();
        assert_eq!(reply.headers.unwrap().get("Ward-Failure").unwrap().as_str(), "refused");
    }
    assert_eq!(system.serving("billing").await, deployed);
    system.end().await;
}

#[tokio::test]
async fn a_host_that_starts_on_a_refused_version_serves_the_one_before() {
    let mut system = System::with().hostile().start().await;
    let before = system.serving("hostile").await;
    system.hosts[0].stop().await;
    let unwell = hostile(&system, "unwell");
    system.command(&["deploy", "hostile", unwell.to_str().unwrap()]).await;
    system.hosts[0].start_again().await;
    system.hosts[0].until_ready().await;
    assert_eq!(system.serving("hostile").await, before);
    system.rest().get("/hostile/read/nothing").await.expect(200);
    system.end_broken();
}

#[tokio::test]
async fn a_desired_state_that_cannot_be_read_takes_nothing_down_and_is_mended_by_a_deploy() {
    let system = System::with().hostile().start().await;
    let context = jetstream::new(system.nats.client().await);
    let bucket = context.get_key_value("ward-services").await.unwrap();
    bucket.put("hostile", r#"{"digest": "abc", "format": 2}"#.into()).await.unwrap();
    eventually("it is refused", async || (system.status("hostile").await["state"] == "refused").then_some(())).await;
    system.rest().get("/hostile/read/nothing").await.expect(200);
    system.deploy("hostile", component("hostile")).await;
    assert_eq!(system.status("hostile").await["state"], "running");
    system.end_broken();
}

#[tokio::test]
async fn a_rollback_after_a_return_does_not_bring_back_what_failed() {
    let system = System::with().hostile().start().await;
    let good = system.serving("hostile").await;
    let traps = hostile(&system, "traps!");
    system.deploy("hostile", &traps).await;
    for _ in 0..5 {
        system.rest().get("/hostile/read/nothing").await.expect(200);
    }
    eventually("the good one serves", async || {
        let status = system.status("hostile").await;
        (status["serving"]["digest"] == good && status["state"] == "running").then_some(())
    })
    .await;
    let output = system.try_command(&["rollback", "hostile"]).await;
    assert!(!output.status.success() && said(&output).contains("no version before"), "{}", said(&output));
    assert_eq!(system.serving("hostile").await, good);
    system.end_broken();
}

/// It waits for the table that it wants to change; what is stable serves meanwhile.
#[tokio::test]
async fn a_canary_that_takes_long_holds_up_nothing_when_a_host_begins() {
    let plan = System::with().services(&[]).hostile().set("WARD_SWAP_MIGRATION_LOCK_TIMEOUT_MS", 60_000);
    let mut system = plan.start().await;
    let mut reader = system.database("hostile").await.begin().await.unwrap();
    sqlx::query("lock table mark in access share mode").execute(&mut *reader).await.unwrap();
    system.hosts[0].server.kill();
    let canary = migrating(&std::fs::read(component("hostile")).unwrap(), "adds-a");
    let canary = write(system.folder(), "canary", &canary);
    system.command(&["deploy", "hostile", canary.to_str().unwrap(), "--canary", "50", "--no-wait"]).await;
    system.hosts[0].start_again().await;
    system.hosts[0].until_ready().await;
    let rest = system.rest();
    rest.get("/hostile/read/nothing").await.expect(200);
    let status = system.status("hostile").await;
    assert_eq!((&status["state"], &status["canary"]), (&"preparing".into(), &Value::Null), "{status}");
    reader.rollback().await.unwrap();
    eventually("the canary has its share", async || {
        (system.status("hostile").await["canary"]["generation"] == 2).then_some(())
    })
    .await;
    system.end_broken();
}

/// What an operator goes back from neither answers for what he goes back to, nor takes its place again.
#[tokio::test]
async fn what_is_gone_back_to_is_not_judged_by_what_is_gone_back_from() {
    let system = System::with().services(&[]).hostile().without("hostile").start().await;
    system.deploy("hostile", hostile(&system, "errors")).await;
    let wished = system.serving("hostile").await;
    system.deploy("hostile", component("hostile")).await;
    let rest = system.rest();
    rest.get("/hostile/read/nothing").await.expect(200);
    system.command(&["rollback", "hostile"]).await;
    for _ in 0..10 {
        assert_eq!(rest.get("/hostile/read/nothing").await.status, 500);
    }
    assert_eq!(system.serving("hostile").await, wished);
    system.end_broken();
}
