//! Verifies the clinic's tokens with the public keys that the hosts publish on NATS.
//!
//! Keys are kept and fetched again when they are old, and when a token names an unknown one, which is how a rotation shows.
//! Knows nothing of the protocol that brought the token.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use jsonwebtoken::jwk::JwkSet;
use jsonwebtoken::{Algorithm, DecodingKey, Validation, decode, decode_header};
use serde::{Deserialize, Serialize};
use tokio::sync::Mutex;
use tokio::time::Instant;

use crate::bus::Bus;
use crate::bus::call::RequestError;
use crate::config::Tokens;

/// However many unknown keys callers name, hosts are asked no more often.
const FETCH_AT_MOST_EVERY: Duration = Duration::from_secs(5);
/// A key that was withdrawn is forgotten after this.
const OLD_AFTER: Duration = Duration::from_secs(300);
const FETCH_TIMEOUT: Duration = Duration::from_secs(2);

/// On whose behalf a call is made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Principal {
    pub subject: String,
    pub role: String,
}

#[derive(Debug, thiserror::Error)]
pub enum TokenError {
    /// Whatever is wrong with it; details only help who forges one.
    #[error("the token is not valid")]
    Invalid,
    /// No host gives its keys, so nothing can be said about the token.
    #[error("tokens cannot be verified now")]
    NoKeys(#[source] RequestError),
}

pub struct Verifier {
    bus: Bus,
    validation: Validation,
    keys: Mutex<Keys>,
}

#[derive(Default)]
struct Keys {
    by_id: HashMap<String, Arc<DecodingKey>>,
    asked: Option<Instant>,
    fetched: Option<Instant>,
}

#[derive(Deserialize)]
struct Claims {
    sub: String,
    role: String,
}

impl Verifier {
    pub fn new(bus: Bus, config: &Tokens) -> Self {
        Self { bus, validation: validation(config), keys: Mutex::default() }
    }

    /// Whom the token speaks for.
    pub async fn verify(&self, token: &str) -> Result<Principal, TokenError> {
        let header = decode_header(token).map_err(|_| TokenError::Invalid)?;
        let kid = header.kid.ok_or(TokenError::Invalid)?;
        let key = self.key(&kid).await?;
        let decoded = decode::<Claims>(token, &key, &self.validation).map_err(|_| TokenError::Invalid)?;
        Ok(Principal { subject: decoded.claims.sub, role: decoded.claims.role })
    }

    async fn key(&self, kid: &str) -> Result<Arc<DecodingKey>, TokenError> {
        let mut keys = self.keys.lock().await;
        let fetched = match keys.want(kid) {
            true => self.fetch(&mut keys).await,
            false => Ok(()),
        };
        match (keys.by_id.get(kid), fetched) {
            (Some(key), _) => Ok(Arc::clone(key)),
            (None, Err(error)) => Err(TokenError::NoKeys(error)),
            // Nobody has answered yet, and it is too early to ask again.
            (None, Ok(())) if keys.fetched.is_none() => Err(TokenError::NoKeys(RequestError::NoResponders)),
            (None, Ok(())) => Err(TokenError::Invalid),
        }
    }

    async fn fetch(&self, keys: &mut Keys) -> Result<(), RequestError> {
        keys.asked = Some(Instant::now());
        let document = self.bus.keys(FETCH_TIMEOUT).await?;
        match serde_json::from_slice::<JwkSet>(&document) {
            Ok(set) => {
                keys.by_id = by_id(&set);
                keys.fetched = keys.asked;
            }
            Err(error) => tracing::warn!(%error, "a host published keys that cannot be read"),
        }
        Ok(())
    }
}

impl Keys {
    fn want(&self, kid: &str) -> bool {
        let may_ask = self.asked.is_none_or(|asked| asked.elapsed() >= FETCH_AT_MOST_EVERY);
        let old = self.fetched.is_none_or(|fetched| fetched.elapsed() >= OLD_AFTER);
        may_ask && (old || !self.by_id.contains_key(kid))
    }
}

fn by_id(set: &JwkSet) -> HashMap<String, Arc<DecodingKey>> {
    let named = set.keys.iter().filter_map(|key| Some((key.common.key_id.clone()?, key)));
    named.filter_map(|(kid, key)| Some((kid, Arc::new(DecodingKey::from_jwk(key).ok()?)))).collect()
}

fn validation(config: &Tokens) -> Validation {
    let mut validation = Validation::new(Algorithm::EdDSA);
    validation.set_issuer(&[&config.issuer]);
    validation.set_audience(&[&config.audience]);
    validation.set_required_spec_claims(&["exp", "iss", "aud", "sub"]);
    validation.leeway = 5;
    validation
}
