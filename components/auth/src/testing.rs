//! Users in memory; a hash is the password reversed, and a token says what it is.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;

use ward_sdk::ports::{Clock, Ids, StoreError};
use ward_sdk::testing::{Foretells, Foretold};
use ward_sdk::time::Timestamp;

use crate::model::{Email, Role, User, UserId};
use crate::ports::{Credentials, Overloaded, Passwords, Token, Tokens, Users};

#[derive(Default)]
pub struct Fake {
    pub broken: bool,
    pub overloaded: bool,
    pub users: RefCell<BTreeMap<Email, Credentials>>,
    pub verified: Cell<u32>,
    pub foretold: Foretold,
}

impl Fake {
    /// With the user of the old system.
    pub fn seeded() -> Self {
        let fake = Self::default();
        let user = User { id: UserId(fake.next()), email: Email::fold("testuser@test.com"), role: Role::Admin };
        let credentials = Credentials { user, password_hash: reverse("password123") };
        fake.insert(&credentials, fake.now()).unwrap();
        fake
    }

    pub fn count(&self) -> usize {
        self.users.borrow().len()
    }

    /// How many passwords were checked.
    pub fn verified(&self) -> u32 {
        self.verified.get()
    }
}

impl Users for Fake {
    fn find(&self, email: &Email) -> Result<Option<Credentials>, StoreError> {
        if self.broken { Err(StoreError::Unavailable) } else { Ok(self.users.borrow().get(email).cloned()) }
    }

    fn insert(&self, credentials: &Credentials, _: Timestamp) -> Result<bool, StoreError> {
        let mut users = self.users.borrow_mut();
        let new = !users.contains_key(&credentials.user.email);
        users.entry(credentials.user.email.clone()).or_insert_with(|| credentials.clone());
        Ok(new)
    }
}

impl Passwords for Fake {
    fn hash(&self, password: &str) -> Result<String, Overloaded> {
        if self.overloaded { Err(Overloaded) } else { Ok(reverse(password)) }
    }

    fn verify(&self, password: &str, hash: Option<&str>) -> Result<bool, Overloaded> {
        self.verified.set(self.verified.get() + 1);
        if self.overloaded { Err(Overloaded) } else { Ok(hash == Some(reverse(password).as_str())) }
    }
}

impl Tokens for Fake {
    fn issue(&self, email: &Email, role: Role) -> Token {
        Token { text: format!("token of {} as {}", email.as_str(), role.name()), expires_in_s: 36000 }
    }
}

impl Foretells for Fake {
    fn foretold(&self) -> &Foretold {
        &self.foretold
    }
}

fn reverse(text: &str) -> String {
    text.chars().rev().collect()
}
