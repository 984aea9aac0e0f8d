//! The host of Ward: loads services as WebAssembly components and routes the calls between them over NATS.
//!
//! It knows no service by name. What a service is it says itself (`ward:component/description`); what it may do the
//! operator says (`config`). Start reading at [`app`], the one place that sees everything; then [`calls`] for the way
//! of a call and [`store`] for its transaction.

pub mod config;
pub mod values;
