//! Services beside each other: what one of them has, no other one gets, whatever comes first when a host begins.

use std::fs::{read_dir, remove_file};
use std::path::Path;

use serde_json::Value;
use sqlx::AssertSqlSafe;
use ward_tests::artifact::hostile;
use ward_tests::machine::{component, directory};
use ward_tests::ward::said;
use ward_tests::{System, eventually};

const REFUSAL: &str = "its route GET /api/billing/accounts/{act} does not fit beside the other routes of the gateway: billing \
                       has /api/billing/accounts/{patientId}";

/// A system with billing, and a cache of its own.
async fn billing(cache: &Path, deployed: bool) -> System {
    let plan = System::with().services(&["billing"]).hostile().without("hostile");
    let plan = if deployed { plan } else { plan.without("billing") };
    plan.set("WARD_HOST_CACHE_DIR", cache.display()).start().await
}

/// A component that wants billing's requests.
fn greedy(system: &System) -> String {
    hostile(system, "greedy").to_str().unwrap().to_owned()
}

/// The generation that serves on the host.
async fn generation(system: &System, service: &str) -> Option<u64> {
    system.status(service).await["serving"]["generation"].as_u64()
}

/// The host begins again, and has to compile billing while the other one is at hand.
async fn begin_again(system: &mut System, cache: &Path) {
    let inspected = system.command(&["inspect", component("billing").to_str().unwrap(), "--json"]).await;
    let inspected: Value = serde_json::from_str(&inspected).unwrap();
    let digest = inspected["digest"].as_str().unwrap();
    for engine in read_dir(cache).unwrap() {
        remove_file(engine.unwrap().path().join(format!("{digest}.cwasm"))).unwrap();
    }
    system.hosts[0].start_again().await;
    system.hosts[0].until_ready().await;
}

async fn expect_billing_to_have_its_requests(system: &System) {
    assert_eq!(generation(system, "billing").await, Some(1));
    // Nobody waits for what never served, readiness does not either.
    eventually("the other one is refused", async || {
        let status = system.status("hostile").await;
        let is_why = status["reason"].as_str().unwrap().contains(REFUSAL);
        (status["state"] == "refused" && is_why && status["serving"].is_null()).then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_first_version_that_was_refused_takes_nothing_when_the_host_begins_again() {
    let folder = directory("cache-");
    let cache = folder.path().join("cache");
    let mut system = billing(&cache, true).await;
    let greedy = greedy(&system);
    let output = system.try_command(&["deploy", "hostile", &greedy]).await;
    let refusal = said(&output);
    assert!(refusal.contains(&format!("not taken. host-1: {REFUSAL}")), "{refusal}");
    let history = system.command(&["history", "hostile"]).await;
    assert!(
        history.contains(&format!("refused by host-1: {REFUSAL}")) && history.contains("does not serve"),
        "{history}"
    );
    // Whoever deploys it anew wants it to be tried anew.
    let output = system.try_command(&["deploy", "hostile", &greedy, "--canary", "5"]).await;
    assert!(said(&output).contains("nothing serves yet that a canary could be held against"), "{}", said(&output));
    let output = system.try_command(&["deploy", "hostile", &greedy]).await;
    assert!(said(&output).contains("shall be generation 2") && said(&output).contains(REFUSAL), "{}", said(&output));

    system.hosts[0].server.kill();
    begin_again(&mut system, &cache).await;
    expect_billing_to_have_its_requests(&system).await;

    system.deploy("hostile", component("hostile")).await;
    system.rest().post("/hostile/write/mark?name=a", Value::Null).await.expect(200);
    let output = system.try_command(&["rollback", "hostile"]).await;
    assert!(said(&output).contains("there is no version before this one"), "{}", said(&output));
    system.end_broken();
}

#[tokio::test]
async fn a_newcomer_takes_nothing_from_what_served_before_when_a_host_begins() {
    let folder = directory("cache-");
    let cache = folder.path().join("cache");
    let mut system = billing(&cache, true).await;
    system.hosts[0].server.kill();
    system.command(&["deploy", "hostile", &greedy(&system), "--no-wait"]).await;
    begin_again(&mut system, &cache).await;
    expect_billing_to_have_its_requests(&system).await;
    system.end_broken();
}

#[tokio::test]
async fn of_two_that_come_at_once_one_is_taken() {
    let folder = directory("cache-");
    let system = billing(&folder.path().join("cache"), false).await;
    let greedy = greedy(&system);
    let billing = component("billing");
    let orders = [["deploy", "billing", billing.to_str().unwrap()], ["deploy", "hostile", &greedy]];
    let (one, other) = tokio::join!(system.try_command(&orders[0]), system.try_command(&orders[1]));
    assert_ne!(one.status.success(), other.status.success(), "{}\n{}", said(&one), said(&other));
    let serving = [generation(&system, "billing").await, generation(&system, "hostile").await];
    assert_eq!(serving.iter().flatten().count(), 1, "{serving:?}");
    system.end_broken();
}

#[tokio::test]
async fn a_newcomer_waits_for_what_served_before_and_can_be_changed_meanwhile() {
    let folder = directory("cache-");
    let mut system = billing(&folder.path().join("cache"), true).await;
    let administrator = system.database("hostile").await;
    let close = async |is_closed: bool| {
        let order = format!("alter database billing allow_connections {}", !is_closed);
        sqlx::query(AssertSqlSafe(order)).execute(&administrator).await.unwrap();
    };
    system.hosts[0].server.kill();
    close(true).await;
    system.command(&["deploy", "hostile", &greedy(&system), "--no-wait"]).await;
    system.hosts[0].start_again().await;
    let waiting = async |expected: &str| {
        eventually("it waits", async || {
            let status = system.status("hostile").await;
            let is_why = status["reason"].as_str().unwrap().contains("for billing and others");
            (status["state"] == "waiting" && is_why).then_some(())
        })
        .await;
        let answer = system.rest().until("/readyz", 503).await.json();
        let missing: Vec<&Value> = answer["missing"].as_array().unwrap().iter().map(|one| &one["service"]).collect();
        assert_eq!(missing, ["billing"], "{expected}");
    };
    waiting("a newcomer is missed by nobody").await;
    let mended = component("hostile");
    system.command(&["deploy", "hostile", mended.to_str().unwrap(), "--no-wait"]).await;
    waiting("a newer one neither").await;
    close(false).await;
    eventually("both serve", async || {
        let serving = [generation(&system, "billing").await, generation(&system, "hostile").await];
        (serving == [Some(1), Some(2)]).then_some(())
    })
    .await;
    system.rest().until("/readyz", 200).await;
    system.end_broken();
}

#[tokio::test]
async fn a_path_that_may_come_back_is_waited_for() {
    let folder = directory("cache-");
    let system = billing(&folder.path().join("cache"), false).await;
    system.deploy("hostile", greedy(&system)).await;
    // Gives the path up, and is under watch.
    system.deploy("hostile", component("hostile")).await;
    let proven = async {
        eventually("the path is waited for", async || {
            let log = system.hosts[0].server.log();
            log.contains("That version comes back if the one in its place fails").then_some(())
        })
        .await;
        for _ in 0..110 {
            system.rest().get("/hostile/read/nothing").await.expect(200);
        }
    };
    tokio::join!(system.deploy("billing", component("billing")), proven);
    system.end_broken();
}

#[tokio::test]
async fn a_service_that_was_removed_can_be_deployed_again() {
    let system = System::with().services(&[]).hostile().start().await;
    let buckets = async_nats::jetstream::new(system.nats.client().await);
    buckets.get_key_value("ward-services").await.unwrap().delete("hostile").await.unwrap();
    eventually("it is gone", async || (system.status("hostile").await["state"] == "absent").then_some(())).await;
    let taken = buckets.get_key_value("ward-taken").await.unwrap();
    eventually("nobody misses it", async || taken.get("hostile").await.unwrap().is_none().then_some(())).await;
    system.deploy("hostile", component("hostile")).await;
    assert_eq!(generation(&system, "hostile").await, Some(1));
    eventually("it is missed again", async || taken.get("hostile").await.unwrap().map(drop)).await;
    system.end_broken();
}
