//! Logging in: an address and a password for a token.

use thiserror::Error;
use ward_sdk::ports::StoreError;

use crate::model::Email;
use crate::ports::{Overloaded, Passwords, Token, Tokens, Users};

#[derive(Debug, PartialEq, Error)]
pub enum LoginError {
    /// Nobody has this address, or the password is another. Nobody shall learn which.
    #[error("the address or the password is wrong")]
    Refused,
    #[error(transparent)]
    Overloaded(#[from] Overloaded),
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// A password is checked also for an address that nobody has, so that both refusals take the same time.
pub fn login(ports: &(impl Users + Passwords + Tokens), email: &Email, password: &str) -> Result<Token, LoginError> {
    let known = ports.find(email)?;
    let hash = known.as_ref().map(|known| known.password_hash.as_str());
    let right = ports.verify(password, hash)?;
    match known {
        Some(known) if right => Ok(ports.issue(&known.user.email, known.user.role)),
        _ => Err(LoginError::Refused),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Fake;

    const ADDRESS: &str = "testuser@test.com";

    #[test]
    fn the_right_password_gives_a_token() {
        let token = login(&Fake::seeded(), &Email::fold(" TestUser@test.com"), "password123").unwrap();
        assert_eq!(token.text, "token of testuser@test.com as ADMIN");
    }

    #[test]
    fn a_wrong_password_and_an_unknown_address_are_refused_alike() {
        let fake = Fake::seeded();
        for (email, password) in [(ADDRESS, "password124"), ("invalid_user@test.com", "wrongpassword"), ("", "")] {
            assert_eq!(login(&fake, &Email::fold(email), password), Err(LoginError::Refused));
        }
        assert_eq!(fake.verified(), 3, "each refusal checks one password");
    }

    #[test]
    fn overload_and_a_broken_store_are_no_refusals() {
        let fake = Fake { overloaded: true, ..Fake::seeded() };
        assert_eq!(login(&fake, &Email::fold(ADDRESS), "password123"), Err(LoginError::Overloaded(Overloaded)));
        let fake = Fake { broken: true, ..Fake::seeded() };
        assert_eq!(login(&fake, &Email::fold(ADDRESS), "x"), Err(LoginError::Store(StoreError::Unavailable)));
    }
}
