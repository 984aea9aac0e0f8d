//! `ward diff`: what a swap from one artifact to another would change, and whether what the new one calls would understand it,
//! for people and for CI.

mod callees;

use clap::Args;
use serde_json::{Value, json};

use self::callees::Held;
use super::inspect::{Artifact, configured, plain};
use super::output::{self, BAD, Exit, Format, paint};
use crate::artifacts::{Change, Digest, Inspector, Kind, differences};
use crate::config::Config;
use crate::engine::Outline;

#[derive(Args)]
#[command(after_help = "\
What NEW calls of other services is held against what serves them now, on every host that NATS reaches. When nobody can be
asked, a note says so.

Exit codes:
  0  nothing breaks
  1  something breaks: whoever relied on OLD gets an error or silence, or hosts refuse NEW
     (also because what NEW calls is served otherwise now)
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
    let calls = callees::held(config, &inspector, &after).await;
    let comparison = Comparison { changes, calls: calls.map_err(|error| format!("{error:#}")) };
    match arguments.format.json {
        true => output::json(&comparison.report(&old, &new))?,
        false => comparison.print(),
    }
    comparison.verdict()
}

struct Comparison {
    changes: Vec<Change>,
    /// What the new one calls; an error is why it could not be held against what serves.
    calls: Result<Vec<Held>, String>,
}

impl Comparison {
    fn breaking(&self) -> usize {
        self.changes.iter().filter(|change| change.breaks).count()
    }

    fn misfits(&self) -> impl Iterator<Item = &Held> {
        self.calls.iter().flatten().filter(|held| held.breaks.is_some())
    }

    fn report(&self, old: &Artifact, new: &Artifact) -> Value {
        json!({
            "old": old.digest, "new": new.digest,
            "breaks": self.breaking() > 0 || self.misfits().next().is_some(),
            "changes": self.changes,
            "calls": self.calls.as_ref().ok(), "calls_not_held": self.calls.as_ref().err(),
        })
    }

    fn print(&self) {
        self.changes.iter().for_each(|change| output::line(text(change)));
        self.misfits().for_each(|held| output::line(misfit_text(held)));
    }

    fn verdict(&self) -> anyhow::Result<()> {
        self.note_what_was_not_held();
        let (breaking, count, misfits) = (self.breaking(), self.changes.len(), self.misfits().count());
        match (breaking, misfits, count) {
            (0, 0, 0) => output::note("nothing changes that somebody else could see"),
            (0, 0, _) => output::note(format_args!("{count} changes, and none that breaks something")),
            (_, 0, _) => anyhow::bail!("{breaking} of {count} changes would break something"),
            (0, _, _) => anyhow::bail!("{misfits} of its calls do not fit what serves now"),
            _ => anyhow::bail!(
                "{breaking} of {count} changes would break something, and {misfits} of its calls do not fit what serves now"
            ),
        }
        Ok(())
    }

    fn note_what_was_not_held(&self) {
        let calls = match &self.calls {
            Ok(calls) => calls,
            Err(reason) => {
                return output::note(format_args!(
                    "what NEW calls was not held against what serves: {reason}; hosts do it before they take it"
                ));
            }
        };
        for held in calls.iter().filter(|held| held.digest.is_none()) {
            let (call, service) = (plain(&held.call), plain(&held.service));
            output::note(format_args!("{call} was not held against anything: no host serves {service}"));
        }
    }
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

fn misfit_text(held: &Held) -> String {
    let (digest, place) = (held.digest.as_ref().map_or("", Digest::short), held.breaks.as_deref().unwrap_or_default());
    let (call, service) = (plain(&held.call), plain(&held.service));
    format!("! {:<12} {call}: {service} {digest} disagrees about {}{}", "call", plain(place), paint(BAD, " BREAKS"))
}
