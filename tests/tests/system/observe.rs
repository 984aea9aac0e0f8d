//! What operators and authors see of calls: traces, log lines, events, numbers. Nothing of a patient is in any of them.

use std::collections::BTreeSet;

use reqwest::Method;
use serde_json::Value;
use ward_tests::clinic::{JOHN, register, registration};
use ward_tests::collector::{Collector, Span};
use ward_tests::machine::repository;
use ward_tests::rest::{Answer, Rest};
use ward_tests::{System, eventually};

const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";
const OTHER_TRACE: &str = "1af7651916cd43dd8448eb211c80319c";
const CLIENT: &str = "b7ad6b7169203331";

async fn register_in(rest: &Rest, traceparent: &str) -> (Answer, Value) {
    let body = registration();
    let request = rest.request(Method::POST, "/api/patients").header("traceparent", traceparent);
    (request.json(body.clone()).send().await.expect(201), body)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_registration_is_one_trace_from_the_rest_request_to_the_kafka_headers() {
    let collector = Collector::start().await;
    let system = System::with().bridge().set("WARD_TELEMETRY_OTLP_ENDPOINT", collector.endpoint()).start().await;
    let rest = system.admin().await;
    register_in(&rest, &format!("00-{OTHER_TRACE}-{CLIENT}-00")).await;
    let (answer, body) = register_in(&rest, &format!("00-{TRACE}-{CLIENT}-01")).await;

    let hops = [
        "call",
        "commit",
        "component",
        "delivery",
        "gateway",
        "kafka",
        "publish",
        "queue",
        "relay",
        "request",
        "statement",
    ];
    let spans = eventually("all hops are exported", async || {
        let spans = collector.of_trace(TRACE);
        let seen: BTreeSet<&str> = spans.iter().map(Span::hop).collect();
        // The two events: of the patient, and of the account that billing opens for it.
        let kafka = spans.iter().filter(|span| span.hop() == "kafka").count();
        (hops.iter().all(|hop| seen.contains(hop)) && kafka >= 3).then_some(spans)
    })
    .await;
    let ids: BTreeSet<&str> = spans.iter().map(|span| span.id.as_str()).collect();
    assert_eq!(ids.len(), spans.len(), "each span has an id of its own");
    for span in &spans {
        let from_client = span.hop() == "gateway" && span.parent == CLIENT;
        assert!(from_client || ids.contains(span.parent.as_str()), "nobody's child: {span:?}");
        let text = format!("{span:?}");
        for field in ["name", "email", "address"] {
            assert!(!text.contains(body[field].as_str().unwrap()), "{field} in {text}");
        }
    }
    assert_eq!(
        spans.iter().filter(|span| span.program == "ward-bridge").map(Span::hop).collect::<BTreeSet<_>>(),
        ["kafka"].into()
    );

    let id = answer.json()["id"].as_str().unwrap().to_owned();
    let topic = system.topic("patient").await;
    let of_patient = |key: &Option<String>| key.as_deref() == Some(id.as_str());
    let records = topic.until("the event", |records| records.iter().any(|record| of_patient(&record.key))).await;
    let record = records.iter().find(|record| of_patient(&record.key)).unwrap();
    let sent: Vec<&str> = record.headers["traceparent"].split('-').collect();
    assert_eq!((sent[1], sent[3]), (TRACE, "01"));
    let span = spans.iter().find(|span| span.id == sent[2]).expect("the record's span is exported");
    assert_eq!((span.hop(), span.name.as_str()), ("kafka", "patient"));

    // Not sampled by its client: nobody's business but the memory's.
    assert!(collector.of_trace(OTHER_TRACE).is_empty());
    let remembered: Value = serde_json::from_str(&system.command(&["trace", OTHER_TRACE, "--json"]).await).unwrap();
    assert!(!remembered.as_array().unwrap().is_empty());
    system.end().await;
}

#[tokio::test]
async fn ward_trace_shows_the_way_of_a_call() {
    let system = System::shared().await;
    let answer = system.admin().await.get(&format!("/api/patients/{JOHN}")).await.expect(200);
    let call = answer.header("x-request-id").unwrap();
    let text = system.command(&["trace", call]).await;
    let depth = |hop: &str| text.lines().find_map(|line| line.find(hop)).expect(&text);
    assert!(depth("gateway") < depth("request") && depth("request") < depth("call "), "{text}");
    assert!(depth("call ") < depth("component") && depth("component") < depth("statement"), "{text}");
    assert!(text.contains("where id = $1") && !text.contains(JOHN) && !text.contains('\u{1b}'), "{text}");
    let unknown = system.try_command(&["trace", "nothing-of-the-kind"]).await;
    assert_eq!(unknown.status.code(), Some(1));
}

#[tokio::test]
async fn a_problem_names_its_call_and_ward_logs_tells_the_author_more() {
    // It crashes until the follower hears of it, however long that takes.
    let system = System::with().hostile().set("WARD_QUARANTINE_CRASHES", 10_000).start().await;
    let rest = system.rest();
    let mut follower = system.running(&["logs", "-f", "hostile"], &[]);
    let answer = eventually("a crash is followed", async || {
        let answer = rest.get("/hostile/read/panic").await.expect(502);
        let call = answer.header("x-request-id").unwrap().to_owned();
        follower.log().contains(&call).then_some(answer)
    })
    .await;
    follower.kill();
    let call = answer.header("x-request-id").unwrap().to_owned();
    let problem = answer.expect_problem(502);
    assert_eq!(problem["instance"], format!("urn:ward:call:{call}"));
    assert!(!problem.to_string().contains("panic"), "{problem}");

    let text = system.command(&["logs", "--call", &call, "--json"]).await;
    let lines: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let trap = lines.iter().find(|line| line["message"] == "a call trapped").expect(&text);
    assert_eq!((&trap["level"], &trap["fields"]["service"]), (&Value::from("ERROR"), &Value::from("hostile")));
    // The line that panics, and those that called it.
    let backtrace = trap["fields"]["backtrace"].as_str().unwrap();
    let source = std::fs::read_to_string(repository().join("tests/hostile/src/acts.rs")).unwrap();
    let line = source.lines().position(|line| line.contains("panic!(")).unwrap() + 1;
    assert!(backtrace.contains(&format!("(tests/hostile/src/acts.rs:{line})")), "{backtrace}");
    assert!(backtrace.contains("(tests/hostile/src/guest.rs:"), "{backtrace}");
    assert!(system.command(&["logs", "patient", "--level", "error"]).await.is_empty());
    system.end_broken();
}

#[tokio::test]
async fn ward_events_tail_shows_heads_and_nothing_of_a_patient() {
    let system = System::shared().await;
    let patient = register(&system.admin().await).await;
    let id = patient["id"].as_str().unwrap();
    let found = eventually("the event is stored", async || {
        let text =
            system.command(&["events", "tail", "patient.registered", "--since", "1h", "--limit", "1", "--json"]).await;
        Some(serde_json::from_str::<Value>(&text).unwrap())
    })
    .await;
    assert_eq!(found["type"], "patient.registered");
    let mut follower = system.running(&["events", "tail", "--since", "1h"], &[]);
    let text = eventually("the event is shown", async || Some(follower.log()).filter(|text| text.contains(id))).await;
    follower.kill();
    assert!(!text.contains(patient["name"].as_str().unwrap()), "{text}");
}

#[tokio::test]
async fn every_metric_is_in_the_documentation_and_no_label_is_an_id() {
    let system = System::shared().await;
    let patient = register(&system.admin().await).await;
    system.settle().await;
    let pages = std::fs::read_to_string(repository().join("docs/metrics.md")).unwrap();
    let bridge = Rest::new(format!("http://{}", system.bridge().address()));
    for rest in [system.rest(), bridge] {
        let text = rest.get("/metrics").await.expect(200).text();
        let names = text.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split(' ').next());
        let missing: Vec<&str> = names.filter(|name| !pages.contains(&format!("`{name}"))).collect();
        assert!(missing.is_empty(), "not in docs/metrics.md: {missing:?}");
        assert!(!text.contains(patient["id"].as_str().unwrap()));
    }
    let text = system.rest().get("/metrics").await.expect(200).text();
    for hop in
        ["gateway", "request", "call", "queue", "component", "statement", "commit", "publish", "relay", "delivery"]
    {
        assert!(text.contains(&format!("ward_hop_seconds_count{{hop=\"{hop}\"")), "{hop}: {text}");
    }
}
