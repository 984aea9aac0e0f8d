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

use self::watch::Watch;
use super::build::{Built, Detail, Source, Workspace};
use super::deploy;
use crate::config::{Config, ServiceName};

#[derive(Args)]
pub struct Arguments {
    /// The component's folder; its name is the service's.
    #[arg(default_value = ".")]
    directory: PathBuf,
    /// Seconds to wait for the hosts at each swap.
    #[arg(long, default_value_t = 60)]
    timeout: u64,
}

/// Until Ctrl-C.
pub async fn run(config: &Config, arguments: Arguments) -> anyhow::Result<()> {
    let workspace = Workspace::of(&arguments.directory)?;
    let source = workspace.at(&arguments.directory)?.clone();
    let service = deploy::known_service(config, &source.service)?;
    println!("{service}: each save in {} goes live; Ctrl-C ends this", source.directory.display());
    let timeout = Duration::from_secs(arguments.timeout);
    let config = config.clone();
    let developer = Developer { config, workspace, source, service, timeout, live: None };
    tokio::select! {
        ended = developer.work() => ended,
        signal = tokio::signal::ctrl_c() => {
            println!("\nended; what went live last serves on");
            Ok(signal?)
        }
    }
}

struct Developer {
    config: Config,
    workspace: Workspace,
    source: Source,
    service: ServiceName,
    timeout: Duration,
    /// The digest that this command made live last.
    live: Option<String>,
}

/// How a round ended.
enum Outcome {
    Live { digest: String, swap: Duration },
    Unchanged { digest: String },
    NotBuilt(anyhow::Error),
    NotTaken(anyhow::Error),
}

impl Developer {
    async fn work(mut self) -> anyhow::Result<()> {
        let mut watch = Watch::new(self.source.directory.clone());
        let mut what = "as it is".to_owned();
        loop {
            let began = Instant::now();
            let (outcome, build) = self.round().await?;
            self.tell(&outcome, &what, build, began.elapsed());
            watch.also(self.workspace.inputs(&self.source));
            what = names(&watch.changed().await, &self.source.directory);
        }
    }

    /// The outcome, and how long the build took.
    async fn round(&mut self) -> anyhow::Result<(Outcome, Duration)> {
        let began = Instant::now();
        let built = self.build().await?;
        let build = began.elapsed();
        let outcome = match built {
            Err(error) => Outcome::NotBuilt(error),
            Ok(built) => self.swap(&built.path).await,
        };
        Ok((outcome, build))
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
            Ok(order) if !order.is_new => Outcome::Unchanged { digest: order.digest },
            Ok(order) => {
                self.live = Some(order.digest.clone());
                Outcome::Live { digest: order.digest, swap: began.elapsed() }
            }
        }
    }

    /// The round's one line. The compiler has said its part on standard error already.
    fn tell(&self, outcome: &Outcome, what: &str, build: Duration, whole: Duration) {
        let service = &self.service;
        let (build, whole) = (seconds(build), seconds(whole));
        match outcome {
            Outcome::Live { digest, swap } => {
                let (digest, swap) = (deploy::short(digest), seconds(*swap));
                println!("{service} {digest} live after {whole} (build {build}, swap {swap}): {what}");
            }
            Outcome::Unchanged { digest } => {
                println!("{service} {} unchanged, nothing to swap (build {build}): {what}", deploy::short(digest));
            }
            Outcome::NotBuilt(error) => {
                println!("{service} not built after {build}: {error:#}; {}: {what}", self.what_serves());
            }
            Outcome::NotTaken(error) => {
                println!("{service} not taken after {whole}: {error:#}; {}: {what}", self.what_serves());
            }
        }
    }

    fn what_serves(&self) -> String {
        match &self.live {
            Some(digest) => format!("{} serves on", deploy::short(digest)),
            None => "what served before serves on".to_owned(),
        }
    }
}

fn seconds(duration: Duration) -> impl Display {
    format!("{:.2} s", duration.as_secs_f64())
}

/// At most this many files are named.
const NAMED: usize = 3;

/// The files as seen from the component's folder.
fn names(files: &[PathBuf], folder: &Path) -> String {
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
    }
}
