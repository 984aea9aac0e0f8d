//! Processes that are killed in the middle of registrations. From the answer to the record on the topic nothing is lost
//! and nothing doubled. Each client repeats what was not answered, with the same `Idempotency-Key`.

use std::collections::BTreeMap;

use ward_tests::System;
use ward_tests::chain::{Chain, Event};
use ward_tests::registrations::Registrations;

const REGISTRATIONS: usize = 1_000;

async fn expect_intact(system: System, answered: BTreeMap<String, String>) {
    system.settle().await;
    let patients = system.database("patient").await;
    let stored: Vec<(String, String)> =
        sqlx::query_as("select id::text, name from patients").fetch_all(&patients).await.unwrap();
    let records = system.topic("patient").await.read().await;
    let chain = Chain { answered, stored, records: records.iter().map(Event::from).collect() };
    let faults = chain.faults();
    assert!(faults.is_empty(), "{} faults: {:#?}", faults.len(), &faults[..faults.len().min(10)]);
    assert!(chain.stored.len() >= REGISTRATIONS);
    system.end().await;
}

/// What somebody had in their hands who is killed is delivered again after three times the deadline, and 5 s.
async fn system() -> System {
    System::with().kafka().set("WARD_EVENTS_DEADLINE_MS", 3000).start().await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_lost_or_doubled_when_a_host_is_killed() {
    let mut system = system().await;
    let registrations = Registrations::start(&system.admin().await, REGISTRATIONS);
    for round in 1..=3 {
        registrations.until(round * REGISTRATIONS / 4).await;
        system.hosts[0].server.kill();
        system.hosts[0].start_again().await;
    }
    expect_intact(system, registrations.end().await).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_lost_or_doubled_when_the_bridge_is_killed() {
    let mut system = system().await;
    let registrations = Registrations::start(&system.admin().await, REGISTRATIONS);
    for round in 1..=3 {
        registrations.until(round * REGISTRATIONS / 4).await;
        let bridge = system.bridge.as_mut().unwrap();
        bridge.server.kill();
        bridge.start_again().await;
    }
    expect_intact(system, registrations.end().await).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_lost_or_doubled_when_the_nats_server_is_killed() {
    let mut system = system().await;
    let registrations = Registrations::start(&system.admin().await, REGISTRATIONS);
    for round in 1..=3 {
        registrations.until(round * REGISTRATIONS / 4).await;
        system.nats.server.kill();
        system.nats.start_again().await;
    }
    expect_intact(system, registrations.end().await).await;
}
