//! `ward deploy`, `ward promote` and `ward rollback`: change the desired state, and wait until every host has dealt with it.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::bail;
use clap::Args;
use clap_complete::ArgValueCandidates;
use serde::Serialize;

use super::ask::Hosts;
use super::completion;
use super::output::{self, Exit, Format, Progress};
use super::prune::make_room;
use super::push::provide;
use crate::artifacts::Digest;
use crate::bus::Bus;
use crate::config::{Config, ServiceName};
use crate::machine;
use crate::services::desired::{Canary, Change, Desired, DesiredState, Note, Unfit};
use crate::services::{HostStatus, ServiceStatus, State};

#[derive(Args)]
pub struct Arguments {
    /// The service, as in the configuration.
    #[arg(add = ArgValueCandidates::new(completion::services))]
    service: String,
    /// The component: a file, or the digest of one that was pushed (its beginning is enough).
    component: String,
    /// Sign the artifact with this key; without it with artifacts.signing_key_file, if that is set.
    #[arg(long, value_name = "FILE")]
    key: Option<PathBuf>,
    /// Let it have this share of the calls, 1 to 99, beside what serves.
    #[arg(long, value_name = "PERCENT")]
    canary: Option<u8>,
    /// Take it although it breaks a contract with another service; needs --reason.
    #[arg(long, requires = "reason")]
    force: bool,
    /// Why; it is kept in the history.
    #[arg(long)]
    reason: Option<String>,
    #[command(flatten)]
    wait: Wait,
}

#[derive(Args)]
pub struct PromoteArguments {
    /// The service, as in the configuration.
    #[arg(add = ArgValueCandidates::new(completion::services))]
    service: String,
    /// The canary's new share; without it, all calls.
    #[arg(long)]
    percent: Option<u8>,
    /// Why; it is kept in the history.
    #[arg(long)]
    reason: Option<String>,
    #[command(flatten)]
    wait: Wait,
}

#[derive(Args)]
pub struct RollbackArguments {
    /// The service, as in the configuration.
    #[arg(add = ArgValueCandidates::new(completion::services))]
    service: String,
    /// The generation to go back to, one of the last ten that were not taken back (`ward history`; for others deploy their digest);
    /// without it, a canary ends, or the version before serves again.
    generation: Option<u64>,
    /// Why; it is kept in the history.
    #[arg(long)]
    reason: Option<String>,
    #[command(flatten)]
    wait: Wait,
}

#[derive(Args)]
struct Wait {
    #[command(flatten)]
    format: Format,
    /// Do not wait for the hosts.
    #[arg(long)]
    no_wait: bool,
    /// Seconds to wait for the hosts.
    #[arg(long, default_value_t = 120)]
    timeout: u64,
}

pub async fn run(config: &Config, arguments: Arguments) -> anyhow::Result<()> {
    let desk = Desk::open(config, &arguments.service, "ward deploy").await?;
    let digest = provide(config, &desk.bus, &arguments.component, arguments.key.as_deref()).await?;
    let forced = arguments.reason.clone().filter(|_| arguments.force);
    let reason = arguments.reason.unwrap_or_else(|| "deployed".to_owned());
    let change = |current: Option<&Desired>| match (current, arguments.canary) {
        (_, None) => deployed(current, digest.as_str(), forced, reason),
        (Some(current), Some(percent)) => {
            current.try_out(digest.as_str(), percent, forced, note(Change::Canary, reason))
        }
        (None, Some(_)) => Err(Unfit::NothingToCompare),
    };
    desk.change(change, &arguments.wait).await?;
    make_room(config, &desk.bus, &digest).await;
    Ok(())
}

fn deployed(current: Option<&Desired>, digest: &str, forced: Option<String>, reason: String) -> Result<Desired, Unfit> {
    let note = note(Change::Deployed, reason);
    match current {
        None => Ok(Desired::first(digest, forced, note)),
        Some(current)
            if current.canary.is_none() && current.serving().is_some_and(|stable| stable.digest == digest) =>
        {
            Ok(current.clone())
        }
        Some(current) => current.deploy(digest, forced, note),
    }
}

/// What serves after [`replace`].
pub struct Replaced {
    pub digest: Digest,
    /// False when it was so before.
    pub is_new: bool,
}

/// Makes a file what shall run, without a word; returns when every host has dealt with it, and fails with the reason of
/// the first that does not take it.
pub async fn replace(
    config: &Config,
    service: &ServiceName,
    component: &str,
    reason: &str,
    timeout: Duration,
) -> anyhow::Result<Replaced> {
    let desk = Desk::open(config, service.as_str(), reason).await?;
    let digest = provide(config, &desk.bus, component, None).await?;
    let change = |current: Option<&Desired>| deployed(current, digest.as_str(), None, reason.to_owned());
    let order = desk.order(change, Unchanged::Leave).await?;
    let statuses = desk.settled(&order, timeout).await?;
    match refusal(&statuses, &order) {
        None => Ok(Replaced { digest, is_new: order.is_new }),
        Some(reason) => bail!("{reason}"),
    }
}

pub async fn promote(config: &Config, arguments: PromoteArguments) -> anyhow::Result<()> {
    let desk = Desk::open(config, &arguments.service, "ward promote").await?;
    let reason = arguments.reason.unwrap_or_else(|| "promoted".to_owned());
    let change = |current: Option<&Desired>| {
        current.ok_or(Unfit::NoCanary)?.promote(arguments.percent, note(Change::Promoted, reason))
    };
    desk.change(change, &arguments.wait).await
}

pub async fn roll_back(config: &Config, arguments: RollbackArguments) -> anyhow::Result<()> {
    let desk = Desk::open(config, &arguments.service, "ward rollback").await?;
    let reason = arguments.reason.unwrap_or_else(|| "rolled back".to_owned());
    let change = |current: Option<&Desired>| {
        current.ok_or(Unfit::NothingBefore)?.go_back(arguments.generation, note(Change::RolledBack, reason))
    };
    desk.change(change, &arguments.wait).await
}

/// Where an operator changes what is desired of one service.
struct Desk {
    bus: Bus,
    service: ServiceName,
    desired: DesiredState,
}

impl Desk {
    async fn open(config: &Config, service: &str, name: &str) -> anyhow::Result<Self> {
        let service = known_service(config, service)?;
        let bus = Bus::connect(&config.nats, name).await?;
        let desired = DesiredState::open(&bus).await?;
        Ok(Self { bus, service, desired })
    }

    /// Changes what is desired, says so, and waits for the hosts.
    async fn change(
        &self,
        change: impl FnOnce(Option<&Desired>) -> Result<Desired, Unfit>,
        wait: &Wait,
    ) -> anyhow::Result<()> {
        let order = self.order(change, Unchanged::SayAgain).await?;
        let (shall_be, already) = if order.is_new { ("shall be", "") } else { ("is at", " already") };
        if !wait.format.json {
            output::line(format_args!("{} {shall_be} {}{already}", self.service, said(&order.desired)));
        }
        let statuses = match wait.no_wait {
            true => Vec::new(),
            false => {
                let _progress = Progress::of("waiting for the hosts");
                self.settled(&order, Duration::from_secs(wait.timeout)).await?
            }
        };
        match (wait.format.json, wait.no_wait) {
            (true, _) => output::json(&Outcome::of(&statuses, &order))?,
            (false, true) => {}
            (false, false) => report(&statuses, &order),
        }
        match refusal(&statuses, &order) {
            None => Ok(()),
            Some(reason) if statuses.iter().any(|(_, status)| serves_another(status, &order)) => {
                bail!("not taken; what served before still serves. {reason}")
            }
            Some(reason) => bail!("not taken. {reason}"),
        }
    }

    async fn order(
        &self,
        change: impl FnOnce(Option<&Desired>) -> Result<Desired, Unfit>,
        unchanged: Unchanged,
    ) -> anyhow::Result<Order> {
        let current = self.desired.get(&self.service).await?;
        let desired = change(current.desired.as_ref())?;
        let is_new = current.desired.as_ref() != Some(&desired);
        let revision = match unchanged {
            Unchanged::Leave if !is_new => current.revision,
            _ => self.desired.set(&self.service, &current, &desired).await?,
        };
        Ok(Order { desired, revision, is_new })
    }

    /// What the hosts say of the service once all of them have dealt with the order.
    async fn settled(&self, order: &Order, timeout: Duration) -> anyhow::Result<Statuses> {
        let until = Instant::now() + timeout;
        loop {
            let hosts = Hosts::ask(&self.bus).await?;
            // A host that does not know of the service yet looks for it.
            let is_expected = !hosts.answered.is_empty();
            let statuses = statuses(hosts.answered, &self.service);
            let unsettled = statuses.iter().find(|(_, status)| !is_settled(status, order.revision));
            let silent = hosts.silent.first();
            if unsettled.is_none() && silent.is_none() && !(is_expected && statuses.is_empty()) {
                return Ok(statuses);
            }
            if Instant::now() > until {
                let (seconds, service) = (timeout.as_secs(), &self.service);
                return Err(Exit::TimedOut.because(match (unsettled, silent) {
                    (None, Some(host)) if !statuses.is_empty() => {
                        format!("{host} does not answer after {seconds} s; the others are done")
                    }
                    (None, _) => {
                        format!("no host takes it: is [services.{service}] in the configuration that the hosts read?")
                    }
                    (Some((host, status)), _) => format!(
                        "not all hosts are done after {seconds} s ({host}: {:?}, {}); they go on",
                        status.state, status.reason
                    ),
                }));
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
}

/// What to do where everything is as desired already.
enum Unchanged {
    Leave,
    /// The hosts look at it anew, which lifts a quarantine.
    SayAgain,
}

/// A change of what is desired.
struct Order {
    desired: Desired,
    revision: u64,
    /// False when it was so before.
    is_new: bool,
}

impl Order {
    /// The generation that it is about.
    fn generation(&self) -> u64 {
        self.desired.canary.as_ref().map_or(self.desired.stable.generation, |canary| canary.version.generation)
    }
}

/// By host.
type Statuses = Vec<(String, ServiceStatus)>;

pub fn known_service(config: &Config, name: &str) -> anyhow::Result<ServiceName> {
    let service = service_name(name)?;
    if config.service(&service).is_none() {
        let message = format!("{service} is not in the configuration: add [services.{service}] with its grants");
        return Err(Exit::Usage.because(message));
    }
    Ok(service)
}

pub fn service_name(name: &str) -> anyhow::Result<ServiceName> {
    ServiceName::parse(name).ok_or_else(|| Exit::Usage.because(format!("{name:?} is not a service name")))
}

/// Fails for a service that neither this configuration nor the desired state knows of.
pub async fn expect_known(config: &Config, bus: &Bus, name: &str) -> anyhow::Result<()> {
    let service = service_name(name)?;
    if DesiredState::open(bus).await?.get(&service).await?.revision == 0 {
        known_service(config, name)?;
    }
    Ok(())
}

/// `generation 3 (3ab21f…), and 4 (99c0d1…) for 5 % of the calls`
fn said(desired: &Desired) -> String {
    let stable = format!("generation {} ({})", desired.stable.generation, short(&desired.stable.digest));
    match &desired.canary {
        None => stable,
        Some(Canary { version, percent }) => {
            format!("{stable}, and {} ({}) for {percent} % of the calls", version.generation, short(&version.digest))
        }
    }
}

pub fn short(digest: &str) -> &str {
    digest.get(..12).unwrap_or(digest)
}

fn note(change: Change, reason: String) -> Note {
    Note::new(operator(), change, reason)
}

/// `ann@laptop`: what the shell and the machine say, which proves nothing.
fn operator() -> String {
    let named = ["USER", "LOGNAME"].into_iter().filter_map(|name| std::env::var(name).ok());
    let name = named.into_iter().find(|name| !name.is_empty());
    let name = name.unwrap_or_else(|| format!("uid-{}", rustix::process::getuid().as_raw()));
    format!("{name}@{}", machine::name())
}

fn statuses(hosts: Vec<HostStatus>, service: &ServiceName) -> Statuses {
    let of_service = hosts.into_iter().filter_map(|host| {
        let status = host.services.into_iter().find(|status| status.service == service.as_str())?;
        Some((host.host, status))
    });
    of_service.collect()
}

fn is_settled(status: &ServiceStatus, revision: u64) -> bool {
    status.revision >= revision && matches!(status.state, State::Running | State::Refused)
}

/// Hosts on which what was ordered takes calls.
fn taken<'a>(statuses: &'a Statuses, order: &Order) -> Vec<Taken<'a>> {
    let willing = statuses.iter().filter(|(_, status)| !is_refused(status, order));
    let serving = willing.filter_map(|(host, status)| {
        let mut serving = [&status.serving, &status.canary].into_iter().flatten();
        let serving = serving.find(|serving| serving.generation == order.generation())?;
        Some(Taken { host, version: &serving.version, percent: serving.percent })
    });
    serving.collect()
}

#[derive(Serialize)]
struct Taken<'a> {
    host: &'a str,
    version: &'a str,
    percent: u8,
}

/// What became of an order, for programs.
#[derive(Serialize)]
struct Outcome<'a> {
    #[serde(flatten)]
    desired: &'a Desired,
    /// Where it takes calls; empty where nobody waited for it.
    hosts: Vec<Taken<'a>>,
    /// The first host that does not take it, and why.
    refused: Option<String>,
}

impl<'a> Outcome<'a> {
    fn of(statuses: &'a Statuses, order: &'a Order) -> Self {
        Self { desired: &order.desired, hosts: taken(statuses, order), refused: refusal(statuses, order) }
    }
}

fn report(statuses: &Statuses, order: &Order) {
    if statuses.is_empty() {
        output::line("no host runs now; the first one that starts will take it");
    }
    for Taken { host, version, percent } in taken(statuses, order) {
        let service = statuses.first().map_or("", |(_, status)| &status.service);
        output::line(format_args!("{host}: {service} {version} serves {percent} % of the calls"));
    }
}

fn refusal(statuses: &Statuses, order: &Order) -> Option<String> {
    let (host, status) = statuses.iter().find(|(_, status)| is_refused(status, order))?;
    Some(format!("{host}: {}", status.reason))
}

/// A later revision is a host that went back, or another operator, if it took away what was ordered.
fn is_refused(status: &ServiceStatus, order: &Order) -> bool {
    status.state == State::Refused
        || (status.revision > order.revision && !generations(status).any(|one| one == order.generation()))
}

fn serves_another(status: &ServiceStatus, order: &Order) -> bool {
    generations(status).any(|one| one != order.generation())
}

fn generations(status: &ServiceStatus) -> impl Iterator<Item = u64> {
    [&status.serving, &status.canary].into_iter().flatten().map(|serving| serving.generation)
}
