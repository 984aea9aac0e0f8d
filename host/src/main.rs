//! The program `ward`: the host itself, and the commands of whoever runs it.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{CommandFactory, FromArgMatches, Parser, Subcommand};
use clap_complete::CompleteEnv;
use ward_host::commands;
use ward_host::config::Config;

const EXIT_CODES: &str = "Exit codes:
  0  done
  1  refused, or it failed
  2  used wrongly: options, names, arguments of the wrong type, the configuration
  3  NATS, or the service that was called, cannot be reached now
  4  no answer in time; whether it was done is not known
  5  too much to do; nothing was done
  6  the component crashed; everything was rolled back";

#[global_allocator]
static ALLOCATOR: ward_host::memory::Allocator = ward_host::memory::Allocator;

/// Ward, a host for services as WebAssembly components.
#[derive(Parser)]
#[command(version, after_help = EXIT_CODES)]
struct Arguments {
    /// The configuration; without it ./ward.toml, if it exists. Every setting: deploy/defaults.toml.
    #[arg(long, global = true, env = "WARD_CONFIG", value_name = "FILE")]
    config: Option<PathBuf>,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Run a host until SIGTERM or Ctrl-C.
    Host,
    /// Make databases, roles and secrets. Safe to repeat; repeat it after an upgrade.
    Provision(commands::provision::Arguments),
    /// Begin a component: its source, a test of its domain and one in the real engine.
    New(commands::new::Arguments),
    /// Build components from source into target/components.
    Build(commands::build::Arguments),
    /// Make a component of a WebAssembly module.
    Componentize { input: PathBuf, output: PathBuf },
    /// Show what an artifact is, needs and offers.
    Inspect(commands::inspect::Arguments),
    /// Show what a swap from one artifact to another would change; exit code 1 if it would break something.
    Diff(commands::diff::Arguments),
    /// Store an artifact for the hosts, and sign it.
    Push(commands::push::Arguments),
    /// Remove artifacts that nothing refers to from the object store.
    Prune(commands::prune::Arguments),
    /// Let a component take over a service on all hosts, while it serves.
    Deploy(commands::deploy::Arguments),
    /// Watch a component's folder: each save goes live.
    Dev(commands::dev::Arguments),
    /// Give a canary a larger share of the calls, or all of them.
    Promote(commands::deploy::PromoteArguments),
    /// End a canary, or go back to the version before, or to any before that.
    Rollback(commands::deploy::RollbackArguments),
    /// Show what was deployed of a service, by whom, and why it ended.
    History(commands::history::Arguments),
    /// Show what runs on which host, and how much it did over the last ten seconds.
    Ps(commands::ps::Arguments),
    /// Show the hosts.
    Hosts(commands::hosts::Arguments),
    /// Call a function of a service, with JSON.
    Call(commands::call::Arguments),
    /// Show what hosts and components have logged, and follow it.
    Logs(commands::logs::Arguments),
    /// Show the way of one call, with times.
    Trace(commands::trace::Arguments),
    /// Events as they come, and dead letters.
    #[command(subcommand)]
    Events(commands::events::Command),
    /// Users.
    #[command(subcommand)]
    User(commands::user::Command),
    /// Keys: of tokens, and of artifacts.
    #[command(subcommand)]
    Keys(commands::keys::Command),
    /// Print the script with which a shell completes commands, options and names.
    Completion(commands::completion::Arguments),
    /// Compile a component to machine code; the host runs this in a process of its own.
    #[command(hide = true)]
    Compile { input: PathBuf, output: PathBuf, memory_mb: u64 },
}

fn command() -> clap::Command {
    commands::examples::add_to(Arguments::command())
}

fn main() -> ExitCode {
    CompleteEnv::with_factory(command).var(commands::completion::VARIABLE).complete();
    let arguments = Arguments::from_arg_matches(&command().get_matches()).unwrap_or_else(|error| error.exit());
    // Polled often, so that a guest that computes for long does not keep others waiting.
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().event_interval(8).build();
    let outcome = match runtime {
        Ok(runtime) => {
            let outcome = runtime.block_on(run(arguments));
            runtime.shutdown_timeout(std::time::Duration::from_secs(1));
            outcome
        }
        Err(error) => Err(error.into()),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => commands::output::failed(&error),
    }
}

async fn run(arguments: Arguments) -> anyhow::Result<()> {
    // These need no configuration.
    match &arguments.command {
        Command::New(options) => return commands::new::run(options),
        Command::Build(options) => return commands::build::run(options),
        Command::Completion(options) => return commands::completion::run(options),
        Command::Componentize { input, output } => return commands::build::componentize_file(input, output),
        Command::Compile { input, output, memory_mb } => {
            let defaults = Config::from_settings(&ward_config::Settings::layer("", &Default::default())?)?;
            return ward_host::engine::compile_here(&defaults.engine, input, output, *memory_mb);
        }
        _ => {}
    }
    let config = Config::load(arguments.config.as_deref())?;
    match arguments.command {
        Command::Host => commands::host::run(config).await,
        Command::Provision(options) => commands::provision::run(&config, options).await,
        Command::Inspect(options) => commands::inspect::run(&config, options).await,
        Command::Diff(options) => commands::diff::run(&config, options).await,
        Command::Push(options) => commands::push::run(&config, options).await,
        Command::Prune(options) => commands::prune::run(&config, options).await,
        Command::Deploy(options) => commands::deploy::run(&config, options).await,
        Command::Dev(options) => commands::dev::run(&config, options).await,
        Command::Promote(options) => commands::deploy::promote(&config, options).await,
        Command::Rollback(options) => commands::deploy::roll_back(&config, options).await,
        Command::History(options) => commands::history::run(&config, options).await,
        Command::Ps(options) => commands::ps::run(&config, options).await,
        Command::Call(options) => commands::call::run(&config, options).await,
        Command::Logs(options) => commands::logs::run(&config, options).await,
        Command::Trace(options) => commands::trace::run(&config, options).await,
        Command::Hosts(options) => commands::hosts::run(&config, options).await,
        Command::Events(command) => commands::events::run(&config, command).await,
        Command::User(command) => commands::user::run(&config, command).await,
        Command::Keys(command) => commands::keys::run(&config, command),
        Command::New(_)
        | Command::Build(_)
        | Command::Componentize { .. }
        | Command::Compile { .. }
        | Command::Completion(_) => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PAGE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/commands.md");

    /// The commands that do something, with their words and what `--help` says.
    fn leaves(command: &clap::Command, words: &str) -> Vec<(String, String)> {
        let visible = command.get_subcommands().filter(|inner| !inner.is_hide_set() && inner.get_name() != "help");
        let inner: Vec<_> =
            visible.flat_map(|inner| leaves(inner, format!("{words} {}", inner.get_name()).trim())).collect();
        match command.has_subcommands() {
            true => inner,
            false => {
                let mut alone = command.clone().bin_name(format!("ward {words}")).term_width(110);
                vec![(words.to_owned(), alone.render_long_help().to_string())]
            }
        }
    }

    #[test]
    fn every_command_has_an_example() {
        let without = leaves(&command(), "").into_iter().filter(|(_, help)| !help.contains("Example"));
        let without: Vec<String> = without.map(|(words, _)| words).collect();
        assert_eq!(without, Vec::<String>::new(), "add them to commands/examples.rs");
    }

    #[test]
    fn the_page_of_commands_is_what_help_says() {
        let mut page = "# Commands\n\nWhat `--help` says of each. A test holds this page against it.\n".to_owned();
        for (words, help) in leaves(&command(), "") {
            let help: Vec<&str> = help.lines().map(str::trim_end).collect();
            page += &format!("\n## ward {words}\n\n```text\n{}\n```\n", help.join("\n").trim());
        }
        if std::env::var_os("WARD_WRITE_PAGES").is_some() {
            std::fs::write(PAGE, &page).unwrap();
        }
        let written = std::fs::read_to_string(PAGE).unwrap_or_default();
        assert!(written == page, "write it anew: WARD_WRITE_PAGES=1 cargo test -p ward-host --bin ward");
    }

    #[test]
    fn the_commands_hold_together() {
        command().debug_assert();
    }
}
