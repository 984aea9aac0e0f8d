//! `ward ps`: what runs where.

use std::time::Duration;

use bytes::Bytes;
use clap::Args;
use ward_proto::call::subject;

use crate::bus::{Bus, BusError};
use crate::config::Config;
use crate::services::{Away, HostStatus, ServiceStatus, Serving, State};

#[derive(Args)]
pub struct Arguments {
    /// As JSON, one array of hosts.
    #[arg(long)]
    json: bool,
}

pub async fn run(config: &Config, arguments: Arguments) -> anyhow::Result<()> {
    let bus = Bus::connect(&config.nats, "ward ps").await?;
    let hosts = hosts(&bus).await?;
    if arguments.json {
        println!("{}", serde_json::to_string_pretty(&hosts)?);
        return Ok(());
    }
    if hosts.is_empty() {
        println!("no host answers");
    }
    println!(
        "{:<20} {:<12} {:<11} {:>10} {:<12} {:>8} {:>8} {:>9} {:>9} {:>9} {:>8}",
        "HOST",
        "SERVICE",
        "STATE",
        "GENERATION",
        "DIGEST",
        "CALLS/S",
        "ERRORS/S",
        "P99",
        "IN FLIGHT",
        "CALLS",
        "FAILURES"
    );
    for host in &hosts {
        for service in &host.services {
            lines(&host.host, service).iter().for_each(|line| println!("{line}"));
        }
    }
    Ok(())
}

/// One for what serves, and one for a canary beside it.
fn lines(host: &str, status: &ServiceStatus) -> Vec<String> {
    let state = match (status.away, status.quarantined_ms) {
        (Some(Away::Elsewhere), _) => "elsewhere".to_owned(),
        (Some(Away::NoDatabase), _) => "no-database".to_owned(),
        (None, Some(_)) => "quarantine".to_owned(),
        (None, None) => format!("{:?}", status.state).to_lowercase(),
    };
    let head = format!("{host:<20} {:<12} {state:<11}", status.service);
    let Some(serving) = &status.serving else { return vec![format!("{head} {:>10}  {}", "-", status.reason)] };
    let note = note(status).map(|note| format!("  {note}")).unwrap_or_default();
    let mut lines = vec![format!("{head} {}{note}", numbers(serving, &status.in_flight.to_string()))];
    if let Some(canary) = &status.canary {
        let state = format!("canary {}%", canary.percent);
        // What is in flight is counted for the service as a whole.
        lines.push(format!("{host:<20} {:<12} {state:<11} {}", status.service, numbers(canary, "")));
    }
    lines
}

fn numbers(serving: &Serving, in_flight: &str) -> String {
    let digest = serving.digest.get(..12).unwrap_or_default();
    let recent = &serving.recent;
    let p99 = format!("{:.1} ms", recent.p99_ms);
    let rates = format!("{:>8.1} {:>8.1} {p99:>9}", recent.calls_per_s, recent.failures_per_s);
    let counts = format!("{in_flight:>9} {:>9} {:>8}", serving.calls, serving.failures);
    format!("{:>10} {digest:<12} {rates} {counts}", serving.generation)
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

/// How long the first host may take to answer, and each further one.
const PATIENCE: Duration = Duration::from_millis(1000);
const PAUSE: Duration = Duration::from_millis(100);

/// All hosts that answer within a moment, by name.
pub async fn hosts(bus: &Bus) -> Result<Vec<HostStatus>, BusError> {
    let replies = bus.gather(subject::HOSTS, Bytes::new(), PATIENCE, PAUSE).await?;
    let mut hosts: Vec<HostStatus> = replies.iter().filter_map(|reply| serde_json::from_slice(reply).ok()).collect();
    hosts.sort_by(|a, b| a.host.cmp(&b.host));
    Ok(hosts)
}
