//! Which records an event of the stream becomes.

use bytes::Bytes;
use prost::Message;
use ward_proto::call::{ce, header, subject};

use super::patient::patient_event;
use crate::bus::dead::{NAME, dead_header};
use crate::bus::events::Event;
use crate::config::{Format, Target};

const CONTENT_TYPE: &str = "content-type";
const PROTOBUF: &str = "application/protobuf";

/// A record for Kafka.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    pub topic: String,
    /// The aggregate's id: events of one aggregate go to one partition and keep their order.
    pub key: String,
    pub payload: Bytes,
    pub headers: Vec<(String, String)>,
}

impl Record {
    /// Puts the trace context of the record itself into the place of the event's.
    pub fn set_trace(&mut self, context: String) {
        self.headers.retain(|(name, _)| name != header::TRACEPARENT);
        self.headers.push((header::TRACEPARENT.to_owned(), context));
    }
}

/// An event that no record can be made of, however often it is tried.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Malformed {
    #[error("the event has no attribute {0}")]
    Missing(&'static str),
    #[error("the event is not about a patient, so the old format has no place for it")]
    NotOfAPatient,
    #[error("the event's message does not decode")]
    Undecodable,
}

/// The lines of the table that this event goes to. None for what is not meant for the mirror.
pub fn targets<'a>(event: &'a Event, table: &'a [Target]) -> impl Iterator<Item = &'a Target> {
    let kind = kind(event);
    let only = event.header(dead_header::TOPIC).filter(|_| is_brought_back(event));
    table
        .iter()
        .filter(move |row| kind.is_some_and(|kind| kind == row.event))
        .filter(move |row| only.is_none_or(|topic| topic == row.topic))
}

/// The event's id, which is also how it is recognized on Kafka.
pub fn id(event: &Event) -> Option<&str> {
    event.header(ce::ID).filter(|id| !id.is_empty())
}

/// The record that `event` becomes on the target's topic.
pub fn record(event: &Event, target: &Target) -> Result<Record, Malformed> {
    let attribute = |name| event.header(name).filter(|value| !value.is_empty()).ok_or(Malformed::Missing(name));
    let id = attribute(ce::ID)?;
    let key = attribute(ce::SUBJECT)?;
    let payload = match target.format {
        Format::Event => event.payload.clone(),
        Format::PatientEvent => {
            let version = event.header(ce::VERSION).and_then(|version| version.parse().ok()).unwrap_or(0);
            patient_event(&target.event, id, version, &event.payload)?.encode_to_vec().into()
        }
    };
    Ok(Record { topic: target.topic.clone(), key: key.to_owned(), payload, headers: headers(event) })
}

/// The type of an event, unless the message is for somebody else.
fn kind(event: &Event) -> Option<&str> {
    if is_brought_back(event) {
        return event.header(ce::TYPE);
    }
    event.subject.strip_prefix(subject::EVENT)?.strip_prefix('.')
}

/// A dead letter of the mirror that the operator has sent again.
fn is_brought_back(event: &Event) -> bool {
    event.subject.strip_prefix(subject::REPLAY).and_then(|rest| rest.strip_prefix('.')) == Some(NAME)
}

/// CloudEvents attributes as Kafka's binding names them, and the trace.
fn headers(event: &Event) -> Vec<(String, String)> {
    let attributes = event.headers.iter().filter(|(name, _)| name.starts_with("ce-"));
    let mut headers: Vec<_> = attributes.map(|(name, value)| (ce::on_kafka(name), value.clone())).collect();
    headers.sort();
    headers.push((CONTENT_TYPE.to_owned(), PROTOBUF.to_owned()));
    if let Some(trace) = event.header(header::TRACEPARENT) {
        headers.push((header::TRACEPARENT.to_owned(), trace.to_owned()));
    }
    headers
}

#[cfg(test)]
mod tests {
    use super::*;
    use ward_proto::clinic_events::PatientDeleted;

    fn event(subject: &str, headers: &[(&str, &str)]) -> Event {
        let payload = PatientDeleted { patient_id: "p".into() }.encode_to_vec();
        Event {
            sequence: 1,
            stored_at_ms: 0,
            subject: subject.to_owned(),
            headers: headers.iter().map(|(n, v)| (n.to_string(), v.to_string())).collect(),
            payload: payload.into(),
        }
    }

    fn row(event: &str, topic: &str, format: Format) -> Target {
        Target { event: event.to_owned(), topic: topic.to_owned(), format }
    }

    fn topics(event: &Event, table: &[Target]) -> Vec<String> {
        targets(event, table).map(|row| row.topic.clone()).collect()
    }

    #[test]
    fn an_event_goes_to_each_of_its_topics_and_a_dead_letter_back_to_its_own() {
        let table = [
            row("patient.deleted", "patient", Format::PatientEvent),
            row("patient.deleted", "patient.deleted", Format::Event),
            row("patient.updated", "patient", Format::PatientEvent),
        ];
        assert_eq!(topics(&event("ward.event.patient.deleted", &[]), &table), ["patient", "patient.deleted"]);
        assert!(topics(&event("ward.event.visit.ended", &[]), &table).is_empty());
        let back = [("ce-type", "patient.deleted"), ("Ward-Topic", "patient.deleted")];
        assert_eq!(topics(&event("ward.replay.bridge.kafka", &back), &table), ["patient.deleted"]);
        assert!(topics(&event("ward.replay.billing.registrations", &back), &table).is_empty());
    }

    #[test]
    fn a_record_has_the_aggregate_as_key_and_cloudevents_headers() {
        let attributes = [
            ("ce-id", "e"),
            ("ce-type", "patient.deleted"),
            ("ce-subject", "p"),
            ("ce-aggregateversion", "3"),
            ("Nats-Msg-Id", "e"),
            ("traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"),
        ];
        let event = event("ward.event.patient.deleted", &attributes);
        let record = record(&event, &row("patient.deleted", "t", Format::Event)).unwrap();
        assert_eq!((record.topic.as_str(), record.key.as_str()), ("t", "p"));
        assert_eq!(record.payload, event.payload);
        let names: Vec<&str> = record.headers.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(names, ["ce_aggregateversion", "ce_id", "ce_subject", "ce_type", "content-type", "traceparent"]);
    }

    #[test]
    fn an_event_without_id_or_aggregate_is_malformed() {
        let target = row("patient.deleted", "t", Format::Event);
        let of = |headers: &[(&str, &str)]| record(&event("ward.event.patient.deleted", headers), &target).unwrap_err();
        assert_eq!(of(&[("ce-subject", "p")]), Malformed::Missing("ce-id"));
        assert_eq!(of(&[("ce-id", "e")]), Malformed::Missing("ce-subject"));
    }
}
