//! Idempotency keys: which answer belongs to which request.

use bytes::Bytes;
use sha2::{Digest, Sha256};

use crate::hex::hex;

/// A key that a caller sent with a write, scoped and fingerprinted.
#[derive(Debug, Clone)]
pub struct IdempotencyKey {
    /// Of the token, the function, the principal and the key. Nobody without the token can make one.
    pub digest: [u8; 32],
    /// Of the request: the same key for another request is refused.
    pub fingerprint: [u8; 32],
}

impl IdempotencyKey {
    /// `request` is everything that makes two requests the same one.
    pub fn new(token: &str, function: &str, principal: &str, key: &str, request: &[&[u8]]) -> Self {
        Self {
            digest: digest([token, function, principal, key].map(str::as_bytes).as_slice()),
            fingerprint: digest(request),
        }
    }

    /// What the keys of the calls that this one makes begin with. The digest itself is for this service's store alone.
    pub fn seed(&self) -> String {
        hex(&digest(&[b"outgoing", &self.digest]))
    }

    /// For the advisory lock that tells whether the key is in use now.
    pub fn lock(&self) -> i32 {
        let [a, b, c, d, ..] = self.digest;
        i32::from_be_bytes([a, b, c, d])
    }
}

/// SHA-256 of parts, each with its length, so that no two lists of parts look the same.
fn digest(parts: &[&[u8]]) -> [u8; 32] {
    let mut hasher = Sha256::new();
    for part in parts {
        hasher.update((part.len() as u64).to_be_bytes());
        hasher.update(part);
    }
    hasher.finalize().into()
}

/// An answer as it went out, kept to be given again.
#[derive(Debug, Clone, PartialEq)]
pub struct Answer {
    /// Headers of the reply.
    pub head: Vec<(String, String)>,
    pub body: Bytes,
}

impl Answer {
    /// Bytes in a message.
    pub fn size(&self) -> usize {
        self.body.len() + self.head.iter().map(|(name, value)| name.len() + value.len() + 4).sum::<usize>()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_scoped_and_requests_told_apart() {
        let key = |function, principal, key, request: &[&[u8]]| {
            IdempotencyKey::new("token", function, principal, key, request)
        };
        let first = key("f", "a", "k", &[b"x"]);
        assert_eq!(first.digest, key("f", "a", "k", &[b"y"]).digest);
        assert_ne!(first.fingerprint, key("f", "a", "k", &[b"y"]).fingerprint);
        assert_ne!(first.digest, key("f", "b", "k", &[b"x"]).digest);
        assert_ne!(first.digest, key("fa", "", "k", &[b"x"]).digest);
        assert_ne!(key("f", "a", "k", &[b"xy", b""]).fingerprint, key("f", "a", "k", &[b"x", b"y"]).fingerprint);
    }
}
