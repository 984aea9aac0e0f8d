//! `ward host`: runs until it is told to stop.

use tokio::signal::unix::{SignalKind, signal};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, Layer};

use crate::app::App;
use crate::config::{Config, LogFormat};
use crate::logs::Logs;

pub async fn run(config: Config) -> anyhow::Result<()> {
    let logs = log(&config)?;
    let app = App::compose(config, logs).await?;
    app.run(stop()?).await
}

/// To standard error, and into the memory that `ward logs` asks.
fn log(config: &Config) -> anyhow::Result<Logs> {
    let logs = Logs::new(&config.log);
    // What PostgreSQL notices is what a component's statements and functions make it say.
    let filter = EnvFilter::try_new(&config.log.level)?.add_directive("sqlx::postgres::notice=off".parse()?);
    let lines = tracing_subscriber::fmt::layer().with_writer(std::io::stderr);
    let lines = match config.log.format {
        LogFormat::Text => {
            lines.with_ansi(anstream::AutoStream::choice(&std::io::stderr()) != anstream::ColorChoice::Never).boxed()
        }
        LogFormat::Json => lines.json().boxed(),
    };
    tracing_subscriber::registry().with(filter).with(lines).with(logs.clone()).init();
    Ok(logs)
}

/// Ends on SIGTERM or Ctrl-C.
fn stop() -> std::io::Result<impl Future<Output = ()> + Send + 'static> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    Ok(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
    })
}
