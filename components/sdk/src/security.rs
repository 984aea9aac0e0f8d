//! Passwords and tokens. The work and the keys are the host's.
//!
//! Grants: `passwords`, `tokens`.

use crate::bindings::capabilities::ward::security::{passwords, tokens};

pub use passwords::Error as PasswordError;
pub use tokens::Token;

pub fn hash_password(password: &str) -> Result<String, PasswordError> {
    passwords::hash(password)
}

/// Without a hash: false, after as long as a wrong password takes.
pub fn verify_password(password: &str, hash: Option<&str>) -> Result<bool, PasswordError> {
    passwords::verify(password, hash)
}

pub fn issue_token(subject: &str, role: &str) -> Token {
    tokens::issue(&tokens::Claims { subject: subject.to_owned(), role: role.to_owned() })
}
