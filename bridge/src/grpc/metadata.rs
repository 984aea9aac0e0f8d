//! What the caller says about the call: how long it waits, and which trace it belongs to.

use std::time::Duration;

use tonic::metadata::MetadataMap;
use ward_proto::call::header;

/// An answer needs this long back to the caller. It also keeps the server's own timer, which would say CANCELLED, from
/// being first.
const WAY_BACK: Duration = Duration::from_millis(5);

/// How long the call may take: what the caller waits, else `default`.
pub fn deadline(metadata: &MetadataMap, default: Duration) -> Duration {
    let asked = metadata.get("grpc-timeout").and_then(|value| value.to_str().ok());
    asked.and_then(timeout).map_or(default, |asked| asked.saturating_sub(WAY_BACK).max(Duration::from_millis(1)))
}

/// The W3C trace context, if it is one.
pub fn traceparent(metadata: &MetadataMap) -> Option<String> {
    let value = metadata.get(header::TRACEPARENT)?.to_str().ok()?;
    is_traceparent(value).then(|| value.to_owned())
}

/// `grpc-timeout`: up to eight digits and a unit.
fn timeout(text: &str) -> Option<Duration> {
    let (digits, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
    if digits.len() > 8 || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let amount: u64 = digits.parse().ok()?;
    match unit {
        "H" => Some(Duration::from_secs(amount.saturating_mul(3600))),
        "M" => Some(Duration::from_secs(amount.saturating_mul(60))),
        "S" => Some(Duration::from_secs(amount)),
        "m" => Some(Duration::from_millis(amount)),
        "u" => Some(Duration::from_micros(amount)),
        "n" => Some(Duration::from_nanos(amount)),
        _ => None,
    }
}

fn is_traceparent(text: &str) -> bool {
    let lengths = [2, 32, 16, 2];
    let parts: Vec<&str> = text.split('-').collect();
    let is_hex = |part: &str| part.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
    parts.len() == lengths.len() && parts.iter().zip(lengths).all(|(part, length)| part.len() == length && is_hex(part))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_every_unit_and_refuses_what_is_no_timeout() {
        assert_eq!(timeout("2S"), Some(Duration::from_secs(2)));
        assert_eq!(timeout("1500m"), Some(Duration::from_millis(1500)));
        assert_eq!(timeout("3M"), Some(Duration::from_secs(180)));
        assert_eq!(timeout("99999999H"), Some(Duration::from_secs(99_999_999 * 3600)));
        for text in ["", "S", "1", "1x", "-1S", "123456789S", "1é"] {
            assert_eq!(timeout(text), None, "{text}");
        }
    }

    #[test]
    fn a_call_without_a_timeout_gets_the_default() {
        let default = Duration::from_secs(5);
        let mut metadata = MetadataMap::new();
        assert_eq!(deadline(&metadata, default), default);
        metadata.insert("grpc-timeout", "100m".parse().unwrap());
        assert_eq!(deadline(&metadata, default), Duration::from_millis(95));
        metadata.insert("grpc-timeout", "1m".parse().unwrap());
        assert_eq!(deadline(&metadata, default), Duration::from_millis(1));
    }

    #[test]
    fn passes_on_only_a_proper_trace() {
        assert!(is_traceparent("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"));
        for text in ["", "00-0af7-b7ad-01", "00-0AF7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"] {
            assert!(!is_traceparent(text), "{text}");
        }
    }
}
