//! Shapes that are one value, and lists of shapes.

use std::fmt;
use std::ops::Deref;

use serde::Serialize;
use serde_json::{Map, Value, json};
use uuid::Uuid;

use super::{Place, Shape};
use crate::fields::{Faults, is_storable};
use crate::sql;
use crate::time::Timestamp;

/// Text with something in it, without the blanks around it, of at most so many characters.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct Text<const MOST: usize>(String);

impl<const MOST: usize> Text<MOST> {
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl<const MOST: usize> Deref for Text<MOST> {
    type Target = str;

    fn deref(&self) -> &str {
        &self.0
    }
}

impl<const MOST: usize> fmt::Display for Text<MOST> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

/// What is stored is taken as it is: a limit that was lowered later does not hide it.
impl<const MOST: usize> From<String> for Text<MOST> {
    fn from(text: String) -> Self {
        Self(text)
    }
}

impl<const MOST: usize> Shape for Text<MOST> {
    fn schema(_: &mut Map<String, Value>) -> Value {
        json!({"type": "string", "minLength": 1, "maxLength": MOST})
    }

    fn read(value: Value, at: &Place, faults: &mut Faults) -> Option<Self> {
        let text = String::read(value, at, faults)?;
        match text.trim() {
            "" => at.fault("is required", faults),
            text if text.chars().count() > MOST => at.fault(&format!("must have at most {MOST} characters"), faults),
            text => Some(Self(text.to_owned())),
        }
    }
}

impl<const MOST: usize> From<&Text<MOST>> for sql::Value {
    fn from(text: &Text<MOST>) -> Self {
        Self::Text(text.0.clone())
    }
}

impl<const MOST: usize> sql::FromCell for Text<MOST> {
    fn from_cell(cell: sql::Value) -> Result<Self, crate::ports::StoreError> {
        String::from_cell(cell).map(Self)
    }
}

impl Shape for String {
    fn schema(_: &mut Map<String, Value>) -> Value {
        json!({"type": "string"})
    }

    fn read(value: Value, at: &Place, faults: &mut Faults) -> Option<Self> {
        match value {
            Value::String(text) if is_storable(&text) => Some(text),
            Value::String(_) => at.fault("contains a character that is not allowed", faults),
            _ => at.fault("must be a string", faults),
        }
    }
}

impl Shape for Uuid {
    fn schema(_: &mut Map<String, Value>) -> Value {
        json!({"type": "string", "format": "uuid"})
    }

    fn read(value: Value, at: &Place, faults: &mut Faults) -> Option<Self> {
        let read = value.as_str().and_then(|text| Self::try_parse(text).ok());
        read.or_else(|| at.fault("must be a UUID", faults))
    }
}

/// Written in RFC 3339; what clients send is read in the same way.
impl Shape for Timestamp {
    fn schema(_: &mut Map<String, Value>) -> Value {
        json!({"type": "string", "format": "date-time", "description": "UTC."})
    }

    fn read(value: Value, at: &Place, faults: &mut Faults) -> Option<Self> {
        let read = value.as_str().and_then(Self::parse);
        read.or_else(|| at.fault("must be an instant, such as 2026-01-10T09:30:00Z", faults))
    }
}

impl Shape for bool {
    fn schema(_: &mut Map<String, Value>) -> Value {
        json!({"type": "boolean"})
    }

    fn read(value: Value, at: &Place, faults: &mut Faults) -> Option<Self> {
        value.as_bool().or_else(|| at.fault("must be true or false", faults))
    }

    fn parse(text: &str, at: &Place, faults: &mut Faults) -> Option<Self> {
        text.parse().ok().or_else(|| at.fault("must be true or false", faults))
    }
}

macro_rules! number {
    ($($type:ty),+) => {
        $(impl Shape for $type {
            fn schema(_: &mut Map<String, Value>) -> Value {
                json!({"type": "integer", "minimum": <$type>::MIN, "maximum": <$type>::MAX})
            }

            fn read(value: Value, at: &Place, faults: &mut Faults) -> Option<Self> {
                let read = value.as_i64().and_then(|number| number.try_into().ok());
                read.or_else(|| wrong_number(at, <$type>::MIN.into(), <$type>::MAX.into(), faults))
            }

            fn parse(text: &str, at: &Place, faults: &mut Faults) -> Option<Self> {
                text.parse().ok().or_else(|| wrong_number(at, <$type>::MIN.into(), <$type>::MAX.into(), faults))
            }
        })+
    };
}

number!(i32, i64, u32);

fn wrong_number<T>(at: &Place, least: i64, most: i64, faults: &mut Faults) -> Option<T> {
    at.fault(&format!("must be a whole number from {least} to {most}"), faults)
}

/// A whole number within bounds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct Between<const LEAST: i32, const MOST: i32>(pub i32);

impl<const LEAST: i32, const MOST: i32> Between<LEAST, MOST> {
    fn check(number: Option<i32>, at: &Place, faults: &mut Faults) -> Option<Self> {
        let fits = number.filter(|number| (LEAST..=MOST).contains(number));
        fits.map(Self).or_else(|| wrong_number(at, LEAST.into(), MOST.into(), faults))
    }
}

impl<const LEAST: i32, const MOST: i32> Shape for Between<LEAST, MOST> {
    fn schema(_: &mut Map<String, Value>) -> Value {
        json!({"type": "integer", "minimum": LEAST, "maximum": MOST})
    }

    fn read(value: Value, at: &Place, faults: &mut Faults) -> Option<Self> {
        Self::check(value.as_i64().and_then(|number| number.try_into().ok()), at, faults)
    }

    fn parse(text: &str, at: &Place, faults: &mut Faults) -> Option<Self> {
        Self::check(text.parse().ok(), at, faults)
    }
}

impl<const LEAST: i32, const MOST: i32> From<Between<LEAST, MOST>> for sql::Value {
    fn from(number: Between<LEAST, MOST>) -> Self {
        Self::Int32(number.0)
    }
}

impl<T: Shape> Shape for Option<T> {
    const OPTIONAL: bool = true;

    fn schema(named: &mut Map<String, Value>) -> Value {
        T::schema(named)
    }

    fn read(value: Value, at: &Place, faults: &mut Faults) -> Option<Self> {
        T::read(value, at, faults).map(Some)
    }

    fn parse(text: &str, at: &Place, faults: &mut Faults) -> Option<Self> {
        T::parse(text, at, faults).map(Some)
    }

    fn missing(_: &Place, _: &mut Faults) -> Option<Self> {
        Some(None)
    }
}

impl<T: Shape> Shape for Vec<T> {
    fn schema(named: &mut Map<String, Value>) -> Value {
        json!({"type": "array", "items": T::schema(named)})
    }

    fn read(value: Value, at: &Place, faults: &mut Faults) -> Option<Self> {
        let Value::Array(items) = value else { return at.fault("must be a list", faults) };
        let items = items.into_iter().enumerate();
        // All of them, so that all faults are found.
        let read: Vec<Option<T>> = items.map(|(index, item)| T::read(item, &at.index(index), faults)).collect();
        read.into_iter().collect()
    }
}
