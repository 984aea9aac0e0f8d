//! A component that misbehaves hurts nobody but its own callers, and each way to fail has a name of its own.

use futures_util::StreamExt;
use futures_util::future::join_all;
use reqwest::Method;
use serde_json::{Value, json};
use ward_tests::artifact::hostile;
use ward_tests::clinic::JOHN;
use ward_tests::load::Load;
use ward_tests::rest::{Answer, Rest};
use ward_tests::ward::said;
use ward_tests::{System, eventually, unique};

async fn system() -> System {
    System::with().hostile().start().await
}

async fn write_act(rest: &Rest, act: &str) -> Answer {
    rest.post(&format!("/hostile/write/{act}"), Value::Null).await
}

async fn marks(rest: &Rest, name: &str) -> Value {
    rest.get(&format!("/hostile/read/count?name={name}")).await.expect(200).json()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_misdeed_has_its_refusal_and_healthy_traffic_goes_on() {
    let system = system().await;
    let rest = system.rest();
    let load = Load::gets(2, &system.admin().await, &format!("/api/patients/{JOHN}"), 200);
    for (act, status) in [
        ("panic", 502),
        ("recursion", 502),
        ("memory", 502),
        ("spin", 504),
        ("huge", 503),
        ("header", 503),
        ("nothing", 200),
    ] {
        let answer = rest.get(&format!("/hostile/read/{act}")).await;
        assert_eq!(answer.status, status, "{act}: {}", answer.text());
        if status != 200 {
            answer.expect_problem(status);
        }
        load.goes_on_for(5).await;
    }
    let (_, failures) = load.end().await;
    assert_eq!(failures, Vec::<String>::new());
    system.end_broken();
}

#[tokio::test]
async fn what_a_failed_call_wrote_is_gone() {
    let system = system().await;
    let rest = system.rest();
    for (act, status) in [
        ("mark-and-panic", 502),
        ("mark-and-spin", 504),
        ("mark-and-fail", 409),
        // A statement failed, and the component says all is well: nothing was stored, and nobody may be told otherwise.
        ("mark-and-swallow", 503),
    ] {
        let name = unique(act);
        let answer = write_act(&rest, &format!("{act}?name={name}")).await;
        assert_eq!(answer.status, status, "{act}: {}", answer.text());
        assert_eq!(marks(&rest, &name).await, 0, "{act}");
    }
    write_act(&rest, "mark?name=kept").await.expect(200);
    assert_eq!(marks(&rest, "kept").await, 1);
    system.end_broken();
}

#[tokio::test]
async fn a_read_cannot_write_however_it_is_put() {
    let system = system().await;
    let rest = system.rest();
    for sql in [
        "insert into mark (name) values (gen_random_uuid()::text) returning 1",
        "with w as (insert into mark (name) values (gen_random_uuid()::text) returning 1) select 1",
        "select set_config('default_transaction_read_only', 'off', false)",
        "select pg_advisory_lock(1)",
        "select pg_sleep(1)",
        "select pg_notify('a', 'b')",
        "select ward.seal('guess', null, null, null, null, null, null, null, null, null, null, null, '')",
        "select token from ward.token",
        "set role postgres",
        "begin read write",
        "commit",
        "copy mark to program 'true'",
        "select 1; select 2",
        "create temp table t (a int)",
        "select lo_create(0)",
        "select query_to_xml('select 1', true, true, '')",
        "/* /* */ select */ set statement_timeout = 0",
        "--\rcommit /*\nselect */",
    ] {
        let path = format!("/hostile/read/statement?sql={}", urlencoding(sql));
        let answer = rest.get(&path).await;
        assert_eq!(answer.status, 400, "{sql}: {}", answer.text());
        let answer = write_act(&rest, &format!("statement?sql={}", urlencoding(sql))).await;
        let refused = !sql.contains("mark (name)");
        assert_eq!(answer.status, if refused { 400 } else { 200 }, "{sql}: {}", answer.text());
    }
    system.end_broken();
}

fn urlencoding(text: &str) -> String {
    text.bytes().map(|byte| format!("%{byte:02X}")).collect()
}

#[tokio::test]
async fn what_a_call_did_elsewhere_is_done_once_however_often_it_is_tried() {
    let system = system().await;
    let rest = system.rest();
    for (key, made) in [("first", 1), ("first", 1), ("second", 2)] {
        let request = rest.request(Method::POST, "/hostile/write/mark-elsewhere-and-fail");
        let answer = request.header("idempotency-key", key).send().await;
        assert_eq!((answer.status, marks(&rest, "").await), (409, json!(made)), "{key}");
    }
    system.end_broken();
}

#[tokio::test]
async fn a_calling_component_tells_the_failures_apart() {
    // It spins until its time is over, and not until it has computed enough.
    let limits = "time_ms = 3000\ncpu_ms = 9000\nconcurrency = 4\nqueue = 2\nmemory_mb = 16";
    // Nor is a read that takes so long sent to anybody else.
    let plan = System::with().hostile().limits("hostile", limits).set("WARD_HTTP_HEDGE_MS", 10_000);
    let system = plan.start().await;
    let rest = system.rest();
    for (act, told) in [
        ("nothing", "Ok(200)"),
        ("panic", "Err(Error::Call(Failure::Trapped))"),
        ("spin", "Err(Error::Call(Failure::DeadlineExceeded))"),
        ("mark-and-swallow", "Err(Error::Call(Failure::Failed))"),
    ] {
        let answer = rest.get(&format!("/hostile/read/call-{act}")).await.expect(200);
        assert_eq!(answer.json(), told, "{act}");
    }
    // Four calls at once fill its slots, two more its queue; the fourteen others are told at once.
    let calls = (0..20).map(|_| rest.get("/hostile/read/spin"));
    let answers = join_all(calls).await;
    let overloaded = answers.iter().filter(|answer| answer.status == 503 && answer.text().contains("overloaded"));
    assert_eq!(overloaded.count(), 14);
    // And whose time ends in the queue is told that.
    let spinning = Load::gets(4, &rest, "/hostile/read/spin", 504);
    let client = system.nats.client().await;
    eventually("a call ends in the queue", async || {
        let mut headers = async_nats::HeaderMap::new();
        headers.insert("Ward-Deadline-Ms", "300");
        let parameters = r#"{"text": ""}"#.into();
        let reply = client.request_with_headers("ward.call.hostile.acts.take", headers, parameters).await.ok()?;
        String::from_utf8_lossy(&reply.payload).contains("waiting in the queue").then_some(())
    })
    .await;
    spinning.end().await;
    for limit in ["queue", "concurrency"] {
        assert_ne!(rest.refusals("hostile", limit).await, 0, "{limit}");
    }
    system.end_broken();
}

#[tokio::test]
async fn a_serializable_call_is_run_again_unseen() {
    let limits = "concurrency = 4\nqueue = 2\nmemory_mb = 16";
    let system = System::with().hostile().limits("hostile", limits).start().await;
    let rest = system.rest();
    let calls = (0..8).map(|_| rest.post("/hostile/serial/read-then-mark", Value::Null));
    let mut before: Vec<i64> = Vec::new();
    for answer in join_all(calls).await {
        // Some are shed, since only four may run and two may wait.
        if answer.status == 200 {
            before.push(answer.json().as_i64().unwrap());
        }
    }
    before.sort_unstable();
    // As if one had been after the other: each saw another number of entries.
    assert_eq!(before, (0..before.len() as i64).collect::<Vec<_>>());
    assert!(before.len() >= 4, "{before:?}");
    system.end_broken();
}

#[tokio::test]
async fn a_generation_that_fails_its_probe_is_not_taken_and_a_probe_leaves_nothing() {
    let system = system().await;
    let before = system.serving("hostile").await;
    let mut notices = system.nats.client().await.subscribe("ward.notice.hostile").await.unwrap();
    let unwell = hostile(&system, "unwell");
    let output = system.try_command(&["deploy", "hostile", unwell.to_str().unwrap()]).await;
    let said = said(&output);
    assert!(!output.status.success() && said.contains("does not feel well"), "{said}");
    assert_eq!(system.serving("hostile").await, before);
    system.deploy("hostile", hostile(&system, "probes")).await;
    assert_ne!(system.serving("hostile").await, before);
    assert_eq!(marks(&system.rest(), "probed").await, 0, "what it wrote is rolled back");
    for (what, generation) in [("refused", 2), ("swapped-in", 3)] {
        let notice: Value = serde_json::from_slice(&notices.next().await.unwrap().payload).unwrap();
        assert_eq!((&notice["what"], &notice["generation"]), (&json!(what), &json!(generation)), "{notice}");
    }
    system.end_broken();
}

#[tokio::test]
async fn a_generation_that_fails_its_first_calls_is_taken_back_and_nobody_sees_it() {
    let system = system().await;
    let rest = system.rest();
    let before = system.serving("hostile").await;
    for behaviour in ["traps!", "errors", "stalls"] {
        let bad = hostile(&system, behaviour);
        system.deploy("hostile", &bad).await;
        assert_ne!(system.serving("hostile").await, before);
        for number in 0..10 {
            let key = format!("{behaviour}-{number}");
            let write = rest.request(Method::POST, "/hostile/write/mark?name=watched").header("idempotency-key", &key);
            write.send().await.expect(200);
            rest.get("/hostile/read/nothing").await.expect(200);
        }
        eventually("the generation before serves again", async || {
            (system.serving("hostile").await == before).then_some(())
        })
        .await;
    }
    assert_eq!(marks(&rest, "watched").await, 30, "each write was done once");
    system.end_broken();
}

#[tokio::test]
async fn a_generation_that_fails_events_or_typed_calls_is_taken_back_and_none_is_put_off() {
    // A call that outlasts its time fails as well; here it has as much as others have.
    let system = System::with().hostile().limits("hostile", "memory_mb = 16").start().await;
    let before = system.serving("hostile").await;
    let taken_back = async || {
        eventually("the generation before serves again", async || {
            (system.serving("hostile").await == before).then_some(())
        })
        .await;
    };
    for behaviour in ["reject", "faulty"] {
        system.deploy("hostile", hostile(&system, behaviour)).await;
        assert_ne!(system.serving("hostile").await, before);
        for number in 0..10 {
            system.nats.publish_event("hostile.happened", &format!("{behaviour}-{number}")).await;
        }
        taken_back().await;
    }
    system.deploy("hostile", hostile(&system, "faulty")).await;
    assert_ne!(system.serving("hostile").await, before);
    for _ in 0..10 {
        let answer = system.command(&["call", "hostile", "perform", r#"{"act": "nothing"}"#]).await;
        assert_eq!(answer.trim(), "200");
    }
    taken_back().await;
    let database = system.database("hostile").await;
    eventually("each event has had its effect", async || {
        let heard: i64 = sqlx::query_scalar("select count(*) from mark").fetch_one(&database).await.unwrap();
        (heard == 20).then_some(())
    })
    .await;
    assert_eq!(system.nats.deliveries("hostile_happened").await, 20);
    assert_eq!(system.dead_letters().await, 0);
    system.end_broken();
}

#[tokio::test]
async fn a_call_that_is_cancelled_ends_at_once_and_says_so() {
    let system =
        System::with().services(&[]).hostile().limits("hostile", "cpu_ms = 9000\nmemory_mb = 16").start().await;
    let client = system.nats.client().await;
    let id = unique("call");
    let mut headers = async_nats::HeaderMap::new();
    headers.insert("Ward-Call-Id", id.as_str());
    let spinning = client.request_with_headers("ward.call.hostile.acts.perform", headers, r#"{"act": "spin"}"#.into());
    let cancelling = async {
        eventually("it runs", async || (system.status("hostile").await["in_flight"] == 1).then_some(())).await;
        client.publish("ward.cancel", id.clone().into()).await.unwrap();
    };
    let (reply, ()) = tokio::join!(spinning, cancelling);
    let reply = reply.unwrap();
    let failure: Value = serde_json::from_slice(&reply.payload).unwrap();
    assert_eq!(failure["message"], "cancelled and rolled back", "{failure}");
    assert_eq!(reply.headers.unwrap().get("Ward-Failure").unwrap().as_str(), "deadline-exceeded");
    system.end_broken();
}
