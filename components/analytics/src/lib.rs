//! Analytics: the numbers of the clinic, counted from the events of the other services.
//!
//! Nothing here asks another service: what happened is heard ([`count`]), each event counted once, whatever the order
//! they come in; and read as sums ([`summary`]). Start with [`count`].

pub mod count;
pub mod description;
#[cfg(target_family = "wasm")]
mod guest;
pub mod model;
pub mod ports;
pub mod routes;
#[cfg(target_family = "wasm")]
mod store;
pub mod summary;
#[cfg(test)]
mod testing;
