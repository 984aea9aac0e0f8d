//! `ward prune`: removes artifacts that nothing refers to from the object store. Commands that store one do the same
//! afterwards ([`make_room`]), so that the store does not grow for ever.
//!
//! Referred to is every digest that stands anywhere in the desired state or in what the bucket remembers of it (history,
//! what can be gone back to), and every one that a host says it runs. That is looked for in the text of the values, not in
//! their fields, so that a newer Ward's way of writing them cannot make an artifact look forgotten.

use std::collections::HashSet;

use clap::Args;

use super::ask::Hosts;
use super::output::{self, Exit, Format, Progress};
use crate::artifacts::{Artifacts, Digest, Pruned, Rehearsal};
use crate::bus::Bus;
use crate::config::Config;
use crate::services::desired::DesiredState;

#[derive(Args)]
pub struct Arguments {
    /// Artifacts without a reference that stay, the youngest; without it artifacts.keep.
    #[arg(long)]
    keep: Option<usize>,
    /// Only say what would be removed.
    #[arg(long)]
    dry_run: bool,
    #[command(flatten)]
    format: Format,
}

pub async fn run(config: &Config, arguments: Arguments) -> anyhow::Result<()> {
    let bus = Bus::connect(&config.nats, "ward prune").await?;
    let artifacts = Artifacts::open(&bus, &config.artifacts).await?;
    let keep = arguments.keep.unwrap_or(config.artifacts.keep);
    let rehearsal = if arguments.dry_run { Rehearsal::Yes } else { Rehearsal::No };
    let progress = Progress::of("looking for what refers to the artifacts");
    let stored = artifacts.list().await?;
    let pruned = artifacts.prune(stored, &referenced(&bus).await?, keep, rehearsal).await?;
    drop(progress);
    if arguments.format.json {
        return output::json(&pruned);
    }
    report(&pruned, rehearsal);
    Ok(())
}

/// Keeps the object store within `artifacts.keep` once `stays` was put there. Whoever stored it has what they wanted, so that a
/// failure is only told; the next one who stores something tries again.
pub async fn make_room(config: &Config, bus: &Bus, stays: &Digest) {
    match prune_beside(config, bus, stays).await {
        Ok(0) => {}
        Ok(removed) => output::note(format_args!(
            "removed {removed} old artifacts that nothing refers to; artifacts.keep ({}) stay",
            config.artifacts.keep
        )),
        Err(error) => output::note(format_args!("old artifacts stay in the object store for now: {error:#}")),
    }
}

/// How many were removed.
async fn prune_beside(config: &Config, bus: &Bus, stays: &Digest) -> anyhow::Result<usize> {
    let (keep, artifacts) = (config.artifacts.keep, Artifacts::open(bus, &config.artifacts).await?);
    let stored = artifacts.list().await?;
    if stored.len() <= keep {
        return Ok(0);
    }
    let mut referenced = referenced(bus).await?;
    referenced.insert(stays.clone());
    Ok(artifacts.prune(stored, &referenced, keep, Rehearsal::No).await?.removed.len())
}

async fn referenced(bus: &Bus) -> anyhow::Result<HashSet<Digest>> {
    let desired = DesiredState::open(bus).await?.bucket.remembered().await?;
    let texts = desired.iter().map(|value| String::from_utf8_lossy(value).into_owned());
    let hosts = Hosts::ask(bus).await?;
    if let Some(host) = hosts.silent.first() {
        let message =
            format!("{host} does not answer, so it is not known what it runs; try again when it does, or is gone");
        return Err(Exit::Unreachable.because(message));
    }
    let running = serde_json::to_string(&hosts.answered)?;
    Ok(texts.chain([running]).flat_map(|text| Digest::all_in(&text).collect::<Vec<_>>()).collect())
}

fn report(pruned: &Pruned, rehearsal: Rehearsal) {
    for digest in &pruned.removed {
        output::line(digest);
    }
    let did = if rehearsal == Rehearsal::Yes { "would be removed" } else { "removed" };
    output::line(format_args!("{} {did} ({} KiB), {} stay", pruned.removed.len(), pruned.freed / 1024, pruned.kept));
}
