//! `ward keys`: the keys that tokens and artifacts are signed with.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use serde_json::json;

use super::output::{self, Format};
use crate::artifacts::{PublicKey, SigningKeyFile};
use crate::config::Config;
use crate::security::generate_key;

#[derive(Subcommand)]
pub enum Command {
    /// Make a new key for tokens, which verifies at once and signs after tokens.key_rest_s. Old ones still verify: remove a file when its last token has expired.
    Rotate(RotateArguments),
    /// Keys that artifacts are signed with.
    #[command(subcommand)]
    Artifact(ArtifactKey),
}

#[derive(Args)]
pub struct RotateArguments {
    #[command(flatten)]
    format: Format,
}

#[derive(Subcommand)]
pub enum ArtifactKey {
    /// Make a key in a new file, which its owner alone may read, and print its public half for artifacts.trusted_keys.
    New(KeyArguments),
    /// Print the public half of a key for artifacts.trusted_keys.
    Public(KeyArguments),
}

#[derive(Args)]
pub struct KeyArguments {
    file: PathBuf,
    #[command(flatten)]
    format: Format,
}

pub fn run(config: &Config, command: Command) -> anyhow::Result<()> {
    match command {
        Command::Rotate(arguments) => rotate(config, arguments.format),
        Command::Artifact(ArtifactKey::New(arguments)) => make(&arguments),
        Command::Artifact(ArtifactKey::Public(arguments)) => {
            tell(&SigningKeyFile::read(&arguments.file)?.public(), &arguments)
        }
    }
}

fn rotate(config: &Config, format: Format) -> anyhow::Result<()> {
    let (directory, rest) = (&config.tokens.key_dir, config.tokens.key_rest_s);
    let kid = generate_key(directory)?;
    if format.json {
        return output::json(&json!({"kid": kid, "directory": directory, "signs_in_s": rest}));
    }
    let directory = directory.display();
    output::line(format_args!(
        "{kid} verifies now and signs in {rest} s; by then every host must have it in its {directory}"
    ));
    Ok(())
}

fn make(arguments: &KeyArguments) -> anyhow::Result<()> {
    let public = SigningKeyFile::make(&arguments.file)?.public();
    let (id, file) = (public.id(), arguments.file.display());
    output::note(format_args!(
        "made the key {id} in {file}; hosts that shall trust it need this in artifacts.trusted_keys:"
    ));
    tell(&public, arguments)
}

/// Only the key goes to standard output, so that a script can take it.
fn tell(public: &PublicKey, arguments: &KeyArguments) -> anyhow::Result<()> {
    if arguments.format.json {
        return output::json(&json!({"id": public.id(), "public": public.to_string(), "file": arguments.file}));
    }
    output::line(public);
    Ok(())
}
