//! Events out to Kafka: nothing lost, nothing doubled, in order for each key.
//!
//! ```text
//! WARD_EVENTS ──> session ──> producer ──> topics        position (NATS key-value): all up to here is done
//!    (NATS)          ^           │
//!                    └─ reports ─┘
//! ```
//!
//! A [`session`] reads the stream in order from the position on and hands each event to librdkafka's idempotent
//! producer, which never gives up, so that the order of one partition is the order of the stream. The position moves
//! when Kafka has confirmed everything before it. Whatever goes wrong, the session ends, what it had under way is
//! forgotten, and [`mirror`] begins another one at the position: there is one way to recover, the one that a kill -9
//! needs.
//!
//! Events after the position may be on Kafka already. Before a session sends anything it reads the ends of the topics
//! ([`tails`]) and learns which; those are not sent again. The event's id (`ce_id`) tells.
//!
//! An event that Kafka refuses for itself (too large, malformed) becomes a dead letter and the others go on. A fault that
//! concerns all of them (no such topic, no permission) stops the mirror until it is mended: nothing is lost by
//! waiting.
//!
//! Only this module names `rdkafka`. What is pure lies apart: which record an event becomes ([`record`], [`patient`]), and
//! which events are done ([`flight`]).

pub mod broker;
pub mod flight;
pub mod mirror;
mod patient;
mod producer;
pub mod record;
mod session;
mod tails;

pub use broker::Broker;
pub use mirror::Mirror;
