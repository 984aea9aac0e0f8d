//! What an artifact calls of other services, held against what serves there now. Hosts do the same before they take it.

use std::collections::BTreeSet;
use std::time::Duration;

use anyhow::Context;
use serde::Serialize;

use crate::artifacts::{Artifacts, Digest, Inspector};
use crate::bus::Bus;
use crate::commands::ask::hosts;
use crate::config::Config;
use crate::engine::{Import, Offered, Outline, misfit};
use crate::services::{HostStatus, ServiceStatus};

/// Who only wants to compare two files does not wait for NATS longer.
const PATIENCE: Duration = Duration::from_secs(2);

/// A call of an artifact, and a generation that would answer it.
#[derive(Debug, Serialize)]
pub struct Held {
    /// `shop:stock/items@0.1.0/count`
    pub call: String,
    pub service: String,
    /// What serves that service; none when no host serves it.
    pub digest: Option<Digest>,
    /// Where the two do not understand each other; none when they do.
    pub breaks: Option<String>,
}

/// All calls of `outline`, each against every generation of its service that takes calls on any host. An error is why nobody could be asked.
pub async fn held(config: &Config, inspector: &Inspector, outline: &Outline) -> anyhow::Result<Vec<Held>> {
    if outline.calls.is_empty() {
        return Ok(Vec::new());
    }
    let connecting = Bus::connect(&config.nats, "ward diff");
    let bus = tokio::time::timeout(PATIENCE, connecting).await.context("NATS does not answer")??;
    let hosts = hosts(&bus).await?;
    anyhow::ensure!(!hosts.is_empty(), "no host answers");
    let artifacts = Artifacts::open(&bus, &config.artifacts).await?;
    let services: BTreeSet<&str> = outline.calls.iter().map(|import| import.contract.service.as_str()).collect();
    let mut held = Vec::new();
    for service in services {
        let calls = || outline.calls.iter().filter(|import| import.contract.service == service);
        let serving = serving(&hosts, service);
        if serving.is_empty() {
            held.extend(calls().map(|import| Held::new(import, None, None)));
        }
        for digest in serving {
            let offered = offered(&artifacts, inspector, &digest).await;
            let offered = offered.with_context(|| format!("{service} ({}) cannot be looked at", digest.short()))?;
            held.extend(calls().map(|import| Held::new(import, Some(&digest), misfit(import, &offered))));
        }
    }
    Ok(held)
}

impl Held {
    fn new(import: &Import, digest: Option<&Digest>, breaks: Option<String>) -> Self {
        let call = format!("{}/{}", import.contract.text, import.name);
        Self { call, service: import.contract.service.clone(), digest: digest.cloned(), breaks }
    }
}

/// What takes calls of a service, on any host, canaries too.
fn serving(hosts: &[HostStatus], service: &str) -> BTreeSet<Digest> {
    let statuses = hosts.iter().flat_map(|host| &host.services);
    let taking = statuses.filter(|status| status.service == service && status.away.is_none());
    let serving = taking.flat_map(|ServiceStatus { serving, canary, .. }| serving.iter().chain(canary));
    serving.filter_map(|serving| Digest::parse(&serving.digest)).collect()
}

async fn offered(artifacts: &Artifacts, inspector: &Inspector, digest: &Digest) -> anyhow::Result<Vec<Offered>> {
    let inspected = inspector.inspect(digest, &artifacts.fetch(digest).await?).await?;
    Ok(inspected.look.outline?.functions)
}
