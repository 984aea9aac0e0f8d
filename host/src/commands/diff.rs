//! `ward diff`: what a swap from one artifact to another would change, and whether the new one and what serves now would
//! understand each other (`live`), for people and for CI.

mod live;

use clap::Args;
use serde_json::{Value, json};

use self::live::{Held, Live};
use super::inspect::{Artifact, configured, plain};
use super::output::{self, BAD, Exit, Format, Progress, paint};
use crate::artifacts::{Change, Digest, Inspector, Kind, differences};
use crate::config::Config;
use crate::engine::Outline;

#[derive(Args)]
#[command(after_help = "\
What NEW calls of other services, and what they call of it, is held against what serves now, on every host that NATS reaches.
When nobody can be asked, a note says so.

Exit codes:
  0  nothing breaks
  1  something breaks: whoever relied on OLD gets an error or silence, or hosts refuse NEW
     (also because NEW and what serves now would not understand each other)
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
    let compiling = Progress::of("compiling both");
    let before = outline(&inspector, &old, "OLD").await.map_err(incomparable)?;
    let after = outline(&inspector, &new, "NEW").await?;
    drop(compiling);
    let granted = configured(config, &after).map(|service| &service.grants);
    let changes = differences(&before, &after, granted);
    let live = {
        let _progress = Progress::of("holding it against what serves");
        Live::held(config, &inspector, &after).await
    };
    let comparison = Comparison { changes, live: live.map_err(|error| format!("{error:#}")) };
    match arguments.format.json {
        true => output::json(&comparison.report(&old, &new))?,
        false => comparison.print(),
    }
    comparison.verdict()
}

struct Comparison {
    changes: Vec<Change>,
    /// The new one against what serves; an error is why it could not be held against it.
    live: Result<Live, String>,
}

impl Comparison {
    fn breaking(&self) -> usize {
        self.changes.iter().filter(|change| change.breaks).count()
    }

    fn misfits(&self) -> usize {
        self.live.as_ref().map_or(0, Live::misfits)
    }

    fn report(&self, old: &Artifact, new: &Artifact) -> Value {
        json!({
            "old": old.digest, "new": new.digest,
            "breaks": self.breaking() > 0 || self.misfits() > 0,
            "changes": self.changes,
            "calls": self.live.as_ref().ok().map(|live| &live.calls),
            "callers": self.live.as_ref().ok().map(|live| &live.callers),
            "calls_not_held": self.live.as_ref().err(),
            "silent_hosts": self.live.as_ref().ok().map(|live| &live.silent),
        })
    }

    fn print(&self) {
        self.changes.iter().for_each(|change| output::line(text(change)));
        if let Ok(live) = &self.live {
            live.calls.iter().filter_map(|held| misfit_text("call", held)).for_each(output::line);
            live.callers.iter().filter_map(|held| misfit_text("caller", held)).for_each(output::line);
        }
    }

    fn verdict(&self) -> anyhow::Result<()> {
        self.note_what_was_not_held();
        let (breaking, count, misfits) = (self.breaking(), self.changes.len(), self.misfits());
        match (breaking, misfits, count) {
            (0, 0, 0) => output::note("nothing changes that somebody else could see"),
            (0, 0, _) => output::note(format_args!("{count} changes, and none that breaks something")),
            (_, 0, _) => anyhow::bail!("{breaking} of {count} changes would break something"),
            (0, _, _) => anyhow::bail!("{misfits} calls do not fit what serves now"),
            _ => anyhow::bail!(
                "{breaking} of {count} changes would break something, and {misfits} calls do not fit what serves now"
            ),
        }
        Ok(())
    }

    fn note_what_was_not_held(&self) {
        let live = match &self.live {
            Ok(live) => live,
            Err(reason) => {
                return output::note(format_args!(
                    "NEW was not held against what serves: {reason}; hosts do it before they take it"
                ));
            }
        };
        for host in &live.silent {
            output::note(format_args!("NEW was not held against what {host} serves: it does not answer"));
        }
        for held in live.calls.iter().filter(|held| held.digest.is_none()) {
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

fn misfit_text(direction: &str, held: &Held) -> Option<String> {
    let place = plain(held.breaks.as_ref()?);
    let (call, service, digest) =
        (plain(&held.call), plain(&held.service), held.digest.as_ref().map_or("", Digest::short));
    let breaks = paint(BAD, " BREAKS");
    Some(format!("! {direction:<12} {call}: {service} {digest} disagrees about {place}{breaks}"))
}
