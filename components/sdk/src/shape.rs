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

mod camel;
mod values;

use serde_json::{Map, Value, json};

use crate::fields::Faults;

#[doc(hidden)]
pub use camel::{camel, camel_length};
pub use values::{Between, Text};

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
mod tests;
