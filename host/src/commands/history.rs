//! `ward history`: what was desired of a service, who wanted it, and why it ended.

use clap::Args;
use clap_complete::ArgValueCandidates;
use serde::Serialize;

use super::completion;
use super::deploy::{known_service, service_name, short};
use super::output::{self, Format};
use crate::bus::Bus;
use crate::config::Config;
use crate::services::desired::{Canary, Change, Desired, DesiredState};

#[derive(Args)]
pub struct Arguments {
    /// The service.
    #[arg(add = ArgValueCandidates::new(completion::services))]
    service: String,
    #[command(flatten)]
    format: Format,
}

/// One stretch of time in which nothing changed.
#[derive(Serialize)]
struct Entry<'a> {
    generation: u64,
    digest: &'a str,
    canary: Option<&'a Canary>,
    from: &'a str,
    by: &'a str,
    change: Change,
    reason: &'a str,
    forced: Option<&'a str>,
    until: Option<&'a str>,
    ended: Option<String>,
}

pub async fn run(config: &Config, arguments: Arguments) -> anyhow::Result<()> {
    let service = service_name(&arguments.service)?;
    let bus = Bus::connect(&config.nats, "ward history").await?;
    let history = DesiredState::open(&bus).await?.history(&service).await?;
    let entries = entries(&history);
    if entries.is_empty() {
        known_service(config, &arguments.service)?;
    }
    if arguments.format.json {
        return output::json(&entries);
    }
    if entries.is_empty() {
        output::note(format_args!("{service} was never deployed"));
    }
    entries.iter().for_each(|entry| output::line(line(entry)));
    Ok(())
}

fn entries(history: &[Desired]) -> Vec<Entry<'_>> {
    let nexts = history.iter().skip(1).map(Some).chain([None]);
    let mut entries: Vec<Entry> = history.iter().zip(nexts).map(|(desired, next)| entry(desired, next)).collect();
    entries.reverse();
    entries
}

fn entry<'a>(desired: &'a Desired, next: Option<&'a Desired>) -> Entry<'a> {
    let newest = desired.canary.as_ref().map_or(&desired.stable, |canary| &canary.version);
    Entry {
        generation: desired.stable.generation,
        digest: &desired.stable.digest,
        canary: desired.canary.as_ref(),
        from: &desired.note.at,
        by: &desired.note.by,
        change: desired.note.change,
        reason: &desired.note.reason,
        forced: newest.forced.as_deref(),
        until: next.map(|next| next.note.at.as_str()),
        ended: next.map(|next| format!("{} ({})", next.note.reason, name(next.note.change))),
    }
}

fn line(entry: &Entry) -> String {
    let canary = entry.canary.map(|Canary { version, percent }| {
        format!(" + {} ({}) at {percent} %", version.generation, short(&version.digest))
    });
    let canary = canary.unwrap_or_default();
    let head = format!("{} {} ({}){canary}", second(entry.from), entry.generation, short(entry.digest));
    let forced = if entry.forced.is_some() { ", forced" } else { "" };
    let why = format!("{}{forced} by {}: {}", name(entry.change), entry.by, entry.reason);
    match (entry.until, &entry.ended) {
        (Some(until), Some(ended)) => format!("{head}\n    {why}\n    until {}: {ended}", second(until)),
        _ if entry.change == Change::Refused => format!("{head}\n    {why}\n    does not serve"),
        _ => format!("{head}\n    {why}\n    serves"),
    }
}

/// Without what is smaller than a second.
fn second(at: &str) -> String {
    format!("{}Z", at.get(..19).unwrap_or(at))
}

fn name(change: Change) -> &'static str {
    match change {
        Change::Deployed => "deployed",
        Change::Canary => "canary",
        Change::Promoted => "promoted",
        Change::RolledBack => "rolled back",
        Change::WentBack => "went back",
        Change::Refused => "refused",
        Change::Taken => "taken",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::services::desired::{Failed, Note};

    #[test]
    fn each_entry_says_why_it_ended() {
        let note = |change, reason: &str| Note {
            at: "2026-01-02T03:04:05.6Z".into(),
            by: "ann".into(),
            change,
            reason: reason.into(),
        };
        let first = Desired::first("aaaa", None, note(Change::Deployed, "new"));
        let second = first.deploy("bbbb", None, note(Change::Deployed, "faster")).unwrap();
        let back =
            second.without(&Failed::Generation(2), &first.stable, note(Change::WentBack, "its probe failed")).unwrap();
        let history = [first, second, back];
        let lines: Vec<String> = entries(&history).iter().map(line).collect();
        assert!(lines[0].contains("1 (aaaa)") && lines[0].ends_with("serves"), "{}", lines[0]);
        assert!(lines[1].contains("2 (bbbb)") && lines[1].contains("faster"), "{}", lines[1]);
        assert!(lines[1].ends_with("its probe failed (went back)"), "{}", lines[1]);
    }

    #[test]
    fn what_no_host_took_does_not_serve() {
        let note = |change| Note { at: "2026-01-02T03:04:05Z".into(), by: "ann".into(), change, reason: "why".into() };
        let first = Desired::first("aaaa", None, note(Change::Deployed));
        let refused = first.refused(note(Change::Refused)).unwrap();
        let history = [first, refused];
        let lines: Vec<String> = entries(&history).iter().map(line).collect();
        assert!(lines[0].ends_with("refused by ann: why\n    does not serve"), "{}", lines[0]);
        assert!(lines[1].ends_with("why (refused)"), "{}", lines[1]);
    }
}
