//! Makes and checks tokens (JWT, EdDSA).

use std::num::NonZeroUsize;
use std::sync::{Arc, Mutex};

use jsonwebtoken::{Algorithm, Header, Validation, decode, decode_header, encode};
use lru::LruCache;
use serde::{Deserialize, Serialize};

use super::{KeyRing, Principal};
use crate::{clock, config};

/// Verified tokens that are remembered. Checking a signature takes 50 us, looking one up less than one.
const REMEMBERED: NonZeroUsize = NonZeroUsize::new(4096).unwrap();

#[derive(Serialize, Deserialize)]
struct Claims {
    sub: String,
    role: String,
    iat: u64,
    exp: u64,
    iss: String,
    aud: String,
    jti: String,
}

/// A token was not accepted. Which of the reasons it was helps only whoever made it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Rejected {
    #[error("the token has expired: log in again")]
    Expired,
    #[error("the token is not valid here")]
    Invalid,
}

pub struct Token {
    pub text: String,
    pub expires_in_s: u32,
}

pub struct Tokens {
    config: config::Tokens,
    keys: Arc<KeyRing>,
    validation: Validation,
    remembered: Mutex<LruCache<String, Remembered>>,
}

/// What a token that was verified is worth, as long as its key is there.
#[derive(Clone)]
struct Remembered {
    kid: String,
    principal: Arc<Principal>,
    expires: u64,
}

impl Tokens {
    pub fn new(config: &config::Tokens, keys: Arc<KeyRing>) -> Self {
        let mut validation = Validation::new(Algorithm::EdDSA);
        validation.set_issuer(&[&config.issuer]);
        validation.set_audience(&[&config.audience]);
        validation.set_required_spec_claims(&["exp", "iss", "aud", "sub"]);
        validation.leeway = 0;
        Self { config: config.clone(), keys, validation, remembered: Mutex::new(LruCache::new(REMEMBERED)) }
    }

    pub fn issue(&self, principal: &Principal) -> Result<Token, jsonwebtoken::errors::Error> {
        let now = clock::now_seconds();
        let keys = self.keys.current();
        let (kid, key) =
            keys.signing(self.config.key_rest_s).ok_or(jsonwebtoken::errors::ErrorKind::InvalidKeyFormat)?;
        let claims = Claims {
            sub: principal.subject.clone(),
            role: principal.role.clone(),
            iat: now,
            exp: now + u64::from(self.config.lifetime_s),
            iss: self.config.issuer.clone(),
            aud: self.config.audience.clone(),
            jti: uuid::Uuid::new_v4().to_string(),
        };
        let header = Header { kid: Some(kid.clone()), ..Header::new(Algorithm::EdDSA) };
        Ok(Token { text: encode(&header, &claims, key)?, expires_in_s: self.config.lifetime_s })
    }

    pub fn verify(&self, token: &str) -> Result<Arc<Principal>, Rejected> {
        let remembered = self.remembered.lock().ok().and_then(|mut cache| cache.get(token).cloned());
        let known = remembered.filter(|known| self.keys.current().verifying.contains_key(&known.kid));
        if let Some(Remembered { principal, expires, .. }) = known {
            return if clock::now_seconds() < expires { Ok(principal) } else { Err(Rejected::Expired) };
        }
        let (kid, claims) = self.check(token)?;
        if claims.exp <= clock::now_seconds() {
            return Err(Rejected::Expired);
        }
        let principal = Arc::new(Principal { subject: claims.sub, role: claims.role });
        if let Ok(mut cache) = self.remembered.lock() {
            let remembered = Remembered { kid, principal: principal.clone(), expires: claims.exp };
            cache.put(token.to_owned(), remembered);
        }
        Ok(principal)
    }

    /// The claims, and the key that signed them.
    fn check(&self, token: &str) -> Result<(String, Claims), Rejected> {
        let kid = decode_header(token).ok().and_then(|header| header.kid).ok_or(Rejected::Invalid)?;
        if !self.keys.current().verifying.contains_key(&kid) {
            self.refresh();
        }
        let keys = self.keys.current();
        let key = keys.verifying.get(&kid).ok_or(Rejected::Invalid)?;
        let claims = decode::<Claims>(token, key, &self.validation).map(|data| data.claims);
        let claims = claims.map_err(|error| match error.kind() {
            jsonwebtoken::errors::ErrorKind::ExpiredSignature => Rejected::Expired,
            _ => Rejected::Invalid,
        })?;
        Ok((kid, claims))
    }

    /// Takes note of new and removed keys. A token of a removed key is worth nothing from then on.
    pub fn refresh(&self) {
        self.keys.refresh();
    }

    /// The public keys (RFC 7517).
    pub fn jwks(&self) -> serde_json::Value {
        self.keys.current().jwks.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::security::generate_key;

    fn tokens(directory: &std::path::Path, lifetime_s: u32) -> Tokens {
        let config = config::Tokens {
            key_dir: directory.to_owned(),
            key_rest_s: 60,
            issuer: "i".into(),
            audience: "a".into(),
            lifetime_s,
        };
        Tokens::new(&config, Arc::new(KeyRing::open(directory).unwrap()))
    }

    fn somebody() -> Principal {
        Principal { subject: "a@b.c".into(), role: "READER".into() }
    }

    #[test]
    fn a_token_comes_back_as_its_principal_and_a_changed_one_does_not() {
        let directory = tempfile::tempdir().unwrap();
        generate_key(directory.path()).unwrap();
        let tokens = tokens(directory.path(), 60);
        let token = tokens.issue(&somebody()).unwrap().text;
        for _ in 0..2 {
            assert_eq!(tokens.verify(&token), Ok(somebody().into()));
        }
        let mut parts: Vec<String> = token.split('.').map(str::to_owned).collect();
        let claims = r#"{"sub":"a@b.c","role":"ADMIN","iat":1,"exp":99999999999,"iss":"i","aud":"a","jti":""}"#;
        parts[1] = base64::Engine::encode(&base64::engine::general_purpose::URL_SAFE_NO_PAD, claims);
        assert_eq!(tokens.verify(&parts.join(".")), Err(Rejected::Invalid));
        assert_eq!(tokens.verify("nonsense"), Err(Rejected::Invalid));
    }

    #[test]
    fn an_expired_token_is_told_apart() {
        let directory = tempfile::tempdir().unwrap();
        generate_key(directory.path()).unwrap();
        let tokens = tokens(directory.path(), 0);
        let token = tokens.issue(&somebody()).unwrap().text;
        assert_eq!(tokens.verify(&token), Err(Rejected::Expired));
    }

    #[test]
    fn rotation_keeps_old_tokens_and_removal_ends_them() {
        let directory = tempfile::tempdir().unwrap();
        let first = generate_key(directory.path()).unwrap();
        let old = tokens(directory.path(), 60).issue(&somebody()).unwrap().text;
        generate_key(directory.path()).unwrap();
        // A key that rests does not sign yet; one of last year does.
        assert_eq!(signer(&tokens(directory.path(), 60)), first);
        let rested = uuid::Builder::from_unix_timestamp_millis(1_700_000_000_000, &[0; 10]).into_uuid().to_string();
        std::fs::rename(directory.path().join(format!("{first}.pem")), directory.path().join(format!("{rested}.pem")))
            .unwrap();
        let renamed = tokens(directory.path(), 60);
        assert_eq!(signer(&renamed), rested);
        assert_eq!(renamed.verify(&old), Err(Rejected::Invalid), "its key is gone");
        let new = renamed.issue(&somebody()).unwrap().text;
        assert_eq!(renamed.verify(&new), Ok(somebody().into()));
    }

    fn signer(tokens: &Tokens) -> String {
        let token = tokens.issue(&somebody()).unwrap().text;
        decode_header(&token).unwrap().kid.unwrap()
    }
}
