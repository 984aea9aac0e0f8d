//! The name of an artifact.

use std::fmt;

use serde::Serialize;
use sha2::Digest as _;

use crate::hex::hex;

/// The SHA-256 of an artifact's bytes, as 64 lower case hexadecimal digits.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(transparent)]
pub struct Digest(String);

impl Digest {
    const LENGTH: usize = 64;

    pub fn of(bytes: &[u8]) -> Self {
        Self(hex(&sha2::Sha256::digest(bytes)))
    }

    /// None for everything else than 64 lower case hexadecimal digits.
    pub fn parse(text: &str) -> Option<Self> {
        (text.len() == Self::LENGTH && is_hexadecimal(text)).then(|| Self(text.to_owned()))
    }

    /// All digests that stand somewhere in a text, whatever the text's format.
    pub fn all_in(text: &str) -> impl Iterator<Item = Self> {
        text.split(|character: char| !character.is_ascii_alphanumeric()).filter_map(Self::parse)
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// As it is shown to people.
    pub fn short(&self) -> &str {
        self.0.get(..12).unwrap_or(&self.0)
    }
}

/// Can this be the beginning of a digest, long enough to tell artifacts apart?
pub(super) fn is_prefix(text: &str) -> bool {
    (4..=Digest::LENGTH).contains(&text.len()) && is_hexadecimal(text)
}

fn is_hexadecimal(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte))
}

impl fmt::Display for Digest {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn takes_nothing_but_digests() {
        let digest = Digest::of(b"component");
        assert_eq!(Digest::parse(digest.as_str()), Some(digest.clone()));
        for wrong in ["", "../../etc/passwd", &digest.as_str()[1..], &digest.as_str().to_uppercase()] {
            assert_eq!(Digest::parse(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn finds_digests_in_any_text() {
        let (one, other) = (Digest::of(b"one"), Digest::of(b"other"));
        let text = format!(r#"{{"a": "{one}", "b": ["x{other}", "{other}"], "c": "abc"}}"#);
        assert_eq!(Digest::all_in(&text).collect::<Vec<_>>(), [one, other]);
    }
}
