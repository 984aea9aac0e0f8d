//! `ward provision`: what must be there before a host can run.

use std::io::Write;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::Path;

use anyhow::Context;

use crate::config::Config;
use crate::security::{KeyRing, generate_key};
use crate::store::{RoleSecret, provision};

pub async fn run(config: &Config) -> anyhow::Result<()> {
    if make_secret(&config.database.secret_file)? {
        println!("made the database secret {}", config.database.secret_file.display());
    }
    if KeyRing::open(&config.tokens.key_dir).is_err() {
        let kid = generate_key(&config.tokens.key_dir)?;
        println!("made the first signing key {kid}");
    }
    let secret = RoleSecret::read(&config.database.secret_file)?;
    provision(config, &secret, |line| eprintln!("ward: {line}")).await?;
    let names: Vec<&str> = config.all_services().map(|service| service.name.as_str()).collect();
    println!("databases and roles are ready for {}", names.join(", "));
    Ok(())
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
