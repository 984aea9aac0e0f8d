//! The signing keys: one Ed25519 key a file, `<kid>.pem`, in a directory that all hosts share.
//!
//! All of them verify, and the youngest that has been there for `tokens.key_rest_s` signs. Rotation is a new file; an old one is removed
//! when the last token that it signed has expired. The directory is read again every two seconds, and at once when a token
//! names a key that is not known; where it is copied and not shared, that rest is the time to copy it.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use arc_swap::ArcSwap;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ed25519_dalek::SigningKey;
use ed25519_dalek::pkcs8::spki::der::pem::LineEnding;
use ed25519_dalek::pkcs8::{DecodePrivateKey, EncodePrivateKey};
use jsonwebtoken::{DecodingKey, EncodingKey};
use serde_json::{Value, json};

use crate::clock;

#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    #[error("cannot read the key directory {path}: {source}")]
    Unreadable { path: PathBuf, source: std::io::Error },
    #[error("{path} is not an Ed25519 private key in PKCS#8 PEM")]
    Malformed { path: PathBuf },
    #[error("no signing key in {0}: run `ward keys rotate` (`ward provision` makes the first)")]
    None(PathBuf),
    #[error("cannot write the key {path}: {source}")]
    Unwritable { path: PathBuf, source: std::io::Error },
}

pub struct Keys {
    /// The oldest first.
    signing: Vec<(String, EncodingKey)>,
    pub verifying: HashMap<String, DecodingKey>,
    /// RFC 7517.
    pub jwks: Value,
    names: Vec<String>,
}

impl Keys {
    /// The key that signs now, and its id: the youngest that is `rest_s` old, else the oldest.
    pub fn signing(&self, rest_s: u64) -> Option<&(String, EncodingKey)> {
        let rested = |(kid, _): &&(String, EncodingKey)| made_at_s(kid) + rest_s <= clock::now_seconds();
        self.signing.iter().rfind(rested).or(self.signing.first())
    }
}

/// When a key was made, by its id; long ago if it was named by hand.
fn made_at_s(kid: &str) -> u64 {
    let made = uuid::Uuid::parse_str(kid).ok().and_then(|id| id.get_timestamp());
    made.map_or(0, |made| made.to_unix().0)
}

pub struct KeyRing {
    directory: PathBuf,
    keys: ArcSwap<Keys>,
    looked_at: AtomicU64,
}

impl KeyRing {
    pub fn open(directory: &Path) -> Result<Self, KeyError> {
        Ok(Self {
            directory: directory.to_owned(),
            keys: ArcSwap::from_pointee(read(directory)?),
            looked_at: AtomicU64::new(clock::now_seconds()),
        })
    }

    pub fn current(&self) -> Arc<Keys> {
        self.keys.load_full()
    }

    /// Looks for new and removed keys, at most once a second.
    pub fn refresh(&self) {
        let now = clock::now_seconds();
        if self.looked_at.swap(now, Ordering::Relaxed) == now {
            return;
        }
        match read(&self.directory) {
            Ok(keys) if keys.names != self.keys.load().names => {
                tracing::info!(keys = ?keys.names, "signing keys changed");
                self.keys.store(Arc::new(keys));
            }
            Ok(_) => {}
            Err(error) => tracing::error!(%error, "keeping the signing keys as they were"),
        }
    }
}

fn read(directory: &Path) -> Result<Keys, KeyError> {
    let unreadable = |source| KeyError::Unreadable { path: directory.to_owned(), source };
    let mut keys = Vec::new();
    for entry in std::fs::read_dir(directory).map_err(unreadable)? {
        let path = entry.map_err(unreadable)?.path();
        let name = path.file_stem().and_then(|stem| stem.to_str()).map(str::to_owned);
        if let (Some(name), Some("pem")) = (name, path.extension().and_then(|extension| extension.to_str())) {
            let pem = std::fs::read_to_string(&path).map_err(unreadable)?;
            let key = SigningKey::from_pkcs8_pem(&pem).map_err(|_| KeyError::Malformed { path: path.clone() })?;
            let signing = EncodingKey::from_ed_pem(pem.as_bytes()).map_err(|_| KeyError::Malformed { path })?;
            keys.push((name, key, signing));
        }
    }
    keys.sort_by(|(a, ..), (b, ..)| a.cmp(b));
    let public = |key: &SigningKey| URL_SAFE_NO_PAD.encode(key.verifying_key().to_bytes());
    let jwks = keys.iter().map(|(kid, key, _)| {
        json!({"kty": "OKP", "crv": "Ed25519", "alg": "EdDSA", "use": "sig", "kid": kid, "x": public(key)})
    });
    let jwks = json!({ "keys": jwks.collect::<Vec<_>>() });
    let verifying = keys
        .iter()
        .filter_map(|(kid, key, _)| Some((kid.clone(), DecodingKey::from_ed_components(&public(key)).ok()?)))
        .collect();
    let names = keys.iter().map(|(kid, ..)| kid.clone()).collect();
    if keys.is_empty() {
        return Err(KeyError::None(directory.to_owned()));
    }
    let signing = keys.into_iter().map(|(kid, _, signing)| (kid, signing)).collect();
    Ok(Keys { signing, verifying, jwks, names })
}

/// Makes a new key, which verifies at once and signs a little later. Returns its id, which sorts behind all before.
pub fn generate_key(directory: &Path) -> Result<String, KeyError> {
    use std::io::Write;
    use std::os::unix::fs::OpenOptionsExt;

    let kid = uuid::Uuid::now_v7().to_string();
    let path = directory.join(format!("{kid}.pem"));
    let unwritable = |source| KeyError::Unwritable { path: path.clone(), source };
    let mut seed = [0; 32];
    getrandom::fill(&mut seed).map_err(|error| KeyError::Unwritable { path: path.clone(), source: error.into() })?;
    let pem = SigningKey::from_bytes(&seed)
        .to_pkcs8_pem(LineEnding::LF)
        .map_err(|_| KeyError::Malformed { path: path.clone() })?;
    std::fs::create_dir_all(directory).map_err(unwritable)?;
    // Written aside and moved, so that no host reads half a key.
    let aside = directory.join(format!(".{kid}.new"));
    let mut file =
        std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&aside).map_err(unwritable)?;
    file.write_all(pem.as_bytes()).and_then(|()| file.sync_all()).map_err(unwritable)?;
    std::fs::rename(&aside, &path).map_err(unwritable)?;
    Ok(kid)
}
