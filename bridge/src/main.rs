//! `ward-bridge [--config FILE]`: gRPC in, Kafka out.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context;
use clap::Parser;
use ward_bridge::app::{self, App};
use ward_bridge::config::Config;
use ward_bridge::log;

/// Serves Ward's billing contract over gRPC, and mirrors its events onto Kafka topics.
#[derive(Parser)]
#[command(name = "ward-bridge", version)]
struct Arguments {
    /// Settings that differ from `deploy/defaults.toml`; without it `./ward.toml`, if there is one.
    #[arg(long, env = "WARD_CONFIG", value_name = "FILE")]
    config: Option<PathBuf>,
}

/// What is still busy after an orderly stop (a look-up at a Kafka that does not answer) is left behind after this.
const LEAVE_BEHIND_AFTER: Duration = Duration::from_millis(500);

fn main() -> ExitCode {
    match start(&Arguments::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("ward-bridge: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn start(arguments: &Arguments) -> anyhow::Result<()> {
    let config = Config::load(arguments.config.as_deref())?;
    log::start(&config.log).context("the section [log]")?;
    let runtime = tokio::runtime::Runtime::new().context("cannot start the runtime")?;
    let ended = runtime.block_on(run(config));
    runtime.shutdown_timeout(LEAVE_BEHIND_AFTER);
    ended
}

async fn run(config: Config) -> anyhow::Result<()> {
    let stop = app::stop_signal()?;
    let app = App::bind(config).await?;
    app.announce();
    app.run(stop).await;
    Ok(())
}
