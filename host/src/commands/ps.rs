//! `ward ps`: what runs where.

use clap::Args;

use super::deploy::short;
use super::hosts::show;
use super::output::{BAD, FAINT, Format, GOOD, Side, Table, WARNING, paint};
use crate::config::Config;
use crate::services::{Away, ServiceStatus, Serving, State};

#[derive(Args)]
pub struct Arguments {
    #[command(flatten)]
    format: Format,
}

const COLUMNS: [(&str, Side); 12] = [
    ("HOST", Side::Left),
    ("SERVICE", Side::Left),
    ("STATE", Side::Left),
    ("GENERATION", Side::Right),
    ("DIGEST", Side::Left),
    ("CALLS/S", Side::Right),
    ("ERRORS/S", Side::Right),
    ("P99", Side::Right),
    ("IN FLIGHT", Side::Right),
    ("CALLS", Side::Right),
    ("FAILURES", Side::Right),
    ("NOTE", Side::Left),
];

pub async fn run(config: &Config, arguments: Arguments) -> anyhow::Result<()> {
    show(config, "ward ps", arguments.format, &COLUMNS, |table, host| {
        host.services.iter().for_each(|service| add(table, &host.host, service));
    })
    .await
}

/// A row for what serves, and one for a canary beside it.
fn add(table: &mut Table, host: &str, status: &ServiceStatus) {
    let head = |state: String| [host.to_owned(), status.service.clone(), state];
    let note = note(status).unwrap_or_default();
    let serving = match &status.serving {
        Some(serving) => numbers(serving, status.in_flight.to_string()),
        None => [const { String::new() }; 8],
    };
    table.row(head(state(status)).into_iter().chain(serving).chain([note]));
    if let Some(canary) = &status.canary {
        let state = paint(WARNING, format_args!("canary {}%", canary.percent));
        // What is in flight is counted for the service as a whole.
        table.row(head(state).into_iter().chain(numbers(canary, String::new())));
    }
}

fn state(status: &ServiceStatus) -> String {
    match (status.away, status.quarantined_ms) {
        (Some(Away::Elsewhere), _) => paint(FAINT, "elsewhere"),
        (Some(Away::NoDatabase), _) => paint(BAD, "no-database"),
        (None, Some(_)) => paint(BAD, "quarantine"),
        (None, None) => {
            let style = match status.state {
                State::Running => GOOD,
                State::Refused => BAD,
                State::Absent | State::Preparing | State::Waiting => WARNING,
            };
            paint(style, format!("{:?}", status.state).to_lowercase())
        }
    }
}

fn numbers(serving: &Serving, in_flight: String) -> [String; 8] {
    let recent = &serving.recent;
    [
        serving.generation.to_string(),
        short(&serving.digest).to_owned(),
        format!("{:.1}", recent.calls_per_s),
        format!("{:.1}", recent.failures_per_s),
        format!("{:.1} ms", recent.p99_ms),
        in_flight,
        serving.calls.to_string(),
        serving.failures.to_string(),
    ]
}

/// Why it is not simply running.
fn note(status: &ServiceStatus) -> Option<String> {
    match (status.away, status.quarantined_ms) {
        (Some(away), _) => Some(away.reason().to_owned()),
        (None, Some(left)) => Some(format!("crashed too often, tried again in {left} ms")),
        (None, None) if status.state == State::Running => None,
        (None, None) => Some(status.reason.clone()),
    }
}
