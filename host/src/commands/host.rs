//! `ward host`: runs until it is told to stop.

use tokio::signal::unix::{SignalKind, signal};

use crate::app::App;
use crate::config::{Config, LogFormat};

pub async fn run(config: Config) -> anyhow::Result<()> {
    log(&config)?;
    let app = App::compose(config).await?;
    app.run(stop()?).await
}

fn log(config: &Config) -> anyhow::Result<()> {
    let filter = tracing_subscriber::EnvFilter::try_new(&config.log.level)?;
    let subscriber = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    match config.log.format {
        LogFormat::Text => subscriber.with_ansi(std::io::IsTerminal::is_terminal(&std::io::stderr())).init(),
        LogFormat::Json => subscriber.json().init(),
    }
    Ok(())
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
