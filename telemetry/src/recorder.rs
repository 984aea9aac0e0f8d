//! Where the trails of a process end: a ring in memory, the metrics, and the exporter.

use std::collections::VecDeque;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use prometheus_client::registry::Registry;
use serde::{Deserialize, Serialize};

use crate::export::Exporter;
use crate::metrics::HopMetrics;
use crate::span::Way;
use crate::{Context, Line, Telemetry, Trail};

/// Spans that one answer holds at most.
const MOST_LINES: usize = 1000;

/// What `ward.spans` is asked: the spans of a call, or of a trace.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Question {
    Call(String),
    Trace(String),
}

/// Keeps the trails of one process; clones share it.
#[derive(Clone)]
pub struct Recorder(Arc<Shared>);

struct Shared {
    /// What this process calls itself.
    process: String,
    config: Telemetry,
    ring: Mutex<Ring>,
    metrics: HopMetrics,
    exporter: Option<Exporter>,
}

#[derive(Default)]
struct Ring {
    ways: VecDeque<Arc<Way>>,
    spans: usize,
}

impl Recorder {
    /// `program` is what the traces call it (`ward-host`), `process` this one of them. Within a runtime, if it exports.
    pub fn new(config: &Telemetry, program: &'static str, process: &str) -> Self {
        let metrics = HopMetrics::new();
        let exporter = match config.otlp_endpoint.as_str() {
            "" => None,
            endpoint => Exporter::start(endpoint, program, process, metrics.lost.clone()),
        };
        let shared =
            Shared { process: process.to_owned(), config: config.clone(), ring: Mutex::default(), metrics, exporter };
        Self(Arc::new(shared))
    }

    /// The numbers of all hops, by hop and service.
    pub fn register(&self, registry: &mut Registry) {
        self.0.metrics.register(registry);
    }

    /// Begins the trail of a hop. `sent` is the `traceparent` that came with it; without a proper one a trace begins here.
    pub fn enter(&self, call: &str, service: impl Into<Arc<str>>, sent: Option<&str>) -> Trail {
        let (own, sender) = match sent.and_then(Context::parse) {
            Some(sender) => (sender.child(), sender.span),
            None => (self.begin(), 0),
        };
        Trail::new(self.clone(), call, service.into(), own, sender)
    }

    /// Without an exporter nobody needs a sample, and those who hear of the trace may decide for themselves.
    fn begin(&self) -> Context {
        Context::begin(if self.0.exporter.is_some() { self.0.config.sample_ratio } else { 1.0 })
    }

    pub(crate) fn keep(&self, way: Way) {
        if way.spans.is_empty() {
            return;
        }
        self.0.metrics.count(&way);
        let way = Arc::new(way);
        if way.sampled
            && let Some(exporter) = &self.0.exporter
        {
            exporter.offer(way.clone());
        }
        let forgotten = self.0.ring.lock().unwrap_or_else(PoisonError::into_inner).push(way, self.0.config.ring_spans);
        // Freed only now that others can push again.
        drop(forgotten);
    }

    /// The spans that this process knows.
    pub fn find(&self, question: &Question) -> Vec<Line> {
        let wanted = |way: &Way| match question {
            Question::Call(call) => way.call == *call,
            Question::Trace(trace) => u128::from_str_radix(trace, 16).is_ok_and(|trace| way.trace == trace),
        };
        let found: Vec<Arc<Way>> = {
            let ring = self.0.ring.lock().unwrap_or_else(PoisonError::into_inner);
            ring.ways.iter().filter(|way| wanted(way)).cloned().collect()
        };
        let lines = found.iter().flat_map(|way| way.spans.iter().map(|span| Line::of(&self.0.process, way, span)));
        lines.take(MOST_LINES).collect()
    }

    /// The answer to a question as it came; empty for one that nobody understands.
    pub fn answer(&self, question: &[u8]) -> Vec<u8> {
        let found = serde_json::from_slice(question).map(|question| self.find(&question)).unwrap_or_default();
        serde_json::to_vec(&found).unwrap_or_default()
    }

    /// Exports what waits.
    pub async fn flush(&self) {
        if let Some(exporter) = &self.0.exporter {
            exporter.flush().await;
        }
    }
}

impl Ring {
    /// Returns those that were forgotten for it.
    fn push(&mut self, way: Arc<Way>, limit: usize) -> Vec<Arc<Way>> {
        self.spans += way.spans.len();
        self.ways.push_back(way);
        let mut forgotten = Vec::new();
        while self.spans > limit
            && let Some(oldest) = self.ways.pop_front()
        {
            self.spans -= oldest.spans.len();
            forgotten.push(oldest);
        }
        forgotten
    }
}

impl fmt::Debug for Recorder {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Recorder")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Hop;

    const SENT: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

    fn recorder(ring_spans: usize) -> Recorder {
        let config = Telemetry { otlp_endpoint: String::new(), sample_ratio: 1.0, ring_spans };
        Recorder::new(&config, "ward-host", "host-1")
    }

    #[test]
    fn a_hop_is_a_tree_below_its_senders_span() {
        let recorder = recorder(100);
        let trail = recorder.enter("call-1", "stock", Some(SENT));
        {
            let _own = trail.own(Hop::Call, "stock.items.open");
            let component = trail.span(Hop::Component, "component");
            let mut statement = component.trail().span(Hop::Statement, "statement");
            statement.attribute("db.query.text", "select 1");
            statement.fail("no");
        }
        drop(trail);
        let lines = recorder.find(&Question::Call("call-1".into()));
        let [statement, component, own] = lines.as_slice() else { panic!("{lines:?}") };
        assert_eq!(own.parent, "b7ad6b7169203331");
        assert_eq!((&component.parent, &statement.parent), (&own.span, &component.span));
        assert_eq!(statement.attributes["db.query.text"], "select 1");
        assert_eq!(statement.error.as_deref(), Some("no"));
        assert_eq!(recorder.find(&Question::Trace("0af7651916cd43dd8448eb211c80319c".into())), lines);
    }

    #[test]
    fn what_goes_out_is_a_child_of_what_sent_it() {
        let recorder = recorder(100);
        let trail = recorder.enter("c", "s", Some(SENT));
        let request = trail.span(Hop::Request, "other");
        let sent = request.trail().context();
        assert_eq!((sent.trace, sent.sampled), (Context::parse(SENT).unwrap().trace, true));
        assert_ne!(sent.span, trail.context().span);
    }

    #[test]
    fn the_ring_forgets_the_oldest() {
        let recorder = recorder(3);
        for call in ["a", "b", "c", "d"] {
            drop(recorder.enter(call, "s", None).own(Hop::Call, "n"));
        }
        let known = |call: &str| recorder.find(&Question::Call(call.into())).len();
        assert_eq!(["a", "b", "c", "d"].map(known), [0, 1, 1, 1]);
    }

    #[test]
    fn every_hop_is_counted_and_its_failures_too() {
        let recorder = recorder(10);
        let trail = recorder.enter("a", "stock", None);
        trail.span(Hop::Statement, "statement").fail("no");
        drop(trail);
        let mut registry = Registry::default();
        recorder.register(&mut registry);
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, &registry).unwrap();
        assert!(text.contains(r#"hop_seconds_count{hop="statement",service="stock"} 1"#), "{text}");
        assert!(text.contains(r#"hop_failures_total{hop="statement",service="stock"} 1"#), "{text}");
    }
}
