//! Headers to a [`Call`] and back.

use std::sync::Arc;
use std::time::{Duration, Instant};

use ward_proto::call::{FailureKind, header};
use ward_telemetry::{Context, Recorder};

use super::{Call, Failure};
use crate::bus::Headers;
use crate::config::{self, ServiceName};
use crate::security::Principal;

/// Reads a call for `service` from the headers of a request. A malformed header is a refusal, not a guess; a malformed trace
/// begins anew.
pub fn read(
    headers: Option<&Headers>,
    config: &config::Calls,
    recorder: &Recorder,
    service: &ServiceName,
) -> Result<Call, Failure> {
    let get = |name: &'static str| headers.and_then(|headers| headers.get(name)).map(|value| value.as_str());
    let principal = get(header::PRINCIPAL)
        .map(|text| serde_json::from_str::<Principal>(text).map_err(|_| refuse(header::PRINCIPAL)))
        .transpose()?
        .map(Arc::new);
    let deadline_ms = match get(header::DEADLINE_MS) {
        None => config.default_deadline_ms,
        Some(text) => text.parse::<u64>().map_err(|_| refuse(header::DEADLINE_MS))?.min(config.max_deadline_ms),
    };
    let id = match get(header::CALL_ID) {
        None => new_id(),
        Some(id) if is_call_id(id) => id.to_owned(),
        Some(_) => return Err(refuse(header::CALL_ID)),
    };
    let idempotency_key = get(header::IDEMPOTENCY_KEY);
    if !idempotency_key.is_none_or(is_idempotency_key) {
        return Err(refuse(header::IDEMPOTENCY_KEY));
    }
    Ok(Call {
        trail: recorder.enter(&id, service, get(header::TRACEPARENT)),
        id,
        principal,
        deadline: Instant::now() + Duration::from_millis(deadline_ms),
        idempotency_key: idempotency_key.map(str::to_owned),
    })
}

/// The generation that the caller wants an answer of, and of no other.
pub fn pinned(headers: Option<&Headers>) -> Result<Option<u64>, Failure> {
    let text = headers.and_then(|headers| headers.get(header::GENERATION)).map(|value| value.as_str());
    text.map(|text| text.parse().map_err(|_| refuse(header::GENERATION))).transpose()
}

/// Adds the headers of a call that is to be sent, from the span with this context.
pub fn write(call: &Call, context: Context, headers: &mut Headers) {
    headers.insert(header::CALL_ID, call.id.as_str());
    headers.insert(header::TRACEPARENT, context.to_string());
    headers.insert(header::DEADLINE_MS, call.remaining().as_millis().to_string());
    if let Some(principal) = &call.principal
        && let Ok(text) = serde_json::to_string(&**principal)
    {
        headers.insert(header::PRINCIPAL, text);
    }
    if let Some(key) = &call.idempotency_key {
        headers.insert(header::IDEMPOTENCY_KEY, key.as_str());
    }
}

/// Unique, and made of what may stand in a header.
pub fn new_id() -> String {
    uuid::Uuid::now_v7().to_string()
}

fn is_call_id(id: &str) -> bool {
    (1..=64).contains(&id.len()) && id.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
}

/// 1 to 255 visible ASCII characters.
pub fn is_idempotency_key(key: &str) -> bool {
    (1..=255).contains(&key.len()) && key.bytes().all(|byte| byte.is_ascii_graphic())
}

fn refuse(name: &str) -> Failure {
    Failure::new(FailureKind::Refused, format!("the header {name} is malformed; see docs/calls.md"))
}

#[cfg(test)]
mod tests {
    use ward_telemetry::{Telemetry, Trail};

    use super::*;

    const CONFIG: config::Calls = config::Calls { default_deadline_ms: 1000, max_deadline_ms: 2000 };

    fn recorder() -> Recorder {
        let config = Telemetry { otlp_endpoint: String::new(), sample_ratio: 1.0, ring_spans: 0 };
        Recorder::new(&config, "ward-host", "host-1")
    }

    fn read(headers: Option<&Headers>) -> Result<Call, Failure> {
        super::read(headers, &CONFIG, &recorder(), &ServiceName::parse("stock").unwrap())
    }

    fn headers(pairs: &[(&'static str, &str)]) -> Headers {
        let mut headers = Headers::new();
        for (name, value) in pairs {
            headers.insert(*name, *value);
        }
        headers
    }

    #[test]
    fn a_call_survives_its_headers() {
        let sent = Call {
            id: "abc-1".into(),
            principal: Some(Arc::new(Principal { subject: "jörg@example.com".into(), role: "ADMIN".into() })),
            trail: Trail::default(),
            deadline: Instant::now() + Duration::from_millis(1500),
            idempotency_key: Some("k1".into()),
        };
        let mut headers = Headers::new();
        write(&sent, sent.trail.context(), &mut headers);
        let read = read(Some(&headers)).unwrap();
        assert_eq!((read.trace(), read.trail.context().sampled), (sent.trace(), true));
        assert_eq!((read.id, read.principal), (sent.id, sent.principal));
        assert_eq!(read.idempotency_key, sent.idempotency_key);
    }

    #[test]
    fn no_headers_are_defaults_and_long_deadlines_are_cut() {
        assert!(read(None).unwrap().remaining() <= Duration::from_millis(1000));
        let long = headers(&[(header::DEADLINE_MS, "99999999")]);
        assert!(read(Some(&long)).unwrap().remaining() <= Duration::from_millis(2000));
    }

    #[test]
    fn malformed_headers_are_refused_by_name() {
        for (name, value) in [
            (header::DEADLINE_MS, "soon"),
            (header::PRINCIPAL, "admin"),
            (header::CALL_ID, "a b"),
            (header::IDEMPOTENCY_KEY, "with space"),
        ] {
            let failure = read(Some(&headers(&[(name, value)]))).unwrap_err();
            assert_eq!(failure.kind, FailureKind::Refused);
            assert!(failure.message.contains(name), "{failure}");
        }
    }

    #[test]
    fn a_malformed_trace_begins_anew() {
        let trace = |sent| read(Some(&headers(&[(header::TRACEPARENT, sent)]))).unwrap().trace();
        assert_ne!(trace("00-abc"), trace("00-abc"));
        let given = "0af7651916cd43dd8448eb211c80319c";
        assert_eq!(trace(&format!("00-{given}-b7ad6b7169203331-01")), given);
    }
}
