//! Billing: the accounts of patients.
//!
//! An account is opened when a patient is registered (the event `patient.registered`) and when somebody asks (the typed
//! call `clinic:billing/accounts.open`); whoever comes first, the patient has one account. Start with [`open`].

pub mod find;
#[cfg(target_family = "wasm")]
mod guest;
pub mod model;
pub mod open;
pub mod ports;
pub mod routes;
pub mod service;
mod store;
#[cfg(test)]
mod testing;

use ward_sdk::host::Host;

ward_sdk::service!(service::service, Host; served, subscribed);
