//! `ward provision`: what must be there before a host can run.

use std::io::Write;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::Path;

use anyhow::Context;
use clap::Args;
use serde::Serialize;

use super::output::{self, Format, Progress, line};
use crate::config::Config;
use crate::security::{KeyRing, generate_key};
use crate::store::{RoleSecret, provision};

#[derive(Args)]
pub struct Arguments {
    #[command(flatten)]
    format: Format,
}

/// What is there now; never what is in it.
#[derive(Serialize)]
struct Provided<'a> {
    /// The file that the passwords of the database roles are made of.
    secret_file: &'a Path,
    /// Was that file made now?
    made_secret: bool,
    /// The id of the first signing key, if it was made now.
    made_key: Option<String>,
    /// Those whose databases and roles are ready.
    services: Vec<&'a str>,
}

pub async fn run(config: &Config, arguments: Arguments) -> anyhow::Result<()> {
    let is_json = arguments.format.json;
    let secret_file = config.database.secret_file.as_path();
    let made_secret = make_secret(secret_file)?;
    if made_secret && !is_json {
        line(format_args!("made the database secret {}", secret_file.display()));
    }
    let made_key = make_first_key(&config.tokens.key_dir)?;
    if let Some(kid) = made_key.as_ref().filter(|_| !is_json) {
        line(format_args!("made the first signing key {kid}"));
    }
    let progress = Progress::of("making databases and roles");
    provision(config, &RoleSecret::read(secret_file)?, |text| output::note(format_args!("ward: {text}"))).await?;
    drop(progress);
    let services: Vec<&str> = config.all_services().map(|service| service.name.as_str()).collect();
    if is_json {
        return output::json(&Provided { secret_file, made_secret, made_key, services });
    }
    line(format_args!("databases and roles are ready for {}", services.join(", ")));
    Ok(())
}

/// Its id; none when there are keys already.
fn make_first_key(directory: &Path) -> anyhow::Result<Option<String>> {
    if KeyRing::open(directory).is_ok() {
        return Ok(None);
    }
    Ok(Some(generate_key(directory)?))
}

/// True when there was none. Never replaces one: the passwords of all roles come from it.
fn make_secret(path: &Path) -> anyhow::Result<bool> {
    if path.exists() {
        return Ok(false);
    }
    if let Some(directory) = path.parent() {
        std::fs::DirBuilder::new().recursive(true).mode(0o700).create(directory)?;
    }
    let mut secret = [0; 48];
    getrandom::fill(&mut secret)?;
    let mut file = std::fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)
        .with_context(|| format!("cannot write {}", path.display()))?;
    file.write_all(&secret)?;
    file.sync_all()?;
    Ok(true)
}
