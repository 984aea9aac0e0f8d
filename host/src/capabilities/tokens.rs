//! `ward:security/tokens`: tokens that the gateway accepts.

use wasmtime::component::{HasSelf, Linker};

use super::CallState;
use crate::bindings::ward::security::tokens::{self, Claims, Token};
use crate::security::Principal;

impl tokens::Host for CallState {
    fn issue(&mut self, claims: Claims) -> wasmtime::Result<Token> {
        let principal = Principal { subject: claims.subject, role: claims.role };
        let token = self.host.tokens.issue(&principal)?;
        Ok(Token { text: token.text, expires_in: token.expires_in_s })
    }
}

pub fn add_to_linker(linker: &mut Linker<CallState>) -> wasmtime::Result<()> {
    tokens::add_to_linker::<_, HasSelf<_>>(linker, |state| state)
}
