//! Pharmacy: what was prescribed to patients.
//!
//! A prescription is active until it is dispensed or cancelled, and is never deleted. Only for a patient whom the service `patient` knows can
//! one be made; when the patient is deleted, those that are active are cancelled. Start with [`service`].

ward_sdk::contracts!("clinic:pharmacy-component/pharmacy" in "../../wit", "wit");

pub mod events;
pub mod model;
pub mod ports;
pub mod prescribe;
pub mod read;
pub mod service;
pub mod settle;
mod store;
#[cfg(test)]
mod testing;

use ward_sdk::host::Host;

ward_sdk::service!(service::service, Host; served, subscribed);
