//! A schema that changes while a version serves.

use serde_json::Value;
use ward_tests::artifact::{migrating, write};
use ward_tests::machine::component;
use ward_tests::rest::Rest;
use ward_tests::ward::said;
use ward_tests::{System, eventually};

/// Lets the version that serves run its statements, and waits until they are remembered.
async fn used() -> System {
    let system = System::with().hostile().start().await;
    mark(&system.rest()).await;
    let database = system.database("hostile").await;
    eventually("its statements are remembered", async || {
        let known: i64 = sqlx::query_scalar("select count(*) from ward.statements").fetch_one(&database).await.unwrap();
        (known >= 2).then_some(())
    })
    .await;
    system
}

async fn mark(rest: &Rest) {
    rest.post("/hostile/write/mark?name=a", Value::Null).await.expect(200);
    rest.get("/hostile/read/count?name=a").await.expect(200);
}

fn next(system: &System, step: &str) -> String {
    let bytes = migrating(&std::fs::read(component("hostile")).unwrap(), step);
    write(system.folder(), step.trim_end_matches('!'), &bytes).to_str().unwrap().to_owned()
}

#[tokio::test]
async fn a_migration_that_would_break_what_serves_is_refused_and_rolled_back() {
    let system = used().await;
    for (step, problem) in [
        ("drops!", "column \"count\" of relation \"mark\" does not exist"),
        ("retype", "INT8 became"),
        ("rename", "relation \"mark\" does not exist"),
        ("demand", "entry.author is demanded of every INSERT"),
    ] {
        let output = system.try_command(&["deploy", "hostile", &next(&system, step)]).await;
        let refusal = said(&output);
        assert!(!output.status.success(), "{step}: {refusal}");
        for named in [problem, "would break generation 1", "Do it in two steps"] {
            assert!(refusal.contains(named), "{step}: {named:?} is not in: {refusal}");
        }
        mark(&system.rest()).await;
    }
    // A step that fails leaves nothing behind either.
    let output = system.try_command(&["deploy", "hostile", &next(&system, "fails!")]).await;
    assert!(said(&output).contains("violates check constraint"), "{}", said(&output));
    mark(&system.rest()).await;
    let output = system.try_command(&["deploy", "hostile", &next(&system, "floods")]).await;
    assert!(said(&output).contains("answered with more than 8 MiB at once"), "{}", said(&output));
    let output = system.try_command(&["deploy", "hostile", &next(&system, "commit")]).await;
    assert!(said(&output).contains("transaction"), "{}", said(&output));
    let lost = "select count(*) from information_schema.columns where column_name = 'lost'";
    let lost: i64 = sqlx::query_scalar(lost).fetch_one(&system.database("hostile").await).await.unwrap();
    assert_eq!(lost, 0, "a step ends no transaction");
    // A function could do in a call what no statement may.
    for (step, refusal) in [("inside", "language sql"), ("does-a", "language plpgsql"), ("locks!", "pg_advisory_lock")]
    {
        let output = system.try_command(&["deploy", "hostile", &next(&system, step)]).await;
        let expected = format!("permission denied for {}", refusal.replace("pg_", "function pg_"));
        assert!(said(&output).contains(&expected), "{step}: {}", said(&output));
    }
    let output = system.try_command(&["deploy", "hostile", &next(&system, "a-rule")]).await;
    assert!(said(&output).contains("mark has the rule tells"), "{}", said(&output));
    // What the version that serves can live with is done.
    system.command(&["deploy", "hostile", &next(&system, "adds-a")]).await;
    mark(&system.rest()).await;
    system.end_broken();
}

#[tokio::test]
async fn a_host_that_has_just_begun_knows_what_others_have_seen() {
    let mut system = used().await;
    system.hosts[0].server.kill();
    system.hosts[0].start_again().await;
    system.hosts[0].until_ready().await;
    let output = system.try_command(&["deploy", "hostile", &next(&system, "drops!")]).await;
    assert!(said(&output).contains("would break generation 1"), "{}", said(&output));
    system.end_broken();
}

#[tokio::test]
async fn a_host_that_serves_nothing_yet_breaks_nothing_that_others_may_serve() {
    let mut system = used().await;
    system.hosts[0].server.kill();
    system.command(&["deploy", "hostile", &next(&system, "drops!"), "--no-wait"]).await;
    system.hosts[0].start_again().await;
    system.hosts[0].until_ready().await;
    mark(&system.rest()).await;
    let history = system.command(&["history", "hostile"]).await;
    assert!(history.contains("would break generation 1"), "{history}");
    system.end_broken();
}

#[tokio::test]
async fn a_migration_waits_for_a_table_only_for_a_while() {
    let system = System::with().hostile().set("WARD_SWAP_MIGRATION_LOCK_TIMEOUT_MS", 300).start().await;
    mark(&system.rest()).await;
    let mut reader = system.database("hostile").await.begin().await.unwrap();
    sqlx::query("select count from mark").fetch_all(&mut *reader).await.unwrap();
    let output = system.try_command(&["deploy", "hostile", &next(&system, "adds-a")]).await;
    assert!(said(&output).contains("lock timeout"), "{}", said(&output));
    mark(&system.rest()).await;
    reader.rollback().await.unwrap();
    system.command(&["deploy", "hostile", &next(&system, "adds-a")]).await;
    system.end_broken();
}

#[tokio::test]
async fn a_migration_has_so_much_time_and_waits_for_another_host_as_long_as_that_one_takes() {
    let plan = System::with().hostile().set("WARD_SWAP_MIGRATION_LOCK_TIMEOUT_MS", 300);
    let system = plan.set("WARD_SWAP_MIGRATION_TIMEOUT_S", 1).start().await;
    let output = system.try_command(&["deploy", "hostile", &next(&system, "lasts!")]).await;
    assert!(said(&output).contains("statement timeout"), "{}", said(&output));
    mark(&system.rest()).await;
    // As a host holds it that migrates.
    let mut other = system.database("hostile").await.acquire().await.unwrap();
    sqlx::query("select pg_advisory_lock(x'574152440002'::bigint)").execute(&mut *other).await.unwrap();
    system.command(&["deploy", "hostile", &next(&system, "adds-a"), "--no-wait"]).await;
    eventually("it waits, and says why", async || {
        let status = system.status("hostile").await;
        let is_why = status["reason"].as_str().unwrap_or_default().contains("another host migrates");
        (status["state"] == "waiting" && is_why).then_some(())
    })
    .await;
    mark(&system.rest()).await;
    other.close().await.unwrap();
    eventually("the next version serves", async || {
        (system.status("hostile").await["serving"]["generation"] == 3).then_some(())
    })
    .await;
    system.end_broken();
}
