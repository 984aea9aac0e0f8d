//! An artifact held against what serves now: what it calls of other services, and what they call of it. Hosts do the same before
//! they take it.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use anyhow::Context;
use serde::Serialize;

use crate::artifacts::{Artifacts, Digest, Inspector};
use crate::bus::Bus;
use crate::commands::ask::Hosts;
use crate::config::Config;
use crate::engine::{Import, Outline, misfit};
use crate::services::{HostStatus, ServiceStatus};

/// Who only wants to compare two files does not wait for NATS longer.
const PATIENCE: Duration = Duration::from_secs(2);

/// A call between the artifact and a generation that serves now.
#[derive(Debug, Serialize)]
pub struct Held {
    /// `shop:stock/items@0.1.0/count`
    pub call: String,
    /// The other service.
    pub service: String,
    /// What serves that service; none when no host serves it.
    pub digest: Option<Digest>,
    /// Where the two do not understand each other; none when they do.
    pub breaks: Option<String>,
}

/// Both directions, each against every generation that takes calls on any host.
#[derive(Debug, Default)]
pub struct Live {
    /// What the artifact calls of others.
    pub calls: Vec<Held>,
    /// What others call of the artifact.
    pub callers: Vec<Held>,
    /// Hosts that did not answer; nothing was held against what only they serve.
    pub silent: BTreeSet<String>,
}

impl Live {
    /// An error is why nobody could be asked.
    pub async fn held(config: &Config, inspector: &Inspector, outline: &Outline) -> anyhow::Result<Self> {
        let connecting = Bus::connect(&config.nats, "ward diff");
        let bus = tokio::time::timeout(PATIENCE, connecting).await.context("NATS does not answer")??;
        let Hosts { answered, silent } = Hosts::ask(&bus).await?;
        anyhow::ensure!(!answered.is_empty(), "no host answers");
        let artifacts = Artifacts::open(&bus, &config.artifacts).await?;
        let own = outline.description.name.as_str();
        let mut live = Self { silent, ..Self::default() };
        let mut serving = serving(&answered);
        // It would be replaced itself.
        serving.remove(own);
        for import in outline.calls.iter().filter(|import| !serving.contains_key(import.contract.service.as_str())) {
            live.calls.push(Held::new(import, &import.contract.service, None, None));
        }
        for (service, digests) in serving {
            for digest in digests {
                let other = look(&artifacts, inspector, &digest).await;
                let other = other.with_context(|| format!("{service} ({}) cannot be looked at", digest.short()))?;
                live.hold(outline, service, &digest, &other);
            }
        }
        Ok(live)
    }

    fn hold(&mut self, outline: &Outline, service: &str, digest: &Digest, other: &Outline) {
        let held = |caller: &Outline, callee: &Outline, name: &str| -> Vec<Held> {
            let calls = caller.calls.iter().filter(|import| import.contract.service == name);
            let breaks = |import| misfit(import, name, &callee.functions);
            calls.map(|import| Held::new(import, service, Some(digest), breaks(import))).collect()
        };
        self.calls.extend(held(outline, other, service));
        self.callers.extend(held(other, outline, &outline.description.name));
    }

    pub fn misfits(&self) -> usize {
        self.calls.iter().chain(&self.callers).filter(|held| held.breaks.is_some()).count()
    }
}

impl Held {
    fn new(import: &Import, service: &str, digest: Option<&Digest>, breaks: Option<String>) -> Self {
        let call = format!("{}/{}", import.contract.text, import.name);
        Self { call, service: service.to_owned(), digest: digest.cloned(), breaks }
    }
}

/// What takes calls of each service, on any host, canaries too.
fn serving(hosts: &[HostStatus]) -> BTreeMap<&str, BTreeSet<Digest>> {
    let mut all: BTreeMap<&str, BTreeSet<Digest>> = BTreeMap::new();
    for status in hosts.iter().flat_map(|host| &host.services).filter(|status| status.away.is_none()) {
        let ServiceStatus { service, serving, canary, .. } = status;
        let digests = serving.iter().chain(canary).filter_map(|serving| Digest::parse(&serving.digest));
        let mut digests = digests.peekable();
        if digests.peek().is_some() {
            all.entry(service).or_default().extend(digests);
        }
    }
    all
}

async fn look(artifacts: &Artifacts, inspector: &Inspector, digest: &Digest) -> anyhow::Result<Outline> {
    Ok(inspector.inspect(digest, &artifacts.fetch(digest).await?).await?.look.outline?)
}
