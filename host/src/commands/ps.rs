//! `ward ps`: what runs where.

use std::time::Duration;

use bytes::Bytes;
use clap::Args;
use ward_proto::call::subject;

use crate::bus::{Bus, BusError};
use crate::config::Config;
use crate::services::{HostStatus, ServiceStatus};

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
        "{:<20} {:<12} {:<10} {:>10} {:<14} {:>9} {:>10} {:>9}",
        "HOST", "SERVICE", "STATE", "GENERATION", "DIGEST", "IN FLIGHT", "CALLS", "FAILURES"
    );
    for host in &hosts {
        for service in &host.services {
            println!("{}", line(&host.host, service));
        }
    }
    Ok(())
}

fn line(host: &str, status: &ServiceStatus) -> String {
    let resting = status.quarantined_ms.map(|left| format!("  crashed too often, tried again in {left} ms"));
    let state = match resting {
        Some(_) => "quarantine".to_owned(),
        None => format!("{:?}", status.state).to_lowercase(),
    };
    let head = format!("{host:<20} {:<12} {state:<10}", status.service);
    match &status.serving {
        None => format!("{head} {:>10}  {}", "-", status.reason),
        Some(serving) => {
            let digest = serving.digest.get(..12).unwrap_or_default();
            let counts = format!("{:>9} {:>10} {:>9}", status.in_flight, serving.calls, serving.failures);
            let note = if state == "running" { String::new() } else { format!("  {}", status.reason) };
            let note = resting.unwrap_or(note);
            format!("{head} {:>10} {digest:<14} {counts}{note}", serving.generation)
        }
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
