//! Component values on the wire: what `docs/calls.md` says in its table, for any interface, known only at run time.
//!
//! A function's type is compiled once, at load, into a [`Plan`]; encoding and decoding walk the plan. One walk serves
//! both encodings, since each is a serde format. Names are on the wire, so the two sides may differ: unknown fields are
//! skipped, and a missing field is an error unless it is optional.

mod compatible;
mod decode;
mod encode;
mod plan;
mod wit;

use wasmtime::component::Val;

pub use compatible::disagreement;
pub use plan::{Field, FunctionPlan, Plan, Room, Unsupported};
pub use wit::signature;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Encoding {
    Cbor,
    Json,
}

/// The bytes are not what the contract says. The text names the place and what was expected, not what was found, which
/// may be somebody's data.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct Mismatch(String);

impl Encoding {
    /// By the content type, or by the payload where there is none: parameters are a map, and no CBOR map begins with `{`.
    pub fn detect(content_type: Option<&str>, payload: &[u8]) -> Self {
        match content_type {
            Some(text) if text.starts_with(ward_proto::call::JSON) => Self::Json,
            Some(_) => Self::Cbor,
            None if payload.trim_ascii_start().first() == Some(&b'{') => Self::Json,
            None => Self::Cbor,
        }
    }

    pub fn content_type(self) -> &'static str {
        match self {
            Self::Cbor => ward_proto::call::CBOR,
            Self::Json => ward_proto::call::JSON,
        }
    }
}

/// The parameters of a call, in the order of the function's declaration; they take at most `room` bytes of memory.
pub fn decode_parameters(
    plan: &FunctionPlan,
    encoding: Encoding,
    payload: &[u8],
    room: usize,
) -> Result<Vec<Val>, Mismatch> {
    // No payload at all is what a caller without parameters sends.
    let payload = if payload.is_empty() { b"{}" } else { payload };
    let encoding = if payload == b"{}" { Encoding::Json } else { encoding };
    match decode::value(&plan.parameters, encoding, payload, room)? {
        Val::Record(fields) => Ok(fields.into_iter().map(|(_, value)| value).collect()),
        _ => Err(Mismatch("expected a map of the parameters".to_owned())),
    }
}

/// `values` in the order of the function's declaration.
pub fn encode_parameters(plan: &FunctionPlan, encoding: Encoding, values: Vec<Val>) -> Result<Vec<u8>, Mismatch> {
    let named = values.into_iter().map(|value| (String::new(), value)).collect();
    encode::value(&plan.parameters, encoding, &Val::Record(named))
}

pub fn decode_result(plan: &FunctionPlan, encoding: Encoding, payload: &[u8], room: usize) -> Result<Val, Mismatch> {
    decode::value(&plan.result, encoding, payload, room)
}

pub fn encode_result(plan: &FunctionPlan, encoding: Encoding, value: &Val) -> Result<Vec<u8>, Mismatch> {
    encode::value(&plan.result, encoding, value)
}

#[cfg(test)]
mod tests {
    use super::*;

    const ROOM: usize = 1 << 20;

    fn holder() -> Plan {
        Plan::Record(vec![
            Field { name: "owner-id".into(), plan: Plan::String },
            Field { name: "note".into(), plan: Plan::Option(Box::new(Plan::String)) },
            Field { name: "size".into(), plan: Plan::U8 },
        ])
    }

    fn plan() -> FunctionPlan {
        let fault = Plan::Variant(vec![
            ("invalid".into(), Some(Plan::List(Box::new(Plan::String)))),
            ("not-found".into(), None),
        ]);
        FunctionPlan {
            parameters: Plan::Record(vec![Field { name: "holder".into(), plan: holder() }]),
            result: Plan::Result(Some(Box::new(holder())), Some(Box::new(fault))),
        }
    }

    fn record(note: Option<&str>) -> Val {
        let note = note.map(|text| Box::new(Val::String(text.into())));
        Val::Record(vec![
            ("owner-id".into(), Val::String("p".into())),
            ("note".into(), Val::Option(note)),
            ("size".into(), Val::U8(7)),
        ])
    }

    #[test]
    fn values_survive_both_encodings() {
        let invalid = Val::Variant("invalid".into(), Some(Box::new(Val::List(vec![Val::String("no".into())]))));
        let results = [
            Val::Result(Ok(Some(Box::new(record(Some("n")))))),
            Val::Result(Err(Some(Box::new(invalid)))),
            Val::Result(Err(Some(Box::new(Val::Variant("not-found".into(), None))))),
        ];
        for encoding in [Encoding::Cbor, Encoding::Json] {
            for value in &results {
                let bytes = encode_result(&plan(), encoding, value).unwrap();
                assert_eq!(&decode_result(&plan(), encoding, &bytes, ROOM).unwrap(), value, "{encoding:?}");
            }
            let parameters = vec![record(None)];
            let bytes = encode_parameters(&plan(), encoding, parameters.clone()).unwrap();
            assert_eq!(decode_parameters(&plan(), encoding, &bytes, ROOM).unwrap(), parameters);
        }
    }

    #[test]
    fn json_is_what_the_page_says() {
        let bytes = encode_result(&plan(), Encoding::Json, &Val::Result(Ok(Some(Box::new(record(None)))))).unwrap();
        assert_eq!(String::from_utf8(bytes).unwrap(), r#"{"ok":{"owner-id":"p","note":null,"size":7}}"#);
    }

    #[test]
    fn skips_unknown_fields_and_fills_missing_options() {
        let json = br#"{"later": [1, {"a": null}], "holder": {"new": {}, "owner-id": "p", "size": 7}}"#;
        assert_eq!(decode_parameters(&plan(), Encoding::Json, json, ROOM).unwrap(), vec![record(None)]);
    }

    #[test]
    fn names_the_place_of_a_mismatch_and_not_the_data() {
        for (json, expected) in [
            (r#"{"holder": {"owner-id": "p"}}"#, "size"),
            (r#"{"holder": {"owner-id": 99, "size": 7}}"#, "holder.owner-id"),
            (r#"{"holder": {"owner-id": "p", "size": 999}}"#, "holder.size"),
            (r#"{"holder": {"owner-id": "p", "size": 7}} {}"#, "trailing"),
            (r#"{"holder": {"owner-id": "p", "size": 7}"#, "EOF"),
            (r#"[]"#, "map"),
            (r#"{"holder": "999"}"#, "holder: invalid type: something else, expected a map"),
        ] {
            let error = decode_parameters(&plan(), Encoding::Json, json.as_bytes(), ROOM).unwrap_err().to_string();
            assert!(error.contains(expected), "{json}: {error}");
            assert!(!error.contains("999") && !error.contains("99"), "{error}");
        }
    }

    #[test]
    fn refuses_unknown_cases() {
        let error = decode_result(&plan(), Encoding::Json, br#"{"err": "nope"}"#, ROOM).unwrap_err().to_string();
        assert!(error.contains("invalid, not-found"), "{error}");
    }

    #[test]
    fn what_is_not_in_the_bytes_takes_room_too() {
        let optional = |number| Field { name: format!("f{number}").into(), plan: Plan::Option(Box::new(Plan::U8)) };
        let wide = Plan::Record((0..1000).map(optional).collect());
        let list = Field { name: "all".into(), plan: Plan::List(Box::new(wide)) };
        let plan = FunctionPlan { parameters: Plan::Record(vec![list]), result: Plan::Bool };
        let json = |records| format!(r#"{{"all": [{}]}}"#, vec!["{}"; records].join(","));
        decode_parameters(&plan, Encoding::Json, json(5).as_bytes(), ROOM).unwrap();
        let error = decode_parameters(&plan, Encoding::Json, json(100).as_bytes(), ROOM).unwrap_err().to_string();
        assert!(error.contains("limits.transfer_bytes"), "{error}");
    }
}
