//! The mirror: events of a real JetStream stream on the topics of (a mock of) Kafka.

#![cfg(test)]

mod support;

use prost::Message;
use rdkafka::types::{RDKafkaApiKey, RDKafkaRespErr};
use support::bridge::Bridge;
use support::eventually;
use support::kafka::{self, Kafka, assert_complete_and_ordered};
use support::nats::{Clinic, Nats};
use ward_proto::clinic_events::PatientRegistered;
use ward_proto::patient_events::PatientEvent;

const TOPICS: [&str; 2] = ["patient", "patient.registered"];

async fn everything_is_there(kafka: &Kafka, count: u64) {
    for topic in TOPICS {
        let seen = kafka.wait_for(topic, usize::try_from(count).unwrap()).await;
        assert_complete_and_ordered(&seen, count);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_reaches_its_topics_in_both_formats() {
    let nats = Nats::start().await.with_streams().await;
    let kafka = Kafka::start(&TOPICS);
    let _bridge = Bridge::start(&nats, &kafka.brokers(), "");
    let clinic = Clinic::new(&nats).await;
    clinic.publish("patient.registered", "e1", "p1", 1, "John Doe").await;

    let old = kafka.wait_for("patient", 1).await.remove(0);
    let event = PatientEvent::decode(old.payload.as_slice()).unwrap();
    assert_eq!((event.patient_id.as_str(), event.name.as_str()), ("p1", "John Doe"));
    assert_eq!((event.event_type.as_str(), event.event_id.as_str(), event.version), ("PATIENT_CREATED", "e1", 1));
    let new = kafka.wait_for("patient.registered", 1).await.remove(0);
    assert_eq!(PatientRegistered::decode(new.payload.as_slice()).unwrap().registered_date, "2026-01-10");
    for seen in [old, new] {
        assert_eq!(seen.key, "p1");
        let expected = [
            ("ce_aggregateversion", "1"),
            ("ce_id", "e1"),
            ("ce_source", "/services/patient"),
            ("ce_specversion", "1.0"),
            ("ce_subject", "p1"),
            ("ce_time", "2026-01-10T09:30:00Z"),
            ("ce_type", "patient.registered"),
            ("content-type", "application/protobuf"),
        ];
        let mut headers: Vec<(&str, &str)> = seen.headers.iter().map(|(k, v)| (k.as_str(), v.as_str())).collect();
        // The event's trace, and the span of its way to Kafka.
        let (name, trace) = headers.pop().unwrap();
        assert!(name == "traceparent" && trace.starts_with("00-0af7651916cd43dd8448eb211c80319c-"), "{name}: {trace}");
        assert_eq!(headers, expected);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn keeps_the_order_of_each_key_through_a_full_queue_and_errors_of_the_broker() {
    let nats = Nats::start().await.with_streams().await;
    let kafka = Kafka::start(&TOPICS);
    let clinic = Clinic::new(&nats).await;
    clinic.register(0..600, 7).await;
    let refused = RDKafkaRespErr::RD_KAFKA_RESP_ERR_NOT_LEADER_FOR_PARTITION;
    let passed = RDKafkaRespErr::RD_KAFKA_RESP_ERR_NO_ERROR;
    let errors = [refused, passed, refused, refused, passed, refused];
    kafka.cluster().request_errors(RDKafkaApiKey::Produce, &errors);
    // The mock does not check the sequence numbers of idempotent producers as a broker does; with one request at a time
    // it need not.
    let full = "options = { \"queue.buffering.max.messages\" = 5, \"batch.num.messages\" = 2, \"max.in.flight\" = 1 }";
    let _bridge = Bridge::start(&nats, &kafka.brokers(), full);
    everything_is_there(&kafka, 600).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_again_and_again_it_neither_loses_nor_doubles() {
    let nats = Nats::start().await.with_streams().await;
    let kafka = Kafka::start(&TOPICS);
    let clinic = Clinic::new(&nats).await;
    let publishing = tokio::spawn(async move { clinic.register(0..1500, 11).await });
    for done in [100, 400, 700, 1000] {
        let bridge = Bridge::start(&nats, &kafka.brokers(), "in_flight = 50");
        kafka.wait_for("patient", done).await;
        bridge.kill();
    }
    let bridge = Bridge::start(&nats, &kafka.brokers(), "");
    publishing.await.unwrap();
    everything_is_there(&kafka, 1500).await;
    bridge.wait_until("/kafka/lag", 0).await;
    bridge.stop().await;
    let _again = Bridge::start(&nats, &kafka.brokers(), "");
    _again.wait_until("/kafka/mirror", "running").await;
    everything_is_there(&kafka, 1500).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn goes_on_by_itself_when_nats_was_killed() {
    let mut nats = Nats::start().await.with_streams().await;
    let kafka = Kafka::start(&TOPICS);
    let bridge = Bridge::start(&nats, &kafka.brokers(), "in_flight = 20");
    let clinic = Clinic::new(&nats).await;
    let publishing = tokio::spawn(async move { clinic.register(0..900, 5).await });
    for done in [100, 400] {
        kafka.wait_for("patient", done).await;
        nats.kill();
        nats.restart().await;
    }
    publishing.await.unwrap();
    everything_is_there(&kafka, 900).await;
    bridge.wait_until("/ready", true).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn waits_while_kafka_is_away_and_shows_the_lag() {
    let nats = Nats::start().await.with_streams().await;
    let kafka = Kafka::start(&TOPICS);
    let bridge = Bridge::start(&nats, &kafka.brokers(), "in_flight = 10");
    let clinic = Clinic::new(&nats).await;
    clinic.register(0..20, 3).await;
    bridge.wait_until("/ready", true).await;
    kafka.wait_for("patient", 20).await;

    kafka.cluster().broker_down(-1).unwrap();
    clinic.register(20..120, 3).await;
    bridge.wait_until("/kafka/reachable", false).await;
    bridge.wait_until("/kafka/lag", 100).await;
    assert_eq!(bridge.get("/readyz").await.unwrap().0, 503);
    assert!(bridge.get("/metrics").await.unwrap().1.contains("ward_bridge_kafka_lag 100\n"));

    kafka.cluster().broker_up(-1).unwrap();
    everything_is_there(&kafka, 120).await;
    bridge.wait_until("/kafka/lag", 0).await;
    bridge.wait_until("/ready", true).await;
    assert_eq!(bridge.get("/readyz").await.unwrap().0, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn starts_before_everybody_else() {
    let mut nats = Nats::start().await;
    nats.kill();
    let kafka = Kafka::start(&TOPICS);
    kafka.cluster().broker_down(-1).unwrap();
    let bridge = Bridge::start(&nats, &kafka.brokers(), "");
    bridge.wait_until("/nats/connected", false).await;
    assert_eq!(bridge.get("/healthz").await.unwrap().0, 200);
    nats.restart().await;
    bridge.wait_until("/nats/connected", true).await;
    let nats = nats.with_streams().await;
    Clinic::new(&nats).await.register(0..10, 2).await;
    kafka.cluster().broker_up(-1).unwrap();
    everything_is_there(&kafka, 10).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_that_kafka_never_takes_becomes_a_dead_letter_and_the_others_pass() {
    let nats = Nats::start().await.with_streams().await;
    let kafka = Kafka::start(&TOPICS);
    let _bridge = Bridge::start(&nats, &kafka.brokers(), "options = { \"message.max.bytes\" = 2000 }");
    let clinic = Clinic::new(&nats).await;
    clinic.publish("patient.registered", "event-0", "p", 1, "John Doe").await;
    clinic.publish("patient.registered", "too-large", "p", 2, &"x".repeat(3000)).await;
    clinic.publish("patient.registered", "event-1", "p", 3, "John Doe").await;
    everything_is_there(&kafka, 2).await;
    let letters =
        eventually("two dead letters", async || Some(clinic.dead_letters().await).filter(|letters| letters.len() == 2))
            .await;
    let mut topics: Vec<_> = letters.iter().map(|letter| letter.headers.get("Ward-Topic").unwrap().as_str()).collect();
    topics.sort_unstable();
    assert_eq!(topics, TOPICS);
    for letter in letters {
        assert_eq!(letter.subject.as_str(), "ward.dead.bridge.kafka");
        let header = |name: &str| letter.headers.get(name).map(|value| value.as_str().to_owned());
        assert_eq!(header("ce-id").as_deref(), Some("too-large"));
        assert_eq!(header("Ward-Subject").as_deref(), Some("ward.event.patient.registered"));
        assert_eq!(header("Ward-Attempts").as_deref(), Some("1"));
        assert!(header("Ward-Reason").is_some());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_that_the_broker_refuses_costs_only_its_culprit() {
    let nats = Nats::start().await.with_streams().await;
    let kafka = Kafka::start(&TOPICS);
    let clinic = Clinic::new(&nats).await;
    clinic.register(0..50, 3).await;
    // The first batch is refused as a whole, and so is, alone, the first event that is tried again.
    let refused = RDKafkaRespErr::RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE;
    kafka.cluster().request_errors(RDKafkaApiKey::Produce, &[refused; 2]);
    let bridge = Bridge::start(&nats, &kafka.brokers(), "");
    bridge.wait_until("/kafka/lag", 0).await;
    bridge.wait_until("/kafka/position", 50).await;
    let letters = clinic.dead_letters().await;
    let seen = kafka.read("patient").len() + kafka.read("patient.registered").len();
    assert_eq!(seen + letters.len(), 100);
    assert!(letters.len() <= 1, "{} dead letters", letters.len());
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_bridges_one_mirrors_and_the_other_takes_over() {
    let nats = Nats::start().await.with_streams().await;
    let kafka = Kafka::start(&TOPICS);
    let clinic = Clinic::new(&nats).await;
    let first = Bridge::start(&nats, &kafka.brokers(), "");
    first.wait_until("/kafka/mirror", "running").await;
    let second = Bridge::start(&nats, &kafka.brokers(), "");
    second.wait_until("/kafka/mirror", "standby").await;
    clinic.register(0..200, 3).await;
    kafka.wait_for("patient", 50).await;
    first.kill();
    clinic.register(200..300, 3).await;
    second.wait_until("/kafka/mirror", "running").await;
    everything_is_there(&kafka, 300).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_embedded_broker_can_be_read_by_others_and_is_filled_again_after_a_restart() {
    let nats = Nats::start().await.with_streams().await;
    Clinic::new(&nats).await.register(0..30, 3).await;
    for _ in 0..2 {
        let bridge = Bridge::start(&nats, "embedded", "");
        bridge.wait_until("/kafka/position", 30).await;
        let brokers = bridge.status().await.unwrap()["kafka"]["brokers"].as_str().unwrap().to_owned();
        for topic in TOPICS {
            assert_complete_and_ordered(&kafka::read(&brokers, topic), 30);
        }
        bridge.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dead_letter_that_is_brought_back_goes_to_the_topic_that_it_missed() {
    let nats = Nats::start().await.with_streams().await;
    let kafka = Kafka::start(&TOPICS);
    let small = Bridge::start(&nats, &kafka.brokers(), "options = { \"message.max.bytes\" = 2000 }");
    let clinic = Clinic::new(&nats).await;
    clinic.publish("patient.registered", "event-0", "p", 1, &"x".repeat(3000)).await;
    let letters =
        eventually("two dead letters", async || Some(clinic.dead_letters().await).filter(|letters| letters.len() == 2))
            .await;
    small.stop().await;
    let _large = Bridge::start(&nats, &kafka.brokers(), "");
    let client = nats.client().await;
    let mut headers = letters[0].headers.clone();
    headers.insert("Nats-Msg-Id", "again");
    client.publish_with_headers("ward.replay.bridge.kafka", headers.clone(), letters[0].payload.clone()).await.unwrap();
    let (missed, other) = match headers.get("Ward-Topic").unwrap().as_str() {
        "patient" => ("patient", "patient.registered"),
        _ => ("patient.registered", "patient"),
    };
    assert_complete_and_ordered(&kafka.wait_for(missed, 1).await, 1);
    assert!(kafka.read(other).is_empty());
}
