//! `ward trace`: the way of one call through gateway, services, statements and events, as a tree with times.

use std::collections::{BTreeMap, HashSet};

use clap::Args;
use ward_proto::call::subject;
use ward_telemetry::{Hop, Line, Question};

use super::ask;
use super::output::{self, BAD, Exit, FAINT, Format, HEADING, line, note, paint};
use crate::bus::Bus;
use crate::clock;
use crate::config::Config;

#[derive(Args)]
#[command(
    after_help = "Hosts and bridges keep the spans of the last calls in memory (telemetry.ring_spans). Statements are shown as the component
wrote them, without their parameters. What an event does later belongs to the same trace: ask again after a moment.

Examples:
  ward trace 01a2050a-1c87-7672-b389-783e7b30fa16         # the id is in X-Request-Id and in a problem's instance
  ward trace 060fbdfc63d344e38ef758472dc1df37 --json      # a trace's id, from a traceparent"
)]
pub struct Arguments {
    /// The id of a call, or of a trace.
    #[arg(value_name = "CALL-ID")]
    id: String,
    #[command(flatten)]
    format: Format,
}

pub async fn run(config: &Config, arguments: Arguments) -> anyhow::Result<()> {
    let bus = Bus::connect(&config.nats, "ward trace").await?;
    let id = arguments.id.strip_prefix("urn:ward:call:").unwrap_or(&arguments.id);
    let trace = trace_of(&bus, id).await?;
    let mut spans: Vec<Line> = ask::everybody(&bus, subject::SPANS, &Question::Trace(trace.clone())).await?;
    if spans.is_empty() {
        return Err(
            Exit::Failed.because(format_args!("nobody remembers {id}: it is too long ago (telemetry.ring_spans)"))
        );
    }
    spans.sort_by(|one, other| (one.began_us, &one.span).cmp(&(other.began_us, &other.span)));
    if arguments.format.json {
        return output::json(&spans);
    }
    let began = spans.iter().map(|span| span.began_us).min().unwrap_or_default();
    line(format_args!("{} {trace}, {}", paint(HEADING, "trace"), clock::rfc3339(began)));
    line(paint(HEADING, format_args!("{:>10}  {:>10}", "AT MS", "TOOK MS")));
    for text in Tree::of(&spans).lines(began) {
        line(text);
    }
    if spans.iter().any(|span| span.hop == Hop::Publish) && !spans.iter().any(|span| span.hop == Hop::Delivery) {
        note("the events have not been delivered yet; ask again");
    }
    Ok(())
}

/// The trace of a call; an id of 32 hexadecimal digits is a trace already.
async fn trace_of(bus: &Bus, id: &str) -> anyhow::Result<String> {
    if id.len() == 32 && id.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return Ok(id.to_ascii_lowercase());
    }
    let spans: Vec<Line> = ask::everybody(bus, subject::SPANS, &Question::Call(id.to_owned())).await?;
    let found = spans.first().map(|span| span.trace.clone());
    found.ok_or_else(|| {
        Exit::Failed.because(format_args!(
            "nobody remembers the call {id}: it is too long ago (telemetry.ring_spans), or there was none"
        ))
    })
}

/// Spans below their parents; what has none among them is a root.
struct Tree<'a> {
    roots: Vec<&'a Line>,
    children: BTreeMap<&'a str, Vec<&'a Line>>,
}

impl<'a> Tree<'a> {
    fn of(spans: &'a [Line]) -> Self {
        let known: HashSet<&str> = spans.iter().map(|span| span.span.as_str()).collect();
        let mut tree = Self { roots: Vec::new(), children: BTreeMap::new() };
        for span in spans {
            match known.contains(span.parent.as_str()) && span.parent != span.span {
                true => tree.children.entry(&span.parent).or_default().push(span),
                false => tree.roots.push(span),
            }
        }
        tree
    }

    fn lines(&self, began: i64) -> Vec<String> {
        let mut lines = Vec::new();
        for root in &self.roots {
            self.add(root, 0, began, &mut lines);
        }
        lines
    }

    fn add(&self, span: &Line, depth: usize, began: i64, lines: &mut Vec<String>) {
        lines.push(shown(span, depth, began));
        // A circle cannot be told from a tree by looking down; no real way is this deep.
        if depth < DEEPEST {
            for child in self.children.get(span.span.as_str()).into_iter().flatten() {
                self.add(child, depth + 1, began, lines);
            }
        }
    }
}

const DEEPEST: usize = 64;

fn shown(span: &Line, depth: usize, began: i64) -> String {
    let ms = |micros: i64| format!("{:.3}", micros as f64 / 1000.0);
    let took = i64::try_from(span.took_us).unwrap_or(i64::MAX);
    let name = if span.name == span.hop.name() { String::new() } else { format!(" {}", span.name) };
    let notes = span.attributes.values().map(|value| value.split_whitespace().collect::<Vec<_>>().join(" "));
    let notes = notes.chain([format!("({})", span.process)]).collect::<Vec<_>>().join(" ");
    let failed = span.error.as_ref().map(|error| format!(" {}", paint(BAD, error))).unwrap_or_default();
    format!(
        "{:>10}  {:>10}  {}{}{name}{failed} {}",
        ms(span.began_us - began),
        ms(took),
        "  ".repeat(depth),
        paint(HEADING, span.hop.name()),
        paint(FAINT, notes)
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn span(id: &str, parent: &str, began_us: i64) -> Line {
        Line {
            process: "host-1".into(),
            trace: "t".into(),
            span: id.into(),
            parent: parent.into(),
            call: String::new(),
            service: "stock".into(),
            hop: Hop::Call,
            name: id.into(),
            began_us,
            took_us: 1500,
            error: None,
            attributes: BTreeMap::new(),
        }
    }

    #[test]
    fn spans_stand_below_their_parents_and_strangers_at_the_edge() {
        let spans = [span("a", "client", 1000), span("b", "a", 2000), span("c", "b", 3000), span("d", "gone", 4000)];
        let lines = Tree::of(&spans).lines(1000);
        let plain: Vec<String> = lines.iter().map(|line| anstream::adapter::strip_str(line).to_string()).collect();
        assert_eq!(plain[1], "     1.000       1.500    call b (host-1)");
        let depths: Vec<usize> = plain.iter().map(|line| line.find("call").unwrap()).collect();
        assert_eq!(depths, [24, 26, 28, 24]);
    }
}
