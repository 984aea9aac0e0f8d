//! The spans of one hop while it lasts.

use std::borrow::Cow;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use crate::span::{Hop, Span, Way};
use crate::{Context, Recorder};

/// Spans of one hop that are kept; a component may send many statements.
const MOST_SPANS: usize = 256;

/// A handle to the spans of a hop; clones write to the same.
#[derive(Debug, Clone)]
pub struct Trail {
    hop: Option<Arc<Hold>>,
    /// What new spans are children of.
    context: Context,
}

/// Gives everything to the recorder when the last handle is dropped.
#[derive(Debug)]
struct Hold {
    recorder: Recorder,
    /// The hop's own span.
    own: Context,
    /// The span of whoever sent it.
    sender: u64,
    call: String,
    service: Arc<str>,
    began: Instant,
    began_us: i64,
    spans: Mutex<Vec<Span>>,
}

impl Trail {
    /// The trail of a hop that somebody else's span led to, or nobody's.
    pub(crate) fn new(recorder: Recorder, call: &str, service: Arc<str>, own: Context, sender: u64) -> Self {
        let hold = Hold {
            recorder,
            own,
            sender,
            call: call.to_owned(),
            service,
            began: Instant::now(),
            began_us: now_micros(),
            spans: Mutex::new(Vec::with_capacity(8)),
        };
        Self { hop: Some(Arc::new(hold)), context: own }
    }

    /// The trace context of whatever this handle is of: a hop itself, or one of its spans.
    pub fn context(&self) -> Context {
        self.context
    }

    /// Begins the hop's own span, of which all others are children. Once for each trail.
    pub fn own(&self, hop: Hop, name: impl Into<Cow<'static, str>>) -> Open {
        let sender = self.hop.as_ref().map_or(0, |hold| hold.sender);
        self.open(self.context, sender, hop, name.into())
    }

    /// Begins a span.
    pub fn span(&self, hop: Hop, name: impl Into<Cow<'static, str>>) -> Open {
        self.open(self.context.child(), self.context.span, hop, name.into())
    }

    fn open(&self, context: Context, parent: u64, hop: Hop, name: Cow<'static, str>) -> Open {
        let id = context.span;
        let span = Span { id, parent, hop, name, attributes: Vec::new(), error: None, began_us: 0, took_us: 0 };
        Open { trail: Self { hop: self.hop.clone(), context }, span, began: Instant::now() }
    }
}

/// Of a trace that begins here and of which nothing is written down.
impl Default for Trail {
    fn default() -> Self {
        Self { hop: None, context: Context::begin(1.0) }
    }
}

impl Drop for Hold {
    fn drop(&mut self) {
        let spans = std::mem::take(self.spans.get_mut().unwrap_or_else(PoisonError::into_inner));
        let (call, service) = (std::mem::take(&mut self.call), self.service.clone());
        self.recorder.keep(Way { trace: self.own.trace, sampled: self.own.sampled, call, service, spans });
    }
}

/// A span that ends when it is dropped.
#[derive(Debug)]
pub struct Open {
    /// For what happens within this span.
    trail: Trail,
    span: Span,
    began: Instant,
}

impl Open {
    /// The trail for what happens within this span. What is sent on from it goes out with its context.
    pub fn trail(&self) -> &Trail {
        &self.trail
    }

    pub fn attribute(&mut self, name: &'static str, value: impl Into<String>) {
        if self.trail.hop.is_some() {
            self.span.attributes.push((name, value.into()));
        }
    }

    /// It did not do what it should; `why` has nothing of a payload in it.
    pub fn fail(&mut self, why: impl Into<String>) {
        self.span.error = Some(why.into());
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        let Some(hold) = &self.trail.hop else { return };
        let after = micros(self.began.saturating_duration_since(hold.began));
        let span = Span {
            id: self.span.id,
            parent: self.span.parent,
            hop: self.span.hop,
            name: std::mem::take(&mut self.span.name),
            attributes: std::mem::take(&mut self.span.attributes),
            error: self.span.error.take(),
            began_us: hold.began_us.saturating_add_unsigned(after),
            took_us: micros(self.began.elapsed()),
        };
        let mut spans = hold.spans.lock().unwrap_or_else(PoisonError::into_inner);
        // The hop's own span comes last, and is always kept.
        if spans.len() < MOST_SPANS || span.id == hold.own.span {
            spans.push(span);
        }
    }
}

fn micros(span: std::time::Duration) -> u64 {
    u64::try_from(span.as_micros()).unwrap_or(u64::MAX)
}

/// The wall clock.
fn now_micros() -> i64 {
    #[expect(clippy::disallowed_methods, reason = "a span says when it was; nothing is decided by it")]
    let now = SystemTime::now();
    now.duration_since(UNIX_EPOCH).map_or(0, |since| i64::try_from(since.as_micros()).unwrap_or(i64::MAX))
}
