//! Checking what a client sent, so that it learns of all its faults at once.
//!
//! [`Faults`] collects the messages by field, [`Fields`] reads a JSON object's fields and puts what is wrong about their
//! type there, and the functions at the end are the rules that several components share.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::{Map, Value};

/// Messages by field. Empty: nothing is wrong.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Faults(BTreeMap<String, Vec<String>>);

impl Faults {
    pub fn of(field: &str, message: &str) -> Self {
        let mut faults = Self::default();
        faults.add(field, message);
        faults
    }

    pub fn add(&mut self, field: &str, message: impl Into<String>) {
        self.0.entry(field.to_owned()).or_default().push(message.into());
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub fn on(&self, field: &str) -> &[String] {
        self.0.get(field).map_or(&[], Vec::as_slice)
    }

    /// All messages without their fields, for contracts that have no place for those.
    pub fn messages(self) -> Vec<String> {
        self.0.into_values().flatten().collect()
    }
}

/// The fields of a JSON object. A field of the wrong type is a fault, and reads as missing.
pub struct Fields {
    object: Map<String, Value>,
    pub faults: Faults,
}

impl Fields {
    pub fn new(object: Map<String, Value>) -> Self {
        Self { object, faults: Faults::default() }
    }

    /// Null is the same as missing. `label` is what messages call the field.
    pub fn text(&mut self, field: &str, label: &str) -> Option<String> {
        match self.object.remove(field) {
            None | Some(Value::Null) => None,
            Some(Value::String(text)) => Some(text),
            Some(_) => {
                self.faults.add(field, format!("{label} must be a string"));
                None
            }
        }
    }

    pub fn flag(&mut self, field: &str, label: &str) -> Option<bool> {
        match self.object.remove(field) {
            None | Some(Value::Null) => None,
            Some(Value::Bool(flag)) => Some(flag),
            Some(_) => {
                self.faults.add(field, format!("{label} must be true or false"));
                None
            }
        }
    }

    /// Text with something in it, without the blanks around it. Otherwise "… is required".
    pub fn required(&mut self, field: &str, label: &str) -> Option<String> {
        let text = self.text(field, label).map(|text| text.trim().to_owned()).filter(|text| !text.is_empty());
        if text.is_none() && self.faults.on(field).is_empty() {
            self.faults.add(field, format!("{label} is required"));
        }
        if text.as_deref().is_some_and(|text| !is_storable(text)) {
            self.faults.add(field, format!("{label} contains a character that is not allowed"));
            return None;
        }
        text
    }
}

/// PostgreSQL keeps every character but one.
pub fn is_storable(text: &str) -> bool {
    !text.contains('\0')
}

/// Could mail be sent there? One `@` with something before it and a host name behind it, no blanks, at most 254 bytes.
/// Whether somebody reads it only a message can tell.
pub fn is_plausible_email(text: &str) -> bool {
    let Some((local, domain)) = text.rsplit_once('@') else {
        return false;
    };
    let local_fits = !local.is_empty() && local.len() <= 64 && !local.contains('@');
    let dots_fit = !local.starts_with('.') && !local.ends_with('.') && !local.contains("..");
    let clean = !text.chars().any(|character| character.is_whitespace() || character.is_control());
    text.len() <= 254 && local_fits && dots_fit && clean && domain.split('.').all(is_plausible_label)
}

fn is_plausible_label(label: &str) -> bool {
    let edges_fit = !label.starts_with('-') && !label.ends_with('-');
    (1..=63).contains(&label.len()) && edges_fit && label.chars().all(|c| c.is_alphanumeric() || c == '-')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fields(json: &str) -> Fields {
        Fields::new(serde_json::from_str(json).unwrap())
    }

    #[test]
    fn required_text_is_trimmed_and_not_blank() {
        let mut read = fields(r#"{"a": "  x ", "b": "  ", "c": null, "e": 5, "f": "a\u0000b"}"#);
        assert_eq!(read.required("a", "A"), Some("x".to_owned()));
        for field in ["b", "c", "d", "e", "f"] {
            assert_eq!(read.required(field, &field.to_uppercase()), None);
        }
        assert_eq!(read.faults.on("b"), ["B is required"]);
        assert_eq!(read.faults.on("c"), ["C is required"]);
        assert_eq!(read.faults.on("d"), ["D is required"]);
        assert_eq!(read.faults.on("e"), ["E must be a string"]);
        assert_eq!(read.faults.on("f"), ["F contains a character that is not allowed"]);
    }

    #[test]
    fn flags_are_booleans() {
        let mut read = fields(r#"{"a": true, "b": "true"}"#);
        assert_eq!(read.flag("a", "A"), Some(true));
        assert_eq!(read.flag("b", "B"), None);
        assert_eq!(read.flag("c", "C"), None);
        assert_eq!(read.faults.messages(), ["B must be true or false"]);
    }

    #[test]
    fn accepts_addresses_that_mail_could_reach() {
        for email in
            ["a@b", "john.doe@example.com", "o'brien+tag@mail.example.co.uk", "jürgen@müller.de", "x_1@sub-domain.org"]
        {
            assert!(is_plausible_email(email), "{email}");
        }
    }

    #[test]
    fn refuses_addresses_that_mail_could_not_reach() {
        let long = format!("{}@example.com", "a".repeat(65));
        for email in [
            "", "@", "a@", "@b", "a", "a b@c.d", "a@b c", "a@b..c", "a@.b", "a@b.", "a@@b", "a@-b.c", "a@b-.c",
            "a@b_c", "a@b\0", ".a@b.c", "a.@b.c", "a..b@c.d", &long,
        ] {
            assert!(!is_plausible_email(email), "{email}");
        }
    }
}
