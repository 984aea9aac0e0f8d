//! `ward:security/passwords`: hashing, off the threads that serve calls.

use wasmtime::component::{HasSelf, Linker};

use super::CallState;
use crate::bindings::ward::security::passwords::{self, Error};
use crate::security::PasswordError;

impl passwords::Host for CallState {
    async fn hash(&mut self, password: String) -> Result<String, Error> {
        self.host.passwords.hash(password).await.map_err(Into::into)
    }

    async fn verify(&mut self, password: String, hash: Option<String>) -> Result<bool, Error> {
        self.host.passwords.verify(password, hash).await.map_err(Into::into)
    }
}

impl From<PasswordError> for Error {
    fn from(error: PasswordError) -> Self {
        match error {
            PasswordError::TooLong => Self::TooLong,
            PasswordError::Overloaded => Self::Overloaded,
        }
    }
}

pub fn add_to_linker(linker: &mut Linker<CallState>) -> wasmtime::Result<()> {
    passwords::add_to_linker::<_, HasSelf<_>>(linker, |state| state)
}
