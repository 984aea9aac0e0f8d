//! Bytes to values, led by the plan. Lengths in the bytes are never trusted, and depth is bounded by the plan.
//!
//! Errors carry the path of the place. It is built on the way out, so that the way in costs nothing for it.

use std::cell::Cell;
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Unexpected, Visitor};
use wasmtime::component::Val;

use super::{Encoding, Field, Mismatch, Plan};

/// Elements that a list gets room for before they are seen.
const TRUSTED_LENGTH: usize = 256;
/// Names that a message has.
const MOST_NAMES: usize = 20;
const TOO_LARGE: &str = "the values take more memory than limits.transfer_bytes allows";

/// Reads a value that takes at most `room` bytes of memory: of a record all fields are made, also those that are not in the bytes.
pub fn value(plan: &Plan, encoding: Encoding, bytes: &[u8], room: usize) -> Result<Val, Mismatch> {
    let seed = Typed(plan, &Cell::new(room));
    match encoding {
        Encoding::Json => {
            let mut deserializer = serde_json::Deserializer::from_slice(bytes);
            let value = seed.deserialize(&mut deserializer).map_err(|error| Mismatch(error.to_string()))?;
            deserializer.end().map_err(|error| Mismatch(error.to_string()))?;
            Ok(value)
        }
        Encoding::Cbor => {
            let mut deserializer = minicbor_serde::Deserializer::new(bytes);
            let value = seed.deserialize(&mut deserializer).map_err(|error| Mismatch(error.to_string()))?;
            if deserializer.decoder().position() < bytes.len() {
                return Err(Mismatch("trailing bytes behind the value".to_owned()));
            }
            Ok(value)
        }
    }
}

/// A type that is read, and how many bytes all that is read may still take.
#[derive(Clone, Copy)]
struct Typed<'a>(&'a Plan, &'a Cell<usize>);

impl<'a> Typed<'a> {
    fn of(self, plan: &'a Plan) -> Self {
        Self(plan, self.1)
    }

    fn take<E: Error>(self, bytes: usize) -> Result<(), E> {
        let left = self.1.get().checked_sub(bytes).ok_or_else(|| E::custom(TOO_LARGE))?;
        self.1.set(left);
        Ok(())
    }
}

impl<'de> DeserializeSeed<'de> for Typed<'_> {
    type Value = Val;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Val, D::Error> {
        self.take(size_of::<Val>())?;
        match self.0 {
            Plan::Option(_) => deserializer.deserialize_option(self),
            _ => deserializer.deserialize_any(self),
        }
    }
}

impl<'de> Visitor<'de> for Typed<'_> {
    type Value = Val;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Plan::Bool => formatter.write_str("a boolean"),
            Plan::S8 | Plan::U8 | Plan::S16 | Plan::U16 | Plan::S32 | Plan::U32 | Plan::S64 | Plan::U64 => {
                write!(formatter, "an integer that fits {:?}", self.0)
            }
            Plan::Float32 | Plan::Float64 => formatter.write_str("a number"),
            Plan::Char => formatter.write_str("a string of one character"),
            Plan::String => formatter.write_str("a string"),
            Plan::List(_) | Plan::Flags(_) => formatter.write_str("an array"),
            Plan::Tuple(plans) => write!(formatter, "an array of {}", plans.len()),
            Plan::Record(_) => formatter.write_str("a map"),
            Plan::Variant(cases) => write!(formatter, "one of {}", some(cases.iter().map(|(name, _)| &**name))),
            Plan::Enum(names) => write!(formatter, "one of {}", some(names.iter().map(|name| &**name))),
            Plan::Option(plan) => {
                self.of(plan).expecting(formatter)?;
                formatter.write_str(" or null")
            }
            Plan::Result(..) => formatter.write_str("{\"ok\": …} or {\"err\": …}"),
        }
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<Val, E> {
        match self.0 {
            Plan::Bool => Ok(Val::Bool(value)),
            _ => Err(wrong(self)),
        }
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<Val, E> {
        integer(self.0, i128::from(value)).ok_or_else(|| wrong(self))
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<Val, E> {
        integer(self.0, i128::from(value)).ok_or_else(|| wrong(self))
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<Val, E> {
        match self.0 {
            Plan::Float32 => Ok(Val::Float32(value as f32)),
            Plan::Float64 => Ok(Val::Float64(value)),
            _ => Err(wrong(self)),
        }
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Val, E> {
        match self.0 {
            Plan::String => self.visit_string(text.to_owned()),
            Plan::Char => {
                let mut characters = text.chars();
                match (characters.next(), characters.next()) {
                    (Some(character), None) => Ok(Val::Char(character)),
                    _ => Err(wrong(self)),
                }
            }
            Plan::Enum(names) if names.iter().any(|name| **name == *text) => Ok(Val::Enum(text.to_owned())),
            Plan::Variant(cases) => match cases.iter().find(|(name, _)| **name == *text) {
                Some((_, None)) => Ok(Val::Variant(text.to_owned(), None)),
                _ => Err(wrong(self)),
            },
            _ => Err(wrong(self)),
        }
    }

    fn visit_string<E: Error>(self, text: String) -> Result<Val, E> {
        match self.0 {
            Plan::String => self.take(text.len()).map(|()| Val::String(text)),
            _ => self.visit_str(&text),
        }
    }

    fn visit_none<E: Error>(self) -> Result<Val, E> {
        Ok(Val::Option(None))
    }

    fn visit_unit<E: Error>(self) -> Result<Val, E> {
        match self.0 {
            Plan::Option(_) => Ok(Val::Option(None)),
            _ => Err(wrong(self)),
        }
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Val, D::Error> {
        let Plan::Option(plan) = self.0 else {
            return Err(wrong(self));
        };
        Ok(Val::Option(Some(Box::new(self.of(plan).deserialize(deserializer)?))))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut sequence: A) -> Result<Val, A::Error> {
        match self.0 {
            Plan::List(plan) => {
                let mut values = Vec::with_capacity(sequence.size_hint().unwrap_or(0).min(TRUSTED_LENGTH));
                while let Some(value) = sequence.next_element_seed(self.of(plan))? {
                    values.push(value);
                }
                Ok(Val::List(values))
            }
            Plan::Tuple(plans) => {
                let mut values = Vec::with_capacity(plans.len());
                for plan in plans {
                    values.push(sequence.next_element_seed(self.of(plan))?.ok_or_else(|| wrong(self))?);
                }
                match sequence.next_element::<IgnoredAny>()? {
                    None => Ok(Val::Tuple(values)),
                    Some(_) => Err(wrong(self)),
                }
            }
            Plan::Flags(names) => {
                let mut flags = Vec::new();
                while let Some(flag) = sequence.next_element::<String>()? {
                    if flags.contains(&flag) || !names.iter().any(|name| **name == *flag) {
                        let names = some(names.iter().map(|name| &**name));
                        return Err(A::Error::custom(format_args!("expected names among {names}")));
                    }
                    flags.push(flag);
                }
                Ok(Val::Flags(flags))
            }
            _ => Err(wrong(self)),
        }
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Val, A::Error> {
        if let Plan::Record(fields) = self.0 {
            return record(map, fields, self);
        }
        let name: String = map.next_key()?.ok_or_else(|| wrong(self))?;
        let value = match self.0 {
            Plan::Variant(cases) => match cases.iter().find(|(case, _)| **case == *name) {
                Some((_, Some(plan))) => {
                    let payload = map.next_value_seed(self.of(plan)).map_err(|error| within(&name, error))?;
                    Val::Variant(name, Some(Box::new(payload)))
                }
                _ => return Err(wrong(self)),
            },
            Plan::Result(ok, err) => match name.as_str() {
                "ok" => Val::Result(Ok(side(&mut map, "ok", ok.as_deref().map(|plan| self.of(plan)))?)),
                "err" => Val::Result(Err(side(&mut map, "err", err.as_deref().map(|plan| self.of(plan)))?)),
                _ => return Err(wrong(self)),
            },
            _ => return Err(wrong(self)),
        };
        match map.next_key::<IgnoredAny>()? {
            None => Ok(value),
            Some(_) => Err(wrong(self)),
        }
    }
}

fn side<'de, A: MapAccess<'de>>(map: &mut A, name: &str, seed: Option<Typed>) -> Result<Option<Box<Val>>, A::Error> {
    match seed {
        None => map.next_value::<IgnoredAny>().map(|_| None),
        Some(seed) => map.next_value_seed(seed).map(|value| Some(Box::new(value))).map_err(|error| within(name, error)),
    }
}

/// A record: a map, in any order, to values in the order of the declaration.
fn record<'de, A: MapAccess<'de>>(mut map: A, fields: &[Field], typed: Typed) -> Result<Val, A::Error> {
    typed.take(fields.iter().map(|field| size_of::<String>() + field.name.len()).sum())?;
    let mut values: Vec<Option<Val>> = vec![None; fields.len()];
    while let Some(name) = map.next_key::<String>()? {
        let place = fields.iter().zip(&mut values).find(|(field, _)| *field.name == *name);
        let Some((field, place)) = place else {
            map.next_value::<IgnoredAny>()?;
            continue;
        };
        *place = Some(map.next_value_seed(typed.of(&field.plan)).map_err(|error| within(&name, error))?);
    }
    let named = fields.iter().zip(values).map(|(field, value)| {
        let value = match (value, &field.plan) {
            (Some(value), _) => value,
            (None, Plan::Option(_)) => {
                typed.take(size_of::<Val>())?;
                Val::Option(None)
            }
            (None, _) => return Err(A::Error::custom(format_args!("the field {} is missing", field.name))),
        };
        Ok((field.name.to_string(), value))
    });
    named.collect::<Result<_, _>>().map(Val::Record)
}

/// The first of the names, for a message.
fn some<'a>(names: impl Iterator<Item = &'a str>) -> String {
    let mut told: Vec<&str> = names.take(MOST_NAMES + 1).collect();
    if told.len() > MOST_NAMES {
        told.truncate(MOST_NAMES);
        told.push("…");
    }
    told.join(", ")
}

fn integer(plan: &Plan, value: i128) -> Option<Val> {
    Some(match plan {
        Plan::S8 => Val::S8(value.try_into().ok()?),
        Plan::U8 => Val::U8(value.try_into().ok()?),
        Plan::S16 => Val::S16(value.try_into().ok()?),
        Plan::U16 => Val::U16(value.try_into().ok()?),
        Plan::S32 => Val::S32(value.try_into().ok()?),
        Plan::U32 => Val::U32(value.try_into().ok()?),
        Plan::S64 => Val::S64(value.try_into().ok()?),
        Plan::U64 => Val::U64(value.try_into().ok()?),
        Plan::Float32 => Val::Float32(value as f32),
        Plan::Float64 => Val::Float64(value as f64),
        _ => return None,
    })
}

/// What was expected, without what was found.
fn wrong<E: Error>(expected: Typed<'_>) -> E {
    E::invalid_type(Unexpected::Other("something else"), &expected)
}

/// An error with the name of the field around it.
fn within<E: Error>(name: &str, error: E) -> E {
    let text = error.to_string();
    // serde_json adds the position each time that an error passes through it; one is enough.
    let text = text.split(" at line ").next().unwrap_or(&text);
    match text.strip_prefix("in ") {
        Some(rest) => E::custom(format_args!("in {name}.{rest}")),
        None => E::custom(format_args!("in {name}: {text}")),
    }
}
