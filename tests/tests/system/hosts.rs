//! More than one host.

use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tempfile::TempDir;
use ward_tests::artifact;
use ward_tests::clinic::{JOHN, post, register, registration};
use ward_tests::load::Load;
use ward_tests::machine::{component, directory};
use ward_tests::samples::{Samples, bad};
use ward_tests::server::Server;
use ward_tests::ward::said;
use ward_tests::{Plan, System, eventually, passed};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_host_that_dies_leaves_the_other_serving() {
    let mut system = System::with().hosts(2).start().await;
    let rest = system.admin().await;
    let load = Load::gets(4, &rest, &format!("/api/patients/{JOHN}"), 200);
    load.goes_on_for(200).await;
    system.hosts[1].server.kill();
    load.goes_on_for(2000).await;
    let (asked, failures) = load.end().await;
    // What the dead host had in its hands may fail, each at its deadline; nothing after that.
    assert!(failures.len() <= 8, "{} of {asked} failed: {:?}", failures.len(), &failures[..3]);
    register(&rest).await;

    system.hosts[1].start_again().await;
    system.hosts[1].until_ready().await;
    system.hosts[1].rest().with_token(rest.token().unwrap()).get("/api/patients").await.expect(200);
    system.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_host_that_is_stopped_fails_no_request() {
    let mut system = System::with().hosts(2).start().await;
    let rest = system.admin().await;
    let load = Load::gets(4, &rest, &format!("/api/patients/{JOHN}"), 200);
    load.goes_on_for(200).await;
    let status = system.hosts[1].stop().await;
    assert!(status.success(), "{status}");
    load.goes_on_for(500).await;
    let (asked, failures) = load.end().await;
    assert!(failures.is_empty(), "{} of {asked} failed: {:?}", failures.len(), &failures[..1]);
    system.end().await;
}

/// Its answer takes longer than anybody waits for one whom nobody knows.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_host_far_away_is_waited_for() {
    let system = System::with().services(&["billing"]).hosts(2).linked().start().await;
    system.links().nats.delay(Duration::from_millis(150));
    let hosts = system.command(&["hosts", "--json"]).await;
    assert_eq!(names(&serde_json::from_str(&hosts).unwrap()), ["host-1", "host-2"]);
    let file = artifact::variant(&system, "billing", 1);
    let outcome = system.command(&["deploy", "billing", file.to_str().unwrap(), "--json"]).await;
    let outcome: Value = serde_json::from_str(&outcome).unwrap();
    assert_eq!(names(&outcome["hosts"]), ["host-1", "host-2"]);
    system.end().await;
}

fn names(hosts: &Value) -> Vec<&str> {
    hosts.as_array().unwrap().iter().map(|host| host["host"].as_str().unwrap()).collect()
}

/// The server sends calls on until it has heard that the host leaves.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_host_that_is_stopped_answers_what_was_already_on_its_way() {
    let mut system = System::with().hosts(2).linked().start().await;
    let rest = system.admin().await;
    system.links().nats.delay(Duration::from_millis(50));
    // Writes: a read without an answer would be sent once more.
    let load = Load::start(8, move |_| {
        let rest = rest.clone();
        async move { post(&rest, registration()).await.check(201) }
    });
    load.goes_on_for(50).await;
    let status = system.hosts[1].stop().await;
    assert!(status.success(), "{status}");
    load.goes_on_for(50).await;
    let (asked, failures) = load.end().await;
    assert!(failures.is_empty(), "{} of {asked} failed: {:?}", failures.len(), &failures[..1]);
    system.end().await;
}

#[tokio::test]
async fn a_host_that_comes_later_runs_what_is_deployed() {
    // What the one before had in its hands is delivered again after three times as long, and 5 s.
    let mut system = System::with().set("WARD_EVENTS_DEADLINE_MS", 3000).start().await;
    system.hosts[0].server.kill();
    system.hosts[0].start_again().await;
    system.hosts[0].until_ready().await;
    system.rest().login("reader@test.com").await.get("/api/patients").await.expect(200);
    system.end().await;
}

const BOUND: Duration = Duration::from_secs(2);
/// A read that is sent to the wrong host is sent once more after this long; one that is not is answered long before, on a busy machine, too.
const LOST: Duration = Duration::from_secs(5);
const SOON: Duration = Duration::from_secs(4);

fn with_two_hosts() -> Plan {
    System::with().hosts(2).set("WARD_HTTP_HEDGE_MS", LOST.as_millis())
}

/// Whether the second host, while it cannot serve, is sent no reads of the first one after two seconds.
async fn expect_left_alone(system: &System, break_it: impl FnOnce(&System), mend_it: impl FnOnce(&System)) {
    let rest = system.admin().await;
    let reads = |clients| Samples::start(clients, &rest, &format!("/api/patients/{JOHN}"));
    let first = reads(4);
    first.go_on_for(50).await;
    let broken = Instant::now();
    break_it(system);
    passed(broken, BOUND).await;
    // Others than those whose reads the second host may have in its hands.
    let later = reads(2);
    passed(broken, BOUND + LOST + SOON / 4).await;
    let before = calls(system, 1).await;
    mend_it(system);
    eventually("the second host is sent calls again", async || {
        calls(system, 1).await.filter(|calls| Some(*calls) != before)
    })
    .await;
    let (first, later) = (first.end().await, later.end().await);
    let late = bad(&later, broken + BOUND, SOON);
    assert!(late.is_empty(), "{} of {}: {:?}", late.len(), later.len(), late[0]);
    // Those that it had in its hands were sent to the other one instead.
    let failed = bad(&first, broken, LOST + SOON);
    assert!(failed.is_empty(), "{} of {}: {:?}", failed.len(), first.len(), failed[0]);
}

fn name(host: usize) -> String {
    format!("host-{}", host + 1)
}

async fn calls(system: &System, host: usize) -> Option<u64> {
    system.status_on(&name(host), "patient").await?["serving"]["calls"].as_u64()
}

/// The hosts that take calls of billing.
async fn hosts_of_billing(system: &System) -> Vec<usize> {
    let mut hosts = Vec::new();
    for host in 0..system.hosts.len() {
        if system.status_on(&name(host), "billing").await.is_some_and(|status| status["away"].is_null()) {
            hosts.push(host);
        }
    }
    hosts
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_host_that_hangs_is_sent_no_calls_after_two_seconds_and_comes_back() {
    let system = with_two_hosts().start().await;
    expect_left_alone(&system, |system| system.hosts[1].server.pause(), |system| system.hosts[1].server.resume()).await;
    system.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_host_cut_off_from_its_database_is_sent_no_calls_after_two_seconds_and_comes_back() {
    let system = with_two_hosts().linked().start().await;
    expect_left_alone(&system, |system| system.links().database.cut(), |system| system.links().database.mend()).await;
    system.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_host_cut_off_from_nats_is_sent_no_calls_after_two_seconds_and_comes_back() {
    let system = with_two_hosts().linked().start().await;
    let own = system.hosts[1].rest();
    expect_left_alone(&system, |system| system.links().nats.cut(), |system| system.links().nats.mend()).await;
    // Its own gateway says at once that it can reach nobody, and goes on afterwards.
    system.links().nats.cut();
    own.until("/readyz", 503).await;
    let began = Instant::now();
    own.post("/auth/login", json!({"email": "a@b.c", "password": "x"})).await.expect_problem(503);
    assert!(began.elapsed() < SOON, "{:?}", began.elapsed());
    system.links().nats.mend();
    own.until("/readyz", 200).await;
    system.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_service_is_reached_through_every_gateway_and_said_to_be_missing_when_its_hosts_hang() {
    let plan = System::with().hosts(2).placed("billing", r#"{ label = "zone-b" }"#);
    let system = plan.set_on(1, "WARD_HOST_LABELS", r#"["zone-b"]"#).start().await;
    let rest = system.admin().await;
    assert_eq!(hosts_of_billing(&system).await, [1]);
    let path = format!("/api/billing/accounts/{JOHN}");
    rest.until(&path, 200).await;

    system.hosts[1].server.pause();
    passed(Instant::now(), BOUND).await;
    let began = Instant::now();
    let problem = rest.get(&path).await.expect_problem(503);
    assert_eq!(problem["type"], "urn:ward:problem:unavailable");
    assert!(began.elapsed() < SOON, "{:?}", began.elapsed());
    system.hosts[1].server.resume();
    rest.until(&path, 200).await;
    system.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_service_runs_on_as_many_hosts_as_wished_whoever_comes_and_goes() {
    let mut system = System::with().hosts(3).placed("billing", "{ count = 2 }").start().await;
    let rest = system.admin().await;
    eventually("two run it", async || (hosts_of_billing(&system).await.len() == 2).then_some(())).await;
    let chosen = hosts_of_billing(&system).await;
    // An event that a host dies with comes again much later.
    rest.until(&format!("/api/billing/accounts/{JOHN}"), 200).await;
    let gone = *chosen.iter().find(|host| **host != 0).unwrap();
    system.hosts[gone].server.kill();
    eventually("another one steps in", async || {
        let now = hosts_of_billing(&system).await;
        (now.len() == 2 && !now.contains(&gone)).then_some(())
    })
    .await;
    rest.get(&format!("/api/billing/accounts/{JOHN}")).await.expect(200);

    system.hosts[gone].start_again().await;
    eventually("it has its place again", async || (hosts_of_billing(&system).await == chosen).then_some(())).await;
    system.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn hosts_and_what_they_do_are_shown_to_whoever_reaches_nats() {
    let system = System::with().hosts(2).set_on(1, "WARD_HOST_LABELS", r#"["zone-b"]"#).start().await;
    let rest = system.admin().await;
    let samples = Samples::start(2, &rest, &format!("/api/patients/{JOHN}"));
    eventually("calls are counted", async || {
        let recent = system.status("patient").await["serving"]["recent"].clone();
        (recent["calls_per_s"].as_f64()? > 1.0 && recent["p99_ms"].as_f64()? > 0.0).then_some(())
    })
    .await;
    samples.end().await;
    let hosts: Value = serde_json::from_str(&system.command(&["hosts", "--json"]).await).unwrap();
    assert_eq!(hosts[1]["labels"], json!(["zone-b"]));
    assert!(hosts.as_array().unwrap().iter().all(|host| host["memory_bytes"].as_u64().unwrap() > 1 << 20));
    let shown = system.command(&["hosts"]).await;
    assert!(shown.contains("host-2") && shown.contains("zone-b"), "{shown}");
    let shown = system.command(&["ps"]).await;
    assert!(shown.contains("P99") && shown.lines().count() == 9, "{shown}");
    system.end().await;
}

/// A second host, which has the code that the first one had compiled, and no time to compile more.
struct Hasty {
    cache: TempDir,
}

impl Hasty {
    fn with_code_of(cache: &Path) -> Self {
        let own = directory("cache-");
        let copied = Command::new("cp").arg("-a").arg(cache.join(".")).arg(own.path()).status().unwrap();
        assert!(copied.success());
        Self { cache: own }
    }

    fn start(&self, system: &System) -> Server {
        let environment = [
            ("WARD_HOST_NAME", "hasty"),
            ("WARD_HOST_CACHE_DIR", self.cache.path().to_str().unwrap()),
            ("WARD_GATEWAY_LISTEN", "127.0.0.1:0"),
            ("WARD_ENGINE_COMPILE_TIMEOUT_S", "0"),
        ];
        system.running(&["host"], &environment)
    }

    /// It refuses the component of `tests/hostile`, and says all of this.
    async fn refuses(&self, system: &System, reasons: &[&str]) {
        eventually("the other host says what it misses", async || {
            let hostile = system.status_on("hasty", "hostile").await.filter(|status| status["state"] == "refused")?;
            let told = hostile["reason"].as_str().unwrap();
            reasons.iter().all(|reason| told.contains(reason)).then_some(())
        })
        .await;
    }
}

/// It has the code of the version before.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_host_that_cannot_take_what_others_serve_leaves_it_to_them() {
    let cache = directory("cache-");
    let plan = System::with().hostile().set("WARD_HTTP_PIN_GENERATION", true);
    let system = plan.set("WARD_HOST_CACHE_DIR", cache.path().display()).start().await;
    let hasty = Hasty::with_code_of(cache.path());
    system.deploy("hostile", artifact::variant(&system, "hostile", 1)).await;
    let _running = hasty.start(&system);
    hasty.refuses(&system, &["other hosts go on", "engine.compile_timeout_s"]).await;
    let answer = system.rest().get("/hostile/read/nothing").await.expect(200);
    assert_eq!(answer.header("ward-generation"), Some("2"), "the first host goes on");
    let history = system.command(&["history", "hostile"]).await;
    assert!(!history.contains("hasty"), "{history}");
    system.end_broken();
}

/// Whichever of the two has tried it first.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_new_service_that_one_of_two_hosts_refuses_serves_on_the_other() {
    let cache = directory("cache-");
    let plan = System::with().hostile().without("hostile");
    let system = plan.set("WARD_HOST_CACHE_DIR", cache.path().display()).start().await;
    let hasty = Hasty::with_code_of(cache.path());
    let _running = hasty.start(&system);
    eventually("the other host runs what it has the code of", async || {
        (system.status_on("hasty", "billing").await?["state"] == "running").then_some(())
    })
    .await;
    let output = system.try_command(&["deploy", "hostile", component("hostile").to_str().unwrap()]).await;
    let told = said(&output);
    assert!(!output.status.success() && told.contains("hasty") && told.contains("engine.compile_timeout_s"), "{told}");
    hasty.refuses(&system, &["engine.compile_timeout_s"]).await;
    system.rest().until("/hostile/read/nothing", 200).await;
    eventually("the history says that it serves", async || {
        let history = system.command(&["history", "hostile"]).await;
        (!history.contains("does not serve")).then_some(())
    })
    .await;
    system.end_broken();
}
