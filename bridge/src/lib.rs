//! Ward's doors for other protocols: gRPC in, Kafka out.
//!
//! The bridge is a process beside the host and knows it only through NATS: a gRPC call becomes a typed call
//! (`docs/calls.md`), an event of the stream becomes a Kafka record (`docs/kafka.md`). It holds no data of its own and runs
//! no component. It starts in any order with the others, and waits for whoever is missing.
//!
//! Start reading in [`app`], which builds the parts and puts them together. Who may know whom: `async_nats` is named in
//! [`bus`] only, `tonic` in [`grpc`] only, `rdkafka` in [`kafka`] only.

pub mod app;
pub mod bus;
pub mod config;
pub mod grpc;
pub mod http;
pub mod kafka;
pub mod log;
pub mod metrics;
pub mod status;
pub mod stop;
pub mod tokens;
