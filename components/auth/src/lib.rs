//! Auth: who may log in, and as what.
//!
//! A login checks a password and gives a token; the gateway checks the tokens by itself, without asking here. Users are
//! made by operators, through the typed call `clinic:auth/users.add`. `docs/roles.md` says what each role may do.
//! Start with [`login`].

pub mod add;
pub mod description;
#[cfg(target_family = "wasm")]
mod guest;
pub mod login;
pub mod model;
pub mod ports;
pub mod routes;
pub mod seed;
#[cfg(target_family = "wasm")]
mod store;
#[cfg(test)]
mod testing;
