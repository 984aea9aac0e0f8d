//! What is written down of one thing that was done.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

/// Where on the way of a call something happens.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Hop {
    /// A REST request, from the route to the response.
    Gateway,
    /// A request over NATS, as its sender sees it.
    Request,
    /// A call, as its worker sees it.
    Call,
    /// The wait for a place to run.
    Queue,
    /// One run of a component in a fresh instance.
    Component,
    /// A statement.
    Statement,
    /// The end of a transaction.
    Commit,
    /// An event that a component published; it waits for the commit.
    Publish,
    /// From the outbox to the stream.
    Relay,
    /// The delivery of an event to a subscription.
    Delivery,
    /// A gRPC call at the bridge.
    Grpc,
    /// From the stream to a Kafka topic.
    Kafka,
}

impl Hop {
    /// As in the metrics.
    pub fn name(self) -> &'static str {
        match self {
            Self::Gateway => "gateway",
            Self::Request => "request",
            Self::Call => "call",
            Self::Queue => "queue",
            Self::Component => "component",
            Self::Statement => "statement",
            Self::Commit => "commit",
            Self::Publish => "publish",
            Self::Relay => "relay",
            Self::Delivery => "delivery",
            Self::Grpc => "grpc",
            Self::Kafka => "kafka",
        }
    }
}

/// A span that has ended. Times are microseconds; `began_us` since 1970.
#[derive(Debug, Clone)]
pub(crate) struct Span {
    pub id: u64,
    /// 0 for none.
    pub parent: u64,
    pub hop: Hop,
    pub name: Cow<'static, str>,
    pub attributes: Vec<(&'static str, String)>,
    /// Why it failed.
    pub error: Option<String>,
    pub began_us: i64,
    pub took_us: u64,
}

/// All spans of one hop between two processes.
#[derive(Debug)]
pub(crate) struct Way {
    pub trace: u128,
    pub sampled: bool,
    /// Empty where there is none: in the relay and in the mirror.
    pub call: String,
    pub service: Arc<str>,
    pub spans: Vec<Span>,
}

/// A span as it is told to others.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Line {
    pub process: String,
    pub trace: String,
    pub span: String,
    /// Empty for none.
    pub parent: String,
    pub call: String,
    pub service: String,
    pub hop: Hop,
    pub name: String,
    /// Microseconds since 1970.
    pub began_us: i64,
    pub took_us: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    #[serde(default)]
    pub attributes: BTreeMap<String, String>,
}

impl Line {
    pub(crate) fn of(process: &str, way: &Way, span: &Span) -> Self {
        let attributes = span.attributes.iter().map(|(name, value)| ((*name).to_owned(), value.clone()));
        Self {
            process: process.to_owned(),
            trace: format!("{:032x}", way.trace),
            span: format!("{:016x}", span.id),
            parent: if span.parent == 0 { String::new() } else { format!("{:016x}", span.parent) },
            call: way.call.clone(),
            service: way.service.to_string(),
            hop: span.hop,
            name: span.name.to_string(),
            began_us: span.began_us,
            took_us: span.took_us,
            error: span.error.clone(),
            attributes: attributes.collect(),
        }
    }
}
