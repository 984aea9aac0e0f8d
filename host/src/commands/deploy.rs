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
    let digest = provide(config, &bus, &arguments.component, arguments.key.as_deref()).await?;
    let order = order(&bus, &service, digest.to_string(), "deployed").await?;
    let Order { digest, revision, is_new } = &order;
    let (shall_be, already) = if *is_new { ("shall be", "") } else { ("is at", " already") };
    println!("{service} {shall_be} {}{already} (generation {revision})", short(digest));
    wait_unless(arguments.no_wait, &bus, &service, *revision, arguments.timeout).await
}

/// What shall run of a service.
pub struct Order {
    pub digest: String,
    pub revision: u64,
    /// False when it was so before.
    pub is_new: bool,
}

/// Makes a file what shall run, without a word; returns when every host has dealt with it, and fails with the reason of
/// the first that does not take it.
pub async fn replace(
    config: &Config,
    bus: &Bus,
    service: &ServiceName,
    component: &str,
    reason: &str,
    timeout: Duration,
) -> anyhow::Result<Order> {
    let digest = provide(config, bus, component, None).await?;
    let order = order(bus, service, digest.to_string(), reason).await?;
    let statuses = settle(bus, service, order.revision, timeout).await?;
    match refusal(&statuses, order.revision) {
        None => Ok(order),
        Some(reason) => bail!("{reason}"),
    }
}

async fn order(bus: &Bus, service: &ServiceName, digest: String, reason: &str) -> anyhow::Result<Order> {
    let desired = DesiredState::open(bus).await?;
    let current = desired.get(service).await?;
    if current.desired.as_ref().is_some_and(|current| current.digest == digest) {
        return Ok(Order { digest, revision: current.revision, is_new: false });
    }
    let revision = desired.advance(service, &current, &digest, who(), reason.to_owned()).await?;
    Ok(Order { digest, revision, is_new: true })
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

pub fn known_service(config: &Config, name: &str) -> anyhow::Result<ServiceName> {
    let service = ServiceName::parse(name).with_context(|| format!("{name:?} is not a service name"))?;
    if config.service(&service).is_none() {
        bail!("{service} is not in the configuration: add [services.{service}] with its grants");
    }
    Ok(service)
}

pub fn short(digest: &str) -> &str {
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
    let statuses = settle(bus, service, revision, Duration::from_secs(timeout)).await?;
    report(&statuses, revision)
}

/// What the hosts say of a service once all of them have dealt with a revision.
async fn settle(
    bus: &Bus,
    service: &ServiceName,
    revision: u64,
    timeout: Duration,
) -> anyhow::Result<Vec<(String, ServiceStatus)>> {
    let until = Instant::now() + timeout;
    loop {
        let hosts = hosts(bus).await?;
        // A host that does not know of the service yet looks for it.
        let is_expected = !hosts.is_empty();
        let statuses = statuses(hosts, service);
        let unsettled = statuses.iter().find(|(_, status)| !is_settled(status, revision));
        if unsettled.is_none() && !(is_expected && statuses.is_empty()) {
            return Ok(statuses);
        }
        if Instant::now() > until {
            let seconds = timeout.as_secs();
            let Some((host, status)) = unsettled else {
                bail!("no host takes it: is [services.{service}] in the configuration that the hosts read?");
            };
            bail!("not all hosts are done after {seconds} s ({host}: {:?}, {})", status.state, status.reason);
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
    if statuses.is_empty() {
        println!("no host runs now; the first one that starts will take it");
    }
    for (host, status) in statuses.iter().filter(|(_, status)| !is_refused(status, revision)) {
        let version = status.serving.as_ref().map(|serving| serving.version.as_str()).unwrap_or_default();
        println!("{host}: {} {version} serves", status.service);
    }
    match refusal(statuses, revision) {
        None => Ok(()),
        Some(reason) => bail!("not taken; what served before still serves. {reason}"),
    }
}

fn refusal(statuses: &[(String, ServiceStatus)], revision: u64) -> Option<String> {
    let (host, status) = statuses.iter().find(|(_, status)| is_refused(status, revision))?;
    Some(format!("{host}: {}", status.reason))
}

/// A later revision is a host that went back, or another operator.
fn is_refused(status: &ServiceStatus, revision: u64) -> bool {
    status.state == State::Refused || status.revision > revision
}
