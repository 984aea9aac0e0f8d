//! Where an artifact comes from: a custom section `ward:provenance` of the component, as JSON.
//!
//! It lies in the artifact, so the digest covers it, and with the digest the signature. It holds nothing that differs
//! between two builds of the same source, so that these give the same digest: no machine, no user, and as time that of the
//! source.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};
use wasm_encoder::{ComponentSection, CustomSection};
use wasmparser::{Parser, Payload};

const SECTION: &str = "ward:provenance";

/// Longer ones are not ours.
const LIMIT: usize = 16 << 10;

/// What the one who built an artifact says of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Provenance {
    /// The service's.
    pub name: String,
    pub version: String,
    /// The last git commit that changed what the component is built from; none outside a repository.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub commit: Option<String>,
    /// True when what it was built from differed from that commit.
    #[serde(default)]
    pub dirty: bool,
    /// The time of the source, RFC 3339: `SOURCE_DATE_EPOCH`, else the commit's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source_time: Option<String>,
    /// The compiler, and what made a component of its output.
    pub toolchain: String,
}

/// What a component says of its origin.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Stated {
    Nothing,
    Provenance(Provenance),
    /// A section that cannot be read, or more than one.
    Unreadable,
}

impl Provenance {
    /// The component with this provenance in it.
    pub fn embed(&self, mut component: Vec<u8>) -> Vec<u8> {
        let data = serde_json::to_vec(self).unwrap_or_default();
        CustomSection { name: SECTION.into(), data: Cow::Owned(data) }.append_to_component(&mut component);
        component
    }

    /// Reads a component without trusting it.
    pub fn of(component: &[u8]) -> Stated {
        let mut stated = Stated::Nothing;
        let mut depth = 0_usize;
        for payload in Parser::new(0).parse_all(component) {
            match payload {
                Ok(Payload::ModuleSection { .. } | Payload::ComponentSection { .. }) => depth += 1,
                Ok(Payload::End(_)) => depth = depth.saturating_sub(1),
                Ok(Payload::CustomSection(section)) if depth == 0 && section.name() == SECTION => {
                    stated = match stated {
                        Stated::Nothing => Self::parse(section.data()).map_or(Stated::Unreadable, Stated::Provenance),
                        _ => Stated::Unreadable,
                    };
                }
                Ok(_) => {}
                Err(_) => return Stated::Unreadable,
            }
        }
        stated
    }

    fn parse(data: &[u8]) -> Option<Self> {
        if data.len() > LIMIT { None } else { serde_json::from_slice(data).ok() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const EMPTY: &[u8] = b"\0asm\x0d\0\x01\0";

    fn provenance() -> Provenance {
        Provenance {
            name: "stock".into(),
            version: "1.2.3".into(),
            commit: Some("0123456789abcdef".into()),
            dirty: true,
            source_time: Some("2026-01-01T00:00:00Z".into()),
            toolchain: "rustc 1.95.0".into(),
        }
    }

    #[test]
    fn is_read_as_it_was_written_and_gives_the_same_bytes_each_time() {
        let embedded = provenance().embed(EMPTY.to_vec());
        assert_eq!(Provenance::of(&embedded), Stated::Provenance(provenance()));
        assert_eq!(provenance().embed(EMPTY.to_vec()), embedded);
        assert_eq!(Provenance::of(EMPTY), Stated::Nothing);
    }

    #[test]
    fn two_of_them_a_broken_one_and_a_broken_file_say_nothing() {
        let twice = provenance().embed(provenance().embed(EMPTY.to_vec()));
        let mut broken = EMPTY.to_vec();
        CustomSection { name: SECTION.into(), data: Cow::Borrowed(b"{") }.append_to_component(&mut broken);
        let cut = &twice[..twice.len() - 5];
        for bytes in [&twice[..], &broken[..], cut, b"garbage"] {
            assert_eq!(Provenance::of(bytes), Stated::Unreadable);
        }
    }

    #[test]
    fn one_in_a_component_inside_does_not_count() {
        let inner = provenance().embed(EMPTY.to_vec());
        let mut outer = EMPTY.to_vec();
        outer.push(4);
        outer.push(u8::try_from(inner.len() & 0x7f | 0x80).unwrap());
        outer.push(u8::try_from(inner.len() >> 7).unwrap());
        outer.extend(inner);
        assert_eq!(Provenance::of(&outer), Stated::Nothing);
    }
}
