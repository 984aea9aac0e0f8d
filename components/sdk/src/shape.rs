//! What clients send and get, declared once: a [`shape!`](crate::shape!) is a plain struct or enum, reads itself from JSON or a query and reports
//! every fault at once, writes itself as JSON, and is its own schema in the OpenAPI document.
//!
//! ```ignore
//! ward_sdk::shape! {
//!     /// What a loan is asked for.
//!     pub struct NewLoan {
//!         /// The book's id.
//!         pub book_id: Uuid,
//!         /// Who takes it.
//!         pub reader: Text<200>,
//!         pub days: Option<i32>,
//!     }
//! }
//! ```
//!
//! Field names are written in camel case (`bookId`). A field is required unless it is an `Option`; null is the same as missing, and
//! fields that are not declared are ignored. What no type can say, a handler checks afterwards with the same [`Faults`].

use std::fmt;
use std::ops::Deref;

use serde::Serialize;
use serde_json::{Map, Value, json};
use uuid::Uuid;

use crate::fields::{Faults, is_storable};
use crate::sql;
use crate::time::Timestamp;

/// Something with a place in JSON and in the OpenAPI document.
pub trait Shape: Sized {
    /// May it be missing?
    const OPTIONAL: bool = false;

    /// The JSON schema. A shape with a name puts itself into `named` and returns a reference.
    fn schema(named: &mut Map<String, Value>) -> Value;

    /// Reads a value of a body. None after a fault was added.
    fn read(value: Value, at: &Place, faults: &mut Faults) -> Option<Self>;

    /// Reads a parameter of a query or a path.
    fn parse(text: &str, at: &Place, faults: &mut Faults) -> Option<Self> {
        Self::read(Value::String(text.to_owned()), at, faults)
    }

    /// What stands for a value that is missing.
    fn missing(at: &Place, faults: &mut Faults) -> Option<Self> {
        at.fault("is required", faults)
    }
}

/// A shape with fields.
pub trait Fieldset: Shape {
    fn fields(named: &mut Map<String, Value>) -> Vec<Field>;

    fn parse_query(query: &[(String, String)], faults: &mut Faults) -> Option<Self>;
}

/// A field, as the document describes it.
pub struct Field {
    pub name: &'static str,
    pub description: String,
    pub schema: Value,
    pub is_required: bool,
}

/// Where in a request a value stands: `lines[0].drug`.
#[derive(Default)]
pub struct Place(String);

impl Place {
    fn field(&self, name: &str) -> Self {
        if self.0.is_empty() { Self(name.to_owned()) } else { Self(format!("{}.{name}", self.0)) }
    }

    fn index(&self, index: usize) -> Self {
        Self(format!("{}[{index}]", self.0))
    }

    /// Adds a fault about the value here: "Book id is required".
    pub fn fault<T>(&self, message: &str, faults: &mut Faults) -> Option<T> {
        faults.add(if self.0.is_empty() { "body" } else { &self.0 }, format!("{} {message}", self.label()));
        None
    }

    /// The last name, as a reader would say it: `bookId` is "Book id".
    fn label(&self) -> String {
        let name = self.0.rsplit('.').next().unwrap_or_default();
        let mut label = String::with_capacity(name.len() + 4);
        for (place, character) in name.chars().enumerate() {
            match character {
                first if place == 0 => label.extend(first.to_uppercase()),
                upper if upper.is_uppercase() => {
                    label.push(' ');
                    label.extend(upper.to_lowercase());
                }
                other => label.push(other),
            }
        }
        if label.is_empty() { "The body".to_owned() } else { label }
    }
}

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

/// Takes fields out of a JSON object; for [`shape!`](crate::shape!).
#[doc(hidden)]
pub struct Object<'a> {
    fields: Map<String, Value>,
    at: &'a Place,
}

impl<'a> Object<'a> {
    pub fn of(value: Value, at: &'a Place, faults: &mut Faults) -> Option<Self> {
        match value {
            Value::Object(fields) => Some(Self { fields, at }),
            _ => at.fault("must be an object", faults),
        }
    }

    pub fn field<T: Shape>(&mut self, name: &str, faults: &mut Faults) -> Option<T> {
        let at = self.at.field(name);
        match self.fields.remove(name) {
            None | Some(Value::Null) => T::missing(&at, faults),
            Some(value) => T::read(value, &at, faults),
        }
    }
}

/// The first parameter of that name; one with nothing in it counts as missing.
#[doc(hidden)]
pub fn parameter<T: Shape>(query: &[(String, String)], name: &str, faults: &mut Faults) -> Option<T> {
    let at = Place::default().field(name);
    let found = query.iter().find(|(key, _)| key == name).map(|(_, value)| value.trim());
    match found.filter(|text| !text.is_empty()) {
        None => T::missing(&at, faults),
        Some(text) => T::parse(text, &at, faults),
    }
}

/// Puts an object's schema among the named ones and refers to it.
#[doc(hidden)]
pub fn object(
    name: &str,
    description: &str,
    named: &mut Map<String, Value>,
    fields: impl FnOnce(&mut Map<String, Value>) -> Vec<Field>,
) -> Value {
    let reference = json!({"$ref": format!("#/components/schemas/{name}")});
    if named.contains_key(name) {
        return reference;
    }
    // Taken before its fields are looked at: they may refer to it.
    named.insert(name.to_owned(), Value::Null);
    let fields = fields(named);
    let required: Vec<_> = fields.iter().filter(|field| field.is_required).map(|field| field.name).collect();
    let properties: Map<_, _> = fields.iter().map(|field| (field.name.to_owned(), described(field))).collect();
    let schema =
        json!({"type": "object", "description": prose(description), "required": required, "properties": properties});
    named.insert(name.to_owned(), schema);
    reference
}

fn described(field: &Field) -> Value {
    let mut schema = field.schema.clone();
    if let Some(members) = schema.as_object_mut().filter(|_| !field.description.is_empty()) {
        members.insert("description".to_owned(), field.description.as_str().into());
    }
    schema
}

#[doc(hidden)]
pub fn choice(name: &str, description: &str, texts: &[&str], named: &mut Map<String, Value>) -> Value {
    let schema = json!({"type": "string", "description": prose(description), "enum": texts});
    named.insert(name.to_owned(), schema);
    json!({"$ref": format!("#/components/schemas/{name}")})
}

/// A doc comment as one paragraph.
#[doc(hidden)]
pub fn prose(comment: &str) -> String {
    comment.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// `book_id` as `bookId`, made when the component is compiled. `LENGTH` is [`camel_length`].
#[doc(hidden)]
#[expect(clippy::indexing_slicing, reason = "evaluated by the compiler, which would refuse it")]
pub const fn camel<const LENGTH: usize>(name: &str) -> [u8; LENGTH] {
    let (from, mut camel, mut read, mut written) = (name.as_bytes(), [0; LENGTH], 0, 0);
    while read < from.len() {
        if from[read] == b'_' && read + 1 < from.len() {
            read += 1;
            camel[written] = from[read].to_ascii_uppercase();
        } else {
            camel[written] = from[read];
        }
        read += 1;
        written += 1;
    }
    camel
}

#[doc(hidden)]
#[expect(clippy::indexing_slicing, reason = "evaluated by the compiler, which would refuse it")]
pub const fn camel_length(name: &str) -> usize {
    let (from, mut read, mut length) = (name.as_bytes(), 0, 0);
    while read < from.len() {
        if !(from[read] == b'_' && read + 1 < from.len()) {
            length += 1;
        }
        read += 1;
    }
    length
}

/// The name of a field in JSON, as a constant.
#[doc(hidden)]
#[macro_export]
macro_rules! field_name {
    ($field:ident) => {{
        const BYTES: [u8; $crate::shape::camel_length(stringify!($field))] = $crate::shape::camel(stringify!($field));
        const NAME: &str = match ::core::str::from_utf8(&BYTES) {
            Ok(name) => name,
            Err(_) => stringify!($field),
        };
        NAME
    }};
}

/// Declares a struct or an enum that is also a [`Shape`](crate::shape::Shape); see the module. The cases of an enum have their text:
///
/// ```ignore
/// ward_sdk::shape! {
///     pub enum Status { Lent = "lent", Returned = "returned" }
/// }
/// ```
///
/// An enum can be a parameter and a cell of SQL (`text`), too.
#[macro_export]
macro_rules! shape {
    (
        $(#[doc = $doc:literal])*
        $visibility:vis struct $name:ident {
            $($(#[doc = $field_doc:literal])* $field_visibility:vis $field:ident: $type:ty),* $(,)?
        }
    ) => {
        $(#[doc = $doc])*
        #[derive(Debug, Clone, PartialEq, $crate::serde::Serialize)]
        #[serde(crate = "ward_sdk::serde", rename_all = "camelCase")]
        $visibility struct $name {
            $($(#[doc = $field_doc])* $field_visibility $field: $type,)*
        }

        impl $crate::shape::Shape for $name {
            fn schema(
                named: &mut $crate::serde_json::Map<String, $crate::serde_json::Value>,
            ) -> $crate::serde_json::Value {
                let fields = <Self as $crate::shape::Fieldset>::fields;
                $crate::shape::object(stringify!($name), concat!($($doc),*), named, fields)
            }

            fn read(
                value: $crate::serde_json::Value,
                at: &$crate::shape::Place,
                faults: &mut $crate::fields::Faults,
            ) -> Option<Self> {
                let mut object = $crate::shape::Object::of(value, at, faults)?;
                $(let $field: Option<$type> = object.field($crate::field_name!($field), faults);)*
                Some(Self { $($field: $field?),* })
            }
        }

        impl $crate::shape::Fieldset for $name {
            fn fields(
                named: &mut $crate::serde_json::Map<String, $crate::serde_json::Value>,
            ) -> Vec<$crate::shape::Field> {
                vec![$($crate::shape::Field {
                    name: $crate::field_name!($field),
                    description: $crate::shape::prose(concat!($($field_doc),*)),
                    schema: <$type as $crate::shape::Shape>::schema(named),
                    is_required: !<$type as $crate::shape::Shape>::OPTIONAL,
                }),*]
            }

            fn parse_query(
                query: &[(String, String)],
                faults: &mut $crate::fields::Faults,
            ) -> Option<Self> {
                $(let $field: Option<$type> = $crate::shape::parameter(query, $crate::field_name!($field), faults);)*
                Some(Self { $($field: $field?),* })
            }
        }
    };
    (
        $(#[doc = $doc:literal])*
        $visibility:vis enum $name:ident { $($(#[doc = $case_doc:literal])* $case:ident = $text:literal),+ $(,)? }
    ) => {
        $(#[doc = $doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, $crate::serde::Serialize)]
        #[serde(crate = "ward_sdk::serde")]
        $visibility enum $name { $($(#[doc = $case_doc])* #[serde(rename = $text)] $case),+ }

        impl $name {
            /// As it is stored, and as clients see it.
            $visibility fn text(self) -> &'static str {
                match self { $(Self::$case => $text),+ }
            }

            $visibility fn of(text: &str) -> Option<Self> {
                match text { $($text => Some(Self::$case),)+ _ => None }
            }
        }

        impl $crate::shape::Shape for $name {
            fn schema(
                named: &mut $crate::serde_json::Map<String, $crate::serde_json::Value>,
            ) -> $crate::serde_json::Value {
                $crate::shape::choice(stringify!($name), concat!($($doc),*), &[$($text),+], named)
            }

            fn read(
                value: $crate::serde_json::Value,
                at: &$crate::shape::Place,
                faults: &mut $crate::fields::Faults,
            ) -> Option<Self> {
                let read = value.as_str().and_then(Self::of);
                read.or_else(|| at.fault(concat!("must be one of:" $(, " ", $text)+), faults))
            }
        }

        impl From<$name> for $crate::sql::Value {
            fn from(case: $name) -> Self {
                case.text().into()
            }
        }

        impl $crate::sql::FromCell for $name {
            fn from_cell(cell: $crate::sql::Value) -> Result<Self, $crate::ports::StoreError> {
                let text = <String as $crate::sql::FromCell>::from_cell(cell)?;
                Self::of(&text).ok_or_else(|| $crate::ports::StoreError::Failed(
                    concat!("a cell is not a ", stringify!($name)).to_owned(),
                ))
            }
        }
    };
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate as ward_sdk;

    crate::shape! {
        /// What was
        /// asked for.
        struct Order {
            /// Who.
            asked_by: Uuid,
            what: Text<5>,
            kind: Option<Kind>,
            lines: Vec<Line>,
        }
    }

    crate::shape! {
        struct Line { count: Between<1, 9> }
    }

    crate::shape! {
        /// How.
        enum Kind { Fast = "fast", Slow = "slow" }
    }

    const ID: &str = "123e4567-e89b-12d3-a456-426614174000";

    fn read(value: Value) -> Result<Order, Value> {
        let mut faults = Faults::default();
        let order = Order::read(value, &Place::default(), &mut faults);
        assert_eq!(order.is_none(), !faults.is_empty(), "a fault for each refusal, and none else");
        order.ok_or_else(|| serde_json::to_value(&faults).unwrap())
    }

    #[test]
    fn writes_what_it_read() {
        let body = json!({"askedBy": ID, "what": " a ", "kind": "slow", "lines": [{"count": 2}], "other": 1});
        let order = read(body).unwrap();
        let written = json!({"askedBy": ID, "what": "a", "kind": "slow", "lines": [{"count": 2}]});
        assert_eq!(serde_json::to_value(&order).unwrap(), written);
        assert_eq!(read(json!({"askedBy": ID, "what": "a", "kind": null, "lines": []})).unwrap().kind, None);
    }

    #[test]
    fn says_all_faults_at_once_and_where() {
        let body = json!({"askedBy": 7, "what": "abcdef", "kind": "x", "lines": [{"count": 2}, {"count": 10}, {}, 3]});
        let expected = json!({
            "askedBy": ["Asked by must be a UUID"],
            "what": ["What must have at most 5 characters"],
            "kind": ["Kind must be one of: fast slow"],
            "lines[1].count": ["Count must be a whole number from 1 to 9"],
            "lines[2].count": ["Count is required"],
            "lines[3]": ["Lines[3] must be an object"],
        });
        assert_eq!(read(body).unwrap_err(), expected);
        let missing = read(json!({"what": " \t"})).unwrap_err();
        assert_eq!(
            missing,
            json!({"askedBy": ["Asked by is required"], "what": ["What is required"], "lines": ["Lines is required"]})
        );
        assert_eq!(read(json!([])).unwrap_err(), json!({"body": ["The body must be an object"]}));
        assert_eq!(
            read(json!({"askedBy": ID, "what": "\0", "lines": []})).unwrap_err()["what"],
            json!(["What contains a character that is not allowed"])
        );
    }

    #[test]
    fn a_query_is_read_by_the_same_declaration() {
        let query = |count: &str| vec![("count".to_owned(), count.to_owned())];
        let mut faults = Faults::default();
        assert_eq!(Line::parse_query(&query(" 3 "), &mut faults).unwrap().count, Between(3));
        assert!(faults.is_empty());
        assert_eq!(Line::parse_query(&query(""), &mut faults), None);
        assert_eq!(faults.on("count"), ["Count is required"]);
    }

    #[test]
    fn the_schema_is_that_of_the_fields() {
        let mut named = Map::new();
        assert_eq!(Order::schema(&mut named), json!({"$ref": "#/components/schemas/Order"}));
        assert_eq!(
            named["Order"],
            json!({
                "type": "object",
                "description": "What was asked for.",
                "required": ["askedBy", "what", "lines"],
                "properties": {
                    "askedBy": {"type": "string", "format": "uuid", "description": "Who."},
                    "what": {"type": "string", "minLength": 1, "maxLength": 5},
                    "kind": {"$ref": "#/components/schemas/Kind"},
                    "lines": {"type": "array", "items": {"$ref": "#/components/schemas/Line"}},
                },
            })
        );
        assert_eq!(named["Kind"], json!({"type": "string", "description": "How.", "enum": ["fast", "slow"]}));
    }
}
