//! What happens to a call, written down: spans, kept in memory for a while, counted, and exported if somebody wants them.
//!
//! A hop (a request at the gateway, a call at a worker, the delivery of an event) has a [`Trail`]. Everything that it does opens
//! a span on it ([`Trail::span`]), which ends when it is dropped. With the last handle the trail is handed to the [`Recorder`]
//! as a whole: one lock for each hop, none for a span of another. What travels between processes is the W3C trace context
//! ([`Context`]); each hop has a span of its own in it, so that the tree is right wherever it is looked at.
//!
//! No span may hold anything of a payload: statements without their parameters, routes without their paths.

mod context;
mod export;
mod metrics;
mod recorder;
mod span;
mod trail;

pub use context::Context;
pub use recorder::{Question, Recorder};
pub use span::{Hop, Line};
pub use trail::{Open, Trail};

/// The section `[telemetry]`.
#[derive(Debug, Clone, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Telemetry {
    /// Empty for no export: `http://collector:4318`.
    pub otlp_endpoint: String,
    /// Of the traces that begin here, how many are exported: 0 to 1. Others come with a decision.
    pub sample_ratio: f64,
    /// Spans that are kept in memory.
    pub ring_spans: usize,
}

impl Telemetry {
    /// What is wrong with it.
    pub fn check(&self) -> Result<(), &'static str> {
        if !(0.0..=1.0).contains(&self.sample_ratio) {
            return Err("sample_ratio must be between 0 and 1");
        }
        if !self.otlp_endpoint.is_empty() && !self.otlp_endpoint.starts_with("http://") {
            return Err("otlp_endpoint must begin with http://: put a collector beside it that speaks TLS to others");
        }
        Ok(())
    }
}
