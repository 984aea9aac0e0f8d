//! `ward hosts`: which hosts there are, from anywhere that reaches NATS.

use clap::Args;

use super::ask::Hosts;
use super::output::{self, Format, Side, Table};
use crate::bus::Bus;
use crate::config::Config;
use crate::services::HostStatus;

#[derive(Args)]
pub struct Arguments {
    #[command(flatten)]
    format: Format,
}

const COLUMNS: [(&str, Side); 9] = [
    ("HOST", Side::Left),
    ("VERSION", Side::Left),
    ("UP", Side::Right),
    ("SERVICES", Side::Right),
    ("CALLS/S", Side::Right),
    ("MEMORY", Side::Right),
    ("IN FLIGHT", Side::Right),
    ("GATEWAY", Side::Left),
    ("LABELS", Side::Left),
];

pub async fn run(config: &Config, arguments: Arguments) -> anyhow::Result<()> {
    show(config, "ward hosts", arguments.format, &COLUMNS, |table, host| table.row(row(host))).await
}

/// All hosts: as JSON, or as a table of the rows that `add` makes of each. Nobody is no error.
pub async fn show(
    config: &Config,
    asker: &str,
    format: Format,
    columns: &[(&'static str, Side)],
    mut add: impl FnMut(&mut Table, &HostStatus),
) -> anyhow::Result<()> {
    let bus = Bus::connect(&config.nats, asker).await?;
    let Hosts { answered, silent } = Hosts::ask(&bus).await?;
    for host in silent {
        output::note(format_args!("{host} does not answer"));
    }
    if format.json {
        return output::json(&answered);
    }
    if answered.is_empty() {
        output::note("no host answers");
    }
    let mut table = Table::new(columns);
    answered.iter().for_each(|host| add(&mut table, host));
    table.print();
    Ok(())
}

fn row(host: &HostStatus) -> [String; 9] {
    let here = host.services.iter().filter(|service| service.away.is_none());
    let serving: Vec<_> = here.filter_map(|service| service.serving.as_ref()).collect();
    let canaries = host.services.iter().filter_map(|service| service.canary.as_ref());
    let calls: f64 = serving.iter().copied().chain(canaries).map(|serving| serving.recent.calls_per_s).sum();
    let in_flight: usize = host.services.iter().map(|service| service.in_flight).sum();
    [
        host.host.clone(),
        host.version.clone(),
        up(host.up_s),
        format!("{}/{}", serving.len(), host.services.len()),
        format!("{calls:.1}"),
        format!("{} MiB", host.memory_bytes >> 20),
        in_flight.to_string(),
        host.gateway.clone(),
        host.labels.join(","),
    ]
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
