//! The last lines of this host's log, in memory, for `ward logs`: those of components, and the host's own.
//!
//! A layer beside the one that writes to standard error ([`Logs`]); what `log.level` hides is not here either. While somebody
//! follows, lines are published as well; nobody has followed for a while, nobody is told. The host's own lines have
//! nothing of a payload; what a component writes is its author's affair.

use std::collections::{BTreeMap, VecDeque};
use std::fmt;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde::{Deserialize, Serialize};
use tokio::sync::mpsc;
use tracing::field::{Field, Visit};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::layer::{Context, Layer};
use ward_proto::call::subject;

use crate::bus::{Bus, Headers};
use crate::{clock, config};

/// The target of what components write.
pub const COMPONENT: &str = "component";

/// How long somebody who follows is taken to be there without asking again.
const FOLLOWED_MICROS: i64 = 15_000_000;
/// Lines on their way to somebody who follows; further ones are left out.
const QUEUE: usize = 1024;
/// Bytes of lines in one answer: it has to fit into a message.
const ANSWER_BYTES: usize = 512 << 10;

/// One line.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Line {
    #[serde(default)]
    pub host: String,
    /// Counts the lines of a host.
    pub sequence: u64,
    /// Microseconds since 1970.
    pub at_us: i64,
    /// `ERROR`, `WARN`, `INFO`, `DEBUG` or `TRACE`.
    pub level: String,
    /// `component`, or the module of the host.
    pub target: String,
    pub message: String,
    /// `service`, `call`, `trace` and others.
    pub fields: BTreeMap<String, String>,
}

/// What `ward.logs` is asked.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Question {
    #[serde(default)]
    pub service: Option<String>,
    #[serde(default)]
    pub call: Option<String>,
    /// The least serious level that is wanted: `warn`.
    #[serde(default)]
    pub level: Option<String>,
    /// The newest so many.
    pub limit: usize,
    /// Publish what comes, for the next 15 seconds.
    #[serde(default)]
    pub follow: bool,
}

impl Question {
    pub fn wants(&self, line: &Line) -> bool {
        let is = |name: &str, wanted: &Option<String>| {
            wanted.as_ref().is_none_or(|wanted| line.fields.get(name) == Some(wanted))
        };
        let least = self.level.as_ref().and_then(|level| level.parse::<Level>().ok());
        let serious = least.is_none_or(|least| line.level.parse::<Level>().is_ok_and(|level| level <= least));
        serious && is("service", &self.service) && is("call", &self.call)
    }
}

/// The lines of this process; clones share them.
#[derive(Clone)]
pub struct Logs(Arc<Shared>);

struct Shared {
    ring: Mutex<Ring>,
    lines_limit: usize,
    bytes_limit: usize,
    followed_until: AtomicI64,
    news: mpsc::Sender<Arc<Line>>,
    /// Taken by the one who publishes.
    published: Mutex<Option<mpsc::Receiver<Arc<Line>>>>,
}

#[derive(Default)]
struct Ring {
    lines: VecDeque<Arc<Line>>,
    bytes: usize,
    sequence: u64,
}

impl Logs {
    pub fn new(config: &config::Log) -> Self {
        let (news, published) = mpsc::channel(QUEUE);
        Self(Arc::new(Shared {
            ring: Mutex::default(),
            lines_limit: config.ring_lines,
            bytes_limit: config.ring_bytes,
            followed_until: AtomicI64::new(0),
            news,
            published: Mutex::new(Some(published)),
        }))
    }

    /// The lines that a question asks for, oldest first.
    pub fn answer(&self, host: &str, question: &[u8]) -> Vec<u8> {
        let Ok(question) = serde_json::from_slice::<Question>(question) else { return b"[]".to_vec() };
        if question.follow {
            self.0.followed_until.store(clock::now_micros() + FOLLOWED_MICROS, Ordering::Relaxed);
        }
        let mut bytes = 0;
        let ring = self.ring();
        let newest = ring.lines.iter().rev().filter(|line| question.wants(line)).take(question.limit);
        let fitting = newest.take_while(|line| {
            bytes += line.bytes();
            bytes <= ANSWER_BYTES
        });
        let mut lines: Vec<Line> = fitting.map(|line| Line { host: host.to_owned(), ..(**line).clone() }).collect();
        lines.reverse();
        serde_json::to_vec(&lines).unwrap_or_default()
    }

    /// Publishes lines for those who follow, for ever.
    pub async fn publish(self, bus: Arc<Bus>, host: String) {
        let taken = self.0.published.lock().unwrap_or_else(PoisonError::into_inner).take();
        let Some(mut lines) = taken else { return };
        while let Some(line) = lines.recv().await {
            let line = Line { host: host.clone(), ..(*line).clone() };
            if let Ok(body) = serde_json::to_vec(&line) {
                bus.publish(subject::LOG.to_owned(), Headers::new(), body.into()).await;
            }
        }
    }

    fn ring(&self) -> MutexGuard<'_, Ring> {
        self.0.ring.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn keep(&self, mut line: Line) {
        let mut ring = self.ring();
        ring.sequence += 1;
        line.sequence = ring.sequence;
        let line = Arc::new(line);
        ring.bytes += line.bytes();
        ring.lines.push_back(line.clone());
        while (ring.lines.len() > self.0.lines_limit || ring.bytes > self.0.bytes_limit)
            && let Some(oldest) = ring.lines.pop_front()
        {
            ring.bytes -= oldest.bytes();
        }
        drop(ring);
        if line.at_us < self.0.followed_until.load(Ordering::Relaxed) {
            let _ = self.0.news.try_send(line);
        }
    }
}

impl Line {
    fn bytes(&self) -> usize {
        let fields: usize = self.fields.iter().map(|(name, value)| name.len() + value.len() + 64).sum();
        self.message.len() + self.target.len() + fields + 128
    }
}

impl<S: Subscriber> Layer<S> for Logs {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let mut fields = Fields::default();
        event.record(&mut fields);
        self.keep(Line {
            host: String::new(),
            sequence: 0,
            at_us: clock::now_micros(),
            level: event.metadata().level().to_string(),
            target: event.metadata().target().to_owned(),
            message: fields.message,
            fields: fields.others,
        });
    }
}

#[derive(Default)]
struct Fields {
    message: String,
    others: BTreeMap<String, String>,
}

impl Visit for Fields {
    fn record_str(&mut self, field: &Field, value: &str) {
        self.take(field, value.to_owned());
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.take(field, format!("{value:?}"));
    }
}

impl Fields {
    fn take(&mut self, field: &Field, value: String) {
        match field.name() {
            "message" => self.message = value,
            name => drop(self.others.insert(name.to_owned(), value)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn logs(ring_lines: usize, ring_bytes: usize) -> Logs {
        let format = config::LogFormat::Text;
        Logs::new(&config::Log { level: "info".into(), format, ring_lines, ring_bytes })
    }

    fn line(level: &str, service: &str, message: &str) -> Line {
        let fields = BTreeMap::from([("service".to_owned(), service.to_owned())]);
        Line {
            host: String::new(),
            sequence: 0,
            at_us: 1,
            level: level.to_owned(),
            target: COMPONENT.to_owned(),
            message: message.to_owned(),
            fields,
        }
    }

    fn asked(logs: &Logs, question: &Question) -> Vec<String> {
        let answer = logs.answer("host-1", &serde_json::to_vec(question).unwrap());
        let lines: Vec<Line> = serde_json::from_slice(&answer).unwrap();
        assert!(lines.iter().all(|line| line.host == "host-1"));
        lines.into_iter().map(|line| line.message).collect()
    }

    #[test]
    fn the_oldest_lines_go_when_there_are_too_many_or_too_long_ones() {
        let few = logs(2, 1 << 20);
        ["a", "b", "c"].iter().for_each(|message| few.keep(line("INFO", "s", message)));
        assert_eq!(asked(&few, &Question { limit: 9, ..Question::default() }), ["b", "c"]);
        let short = logs(100, 4100);
        short.keep(line("INFO", "s", "old"));
        short.keep(line("INFO", "s", &"x".repeat(3800)));
        assert_eq!(asked(&short, &Question { limit: 9, ..Question::default() }).len(), 1);
    }

    #[test]
    fn a_question_chooses_by_service_level_and_number() {
        let logs = logs(10, 1 << 20);
        for (level, service) in [("INFO", "a"), ("WARN", "a"), ("ERROR", "b"), ("DEBUG", "a")] {
            logs.keep(line(level, service, &format!("{level} {service}")));
        }
        let of_a = Question { service: Some("a".into()), limit: 9, ..Question::default() };
        assert_eq!(asked(&logs, &of_a), ["INFO a", "WARN a", "DEBUG a"]);
        let serious = Question { level: Some("warn".into()), limit: 9, ..Question::default() };
        assert_eq!(asked(&logs, &serious), ["WARN a", "ERROR b"]);
        assert_eq!(asked(&logs, &Question { limit: 1, ..Question::default() }), ["DEBUG a"]);
    }

    #[test]
    fn what_nobody_follows_is_not_published() {
        let logs = logs(10, 1 << 20);
        let mut published = logs.0.published.lock().unwrap().take().unwrap();
        logs.keep(line("INFO", "a", "before"));
        assert!(published.try_recv().is_err());
        asked(&logs, &Question { limit: 0, follow: true, ..Question::default() });
        logs.keep(line("INFO", "a", "after"));
        assert_eq!(published.try_recv().unwrap().message, "after");
    }
}
