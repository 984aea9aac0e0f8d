//! `ward hosts`: which hosts there are, from anywhere that reaches NATS.

use clap::Args;

use super::ps::hosts;
use crate::bus::Bus;
use crate::config::Config;
use crate::services::HostStatus;

#[derive(Args)]
pub struct Arguments {
    /// As JSON, one array of hosts.
    #[arg(long)]
    json: bool,
}

pub async fn run(config: &Config, arguments: Arguments) -> anyhow::Result<()> {
    let bus = Bus::connect(&config.nats, "ward hosts").await?;
    let hosts = hosts(&bus).await?;
    if arguments.json {
        println!("{}", serde_json::to_string_pretty(&hosts)?);
        return Ok(());
    }
    if hosts.is_empty() {
        println!("no host answers");
        return Ok(());
    }
    println!(
        "{:<20} {:<9} {:>9} {:>8} {:>9} {:>8} {:>9}  {:<22} LABELS",
        "HOST", "VERSION", "UP", "SERVICES", "CALLS/S", "MEMORY", "IN FLIGHT", "GATEWAY"
    );
    for host in &hosts {
        println!("{}", line(host));
    }
    Ok(())
}

fn line(host: &HostStatus) -> String {
    let serving: Vec<_> = host
        .services
        .iter()
        .filter(|service| service.away.is_none())
        .filter_map(|service| service.serving.as_ref())
        .collect();
    let services = format!("{}/{}", serving.len(), host.services.len());
    let canaries = host.services.iter().filter_map(|service| service.canary.as_ref());
    let calls: f64 = serving.iter().copied().chain(canaries).map(|serving| serving.recent.calls_per_s).sum();
    let in_flight: usize = host.services.iter().map(|service| service.in_flight).sum();
    let memory = format!("{} MiB", host.memory_bytes >> 20);
    let (name, version, up, gateway) = (&host.host, &host.version, up(host.up_s), &host.gateway);
    let labels = host.labels.join(",");
    let head = format!("{name:<20} {version:<9} {up:>9} {services:>8} {calls:>9.1} {memory:>8} {in_flight:>9}");
    format!("{head}  {gateway:<22} {labels}").trim_end().to_owned()
}

/// Its two largest units.
fn up(seconds: u64) -> String {
    let (minutes, hours, days) = (seconds / 60, seconds / 3600, seconds / 86_400);
    match (days, hours, minutes) {
        (0, 0, 0) => format!("{seconds}s"),
        (0, 0, _) => format!("{minutes}m{}s", seconds % 60),
        (0, _, _) => format!("{hours}h{}m", minutes % 60),
        _ => format!("{days}d{}h", hours % 24),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_have_two_units() {
        let shown: Vec<String> = [5, 65, 3_700, 90_000].into_iter().map(up).collect();
        assert_eq!(shown, ["5s", "1m5s", "1h1m", "1d1h"]);
    }
}
