//! `ward dev`: each save of a component goes live, or the compiler says why not.
//!
//! One round is: something was saved (`watch`), the component is built as `ward build` does, and what came out takes over
//! as with `ward deploy`. What served before serves on until then, and for good when one of the steps fails. Nothing is
//! swapped when the build gave the same bytes as before.

mod watch;

use std::fmt::Display;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::Context;
use clap::Args;
use serde_json::{Value, json};

use self::watch::Watch;
use super::build::{Built, Detail, Source, Workspace};
use super::deploy;
use super::output::{self, Format, line, note};
use super::prune;
use crate::artifacts::Digest;
use crate::bus::Bus;
use crate::config::{Config, ServiceName};

#[derive(Args)]
pub struct Arguments {
    /// The component's folder; its name is the service's.
    #[arg(default_value = ".")]
    directory: PathBuf,
    /// Seconds to wait for the hosts at each swap.
    #[arg(long, default_value_t = 60)]
    timeout: u64,
    #[command(flatten)]
    format: Format,
}

/// Until Ctrl-C.
pub async fn run(config: &Config, arguments: Arguments) -> anyhow::Result<()> {
    let workspace = Workspace::of(&arguments.directory)?;
    let source = workspace.at(&arguments.directory)?.clone();
    let service = deploy::known_service(config, &source.service)?;
    let format = arguments.format;
    aside(format, format_args!("{service}: each save in {} goes live; Ctrl-C ends this", source.directory.display()));
    let timeout = Duration::from_secs(arguments.timeout);
    let config = config.clone();
    let developer = Developer { config, workspace, source, service, timeout, format, live: None };
    tokio::select! {
        ended = developer.work() => ended,
        signal = tokio::signal::ctrl_c() => {
            aside(format, "\nended; what went live last serves on");
            Ok(signal?)
        }
    }
}

/// What is no round stands among the rounds where people read them, and nowhere near them where programs do.
fn aside(format: Format, text: impl Display) {
    match format.json {
        true => note(text),
        false => line(text),
    }
}

struct Developer {
    config: Config,
    workspace: Workspace,
    source: Source,
    service: ServiceName,
    timeout: Duration,
    format: Format,
    /// The digest that serves, once this command knows it.
    live: Option<Digest>,
}

/// What followed from a save.
struct Round {
    /// The files that were saved; none for the first round.
    files: Vec<PathBuf>,
    outcome: Outcome,
    build: Duration,
    whole: Duration,
}

/// How a round ended.
enum Outcome {
    Live { digest: Digest, swap: Duration },
    Unchanged { digest: Digest },
    NotBuilt(anyhow::Error),
    NotTaken(anyhow::Error),
}

impl Developer {
    async fn work(mut self) -> anyhow::Result<()> {
        let mut watch = Watch::new(self.source.directory.clone());
        let mut files = Vec::new();
        loop {
            let round = self.round(files).await?;
            match self.format.json {
                true => output::json_line(&self.report(&round))?,
                false => self.tell(&round),
            }
            if let Outcome::Live { digest, .. } = &round.outcome {
                self.make_room(digest).await;
            }
            watch.also(self.workspace.inputs(&self.source));
            files = watch.changed().await;
        }
    }

    async fn round(&mut self, files: Vec<PathBuf>) -> anyhow::Result<Round> {
        let began = Instant::now();
        let built = self.build().await?;
        let build = began.elapsed();
        let outcome = match built {
            Err(error) => Outcome::NotBuilt(error),
            Ok(built) => self.swap(&built.path).await,
        };
        Ok(Round { files, outcome, build, whole: began.elapsed() })
    }

    /// On a thread for what blocks, so that Ctrl-C is heard meanwhile.
    async fn build(&self) -> anyhow::Result<anyhow::Result<Built>> {
        let (workspace, source) = (self.workspace.clone(), self.source.clone());
        let building = move || workspace.build(&[&source], Detail::Faults)?.pop().context("cargo made no component");
        Ok(tokio::task::spawn_blocking(building).await?)
    }

    async fn swap(&mut self, artifact: &Path) -> Outcome {
        let began = Instant::now();
        let artifact = artifact.display().to_string();
        let replaced = deploy::replace(&self.config, &self.service, &artifact, "ward dev", self.timeout).await;
        match replaced {
            Err(error) => Outcome::NotTaken(error),
            Ok(order) => {
                let digest = order.digest;
                self.live = Some(digest.clone());
                match order.is_new {
                    true => Outcome::Live { digest, swap: began.elapsed() },
                    false => Outcome::Unchanged { digest },
                }
            }
        }
    }

    /// Each save is an artifact. Nobody waits for this.
    async fn make_room(&self, digest: &Digest) {
        // Without NATS the next round fails as well, and says so.
        if let Ok(bus) = Bus::connect(&self.config.nats, "ward dev").await {
            prune::make_room(&self.config, &bus, digest).await;
        }
    }

    /// The round's one line. The compiler has said its part on standard error already.
    fn tell(&self, round: &Round) {
        let service = &self.service;
        let what = names(&round.files, &self.source.directory);
        let (build, whole) = (seconds(round.build), seconds(round.whole));
        match &round.outcome {
            Outcome::Live { digest, swap } => {
                let (digest, swap) = (digest.short(), seconds(*swap));
                line(format_args!("{service} {digest} live after {whole} (build {build}, swap {swap}): {what}"));
            }
            Outcome::Unchanged { digest } => {
                line(format_args!("{service} {} unchanged, nothing to swap (build {build}): {what}", digest.short()));
            }
            Outcome::NotBuilt(error) => {
                let serves = self.what_serves();
                line(format_args!("{service} not built after {build}: {error:#}; {serves}: {what}"));
            }
            Outcome::NotTaken(error) => {
                let serves = self.what_serves();
                line(format_args!("{service} not taken after {whole}: {error:#}; {serves}: {what}"));
            }
        }
    }

    /// The same for programs. `digest` is what serves after the round, as far as this command knows.
    fn report(&self, round: &Round) -> Value {
        let (outcome, swap, reason) = match &round.outcome {
            Outcome::Live { swap, .. } => ("live", Some(*swap), None),
            Outcome::Unchanged { .. } => ("unchanged", None, None),
            Outcome::NotBuilt(error) => ("not-built", None, Some(format!("{error:#}"))),
            Outcome::NotTaken(error) => ("not-taken", None, Some(format!("{error:#}"))),
        };
        let files: Vec<String> = round.files.iter().map(|file| name(file, &self.source.directory)).collect();
        json!({
            "service": self.service.as_str(), "outcome": outcome, "digest": self.live, "reason": reason, "files": files,
            "build_ms": milliseconds(round.build), "swap_ms": swap.map(milliseconds),
            "whole_ms": milliseconds(round.whole),
        })
    }

    fn what_serves(&self) -> String {
        match &self.live {
            Some(digest) => format!("{} serves on", digest.short()),
            None => "what served before serves on".to_owned(),
        }
    }
}

fn seconds(duration: Duration) -> impl Display {
    format!("{:.2} s", duration.as_secs_f64())
}

fn milliseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// At most this many files are named.
const NAMED: usize = 3;

/// The files as seen from the component's folder.
fn names(files: &[PathBuf], folder: &Path) -> String {
    if files.is_empty() {
        return "as it is".to_owned();
    }
    let mut named: Vec<String> = files.iter().take(NAMED).map(|file| name(file, folder)).collect();
    if files.len() > NAMED {
        named.push(format!("{} more", files.len() - NAMED));
    }
    named.join(", ")
}

fn name(file: &Path, folder: &Path) -> String {
    let inside = file.strip_prefix(folder);
    // A file of the SDK, for example, is named from the place that it shares with the component.
    let shared = folder.ancestors().find_map(|ancestor| file.strip_prefix(ancestor).ok());
    inside.ok().or(shared).unwrap_or(file).display().to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_files_from_the_component() {
        let folder = Path::new("/w/components/a");
        let files = ["/w/components/a/src/lib.rs", "/w/components/sdk/src/sql.rs"].map(PathBuf::from);
        assert_eq!(names(&files, folder), "src/lib.rs, sdk/src/sql.rs");
        let many: Vec<PathBuf> = (0..5).map(|number| folder.join(number.to_string())).collect();
        assert_eq!(names(&many, folder), "0, 1, 2, 2 more");
        assert_eq!(names(&[], folder), "as it is");
    }
}
