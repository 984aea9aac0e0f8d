//! Spans to a collector, by OTLP over HTTP. Nobody waits for it: what the collector does not take in time is lost, and counted.

use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use opentelemetry::trace::{SpanContext, SpanId, SpanKind, Status, TraceFlags, TraceId, TraceState};
use opentelemetry::{InstrumentationScope, KeyValue};
use opentelemetry_otlp::{ExporterBuildError, Protocol, SpanExporter, WithExportConfig};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::{SpanData, SpanEvents, SpanExporter as _, SpanLinks};
use prometheus_client::metrics::counter::Counter;
use tokio::sync::{mpsc, oneshot};

use crate::Hop;
use crate::span::{Span, Way};

/// Trails that wait for the collector; further ones are lost.
const QUEUE: usize = 4096;
/// Trails that are sent at once, and how long the first of them waits for others.
const BATCH: usize = 256;
const PAUSE: Duration = Duration::from_secs(1);
/// How long the collector may take.
const PATIENCE: Duration = Duration::from_secs(5);

pub(crate) struct Exporter {
    queue: mpsc::Sender<Job>,
    lost: Counter,
}

enum Job {
    Way(Arc<Way>),
    Flush(oneshot::Sender<()>),
}

impl Exporter {
    /// None when there is no such exporter, which is said in the log.
    pub fn start(endpoint: &str, program: &'static str, process: &str, lost: Counter) -> Option<Self> {
        let resource = Resource::builder_empty()
            .with_service_name(program)
            .with_attribute(KeyValue::new("service.instance.id", process.to_owned()))
            .with_attribute(KeyValue::new("service.version", env!("CARGO_PKG_VERSION")))
            .build();
        let mut exporter = match exporter(endpoint) {
            Ok(exporter) => exporter,
            Err(error) => {
                tracing::error!(endpoint, %error, "traces cannot be exported: look at telemetry.otlp_endpoint");
                return None;
            }
        };
        exporter.set_resource(&resource);
        let (queue, jobs) = mpsc::channel(QUEUE);
        tokio::spawn(work(exporter, jobs, lost.clone()));
        tracing::info!(endpoint, "traces are exported");
        Some(Self { queue, lost })
    }

    pub fn offer(&self, way: Arc<Way>) {
        let spans = way.spans.len() as u64;
        if self.queue.try_send(Job::Way(way)).is_err() {
            self.lost.inc_by(spans);
        }
    }

    pub async fn flush(&self) {
        let (done, flushed) = oneshot::channel();
        if self.queue.send(Job::Flush(done)).await.is_ok() {
            let _ = tokio::time::timeout(PATIENCE, flushed).await;
        }
    }
}

fn exporter(endpoint: &str) -> Result<SpanExporter, ExporterBuildError> {
    let endpoint = format!("{}/v1/traces", endpoint.trim_end_matches('/').trim_end_matches("/v1/traces"));
    let builder = SpanExporter::builder().with_http().with_protocol(Protocol::HttpBinary);
    builder.with_endpoint(endpoint).with_timeout(PATIENCE).build()
}

/// Until nobody is left who offers.
async fn work(exporter: SpanExporter, mut jobs: mpsc::Receiver<Job>, lost: Counter) {
    let mut complained = false;
    while let Some(first) = jobs.recv().await {
        let (mut spans, mut flushed) = (Vec::new(), None);
        let mut next = Some(first);
        let until = tokio::time::Instant::now() + PAUSE;
        let mut ways = 0;
        while let Some(job) = next {
            match job {
                Job::Way(way) => spans.extend(way.spans.iter().map(|span| data(&way, span))),
                Job::Flush(done) => {
                    flushed = Some(done);
                    break;
                }
            }
            ways += 1;
            if ways == BATCH {
                break;
            }
            next = tokio::time::timeout_at(until, jobs.recv()).await.ok().flatten();
        }
        let count = spans.len() as u64;
        let outcome = if spans.is_empty() { Ok(()) } else { exporter.export(spans).await };
        match outcome {
            Ok(()) => complained = false,
            Err(error) => {
                lost.inc_by(count);
                if !std::mem::replace(&mut complained, true) {
                    tracing::warn!(%error, "the collector does not take traces; they are lost until it does");
                }
            }
        }
        if let Some(done) = flushed {
            let _ = done.send(());
        }
    }
}

fn data(way: &Way, span: &Span) -> SpanData {
    let began = UNIX_EPOCH + Duration::from_micros(u64::try_from(span.began_us).unwrap_or_default());
    let mut attributes = vec![KeyValue::new("ward.hop", span.hop.name()), service(way)];
    if !way.call.is_empty() {
        attributes.push(KeyValue::new("ward.call", way.call.clone()));
    }
    attributes.extend(span.attributes.iter().map(|(name, value)| KeyValue::new(*name, value.clone())));
    SpanData {
        span_context: SpanContext::new(
            TraceId::from_bytes(way.trace.to_be_bytes()),
            SpanId::from_bytes(span.id.to_be_bytes()),
            TraceFlags::SAMPLED,
            false,
            TraceState::NONE,
        ),
        parent_span_id: SpanId::from_bytes(span.parent.to_be_bytes()),
        parent_span_is_remote: matches!(kind(span.hop), SpanKind::Server | SpanKind::Consumer),
        span_kind: kind(span.hop),
        name: span.name.clone(),
        start_time: began,
        end_time: ended(began, span),
        attributes,
        dropped_attributes_count: 0,
        events: SpanEvents::default(),
        links: SpanLinks::default(),
        status: span.error.as_ref().map_or(Status::Unset, |error| Status::error(error.clone())),
        instrumentation_scope: InstrumentationScope::builder("ward").build(),
    }
}

fn ended(began: SystemTime, span: &Span) -> SystemTime {
    began + Duration::from_micros(span.took_us)
}

fn service(way: &Way) -> KeyValue {
    KeyValue::new("ward.service", way.service.to_string())
}

fn kind(hop: Hop) -> SpanKind {
    match hop {
        Hop::Gateway | Hop::Call | Hop::Grpc => SpanKind::Server,
        Hop::Request | Hop::Statement => SpanKind::Client,
        Hop::Relay | Hop::Kafka => SpanKind::Producer,
        Hop::Delivery => SpanKind::Consumer,
        Hop::Queue | Hop::Component | Hop::Commit | Hop::Publish => SpanKind::Internal,
    }
}
