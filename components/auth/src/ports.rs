//! What auth needs from outside.

use thiserror::Error;
use ward_sdk::ports::{Clock, Ids, StoreError};
use ward_sdk::time::Timestamp;

use crate::model::{Email, Role, User};

pub trait Ports: Users + Passwords + Tokens + Clock + Ids {}

impl<T: Users + Passwords + Tokens + Clock + Ids> Ports for T {}

/// A user, with what a password is checked against.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Credentials {
    pub user: User,
    pub password_hash: String,
}

pub trait Users {
    fn find(&self, email: &Email) -> Result<Option<Credentials>, StoreError>;

    /// False, and nothing stored, if somebody has the address.
    fn insert(&self, credentials: &Credentials, at: Timestamp) -> Result<bool, StoreError>;
}

/// Too many passwords are being checked already.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("too many passwords are being checked")]
pub struct Overloaded;

pub trait Passwords {
    fn hash(&self, password: &str) -> Result<String, Overloaded>;

    /// Without a hash the answer is false, and takes as long as any other.
    fn verify(&self, password: &str, hash: Option<&str>) -> Result<bool, Overloaded>;
}

pub trait Tokens {
    fn issue(&self, email: &Email, role: Role) -> Token;
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Token {
    pub text: String,
    pub expires_in_s: u32,
}
