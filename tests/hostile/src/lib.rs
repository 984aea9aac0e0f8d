//! A component that misbehaves on demand, for the tests of the host's walls. `acts` is the list of its misdeeds.

mod acts;
mod canary;
#[cfg(target_family = "wasm")]
mod guest;
mod schema;
