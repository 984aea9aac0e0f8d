//! `ward events`: events as they come, and dead letters, shown and replayed.

use std::time::Duration;

use clap::{Args, Subcommand};
use clap_complete::ArgValueCandidates;
use futures_util::StreamExt;
use serde::Serialize;
use time::OffsetDateTime;
use ward_proto::call::{ce, header, subject};

use super::completion;
use super::deploy::expect_known;
use super::output::{self, Exit, FAINT, Format, HEADING, Progress, line, paint};
use crate::bus::{Bus, Headers};
use crate::clock;
use crate::config::Config;
use crate::events::dead;

#[derive(Subcommand)]
pub enum Command {
    /// Show events as they are stored, until Ctrl-C.
    Tail(TailArguments),
    /// List dead letters, oldest first.
    Dead(DeadArguments),
    /// Deliver dead letters to their subscription again.
    Replay(ReplayArguments),
}

#[derive(Args)]
#[command(
    after_help = "Heads only: what happened to which aggregate, when, and in which trace; never what is in the event.

Examples:
  ward events tail
  ward events tail 'item.*' --since 10m
  ward events tail item.sold --limit 1 --json"
)]
pub struct TailArguments {
    /// Only events of this type; `*` stands for one part of a type, `>` for all that follow.
    #[arg(default_value = ">")]
    event_type: String,
    /// Begin with the events of this span: `30s`, `10m`, `2h`, `1d`.
    #[arg(long, value_parser = span)]
    since: Option<Duration>,
    /// End after so many.
    #[arg(long)]
    limit: Option<usize>,
    #[command(flatten)]
    format: Format,
}

#[derive(Args)]
#[command(after_help = "Examples:
  ward events dead
  ward events dead stock --json")]
pub struct DeadArguments {
    /// Only of this service.
    #[arg(add = ArgValueCandidates::new(completion::services))]
    service: Option<String>,
    /// At most so many.
    #[arg(long, default_value_t = 100)]
    limit: usize,
    #[command(flatten)]
    format: Format,
}

#[derive(Args)]
#[command(after_help = "What had its effect already has none now.

Examples:
  ward events replay stock
  ward events replay stock sales --sequence 7")]
pub struct ReplayArguments {
    /// The service whose subscription could not handle them.
    #[arg(add = ArgValueCandidates::new(completion::services))]
    service: String,
    /// Only of this subscription.
    subscription: Option<String>,
    /// Only the one with this number (see `ward events dead`).
    #[arg(long)]
    sequence: Option<u64>,
    /// At most so many.
    #[arg(long, default_value_t = 1000)]
    limit: usize,
    #[command(flatten)]
    format: Format,
}

pub async fn run(config: &Config, command: Command) -> anyhow::Result<()> {
    let bus = Bus::connect(&config.nats, "ward events").await?;
    match command {
        Command::Tail(arguments) => tail(&bus, arguments).await,
        Command::Dead(arguments) => list(config, &bus, arguments).await,
        Command::Replay(arguments) => replay(&bus, arguments).await,
    }
}

/// The head of an event.
#[derive(Debug, Serialize)]
struct Head {
    /// The place in the stream.
    sequence: u64,
    id: String,
    #[serde(rename = "type")]
    event_type: String,
    subject: String,
    source: String,
    time: String,
    version: String,
    bytes: String,
    traceparent: String,
}

impl Head {
    fn of(sequence: u64, headers: &Headers) -> Self {
        let get = |name: &str| headers.get(name).map(|value| value.as_str().to_owned()).unwrap_or_default();
        Self {
            sequence,
            id: get(ce::ID),
            event_type: get(ce::TYPE),
            subject: get(ce::SUBJECT),
            source: get(ce::SOURCE),
            time: get(ce::TIME),
            version: get(ce::VERSION),
            bytes: get("Nats-Msg-Size"),
            traceparent: get(header::TRACEPARENT),
        }
    }

    fn text(&self) -> String {
        let trace = self.traceparent.get(3..35).unwrap_or_default();
        let rest = format!("{} v{} {} bytes {} trace={trace}", self.id, self.version, self.bytes, self.source);
        let event_type = paint(HEADING, &self.event_type);
        format!(
            "{} {:>8} {event_type} {} {}",
            paint(FAINT, &self.time),
            self.sequence,
            self.subject,
            paint(FAINT, rest)
        )
    }
}

async fn tail(bus: &Bus, arguments: TailArguments) -> anyhow::Result<()> {
    let since = arguments.since.map(moment).transpose()?;
    let filter = format!("{}.{}", subject::EVENT, arguments.event_type);
    let mut events = bus.watch_events(filter, since).await?;
    let mut left = arguments.limit.unwrap_or(usize::MAX);
    while left > 0 {
        let event = tokio::select! {
            event = events.next() => event,
            _ = tokio::signal::ctrl_c() => return Ok(()),
        };
        let Some(event) = event else { return Err(Exit::Unreachable.because("the connection to NATS has ended")) };
        let (sequence, headers) = event?;
        let head = Head::of(sequence, &headers);
        match arguments.format.json {
            true => output::json_line(&head)?,
            false => line(head.text()),
        }
        left -= 1;
    }
    Ok(())
}

async fn list(config: &Config, bus: &Bus, arguments: DeadArguments) -> anyhow::Result<()> {
    let letters = dead::list(bus, arguments.service.as_deref(), None, arguments.limit).await?;
    if let Some(service) = arguments.service.as_deref().filter(|_| letters.is_empty()) {
        expect_known(config, bus, service).await?;
    }
    note_a_cut(letters.len(), arguments.limit);
    if arguments.format.json {
        return output::json(&letters);
    }
    for letter in letters {
        line(format_args!(
            "{:>8} {}/{} {} {} {} after {} attempts: {}",
            letter.sequence,
            letter.service,
            letter.subscription,
            letter.event_type,
            letter.event_subject,
            letter.event_id,
            letter.attempts,
            letter.reason
        ));
    }
    Ok(())
}

fn note_a_cut(shown: usize, limit: usize) {
    if shown == limit {
        output::note(format_args!("there may be more: --limit is {limit}"));
    }
}

async fn replay(bus: &Bus, arguments: ReplayArguments) -> anyhow::Result<()> {
    let subscription = arguments.subscription.as_deref();
    let progress = Progress::of("replaying");
    let limit = if arguments.sequence.is_some() { usize::MAX } else { arguments.limit };
    let letters = dead::list(bus, Some(&arguments.service), subscription, limit).await?;
    let chosen = letters.iter().filter(|letter| arguments.sequence.is_none_or(|one| one == letter.sequence));
    let mut replayed = Vec::new();
    for letter in chosen {
        dead::replay(bus, letter).await?;
        replayed.push(letter);
    }
    drop(progress);
    if let (Some(sequence), true) = (arguments.sequence, replayed.is_empty()) {
        let service = &arguments.service;
        return Err(
            Exit::Usage.because(format!("{service} has no dead letter {sequence}: `ward events dead {service}`"))
        );
    }
    note_a_cut(replayed.len(), limit);
    match arguments.format.json {
        true => output::json(&replayed),
        false => {
            line(format_args!("{} replayed", replayed.len()));
            Ok(())
        }
    }
}

/// `10m` as a span.
fn span(text: &str) -> Result<Duration, String> {
    let refused = || format!("{text:?} is no span: say 30s, 10m, 2h or 1d");
    let unit = text.chars().last().ok_or_else(refused)?;
    let number: u64 = text.strip_suffix(unit).and_then(|digits| digits.parse().ok()).ok_or_else(refused)?;
    let seconds = match unit {
        's' => 1,
        'm' => 60,
        'h' => 3600,
        'd' => 24 * 3600,
        _ => return Err(refused()),
    };
    Ok(Duration::from_secs(number.saturating_mul(seconds)))
}

/// So long ago.
fn moment(span: Duration) -> anyhow::Result<OffsetDateTime> {
    let seconds = clock::now_seconds().saturating_sub(span.as_secs());
    Ok(OffsetDateTime::from_unix_timestamp(i64::try_from(seconds)?)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_spans() {
        assert_eq!(span("10m"), Ok(Duration::from_secs(600)));
        assert_eq!(span("1d"), Ok(Duration::from_secs(86_400)));
        for text in ["", "m", "10", "10x", "-1s", "1é"] {
            assert!(span(text).unwrap_err().contains("say 30s"), "{text}");
        }
    }
}
