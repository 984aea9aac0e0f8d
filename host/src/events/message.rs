//! An event as a message: CloudEvents attributes in the headers, the event's own message as payload.

use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use uuid::Uuid;
use ward_proto::call::{ce, header, subject};

use crate::bindings::exports::ward::events::subscriber::Event;
use crate::bus::{Delivery, Headers};
use crate::clock;
use crate::store::OutboxEvent;

pub fn subject_of(event_type: &str) -> String {
    format!("{}.{event_type}", subject::EVENT)
}

pub fn headers(service: &str, event: &OutboxEvent) -> Headers {
    let mut headers = Headers::new();
    headers.insert(ce::SPECVERSION, "1.0");
    headers.insert(ce::ID, event.id.to_string());
    headers.insert(ce::TYPE, event.event_type.as_str());
    headers.insert(ce::SOURCE, format!("/services/{service}"));
    headers.insert(ce::SUBJECT, clean(&event.subject));
    headers.insert(ce::TIME, event.at.format(&Rfc3339).unwrap_or_default());
    headers.insert(ce::VERSION, event.version.to_string());
    headers.insert(header::CONTENT_TYPE, "application/protobuf");
    headers.insert(header::TRACEPARENT, event.traceparent.as_str());
    headers
}

/// Without what would end a header.
fn clean(text: &str) -> String {
    text.replace(|character: char| character.is_control(), " ")
}

/// The event of a delivery; a message that is none names the attribute that is missing or malformed.
pub fn event(delivery: &Delivery) -> Result<(Uuid, Event), &'static str> {
    let headers = delivery.headers();
    let get = |name: &'static str| headers.get(name).map(|value| value.as_str().to_owned()).ok_or(name);
    let id = get(ce::ID)?;
    let time = OffsetDateTime::parse(&get(ce::TIME)?, &Rfc3339).map_err(|_| ce::TIME)?;
    let event = Event {
        type_: get(ce::TYPE)?,
        source: get(ce::SOURCE)?,
        subject: get(ce::SUBJECT)?,
        time: i64::try_from(time.unix_timestamp_nanos() / 1000).unwrap_or_else(|_| clock::now_micros()),
        version: get(ce::VERSION)?.parse().map_err(|_| ce::VERSION)?,
        data: delivery.payload().to_vec(),
        id: id.clone(),
    };
    Ok((Uuid::parse_str(&id).map_err(|_| ce::ID)?, event))
}
