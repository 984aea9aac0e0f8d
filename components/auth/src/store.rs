//! The ports, in the host's terms.

pub use ward_sdk::host::Host;
use ward_sdk::ports::StoreError;
use ward_sdk::security::{self, PasswordError};
use ward_sdk::time::Timestamp;
use ward_sdk::{Uuid, params, sql};

use crate::model::{Email, Role, User, UserId};
use crate::ports::{Credentials, Overloaded, Passwords, Token, Tokens, Users};

const FIND: &str = "select id, email, role, password_hash from users where email = $1";

const INSERT: &str = "\
insert into users (id, email, password_hash, role, created_at) values ($1, $2, $3, $4, $5)
on conflict on constraint users_email do nothing";

const PROBE: &str = "select id from users limit 1";

impl Users for Host {
    fn find(&self, email: &Email) -> Result<Option<Credentials>, StoreError> {
        sql::query(FIND, params![email.as_str()])?.first()?.map(read).transpose()
    }

    fn insert(&self, credentials: &Credentials, at: Timestamp) -> Result<bool, StoreError> {
        let Credentials { user, password_hash } = credentials;
        let parameters = params![user.id.0, user.email.as_str(), password_hash, user.role.name(), at];
        Ok(sql::execute(INSERT, parameters)? == 1)
    }
}

fn read(row: (Uuid, String, String, String)) -> Result<Credentials, StoreError> {
    let (id, email, role, password_hash) = row;
    let role = Role::parse(&role).ok_or_else(|| StoreError::Failed("a user has no known role".to_owned()))?;
    Ok(Credentials { user: User { id: UserId(id), email: Email::fold(&email), role }, password_hash })
}

impl Passwords for Host {
    fn hash(&self, password: &str) -> Result<String, Overloaded> {
        // A password that is too long was refused before.
        security::hash_password(password).map_err(|_| Overloaded)
    }

    fn verify(&self, password: &str, hash: Option<&str>) -> Result<bool, Overloaded> {
        match security::verify_password(password, hash) {
            Ok(right) => Ok(right),
            Err(PasswordError::TooLong) => Ok(false),
            Err(PasswordError::Overloaded) => Err(Overloaded),
        }
    }
}

impl Tokens for Host {
    fn issue(&self, email: &Email, role: Role) -> Token {
        let token = security::issue_token(email.as_str(), role.name());
        Token { text: token.text, expires_in_s: token.expires_in }
    }
}

pub fn probe() -> Result<(), StoreError> {
    sql::query(PROBE, params![]).map(drop)
}
