//! `ward keys`: the keys that tokens and artifacts are signed with.

use std::path::{Path, PathBuf};

use clap::Subcommand;

use super::output;
use crate::artifacts::SigningKeyFile;
use crate::config::Config;
use crate::security::generate_key;

#[derive(Subcommand)]
pub enum Command {
    /// Make a new key for tokens, which verifies at once and signs after tokens.key_rest_s. Old ones still verify: remove a file when its last token has expired.
    Rotate,
    /// Keys that artifacts are signed with.
    #[command(subcommand)]
    Artifact(ArtifactKey),
}

#[derive(Subcommand)]
pub enum ArtifactKey {
    /// Make a key in a new file, which its owner alone may read, and print its public half for artifacts.trusted_keys.
    New { file: PathBuf },
    /// Print the public half of a key for artifacts.trusted_keys.
    Public { file: PathBuf },
}

pub fn run(config: &Config, command: Command) -> anyhow::Result<()> {
    match command {
        Command::Rotate => rotate(config),
        Command::Artifact(ArtifactKey::New { file }) => make(&file),
        Command::Artifact(ArtifactKey::Public { file }) => {
            output::line(SigningKeyFile::read(&file)?.public());
            Ok(())
        }
    }
}

fn rotate(config: &Config) -> anyhow::Result<()> {
    let kid = generate_key(&config.tokens.key_dir)?;
    let directory = config.tokens.key_dir.display();
    let rest = config.tokens.key_rest_s;
    println!("{kid} verifies now and signs in {rest} s; by then every host must have it in its {directory}");
    Ok(())
}

/// Only the key goes to standard output, so that a script can take it.
fn make(file: &Path) -> anyhow::Result<()> {
    let public = SigningKeyFile::make(file)?.public();
    let (id, file) = (public.id(), file.display());
    output::note(format_args!(
        "made the key {id} in {file}; hosts that shall trust it need this in artifacts.trusted_keys:"
    ));
    output::line(public);
    Ok(())
}
