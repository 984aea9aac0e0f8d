//! `ward completion`: lets a shell complete commands, options and names. The script that it prints asks this very program, so
//! that it knows the services of the configuration, and the functions that the hosts serve now.

use std::collections::BTreeSet;
use std::io::Write;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::Context;
use clap::{Arg, Args, ValueEnum};
use clap_complete::CompletionCandidate;
use clap_complete::env::Shells;

use super::call;
use crate::bus::Bus;
use crate::config::Config;
use crate::services::FunctionStatus;

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

/// The services of the configuration, those that components bring for themselves among them.
pub fn services() -> Vec<CompletionCandidate> {
    let Some(config) = configuration() else { return Vec::new() };
    config.all_services().map(|service| CompletionCandidate::new(service.name.as_str())).collect()
}

/// The functions that are served now, of the service that the command names. Their short names are completed where no path
/// begins with what is written.
pub fn functions() -> Vec<CompletionCandidate> {
    let words: Vec<String> = std::env::args().collect();
    let (Some(service), Some(config)) = (called_service(&words), configuration()) else { return Vec::new() };
    let served = served(&config).unwrap_or_default();
    let of_service: Vec<_> = served.iter().filter(|function| function.service == service).collect();
    // A contract that is offered in two versions has each name twice.
    let paths: BTreeSet<String> = of_service.iter().map(|function| function.path()).collect();
    let names: BTreeSet<&String> = of_service.iter().map(|function| &function.name).collect();
    let names = names.into_iter().map(|name| CompletionCandidate::new(name).hide(true));
    paths.into_iter().map(CompletionCandidate::new).chain(names).collect()
}

/// None when nobody answers in time.
fn served(config: &Config) -> Option<Vec<FunctionStatus>> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().ok()?;
    let asking = async {
        let bus = Bus::connect(&config.nats, "ward completion").await?;
        call::functions(&bus).await
    };
    runtime.block_on(async { tokio::time::timeout(PATIENCE, asking).await }).ok()?.ok()
}

/// The service that is named behind `call`, whatever options stand between.
fn called_service(words: &[String]) -> Option<String> {
    let place = words.iter().position(|word| word == "call")?;
    let config = Arg::new("config").long("config");
    let command = call::Arguments::augment_args(clap::Command::new("call").arg(config)).ignore_errors(true);
    let matches = command.try_get_matches_from(words.get(place..)?).ok()?;
    matches.get_one::<String>("service").cloned()
}

/// The configuration that the command being completed would have.
fn configuration() -> Option<Config> {
    let words: Vec<String> = std::env::args().collect();
    let path = named_configuration(&words).or_else(|| std::env::var("WARD_CONFIG").ok()).map(PathBuf::from);
    Config::load(path.as_deref()).ok()
}

fn named_configuration(words: &[String]) -> Option<String> {
    let place = words.iter().position(|word| word == "--config" || word.starts_with("--config="))?;
    let word = words.get(place)?;
    word.strip_prefix("--config=").or(words.get(place + 1).map(String::as_str)).map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(line: &str) -> Vec<String> {
        line.split(' ').map(str::to_owned).collect()
    }

    #[test]
    fn finds_the_service_among_options() {
        for line in [
            "ward call stock",
            "ward -- ward call stock ",
            "ward call --json stock it",
            "ward call --deadline 100 stock items.count",
            "ward call --config /etc/w.toml stock -",
            "ward call stock --role",
            "ward call stock items.count --unknown",
        ] {
            assert_eq!(called_service(&words(line)).as_deref(), Some("stock"), "{line}");
        }
        for line in ["ward call", "ward call --json", "ward logs stock"] {
            assert_eq!(called_service(&words(line)), None, "{line}");
        }
    }

    #[test]
    fn finds_the_configuration() {
        for line in ["ward --config a.toml call", "ward call --config=a.toml"] {
            assert_eq!(named_configuration(&words(line)).as_deref(), Some("a.toml"), "{line}");
        }
        assert_eq!(named_configuration(&words("ward call")), None);
    }
}
