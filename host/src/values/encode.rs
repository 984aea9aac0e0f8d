//! A value and its plan, as anything that serde can write.

use serde::ser::{Error, Serialize, SerializeMap, SerializeSeq, Serializer};
use wasmtime::component::Val;

use super::{Encoding, Field, Mismatch, Plan};

pub fn value(plan: &Plan, encoding: Encoding, value: &Val) -> Result<Vec<u8>, Mismatch> {
    let typed = Typed { plan, value };
    match encoding {
        Encoding::Json => serde_json::to_vec(&typed).map_err(|error| Mismatch(error.to_string())),
        Encoding::Cbor => minicbor_serde::to_vec(&typed).map_err(|error| Mismatch(error.to_string())),
    }
}

struct Typed<'a> {
    plan: &'a Plan,
    value: &'a Val,
}

impl Serialize for Typed<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match (self.plan, self.value) {
            (Plan::Bool, Val::Bool(value)) => serializer.serialize_bool(*value),
            (Plan::S8, Val::S8(value)) => serializer.serialize_i8(*value),
            (Plan::U8, Val::U8(value)) => serializer.serialize_u8(*value),
            (Plan::S16, Val::S16(value)) => serializer.serialize_i16(*value),
            (Plan::U16, Val::U16(value)) => serializer.serialize_u16(*value),
            (Plan::S32, Val::S32(value)) => serializer.serialize_i32(*value),
            (Plan::U32, Val::U32(value)) => serializer.serialize_u32(*value),
            (Plan::S64, Val::S64(value)) => serializer.serialize_i64(*value),
            (Plan::U64, Val::U64(value)) => serializer.serialize_u64(*value),
            (Plan::Float32, Val::Float32(value)) => serializer.serialize_f32(*value),
            (Plan::Float64, Val::Float64(value)) => serializer.serialize_f64(*value),
            (Plan::Char, Val::Char(value)) => serializer.serialize_char(*value),
            (Plan::String, Val::String(value)) => serializer.serialize_str(value),
            (Plan::List(plan), Val::List(values)) => {
                sequence(serializer, values.len(), values.iter().map(|value| Typed { plan, value }))
            }
            (Plan::Tuple(plans), Val::Tuple(values)) => {
                let elements = plans.iter().zip(values).map(|(plan, value)| Typed { plan, value });
                sequence(serializer, values.len(), elements)
            }
            (Plan::Record(fields), Val::Record(values)) => record(serializer, fields, values),
            (Plan::Variant(cases), Val::Variant(name, payload)) => {
                let plan = cases.iter().find(|(case, _)| **case == **name).and_then(|(_, plan)| plan.as_ref());
                case(serializer, name, plan, payload.as_deref())
            }
            (Plan::Enum(_), Val::Enum(name)) => serializer.serialize_str(name),
            (Plan::Option(plan), Val::Option(value)) => match value.as_deref() {
                None => serializer.serialize_none(),
                Some(value) => Typed { plan, value }.serialize(serializer),
            },
            (Plan::Result(ok, _), Val::Result(Ok(value))) => side(serializer, "ok", ok.as_deref(), value.as_deref()),
            (Plan::Result(_, err), Val::Result(Err(value))) => {
                side(serializer, "err", err.as_deref(), value.as_deref())
            }
            (Plan::Flags(_), Val::Flags(names)) => sequence(serializer, names.len(), names.iter()),
            _ => Err(S::Error::custom("a value does not have the type of its contract")),
        }
    }
}

fn sequence<S: Serializer>(
    serializer: S,
    length: usize,
    elements: impl Iterator<Item = impl Serialize>,
) -> Result<S::Ok, S::Error> {
    let mut sequence = serializer.serialize_seq(Some(length))?;
    for element in elements {
        sequence.serialize_element(&element)?;
    }
    sequence.end()
}

fn record<S: Serializer>(serializer: S, fields: &[Field], values: &[(String, Val)]) -> Result<S::Ok, S::Error> {
    let mut map = serializer.serialize_map(Some(fields.len()))?;
    for (field, (_, value)) in fields.iter().zip(values) {
        map.serialize_entry(&*field.name, &Typed { plan: &field.plan, value })?;
    }
    map.end()
}

/// A case without a payload is its name; one with is a map of one entry.
fn case<S: Serializer>(
    serializer: S,
    name: &str,
    plan: Option<&Plan>,
    payload: Option<&Val>,
) -> Result<S::Ok, S::Error> {
    match (plan, payload) {
        (Some(plan), Some(value)) => entry(serializer, name, &Typed { plan, value }),
        _ => serializer.serialize_str(name),
    }
}

/// A side of a result is always a map of one entry, null without a payload.
fn side<S: Serializer>(
    serializer: S,
    name: &str,
    plan: Option<&Plan>,
    payload: Option<&Val>,
) -> Result<S::Ok, S::Error> {
    match (plan, payload) {
        (Some(plan), Some(value)) => entry(serializer, name, &Typed { plan, value }),
        _ => entry(serializer, name, &None::<()>),
    }
}

fn entry<S: Serializer>(serializer: S, name: &str, value: &impl Serialize) -> Result<S::Ok, S::Error> {
    let mut map = serializer.serialize_map(Some(1))?;
    map.serialize_entry(name, value)?;
    map.end()
}
