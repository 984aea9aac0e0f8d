//! Who asks? As Ward's gateway does it: EdDSA, issuer, audience, expiry, and a memory for tokens that were verified.

use std::collections::HashMap;
use std::num::NonZeroUsize;
use std::sync::Mutex;

use axum::http::{HeaderMap, header};
use jsonwebtoken::jwk::JwkSet;
use jsonwebtoken::{Algorithm, DecodingKey, Validation, decode, decode_header};
use lru::LruCache;
use serde::Deserialize;
use time::OffsetDateTime;

/// As many as Ward remembers.
const REMEMBERED: NonZeroUsize = NonZeroUsize::new(4096).unwrap();

#[derive(Debug, Clone, Deserialize)]
pub struct Principal {
    #[serde(rename = "sub")]
    pub subject: String,
    pub role: String,
    exp: i64,
}

pub struct Tokens {
    keys: HashMap<String, DecodingKey>,
    validation: Validation,
    remembered: Mutex<LruCache<String, Principal>>,
}

impl Tokens {
    pub fn new(keys: &str) -> Self {
        let keys: JwkSet = serde_json::from_str(keys).unwrap();
        let mut validation = Validation::new(Algorithm::EdDSA);
        validation.set_issuer(&["ward"]);
        validation.set_audience(&["ward"]);
        validation.set_required_spec_claims(&["exp", "iss", "aud", "sub"]);
        let named =
            |key: &jsonwebtoken::jwk::Jwk| (key.common.key_id.clone().unwrap(), DecodingKey::from_jwk(key).unwrap());
        Self {
            keys: keys.keys.iter().map(named).collect(),
            validation,
            remembered: Mutex::new(LruCache::new(REMEMBERED)),
        }
    }

    /// Nobody without a token that is valid now.
    pub fn principal(&self, headers: &HeaderMap) -> Option<Principal> {
        let token = headers.get(header::AUTHORIZATION)?.to_str().ok()?.strip_prefix("Bearer ")?;
        let remembered = self.remembered.lock().unwrap().get(token).cloned();
        if let Some(principal) = remembered {
            return (now().unix_timestamp() < principal.exp).then_some(principal);
        }
        let key = self.keys.get(&decode_header(token).ok()?.kid?)?;
        let principal = decode::<Principal>(token, key, &self.validation).ok()?.claims;
        self.remembered.lock().unwrap().put(token.to_owned(), principal.clone());
        Some(principal)
    }
}

#[expect(clippy::disallowed_methods, reason = "the yardstick has no tests that would set the clock")]
pub fn now() -> OffsetDateTime {
    OffsetDateTime::now_utc()
}
