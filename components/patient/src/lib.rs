//! Patients: who they are, and how they are found again.
//!
//! A patient is registered, changed and deleted here, and every change is kept and published. Two things make this more
//! than a table: names are found however they are spelled ([`name`]), and a person is not registered twice unnoticed
//! ([`duplicates`]). Start with [`register`].

pub mod account;
pub mod body;
pub mod change;
pub mod check;
pub mod delete;
pub mod description;
pub mod duplicates;
pub mod find;
#[cfg(target_family = "wasm")]
mod guest;
pub mod list;
pub mod model;
pub mod name;
pub mod ports;
pub mod register;
pub mod replace;
pub mod routes;
pub mod seed;
#[cfg(target_family = "wasm")]
mod store;
#[cfg(test)]
mod testing;
