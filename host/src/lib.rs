//! The host of Ward: loads services as WebAssembly components and routes the calls between them over NATS.
//!
//! It knows no service by name. What a service is it says itself (`ward:component/description`); what it may do the
//! operator says (`config`). Start reading at [`app`], the one place that sees everything; then [`calls`] for the way
//! of a call and [`store`] for its transaction.

pub mod app;
pub mod artifacts;
pub mod bindings;
pub mod bus;
pub mod calls;
pub mod capabilities;
pub mod clock;
pub mod commands;
pub mod config;
pub mod engine;
pub mod events;
pub mod gateway;
mod hex;
pub mod limits;
pub mod logs;
mod machine;
pub mod memory;
pub mod metrics;
pub mod presence;
pub mod security;
pub mod services;
pub mod store;
mod takeover;
pub mod values;
