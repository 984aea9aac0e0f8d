//! Artifacts: components as they are built, stored, signed and taken.
//!
//! An artifact is known by its digest, the SHA-256 of its bytes. It lies under that name in the object store
//! `ward-artifacts`, and who vouches for it beside it as `<digest>.sig`. So nobody needs to trust the store: bytes of another
//! digest are refused, and with `artifacts.trusted_keys` so is everything that none of these keys has signed
//! (docs/adr/0009-signed-artifacts.md). Start reading at `store`.
//!
//! `inspector` looks at artifacts before they are taken, `difference` at what a swap from one to another would change.
//! `provenance` is what an artifact says of where it comes from, `lines` from which line of its source each instruction does;
//! both lie in the artifact itself, so the digest covers them.

mod difference;
mod digest;
mod inspector;
mod lines;
mod provenance;
mod signature;
mod store;
mod trust;

pub use difference::{Area, Change, Kind, access, differences, effect};
pub use digest::Digest;
pub use inspector::{InspectError, Inspected, Inspector};
pub use lines::{Lines, Place, condense};
pub use provenance::{Provenance, Stated};
pub use signature::{KeyFileError, PublicKey, Signature, SigningKeyFile};
pub use store::{ArtifactError, Artifacts, Pruned, Pushed, Rehearsal, Stored};
pub use trust::{Trust, Verdict};
