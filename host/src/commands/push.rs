//! `ward push`: an artifact into the object store, and a signature beside it. What `ward deploy` does first.

use std::path::{Path, PathBuf};

use anyhow::Context;
use clap::Args;
use serde_json::json;

use super::output::{self, Format, Progress};
use super::prune::make_room;
use crate::artifacts::{Artifacts, Digest, SigningKeyFile};
use crate::bus::Bus;
use crate::config::Config;

#[derive(Args)]
pub struct Arguments {
    /// The component.
    component: PathBuf,
    /// Sign with this key (`ward keys artifact new`); without it with artifacts.signing_key_file, if that is set.
    #[arg(long, value_name = "FILE")]
    key: Option<PathBuf>,
    #[command(flatten)]
    format: Format,
}

pub async fn run(config: &Config, arguments: Arguments) -> anyhow::Result<()> {
    let artifact = read(config, &arguments.component)?;
    let key = signing_key(config, arguments.key.as_deref())?;
    let bus = Bus::connect(&config.nats, "ward push").await?;
    let artifacts = Artifacts::open(&bus, &config.artifacts).await?;
    let progress = Progress::of("storing the artifact");
    let pushed = artifacts.push(&artifact, key.as_ref()).await?;
    drop(progress);
    let verdict = artifacts.verdict(&pushed.digest).await?;
    make_room(config, &bus, &pushed.digest).await;
    if arguments.format.json {
        let report =
            json!({"digest": pushed.digest, "new": pushed.is_new, "size": artifact.len(), "signature": verdict});
        return output::json(&report);
    }
    let state = if pushed.is_new { "stored" } else { "there already" };
    let by = pushed.signed_by.map_or("not signed now".to_owned(), |key| format!("signed by {key}"));
    output::line(format_args!("{} {state}, {by}", pushed.digest));
    if !artifacts.trust().accepts(&verdict) {
        output::note("hosts with this configuration will not take it: no key of artifacts.trusted_keys has signed it");
    }
    Ok(())
}

/// The digest of an artifact that is in the store now: that of a file, which is pushed and signed, or of one that was
/// pushed before, of which the beginning is enough. What was pushed before is signed only with a `key` given for it.
pub async fn provide(config: &Config, bus: &Bus, what: &str, key: Option<&Path>) -> anyhow::Result<Digest> {
    let artifacts = Artifacts::open(bus, &config.artifacts).await?;
    let path = Path::new(what);
    if path.exists() {
        let key = signing_key(config, key)?;
        let _progress = Progress::of("storing the artifact");
        return Ok(artifacts.push(&read(config, path)?, key.as_ref()).await?.digest);
    }
    let digest = artifacts.resolve(what).await;
    let digest = digest.with_context(|| format!("{what} is neither a file nor an artifact that was pushed"))?;
    if let Some(key) = key {
        let artifact = artifacts.fetch(&digest).await?;
        artifacts.push(&artifact, Some(&SigningKeyFile::read(key)?)).await?;
    }
    // Whoever makes room at this moment leaves it alone.
    artifacts.want(&digest).await?;
    Ok(digest)
}

/// A file that is not too large for an artifact.
pub fn read(config: &Config, path: &Path) -> anyhow::Result<Vec<u8>> {
    use std::io::Read;
    let limit = config.artifacts.max_mb << 20;
    let mut bytes = Vec::new();
    let file = std::fs::File::open(path);
    file.and_then(|file| file.take(limit as u64 + 1).read_to_end(&mut bytes))
        .with_context(|| format!("cannot read the component {}", path.display()))?;
    anyhow::ensure!(bytes.len() <= limit, "{} is larger than artifacts.max_mb ({} MiB)", path.display(), limit >> 20);
    Ok(bytes)
}

fn signing_key(config: &Config, key: Option<&Path>) -> anyhow::Result<Option<SigningKeyFile>> {
    let configured = &config.artifacts.signing_key_file;
    let path = key.or((!configured.as_os_str().is_empty()).then_some(configured.as_path()));
    Ok(path.map(SigningKeyFile::read).transpose()?)
}
