//! `ward deploy` and `ward rollback`: change the desired state, and wait until every host has dealt with it.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use clap::Args;

use super::ps::hosts;
use super::push::provide;
use crate::bus::Bus;
use crate::config::{Config, ServiceName};
use crate::services::desired::DesiredState;
use crate::services::{HostStatus, ServiceStatus, State};

#[derive(Args)]
pub struct Arguments {
    /// The service, as in the configuration.
    service: String,
    /// The component: a file, or the digest of one that was pushed (its beginning is enough).
    component: String,
    /// Sign the artifact with this key; without it with artifacts.signing_key_file, if that is set.
    #[arg(long, value_name = "FILE")]
    key: Option<PathBuf>,
    /// Do not wait for the hosts.
    #[arg(long)]
    no_wait: bool,
    /// Seconds to wait for the hosts.
    #[arg(long, default_value_t = 120)]
    timeout: u64,
}

#[derive(Args)]
pub struct RollbackArguments {
    /// The service, as in the configuration.
    service: String,
    /// Seconds to wait for the hosts.
    #[arg(long, default_value_t = 120)]
    timeout: u64,
}

pub async fn run(config: &Config, arguments: Arguments) -> anyhow::Result<()> {
    let service = known_service(config, &arguments.service)?;
    let bus = Bus::connect(&config.nats, "ward deploy").await?;
    let desired = DesiredState::open(&bus).await?;
    let digest = provide(config, &bus, &arguments.component, arguments.key.as_deref()).await?.to_string();
    let current = desired.get(&service).await?;
    if current.desired.as_ref().is_some_and(|current| current.digest == digest) {
        println!("{service} is at {} already (generation {})", short(&digest), current.revision);
        return wait_unless(arguments.no_wait, &bus, &service, current.revision, arguments.timeout).await;
    }
    let revision = desired.advance(&service, &current, &digest, who(), "deployed".to_owned()).await?;
    println!("{service} shall be {} (generation {revision})", short(&digest));
    wait_unless(arguments.no_wait, &bus, &service, revision, arguments.timeout).await
}

pub async fn roll_back(config: &Config, arguments: RollbackArguments) -> anyhow::Result<()> {
    let service = known_service(config, &arguments.service)?;
    let bus = Bus::connect(&config.nats, "ward rollback").await?;
    let desired = DesiredState::open(&bus).await?;
    let current = desired.get(&service).await?;
    let Some((digest, revision)) = desired.go_back(&service, &current, None, who(), "rolled back".to_owned()).await?
    else {
        bail!("{service} has no version before this one")
    };
    println!("{service} shall be {} again (generation {revision})", short(&digest));
    wait_unless(false, &bus, &service, revision, arguments.timeout).await
}

fn known_service(config: &Config, name: &str) -> anyhow::Result<ServiceName> {
    let service = ServiceName::parse(name).with_context(|| format!("{name:?} is not a service name"))?;
    if config.service(&service).is_none() {
        bail!("{service} is not in the configuration: add [services.{service}] with its grants");
    }
    Ok(service)
}

fn short(digest: &str) -> &str {
    digest.get(..12).unwrap_or(digest)
}

fn who() -> String {
    std::env::var("USER").unwrap_or_else(|_| "somebody".to_owned())
}

async fn wait_unless(
    no_wait: bool,
    bus: &Bus,
    service: &ServiceName,
    revision: u64,
    timeout: u64,
) -> anyhow::Result<()> {
    if no_wait {
        return Ok(());
    }
    let until = Instant::now() + Duration::from_secs(timeout);
    loop {
        let statuses = statuses(hosts(bus).await?, service);
        if statuses.is_empty() {
            println!("no host runs now; the first one that starts will take it");
            return Ok(());
        }
        if statuses.iter().all(|(_, status)| is_settled(status, revision)) {
            return report(&statuses, revision);
        }
        if Instant::now() > until {
            let waiting = statuses.iter().find(|(_, status)| !is_settled(status, revision));
            let reason = waiting.map(|(host, status)| format!("{host}: {:?}, {}", status.state, status.reason));
            bail!("not all hosts are done after {timeout} s ({})", reason.unwrap_or_default());
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

fn statuses(hosts: Vec<HostStatus>, service: &ServiceName) -> Vec<(String, ServiceStatus)> {
    let of_service = hosts.into_iter().filter_map(|host| {
        let status = host.services.into_iter().find(|status| status.service == service.as_str())?;
        Some((host.host, status))
    });
    of_service.collect()
}

fn is_settled(status: &ServiceStatus, revision: u64) -> bool {
    status.revision >= revision && matches!(status.state, State::Running | State::Refused)
}

fn report(statuses: &[(String, ServiceStatus)], revision: u64) -> anyhow::Result<()> {
    let mut refused = None;
    for (host, status) in statuses {
        // A later revision is a host that went back, or another operator.
        if status.state == State::Refused || status.revision > revision {
            refused = Some(format!("{host}: {}", status.reason));
        } else {
            let version = status.serving.as_ref().map(|serving| serving.version.as_str()).unwrap_or_default();
            println!("{host}: {} {version} serves", status.service);
        }
    }
    match refused {
        None => Ok(()),
        Some(reason) => bail!("not taken; what served before still serves. {reason}"),
    }
}
