//! Three nats-servers, of which one dies under load.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use async_nats::{HeaderMap, jetstream};
use ward_tests::chain::{Chain, Event};
use ward_tests::clinic::JOHN;
use ward_tests::nats::Nats;
use ward_tests::registrations::Registrations;
use ward_tests::samples::{Samples, bad};
use ward_tests::{System, eventually, passed};

const REGISTRATIONS: usize = 400;
const BOUND: Duration = Duration::from_secs(2);
/// What a call takes that is lost on its way and sent once more, and what none takes on a busy machine that is only slow.
const LOST: Duration = Duration::from_secs(6);
const SLOW: Duration = Duration::from_secs(5);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_of_the_cluster_dies_and_nothing_is_lost_nor_fails_for_longer_than_two_seconds() {
    // A delivery that died with the server is delivered again after three times the first, and 5 s. A call that is lost takes as long as
    // the second.
    let plan = System::with().hosts(2).cluster().set("WARD_EVENTS_DEADLINE_MS", 3000);
    let mut system = plan.set("WARD_HTTP_HEDGE_MS", LOST.as_millis()).start().await;
    let rest = system.admin().await;
    // The one that leads the stream, and that a host is connected to.
    let name = server_of_first_host(&system);
    lead(&system, &name).await;

    let registrations = Registrations::start(&rest, REGISTRATIONS);
    let reads = Samples::start(2, &rest, &format!("/api/patients/{JOHN}"));
    let writes = Samples::registering(1, &rest);
    registrations.until(REGISTRATIONS / 4).await;
    let node = node(&mut system, &name);
    node.server.kill();
    let death = Instant::now();
    passed(death, BOUND * 2).await;
    node.start_again().await;
    let answered = registrations.end().await;
    for samples in [reads.end().await, writes.end().await] {
        let bad = bad(&samples, death + BOUND, SLOW);
        assert!(bad.is_empty(), "{} of {}: {:?}", bad.len(), samples.len(), bad[0]);
        assert!(samples.iter().any(|sample| sample.began > death + BOUND));
    }
    expect_intact(system, answered).await;
}

async fn expect_intact(system: System, answered: BTreeMap<String, String>) {
    system.settle().await;
    let patients = system.database("patient").await;
    let stored: Vec<(String, String)> =
        sqlx::query_as("select id::text, name from patients").fetch_all(&patients).await.unwrap();
    let chain = Chain { answered, stored, records: events(&system).await };
    let faults = chain.faults();
    assert!(faults.is_empty(), "{} faults: {:#?}", faults.len(), &faults[..faults.len().min(10)]);
    assert!(chain.stored.len() >= REGISTRATIONS);
    system.end().await;
}

/// What the stream has of patients, in its order.
async fn events(system: &System) -> Vec<Event> {
    let stream = jetstream::new(system.nats.client().await).get_stream("WARD_EVENTS").await.unwrap();
    let mut events = Vec::new();
    for sequence in 1..=stream.cached_info().state.last_sequence {
        let message = stream.get_raw_message(sequence).await.unwrap();
        if message.subject.as_str() == "ward.event.patient.registered" {
            events.push(event(&message.headers));
        }
    }
    events
}

fn event(headers: &HeaderMap) -> Event {
    let header = |name: &str| headers.get(name).unwrap().as_str().to_owned();
    Event {
        id: header("ce-id"),
        patient: header("ce-subject"),
        kind: "PATIENT_CREATED".to_owned(),
        version: header("ce-aggregateversion").parse().unwrap(),
        partition: 0,
    }
}

/// Makes a server the leader of the stream of events.
async fn lead(system: &System, name: &str) {
    let client = system.nats.client().await;
    let context = jetstream::new(client.clone());
    let placement = format!(r#"{{"placement": {{"preferred": "{name}"}}}}"#);
    eventually("the server leads the stream", async || {
        let stream = context.get_stream("WARD_EVENTS").await.ok()?;
        if stream.cached_info().cluster.as_ref()?.leader.as_deref() == Some(name) {
            return Some(());
        }
        let _ = client.request("$JS.API.STREAM.LEADER.STEPDOWN.WARD_EVENTS", placement.clone().into()).await;
        None
    })
    .await;
}

/// By the port that its last connection went to.
fn server_of_first_host(system: &System) -> String {
    let log = system.hosts[0].server.log();
    let line = log.lines().rev().find(|line| line.contains("connected successfully")).unwrap();
    let place = [&system.nats]
        .into_iter()
        .chain(&system.nodes)
        .position(|node| line.contains(&format!("={}", node.address().port())));
    format!("nats-{}", place.unwrap() + 1)
}

fn node<'a>(system: &'a mut System, name: &str) -> &'a mut Nats {
    let place: usize = name.trim_start_matches("nats-").parse().unwrap();
    if place == 1 { &mut system.nats } else { &mut system.nodes[place - 2] }
}
