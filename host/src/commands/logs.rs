//! `ward logs`: the last lines of all hosts, and with `-f` those that come.

use std::collections::HashMap;
use std::time::Duration;

use anstyle::Style;
use clap::{Args, ValueEnum};
use clap_complete::ArgValueCandidates;
use futures_util::StreamExt;
use ward_proto::call::subject;

use super::deploy::expect_known;
use super::output::{self, BAD, Exit, FAINT, Format, GOOD, WARNING, line, paint};
use super::{ask, completion};
use crate::bus::Bus;
use crate::clock;
use crate::config::Config;
use crate::logs::{COMPONENT, Line, Question};

#[derive(Args)]
#[command(
    after_help = "Hosts keep their last lines in memory ([log] ring_lines, ring_bytes), of the levels that log.level lets pass.
What hosts write has nothing of a request's content in it; what a component writes is its author's affair.

Examples:
  ward logs -f stock                                      # what this service writes, and what the hosts say of it
  ward logs --call 01a2050a-1c87-7672-b389-783e7b30fa16   # the id is in X-Request-Id and in a problem's instance
  ward logs --level error --limit 20 --json"
)]
pub struct Arguments {
    /// Only lines of this service, or about it.
    #[arg(add = ArgValueCandidates::new(completion::services))]
    service: Option<String>,
    /// Go on with the lines that come, until Ctrl-C.
    #[arg(short, long)]
    follow: bool,
    /// Only lines of the call with this id.
    #[arg(long, value_name = "ID")]
    call: Option<String>,
    /// The least serious level to be shown.
    #[arg(long)]
    level: Option<LeastLevel>,
    /// The newest so many lines of each host.
    #[arg(long, default_value_t = 200)]
    limit: usize,
    #[command(flatten)]
    format: Format,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum LeastLevel {
    Error,
    Warn,
    Info,
    Debug,
    Trace,
}

/// The field with the functions of a trap, a line each.
const BACKTRACE: &str = "backtrace";

/// How often hosts are told that somebody still follows.
const STILL_THERE: Duration = Duration::from_secs(5);

pub async fn run(config: &Config, arguments: Arguments) -> anyhow::Result<()> {
    let bus = Bus::connect(&config.nats, "ward logs").await?;
    let question = Question {
        service: arguments.service,
        call: arguments.call,
        level: arguments.level.map(|level| format!("{level:?}").to_lowercase()),
        limit: arguments.limit,
        follow: arguments.follow,
    };
    let mut coming = bus.subscribe(subject::LOG.to_owned()).await?;
    let mut shown = Shown::default();
    let mut lines: Vec<Line> = ask::everybody(&bus, subject::LOGS, &question).await?;
    if let Some(service) = question.service.as_deref().filter(|_| lines.is_empty()) {
        expect_known(config, &bus, service).await?;
    }
    lines.sort_by_key(|line| line.at_us);
    for line in lines {
        shown.show(&line, arguments.format)?;
    }
    if !arguments.follow {
        return Ok(());
    }
    let mut again = tokio::time::interval(STILL_THERE);
    let reminder = serde_json::to_vec(&Question { limit: 0, follow: true, ..Question::default() })?;
    loop {
        tokio::select! {
            message = coming.next() => match message {
                None => return Err(Exit::Unreachable.because("the connection to NATS has ended")),
                Some(message) => {
                    if let Ok(line) = serde_json::from_slice::<Line>(&message.payload) && question.wants(&line) {
                        shown.show(&line, arguments.format)?;
                    }
                }
            },
            _ = again.tick() => bus.publish(subject::LOGS.to_owned(), Default::default(), reminder.clone().into()).await,
            _ = tokio::signal::ctrl_c() => return Ok(()),
        }
    }
}

/// The last line that was shown of each host: a line may come twice, from the memory and when it is published.
#[derive(Default)]
struct Shown(HashMap<String, u64>);

impl Shown {
    fn show(&mut self, entry: &Line, format: Format) -> anyhow::Result<()> {
        let last = self.0.entry(entry.host.clone()).or_default();
        if entry.sequence <= *last {
            return Ok(());
        }
        *last = entry.sequence;
        if format.json {
            return output::json_line(entry);
        }
        line(text(entry));
        Ok(())
    }
}

fn text(entry: &Line) -> String {
    let field = |name: &str| entry.fields.get(name).map(String::as_str).unwrap_or_default();
    let who = if entry.target == COMPONENT { field("service") } else { "host" };
    let rest = entry.fields.iter().filter(|(name, _)| !(entry.target == COMPONENT && *name == "service"));
    let rest: Vec<String> = rest
        .filter(|(name, value)| !value.is_empty() && *name != BACKTRACE)
        .map(|(name, value)| if name == "fields" { value.clone() } else { format!("{name}={value}") })
        .collect();
    let backtrace: String = field(BACKTRACE).lines().map(|frame| format!("\n    at {frame}")).collect();
    format!(
        "{} {} {:<5} {who}: {} {}{backtrace}",
        paint(FAINT, clock::rfc3339(entry.at_us)),
        entry.host,
        paint(style(&entry.level), &entry.level),
        entry.message,
        paint(FAINT, rest.join(" "))
    )
}

fn style(level: &str) -> Style {
    match level {
        "ERROR" => BAD,
        "WARN" => WARNING,
        "INFO" => GOOD,
        _ => FAINT,
    }
}
