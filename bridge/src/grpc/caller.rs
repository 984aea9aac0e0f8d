//! Who calls, and whether it may.

use tonic::Status;
use tonic::metadata::MetadataMap;

use crate::config::Callers;
use crate::tokens::{Principal, TokenError, Verifier};

/// Who may open billing accounts.
const ROLES: [&str; 2] = ["ADMIN", "BILLING"];

/// Admits callers.
pub struct Gatekeeper {
    verifier: Verifier,
    /// Whom a caller without a token acts as; none where a token is required.
    trusted: Option<Principal>,
}

impl Gatekeeper {
    pub fn new(verifier: Verifier, callers: Callers, trusted: Principal) -> Self {
        Self {
            verifier,
            trusted: match callers {
                Callers::Trust => Some(trusted),
                Callers::Require => None,
            },
        }
    }

    /// On whose behalf the call is made. A bad token is refused even where none is needed.
    pub async fn admit(&self, metadata: &MetadataMap) -> Result<Principal, Status> {
        let principal = match (metadata.get("authorization"), &self.trusted) {
            (Some(value), _) => self.verify(value.to_str().ok().and_then(bearer)).await?,
            (None, Some(trusted)) => trusted.clone(),
            (None, None) => return Err(Status::unauthenticated("a token is required")),
        };
        if ROLES.contains(&principal.role.as_str()) {
            Ok(principal)
        } else {
            Err(Status::permission_denied("the role may not open billing accounts"))
        }
    }

    async fn verify(&self, token: Option<&str>) -> Result<Principal, Status> {
        let token = token.ok_or_else(|| Status::unauthenticated("not a bearer token"))?;
        self.verifier.verify(token).await.map_err(|error| match error {
            TokenError::Invalid => Status::unauthenticated(error.to_string()),
            TokenError::NoKeys(_) => Status::unavailable(error.to_string()),
        })
    }
}

fn bearer(value: &str) -> Option<&str> {
    let (scheme, token) = value.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn takes_bearer_tokens_in_any_case_and_nothing_else() {
        assert_eq!(bearer("Bearer abc"), Some("abc"));
        assert_eq!(bearer("bearer  abc"), Some("abc"));
        assert_eq!(bearer("Basic abc"), None);
        assert_eq!(bearer("abc"), None);
    }
}
