//! The system tests: real servers, Ward's own processes, and what a client, an operator or a consumer sees of them.
//!
//! One file a subject. Tests that only ask and add share one system (`System::shared`); those that break something
//! have their own.

mod servers;
