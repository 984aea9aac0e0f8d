//! The numbers of every hop, made of its spans: how often, how long, how many failed. Labels are hops and services, so bounded.

use std::sync::Arc;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;

use crate::span::Way;

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct Labels {
    hop: &'static str,
    service: Arc<str>,
}

/// Upper bounds in seconds: statements are short, deliveries may be long.
const BUCKETS: [f64; 12] = [0.0002, 0.0005, 0.001, 0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.5, 1.0, 5.0];

pub(crate) struct HopMetrics {
    seconds: Family<Labels, Histogram>,
    failures: Family<Labels, Counter>,
    /// Spans that were not exported, since the collector did not take them in time.
    pub lost: Counter,
}

impl HopMetrics {
    pub fn new() -> Self {
        let seconds = Family::<Labels, Histogram>::new_with_constructor(|| Histogram::new(BUCKETS));
        Self { seconds, failures: Family::default(), lost: Counter::default() }
    }

    pub fn register(&self, registry: &mut Registry) {
        registry.register("hop_seconds", "How long each hop of the calls took", self.seconds.clone());
        registry.register("hop_failures", "Hops that failed", self.failures.clone());
        registry.register("spans_lost", "Spans that could not be exported", self.lost.clone());
    }

    pub fn count(&self, way: &Way) {
        for span in &way.spans {
            let labels = Labels { hop: span.hop.name(), service: way.service.clone() };
            self.seconds.get_or_create(&labels).observe(span.took_us as f64 / 1e6);
            if span.error.is_some() {
                self.failures.get_or_create(&labels).inc();
            }
        }
    }
}
