//! `ward completion`: lets a shell complete commands, options and names. The script that it prints asks this very program, so
//! that it knows the services of the configuration, and the functions that the hosts serve now.

use std::io::Write;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::Context;
use clap::{Args, ValueEnum};
use clap_complete::CompletionCandidate;
use clap_complete::env::Shells;

use super::call;
use crate::bus::Bus;
use crate::config::Config;

/// How long a person at a prompt is kept waiting for names.
const PATIENCE: Duration = Duration::from_millis(1500);

/// The variable of the environment with which the script asks.
pub const VARIABLE: &str = "COMPLETE";

#[derive(Args)]
#[command(after_help = "Examples:
  source <(ward completion bash)                          # in ~/.bashrc
  source <(ward completion zsh)                           # in ~/.zshrc
  ward completion fish | source                           # in ~/.config/fish/config.fish")]
pub struct Arguments {
    shell: Shell,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Shell {
    Bash,
    Zsh,
    Fish,
}

impl Shell {
    fn name(self) -> &'static str {
        match self {
            Self::Bash => "bash",
            Self::Zsh => "zsh",
            Self::Fish => "fish",
        }
    }
}

pub fn run(arguments: &Arguments) -> anyhow::Result<()> {
    let shells = Shells::builtins();
    let shell = shells.completer(arguments.shell.name()).context("no script for this shell")?;
    let program = std::env::current_exe().context("cannot find this program")?;
    let mut script = Vec::new();
    shell.write_registration(VARIABLE, "ward", "ward", &program.to_string_lossy(), &mut script)?;
    Ok(std::io::stdout().write_all(&script)?)
}

/// The services of the configuration.
pub fn services() -> Vec<CompletionCandidate> {
    let Some(config) = configuration() else { return Vec::new() };
    config.services.iter().map(|service| CompletionCandidate::new(service.name.as_str())).collect()
}

/// The functions that are served now, of the service that the command names.
pub fn functions() -> Vec<CompletionCandidate> {
    let words: Vec<String> = std::env::args().collect();
    let service = words.iter().position(|word| word == "call").and_then(|place| words.get(place + 1));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let (Some(service), Some(config), Ok(runtime)) = (service, configuration(), runtime) else { return Vec::new() };
    let asked = runtime.block_on(async {
        let bus = Bus::connect(&config.nats, "ward completion").await?;
        tokio::time::timeout(PATIENCE, call::functions(&bus)).await?
    });
    let functions = asked.unwrap_or_default();
    let of_service = functions.iter().filter(|function| function.service == *service);
    of_service.map(|function| CompletionCandidate::new(function.path())).collect()
}

/// The configuration that the command being completed would have.
fn configuration() -> Option<Config> {
    let words: Vec<String> = std::env::args().collect();
    let named = words.iter().position(|word| word == "--config").and_then(|place| words.get(place + 1));
    let path = named.cloned().or_else(|| std::env::var("WARD_CONFIG").ok()).map(PathBuf::from);
    Config::load(path.as_deref()).ok()
}
