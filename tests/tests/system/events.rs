//! Events: each has its effect once, and what nobody can handle is kept, with the reason.

use async_nats::HeaderMap;
use async_nats::jetstream;
use serde_json::Value;
use ward_proto::call::{ce, header, subject};
use ward_tests::artifact::{hostile, variant};
use ward_tests::clinic::{path, register};
use ward_tests::load::Load;
use ward_tests::{System, eventually, unique};

/// Stores a message in the event stream under an id of its own, so that the server does not know it again.
async fn store(system: &System, subject: String, mut headers: HeaderMap, payload: Vec<u8>) {
    headers.insert(header::MESSAGE_ID, unique("again").as_str());
    let context = jetstream::new(system.nats.client().await);
    let sent = context.publish_with_headers(subject, headers, payload.into()).await.unwrap();
    sent.await.unwrap();
}

/// The last event of a type, as it lies in the stream.
async fn last(system: &System, event_type: &str) -> (HeaderMap, Vec<u8>) {
    let context = jetstream::new(system.nats.client().await);
    let stream = context.get_stream(subject::EVENT_STREAM).await.unwrap();
    let subject = format!("{}.{event_type}", subject::EVENT);
    let message = stream.get_last_raw_message_by_subject(&subject).await.unwrap();
    (message.headers, message.payload.to_vec())
}

async fn summary(system: &System) -> Value {
    system.admin().await.get("/api/analytics/summary").await.expect(200).json()
}

#[tokio::test]
async fn an_event_that_comes_again_has_no_second_effect() {
    let system = System::start().await;
    let patient = register(&system.admin().await).await;
    system.settle().await;
    let before = summary(&system).await;
    let (headers, payload) = last(&system, "patient.registered").await;
    assert_eq!(headers.get(ce::SUBJECT).unwrap().as_str(), patient["id"]);
    for _ in 0..5 {
        for subscription in ["analytics.count", "billing.open-account"] {
            let subject = format!("{}.{subscription}", subject::REPLAY);
            store(&system, subject, headers.clone(), payload.clone()).await;
        }
        store(&system, format!("{}.patient.registered", subject::EVENT), headers.clone(), payload.clone()).await;
    }
    system.settle().await;
    assert_eq!(summary(&system).await, before);
    let consumed: i64 = sqlx::query_scalar("select count(*) from ward.inbox where event::text = $1")
        .bind(headers.get(ce::ID).unwrap().as_str())
        .fetch_one(&system.database("analytics").await)
        .await
        .unwrap();
    assert_eq!(consumed, 1);
    system.end().await;
}

#[tokio::test]
async fn an_event_that_nobody_can_handle_is_kept_with_the_reason_and_can_be_replayed() {
    let system = System::start().await;
    let patient = register(&system.admin().await).await;
    system.settle().await;
    let (headers, good) = last(&system, "patient.registered").await;
    let mut strange = headers.clone();
    strange.insert(ce::ID, uuid::Uuid::new_v4().to_string().as_str());
    let target = format!("{}.billing.open-account", subject::REPLAY);
    store(&system, target.clone(), strange.clone(), b"\xff\xff\xff".to_vec()).await;
    let letter = eventually("there is a dead letter", async || dead(&system).await.into_iter().next()).await;
    assert_eq!((&letter["service"], &letter["subscription"]), (&"billing".into(), &"open-account".into()));
    assert_eq!(letter["event_id"], strange.get(ce::ID).unwrap().as_str());
    assert!(!letter["reason"].as_str().unwrap().is_empty(), "{letter}");

    // Still no good, so it comes back; the letter that was replayed is gone.
    system.command(&["events", "replay", "billing"]).await;
    let again = eventually("it is back", async || {
        dead(&system).await.into_iter().find(|one| one["sequence"] != letter["sequence"])
    })
    .await;
    assert_eq!(dead(&system).await.len(), 1, "{again}");

    // A message without the attributes of an event.
    store(&system, target, HeaderMap::new(), good).await;
    eventually("it is dead as well", async || (dead(&system).await.len() == 2).then_some(())).await;
    let rest = system.admin().await;
    let account = rest.get(&format!("{}?include=account", path(&patient))).await.expect(200).json();
    assert_eq!(account["account"]["state"], "open", "what others wait for goes on");
    system.end_broken();
}

/// The subscription belongs to the service and not to a version: what is delivered once is not delivered again.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn swaps_while_events_flow_deliver_none_twice() {
    const SWAPS: u32 = 20;
    // A call that outlasts its time fails, and its event comes again; here it has as much as others have.
    let system = System::with().hostile().limits("hostile", "memory_mb = 16").start().await;
    let rest = system.rest();
    let load = Load::start(2, move |number| {
        let rest = rest.clone();
        async move { rest.post(&format!("/hostile/write/event?name=e{number}"), Value::Null).await.check(200) }
    });
    for mark in 1..=SWAPS {
        load.goes_on_for(5).await;
        system.deploy("hostile", variant(&system, "hostile", mark)).await;
    }
    let (published, failures) = load.end().await;
    assert_eq!(failures, Vec::<String>::new());
    let database = system.database("hostile").await;
    eventually("each event has had its effect", async || {
        let heard: i64 = sqlx::query_scalar("select count(*) from mark").fetch_one(&database).await.unwrap();
        (heard == i64::try_from(published).unwrap()).then_some(())
    })
    .await;
    assert_eq!(system.nats.deliveries("hostile_happened").await, published, "{SWAPS} swaps");
    system.end_broken();
}

async fn dead(system: &System) -> Vec<Value> {
    let letters: Value = serde_json::from_str(&system.command(&["events", "dead", "--json"]).await).unwrap();
    letters.as_array().unwrap().clone()
}

#[tokio::test]
async fn a_full_stream_stops_no_request_and_no_deployment_and_loses_nothing() {
    let system = System::with().hostile().set("WARD_EVENTS_STREAM_MB", 1).start().await;
    let context = jetstream::new(system.nats.client().await);
    let filler = format!("{}.somebody.elses", subject::EVENT);
    let mut stored = 0;
    for bytes in [100_000, 1_000, 1] {
        while context.publish(filler.clone(), vec![0; bytes].into()).await.unwrap().await.is_ok() {
            stored += bytes;
            assert!(stored < 2 << 20, "the stream is bounded");
        }
    }
    let admin = system.admin().await;
    let patient = register(&admin).await;
    system.deploy("hostile", variant(&system, "hostile", 1)).await;
    eventually("the host says that an event waits, and why", async || {
        let log = system.hosts[0].server.log();
        (log.contains("could not be stored in the stream") && log.contains("maximum bytes exceeded")).then_some(())
    })
    .await;
    let account = format!("/api/billing/accounts/{}", patient["id"].as_str().unwrap());
    assert_eq!(admin.get(&account).await.status, 404);
    context.get_stream(subject::EVENT_STREAM).await.unwrap().purge().filter(&filler).await.unwrap();
    admin.until(&account, 200).await;
    system.end().await;
}

#[tokio::test]
async fn a_subscription_that_ends_gives_its_events_back_once() {
    let system = System::with().services(&[]).hostile().limits("hostile", "memory_mb = 16").start().await;
    let mut holder = system.database("hostile").await.begin().await.unwrap();
    sqlx::query("lock table mark in exclusive mode").execute(&mut *holder).await.unwrap();
    for number in 0..50 {
        system.nats.publish_event("hostile.happened", &format!("event-{number}")).await;
    }
    let deliveries = async || system.nats.deliveries("hostile_happened").await;
    eventually("events are in work", async || (deliveries().await >= 8).then_some(())).await;
    let path = hostile(&system, "deaf!!");
    let release = async {
        eventually("the deaf version serves", async || {
            (system.status("hostile").await["serving"]["generation"] == 2).then_some(())
        })
        .await;
        holder.rollback().await.unwrap();
    };
    tokio::join!(system.deploy("hostile", path), release);
    let given = deliveries().await;
    assert!(given < 100, "{given} deliveries of 50 events");
    system.end_broken();
}
