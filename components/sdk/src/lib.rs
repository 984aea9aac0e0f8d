//! What a component is written with: the host's interfaces as plain Rust, so that a component's own code is its domain.
//!
//! A component is a crate with the same parts as every other one: `model` (what it is about), `ports` (what it needs), a
//! file for each thing it does, `routes` (REST in and out), `store` (the ports in SQL), and the declaration of the [`service`] itself, of which
//! [`service!`] makes the component. All but the statements is tested natively, with fakes.
//!
//! The modules here that call the host ([`sql`], [`events`], [`log`], [`host`], [`security`]) work in a component only;
//! using one is what makes the component import, and so need the grant of, that interface. The others are plain code.
//!
//! Start with [`service`], [`shape`] and [`sql`].

pub mod bindings;
pub mod description;
pub mod events;
pub mod export;
pub mod fields;
pub mod host;
pub mod http;
pub mod log;
#[cfg(target_family = "wasm")]
mod memory;
mod panics;
pub mod ports;
pub mod problem;
pub mod security;
pub mod service;
pub mod shape;
pub mod sql;
#[cfg(not(target_family = "wasm"))]
pub mod testing;
pub mod time;

pub use ::time::Date;
pub use panics::start;
pub use prost;
#[doc(hidden)]
pub use serde;
pub use serde_json;
pub use uuid::Uuid;
pub use wit_bindgen;
