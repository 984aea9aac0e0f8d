//! Keys, tokens and passwords. Private keys and hashes never leave this module; components ask for what is made of them.

mod keys;
mod passwords;
mod tokens;

pub use keys::{KeyError, KeyRing, generate_key};
pub use passwords::{PasswordError, Passwords};
pub use tokens::{Rejected, Token, Tokens};

/// Somebody who was authenticated.
#[derive(Debug, Clone, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
pub struct Principal {
    pub subject: String,
    pub role: String,
}
