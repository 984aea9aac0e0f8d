//! `ward diff`: what a swap from one artifact to another would change, for people and for CI.

use clap::Args;
use serde_json::json;

use super::inspect::{Artifact, configured, plain};
use super::output::{self, BAD, Exit, Format, paint};
use crate::artifacts::{Change, Inspector, Kind, differences};
use crate::config::Config;
use crate::engine::Outline;

#[derive(Args)]
#[command(after_help = "\
Exit codes:
  0  nothing breaks
  1  something breaks: whoever relied on OLD gets an error or silence, or hosts refuse NEW
  2  they cannot be compared
  3  NATS cannot be reached

Examples:
  ward diff service:stock target/components/stock.wasm
  ward diff --json 4f1a09c2 b85e20e9")]
pub struct Arguments {
    /// A file, the digest of an artifact that was pushed (its beginning is enough), or `service:NAME` for what NAME shall run.
    old: String,
    /// The same.
    new: String,
    #[command(flatten)]
    format: Format,
}

pub async fn run(config: &Config, arguments: Arguments) -> anyhow::Result<()> {
    let (old, new) = (find(config, &arguments.old).await?, find(config, &arguments.new).await?);
    let inspector = Inspector::new(&config.engine).map_err(incomparable)?;
    let before = outline(&inspector, &old, "OLD").await.map_err(incomparable)?;
    let after = outline(&inspector, &new, "NEW").await?;
    let granted = configured(config, &after).map(|service| &service.grants);
    let changes = differences(&before, &after, granted);
    let breaks = changes.iter().filter(|change| change.breaks).count();
    if arguments.format.json {
        let report = json!({"old": old.digest, "new": new.digest, "breaks": breaks > 0, "changes": changes});
        output::json(&report)?;
    } else {
        changes.iter().for_each(|change| output::line(text(change)));
    }
    match (breaks, changes.len()) {
        (0, 0) => output::note("nothing changes that somebody else could see"),
        (0, count) => output::note(format_args!("{count} changes, and none that breaks something")),
        (breaks, count) => anyhow::bail!("{breaks} of {count} changes would break something"),
    }
    Ok(())
}

/// What keeps from comparing is another exit code than a break.
fn incomparable(error: impl Into<anyhow::Error>) -> anyhow::Error {
    Exit::Usage.because(format_args!("{:#}", error.into()))
}

async fn find(config: &Config, what: &str) -> anyhow::Result<Artifact> {
    let found = Artifact::find(config, what).await;
    found.map_err(|error| if error.is::<crate::bus::BusError>() { error } else { incomparable(error) })
}

/// What no host would load can be the old one of nothing; as the new one it is a break.
async fn outline(inspector: &Inspector, artifact: &Artifact, which: &str) -> anyhow::Result<Outline> {
    let inspected = inspector.inspect(&artifact.digest, &artifact.bytes).await;
    let refused = |error: &dyn std::fmt::Display| {
        anyhow::anyhow!("no host takes {which} ({}): {}", artifact.digest.short(), plain(&error.to_string()))
    };
    let inspected = inspected.map_err(|error| refused(&error))?;
    inspected.look.outline.map_err(|error| refused(&error))
}

fn text(change: &Change) -> String {
    let sign = match change.kind {
        Kind::Added => '+',
        Kind::Removed => '-',
        Kind::Changed => '~',
    };
    let area = format!("{:?}", change.area).to_lowercase();
    let detail = if change.detail.is_empty() { String::new() } else { format!(": {}", plain(&change.detail)) };
    let breaks = if change.breaks { paint(BAD, " BREAKS") } else { String::new() };
    format!("{sign} {area:<12} {}{detail}{breaks}", plain(&change.what))
}
