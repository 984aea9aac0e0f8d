//! The system tests: real servers, Ward's own processes, and what a client, an operator or a consumer sees of them.
//!
//! One file a subject. Tests that only ask and add share one system (`System::shared`); those that break something
//! have their own.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "the helpers of tests fail tests"
)]

mod artifacts;
mod beside;
mod canary;
mod cli;
mod cluster;
mod crashes;
mod dev;
mod documentation;
mod events;
mod grpc;
mod hostile;
mod hosts;
mod idempotency;
mod kafka;
mod languages;
mod limits;
mod login;
mod migrations;
mod misdeeds;
mod observe;
mod old_system;
mod outage;
mod patients;
mod pharmacy;
mod problems;
mod quarantine;
mod recovery;
mod roles;
mod servers;
mod soak;
mod swap;
mod takeover;
mod tutorial;
