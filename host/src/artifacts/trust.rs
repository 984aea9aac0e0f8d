//! Whose word for an artifact counts.

use serde::{Deserialize, Serialize};

use super::{Digest, PublicKey, Signature};

/// The object beside an artifact: everybody who signed it.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(super) struct Signatures {
    pub signatures: Vec<Signature>,
}

impl Signatures {
    /// Adds a signature; a key's newer one takes the place of its older one.
    pub fn add(&mut self, signature: Signature) {
        self.signatures.retain(|other| other.key != signature.key);
        self.signatures.push(signature);
    }
}

/// The operator's `artifacts.trusted_keys`.
#[derive(Debug, Clone)]
pub struct Trust(Vec<PublicKey>);

/// What the signatures of an artifact are worth here.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case", tag = "state")]
pub enum Verdict {
    /// A trusted key signed it.
    Trusted {
        key: String,
    },
    Unsigned,
    /// It is signed, by no key that is trusted.
    UnknownKey {
        keys: Vec<String>,
    },
    /// A signature names a trusted key, and is not that key's signature over this digest.
    WrongSignature {
        key: String,
    },
    /// What lies beside it is no list of signatures.
    Unreadable,
}

impl Trust {
    pub fn new(keys: Vec<PublicKey>) -> Self {
        Self(keys)
    }

    /// False when no key is configured, and so everything is accepted.
    pub fn demands_signatures(&self) -> bool {
        !self.0.is_empty()
    }

    pub fn accepts(&self, verdict: &Verdict) -> bool {
        !self.demands_signatures() || matches!(verdict, Verdict::Trusted { .. })
    }

    /// `signatures` is what lies beside the artifact, if anything does.
    pub fn judge(&self, digest: &Digest, signatures: Option<&[u8]>) -> Verdict {
        let Some(bytes) = signatures else { return Verdict::Unsigned };
        let Ok(Signatures { signatures }) = serde_json::from_slice(bytes) else { return Verdict::Unreadable };
        let by_trusted = |key: &PublicKey| signatures.iter().find(|signature| signature.key == key.id());
        let known: Vec<_> = self.0.iter().filter_map(|key| by_trusted(key).map(|signature| (key, signature))).collect();
        if let Some((key, _)) = known.iter().find(|(key, signature)| key.verifies(digest, signature)) {
            return Verdict::Trusted { key: key.id() };
        }
        match known.first() {
            Some((key, _)) => Verdict::WrongSignature { key: key.id() },
            None if signatures.is_empty() => Verdict::Unsigned,
            None => Verdict::UnknownKey { keys: signatures.into_iter().map(|signature| signature.key).collect() },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::SigningKeyFile;
    use super::*;

    fn key() -> SigningKeyFile {
        let folder = tempfile::tempdir().unwrap();
        SigningKeyFile::make(&folder.path().join("key.pem")).unwrap()
    }

    fn beside(signatures: &[Signature]) -> Vec<u8> {
        serde_json::to_vec(&Signatures { signatures: signatures.to_vec() }).unwrap()
    }

    #[test]
    fn each_state_has_its_name() {
        let (trusted, stranger) = (key(), key());
        let trust = Trust::new(vec![trusted.public()]);
        let (digest, other) = (Digest::of(b"one"), Digest::of(b"other"));
        let judge = |signatures: &[Signature]| trust.judge(&digest, Some(&beside(signatures)));
        let good = trusted.sign(&digest);
        assert_eq!(judge(&[stranger.sign(&digest), good.clone()]), Verdict::Trusted { key: good.key.clone() });
        assert_eq!(judge(&[stranger.sign(&digest)]), Verdict::UnknownKey { keys: vec![stranger.public().id()] });
        assert_eq!(judge(&[trusted.sign(&other)]), Verdict::WrongSignature { key: good.key.clone() });
        let borrowed = Signature { key: good.key.clone(), ..stranger.sign(&digest) };
        assert_eq!(judge(&[borrowed]), Verdict::WrongSignature { key: good.key });
        assert_eq!(judge(&[]), Verdict::Unsigned);
        assert_eq!(trust.judge(&digest, None), Verdict::Unsigned);
        assert_eq!(trust.judge(&digest, Some(b"{}")), Verdict::Unreadable);
    }

    #[test]
    fn without_keys_everything_is_accepted_and_with_keys_only_what_they_signed() {
        let verdicts = [Verdict::Unsigned, Verdict::UnknownKey { keys: vec![] }, Verdict::Unreadable];
        let trust = Trust::new(vec![key().public()]);
        for verdict in verdicts {
            assert!(Trust::new(vec![]).accepts(&verdict));
            assert!(!trust.accepts(&verdict), "{verdict:?}");
        }
        assert!(trust.accepts(&Verdict::Trusted { key: "x".into() }));
    }
}
