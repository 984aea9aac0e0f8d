//! What `/metrics` shows. Labels are bounded: services, operations, statuses; never an id, never anything that a request held.

use std::fmt::Write;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::http::StatusCode;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;
use ward_telemetry::Recorder;

use crate::limits::Limit;
use crate::services::{Service, ServiceStatus};

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct RequestLabels {
    operation: String,
    status: u16,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct OperationLabels {
    operation: String,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct ServiceLabels {
    service: String,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct SubscriptionLabels {
    subscription: String,
}

/// Upper bounds in seconds.
const BUCKETS: [f64; 12] = [0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0];

pub struct Metrics {
    registry: Mutex<Registry>,
    requests: Family<RequestLabels, Counter>,
    durations: Family<OperationLabels, Histogram>,
    relayed: Family<ServiceLabels, Counter>,
    waiting: Family<ServiceLabels, Gauge>,
    backlog: Family<SubscriptionLabels, Gauge>,
    dead: Gauge,
}

impl Metrics {
    /// With the numbers of all hops that `recorder` sees.
    pub fn new(recorder: &Recorder) -> Self {
        let durations = Family::<OperationLabels, Histogram>::new_with_constructor(|| Histogram::new(BUCKETS));
        let metrics = Self {
            registry: Mutex::new(Registry::with_prefix("ward")),
            requests: Family::default(),
            durations,
            relayed: Family::default(),
            waiting: Family::default(),
            backlog: Family::default(),
            dead: Gauge::default(),
        };
        if let Ok(mut registry) = metrics.registry.lock() {
            recorder.register(&mut registry);
            registry.register("http_requests", "REST requests by operation and status", metrics.requests.clone());
            registry.register("http_request_seconds", "How long REST requests took", metrics.durations.clone());
            registry.register("events_relayed", "Events that this host moved to the stream", metrics.relayed.clone());
            registry.register("outbox_events", "Committed events not yet in the stream", metrics.waiting.clone());
            registry.register("subscription_backlog", "Events before a subscription", metrics.backlog.clone());
            registry.register("dead_letters", "Events that nobody could handle", metrics.dead.clone());
        }
        metrics
    }

    pub fn set_dead(&self, letters: u64) {
        self.dead.set(i64::try_from(letters).unwrap_or(i64::MAX));
    }

    pub fn relayed(&self, service: &str, events: usize) {
        let labels = ServiceLabels { service: service.to_owned() };
        self.relayed.get_or_create(&labels).inc_by(events as u64);
    }

    /// Events in the outbox of a service.
    pub fn set_waiting(&self, service: &str, events: i64) {
        let labels = ServiceLabels { service: service.to_owned() };
        self.waiting.get_or_create(&labels).set(events);
    }

    /// Events that a subscription has before it or under way.
    pub fn set_backlog(&self, subscription: &str, events: u64) {
        let labels = SubscriptionLabels { subscription: subscription.to_owned() };
        self.backlog.get_or_create(&labels).set(i64::try_from(events).unwrap_or(i64::MAX));
    }

    pub fn request(&self, operation: &str, status: StatusCode, took: Duration) {
        let labels = RequestLabels { operation: operation.to_owned(), status: status.as_u16() };
        self.requests.get_or_create(&labels).inc();
        let labels = OperationLabels { operation: operation.to_owned() };
        self.durations.get_or_create(&labels).observe(took.as_secs_f64());
    }

    /// In the text format of OpenMetrics.
    pub fn render(&self, services: &[Arc<Service>]) -> String {
        let mut text = String::new();
        if let Ok(registry) = self.registry.lock()
            && let Err(error) = encode(&mut text, &registry)
        {
            tracing::error!(%error, "metrics could not be written");
        }
        let end = "# EOF\n";
        text.truncate(text.strip_suffix(end).map_or(text.len(), str::len));
        let statuses: Vec<ServiceStatus> = services.iter().map(|service| ServiceStatus::of(service)).collect();
        gauges(&mut text, &statuses);
        refusals(&mut text, services);
        text.push_str(end);
        text
    }
}

/// What the services know of themselves.
fn gauges(text: &mut String, statuses: &[ServiceStatus]) {
    let mut gauge = |name: &str, help: &str, kind: &str, value: &dyn Fn(&ServiceStatus) -> u64| {
        let _ = writeln!(text, "# HELP ward_{name} {help}\n# TYPE ward_{name} {kind}");
        let suffix = if kind == "counter" { "_total" } else { "" };
        for status in statuses {
            let _ = writeln!(text, "ward_{name}{suffix}{{service=\"{}\"}} {}", status.service, value(status));
        }
    };
    gauge("calls_in_flight", "Calls that run or wait", "gauge", &|status| status.in_flight as u64);
    gauge("serving", "1 while a generation serves", "gauge", &|status| u64::from(status.serving.is_some()));
    gauge("quarantined", "1 while calls are turned away after crashes", "gauge", &|status| {
        u64::from(status.quarantined_ms.is_some())
    });
    gauge("generation_quarantines", "How often the generation was put into quarantine", "counter", &|status| {
        status.quarantines
    });
    gauge("attending", "1 while this host takes calls", "gauge", &|status| {
        u64::from(status.serving.is_some() && status.away.is_none())
    });
    gauge("generation", "The generation that serves", "gauge", &|status| {
        status.serving.as_ref().map_or(0, |serving| serving.generation)
    });
    gauge("generation_calls", "Calls of the generation that serves", "counter", &|status| {
        status.serving.as_ref().map_or(0, |serving| serving.calls)
    });
    gauge("generation_failures", "Failed calls of the generation that serves", "counter", &|status| {
        status.serving.as_ref().map_or(0, |serving| serving.failures)
    });
    gauge("canary_percent", "Share of the calls that a canary gets", "gauge", &|status| {
        status.canary.as_ref().map_or(0, |canary| u64::from(canary.percent))
    });
    gauge("canary_calls", "Calls of the canary", "counter", &|status| {
        status.canary.as_ref().map_or(0, |canary| canary.calls)
    });
    gauge("canary_failures", "Failed calls of the canary", "counter", &|status| {
        status.canary.as_ref().map_or(0, |canary| canary.failures)
    });
    gauge("calls_cut_off", "Calls that outlasted swap.drain_s", "counter", &|status| status.cut_off);
}

/// What the limits of the components refused: as many labels as there are limits.
fn refusals(text: &mut String, services: &[Arc<Service>]) {
    let name = "ward_limit_refusals";
    let _ = writeln!(text, "# HELP {name} What a limit of a component refused or dropped\n# TYPE {name} counter");
    for service in services {
        for limit in Limit::ALL {
            let (count, limit) = (service.refusals.of(limit), limit.name());
            let _ = writeln!(text, "{name}_total{{service=\"{}\",limit=\"{limit}\"}} {count}", service.name);
        }
    }
}
