//! The domain events on Kafka topics, as the old system's consumers read them.

use serde_json::json;
use ward_tests::System;
use ward_tests::clinic::{path, register, with};
use ward_tests::topic::Record;

fn of<'a>(records: &'a [Record], patient: &str) -> Vec<&'a Record> {
    records.iter().filter(|record| record.key.as_deref() == Some(patient)).collect()
}

#[tokio::test]
async fn a_patients_life_is_on_the_topic_in_order() {
    let system = System::with().kafka().start().await;
    let rest = system.admin().await;
    let patient = register(&rest).await;
    rest.put(&path(&patient), with(&patient, "name", json!("Another Name"))).await.expect(200);
    rest.delete(&path(&patient)).await.expect(204);

    let id = patient["id"].as_str().unwrap();
    let topic = system.topic("patient").await;
    let records = topic.until("three events", |records| of(records, id).len() == 3).await;
    let events: Vec<_> = of(&records, id).into_iter().map(Record::patient_event).collect();
    let kinds: Vec<&str> = events.iter().map(|event| event.event_type.as_str()).collect();
    assert_eq!(kinds, ["PATIENT_CREATED", "PATIENT_UPDATED", "PATIENT_DELETED"]);
    assert!(events.iter().all(|event| event.patient_id == id));
    assert_eq!((events[0].name.as_str(), events[1].name.as_str()), (patient["name"].as_str().unwrap(), "Another Name"));
    assert_eq!(events[0].email, patient["email"]);
    assert_eq!(events.iter().map(|event| event.version).collect::<Vec<_>>(), [1, 2, 3]);
    system.end().await;
}

#[tokio::test]
async fn records_have_the_attributes_of_cloudevents() {
    let system = System::shared().await;
    let patient = register(&system.admin().await).await;
    let id = patient["id"].as_str().unwrap();
    let topic = system.topic("patient").await;
    let records = topic.until("the event", |records| of(records, id).len() == 1).await;
    let record = of(&records, id)[0];
    let event = record.patient_event();
    assert_eq!(record.headers["ce_id"], event.event_id);
    assert_eq!(record.headers["ce_type"], "patient.registered");
    assert_eq!(record.headers["ce_subject"], id);
    assert_eq!(record.headers["ce_specversion"], "1.0");
    for name in ["ce_source", "ce_time"] {
        assert!(record.headers.contains_key(name), "{name}: {:?}", record.headers);
    }
}

#[tokio::test]
async fn each_event_goes_to_all_its_topics() {
    let system = System::shared().await;
    let patient = register(&system.admin().await).await;
    let id = patient["id"].as_str().unwrap();
    for name in ["patient", "patient.registered", "billing.account.opened"] {
        let topic = system.topic(name).await;
        topic.until("one event of the patient", |records| of(records, id).len() == 1).await;
    }
}

#[tokio::test]
async fn events_wait_while_kafka_is_away_and_nobody_else_does() {
    let mut system = System::with().kafka().start().await;
    let rest = system.admin().await;
    system.kafka.as_mut().unwrap().server.kill();
    let mut ids = Vec::new();
    for _ in 0..20 {
        ids.push(register(&rest).await["id"].as_str().unwrap().to_owned());
    }
    rest.until(&format!("/api/billing/accounts/{}", ids[0]), 200).await;
    system.kafka.as_mut().unwrap().start_again().await;
    let topic = system.topic("patient").await;
    topic.until("all events", |records| ids.iter().all(|id| of(records, id).len() == 1)).await;
    system.end().await;
}
