//! Signatures over artifacts: Ed25519, over a message that names its purpose and the digest.
//!
//! The purpose keeps a signature of these keys from meaning something elsewhere, and one that was made elsewhere from meaning
//! something here. Keys are PKCS#8 PEM files, as openssl makes and reads them.

use std::fmt;
use std::path::{Path, PathBuf};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ed25519_dalek::pkcs8::spki::der::pem::LineEnding;
use ed25519_dalek::pkcs8::{DecodePrivateKey, EncodePrivateKey};
use ed25519_dalek::{Signer, SigningKey, VerifyingKey};
use serde::{Deserialize, Serialize};
use sha2::Digest as _;

use super::Digest;
use crate::hex::hex;

#[derive(Debug, thiserror::Error)]
pub enum KeyFileError {
    #[error("cannot read the key {path}: {source}")]
    Unreadable { path: PathBuf, source: std::io::Error },
    #[error("{0} is not an Ed25519 private key in PKCS#8 PEM; `ward keys artifact new FILE` makes one")]
    Malformed(PathBuf),
    #[error("cannot write the key {path}: {source}")]
    Unwritable { path: PathBuf, source: std::io::Error },
}

/// One key's word for one artifact.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Signature {
    /// [`PublicKey::id`] of the key that signed.
    pub key: String,
    /// 64 bytes in base64url without padding.
    pub signature: String,
}

fn message(digest: &Digest) -> Vec<u8> {
    format!("ward artifact signature v1\nsha256:{digest}\n").into_bytes()
}

/// What artifacts are signed with.
pub struct SigningKeyFile(SigningKey);

impl SigningKeyFile {
    pub fn read(path: &Path) -> Result<Self, KeyFileError> {
        let pem = std::fs::read_to_string(path)
            .map_err(|source| KeyFileError::Unreadable { path: path.to_owned(), source })?;
        let key = SigningKey::from_pkcs8_pem(&pem).map_err(|_| KeyFileError::Malformed(path.to_owned()))?;
        Ok(Self(key))
    }

    /// Makes a key in a new file that its owner alone may read. A file that is there is never replaced.
    pub fn make(path: &Path) -> Result<Self, KeyFileError> {
        use std::io::Write;
        use std::os::unix::fs::OpenOptionsExt;

        let unwritable = |source| KeyFileError::Unwritable { path: path.to_owned(), source };
        let mut seed = [0; 32];
        getrandom::fill(&mut seed).map_err(|error| unwritable(error.into()))?;
        let key = SigningKey::from_bytes(&seed);
        let pem = key.to_pkcs8_pem(LineEnding::LF).map_err(|_| KeyFileError::Malformed(path.to_owned()))?;
        let file = std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(path);
        let written = file.and_then(|mut file| file.write_all(pem.as_bytes()).and_then(|()| file.sync_all()));
        written.map_err(unwritable)?;
        Ok(Self(key))
    }

    pub fn public(&self) -> PublicKey {
        PublicKey(self.0.verifying_key())
    }

    pub fn sign(&self, digest: &Digest) -> Signature {
        let signature = URL_SAFE_NO_PAD.encode(self.0.sign(&message(digest)).to_bytes());
        Signature { key: self.public().id(), signature }
    }
}

/// Who may vouch for artifacts: `ed25519:` and the 32 bytes of the key in base64 (either alphabet, padded or not).
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct PublicKey(VerifyingKey);

impl PublicKey {
    /// The first 16 hexadecimal digits of the SHA-256 of the key.
    pub fn id(&self) -> String {
        let digest = hex(&sha2::Sha256::digest(self.0.as_bytes()));
        digest.get(..16).unwrap_or_default().to_owned()
    }

    /// Is this signature this key's, over this very digest?
    pub fn verifies(&self, digest: &Digest, signature: &Signature) -> bool {
        let bytes = decode(&signature.signature);
        let signature = bytes.and_then(|bytes| ed25519_dalek::Signature::from_slice(&bytes).ok());
        signature.is_some_and(|signature| self.0.verify_strict(&message(digest), &signature).is_ok())
    }
}

impl TryFrom<String> for PublicKey {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let key = text.strip_prefix("ed25519:").and_then(decode);
        let key = key.and_then(|bytes| VerifyingKey::from_bytes(&bytes.try_into().ok()?).ok());
        // With a weak key every message has a valid signature.
        key.filter(|key| !key.is_weak()).map(Self).ok_or_else(|| {
            format!(
                "{text:?} is not a public key: `ward keys artifact new FILE` and `… public FILE` print \"ed25519:…\""
            )
        })
    }
}

impl fmt::Display for PublicKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "ed25519:{}", URL_SAFE_NO_PAD.encode(self.0.as_bytes()))
    }
}

fn decode(base64: &str) -> Option<Vec<u8>> {
    let url_safe = base64.trim_end_matches('=').replace('+', "-").replace('/', "_");
    URL_SAFE_NO_PAD.decode(url_safe).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(seed: u8) -> SigningKeyFile {
        SigningKeyFile(SigningKey::from_bytes(&[seed; 32]))
    }

    #[test]
    fn a_signature_is_of_one_key_over_one_digest() {
        let (digest, other) = (Digest::of(b"one"), Digest::of(b"other"));
        let signature = key(1).sign(&digest);
        assert!(key(1).public().verifies(&digest, &signature));
        assert!(!key(1).public().verifies(&other, &signature));
        assert!(!key(2).public().verifies(&digest, &signature));
        let mut changed = signature.clone();
        changed.signature.replace_range(0..1, if signature.signature.starts_with('A') { "B" } else { "A" });
        assert!(!key(1).public().verifies(&digest, &changed));
        // Over the digest alone, without the purpose.
        let bare = URL_SAFE_NO_PAD.encode(key(1).0.sign(digest.as_str().as_bytes()).to_bytes());
        assert!(!key(1).public().verifies(&digest, &Signature { key: signature.key, signature: bare }));
    }

    #[test]
    fn public_keys_are_read_as_they_are_written_and_as_base64_writes_them() {
        let key = key(3).public();
        let text = key.to_string();
        assert_eq!(PublicKey::try_from(text.clone()).unwrap(), key);
        let padded = format!("{}=", text.replace('-', "+").replace('_', "/"));
        assert_eq!(PublicKey::try_from(padded).unwrap(), key);
        for wrong in ["", "ed25519:", "ed25519:AAAA", &text[8..], &format!("ed25519:{}", "A".repeat(43))] {
            assert!(PublicKey::try_from(wrong.to_owned()).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_key_file_is_private_and_never_replaced() {
        use std::os::unix::fs::MetadataExt;
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("key.pem");
        let made = SigningKeyFile::make(&path).unwrap();
        assert_eq!(std::fs::metadata(&path).unwrap().mode() & 0o777, 0o600);
        assert_eq!(SigningKeyFile::read(&path).unwrap().public(), made.public());
        assert!(matches!(SigningKeyFile::make(&path), Err(KeyFileError::Unwritable { .. })));
        std::fs::write(&path, "nothing").unwrap();
        assert!(matches!(SigningKeyFile::read(&path), Err(KeyFileError::Malformed(_))));
    }
}
