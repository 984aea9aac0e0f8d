//! `ward events`: dead letters, shown and replayed.

use clap::{Args, Subcommand};

use crate::bus::Bus;
use crate::config::Config;
use crate::events::dead;

#[derive(Subcommand)]
pub enum Command {
    /// List dead letters, oldest first.
    Dead(DeadArguments),
    /// Deliver dead letters to their subscription again.
    Replay(ReplayArguments),
}

#[derive(Args)]
pub struct DeadArguments {
    /// Only of this service.
    service: Option<String>,
    /// At most so many.
    #[arg(long, default_value_t = 100)]
    limit: usize,
    /// As JSON, one array.
    #[arg(long)]
    json: bool,
}

#[derive(Args)]
pub struct ReplayArguments {
    /// The service whose subscription could not handle them.
    service: String,
    /// Only of this subscription.
    subscription: Option<String>,
    /// Only the one with this number (see `ward events dead`).
    #[arg(long)]
    sequence: Option<u64>,
    /// At most so many.
    #[arg(long, default_value_t = 1000)]
    limit: usize,
}

pub async fn run(config: &Config, command: Command) -> anyhow::Result<()> {
    let bus = Bus::connect(&config.nats, "ward events").await?;
    match command {
        Command::Dead(arguments) => {
            let letters = dead::list(&bus, arguments.service.as_deref(), None, arguments.limit).await?;
            if arguments.json {
                println!("{}", serde_json::to_string_pretty(&letters)?);
                return Ok(());
            }
            for letter in letters {
                println!(
                    "{:>8} {}/{} {} {} {} after {} attempts: {}",
                    letter.sequence,
                    letter.service,
                    letter.subscription,
                    letter.event_type,
                    letter.event_subject,
                    letter.event_id,
                    letter.attempts,
                    letter.reason
                );
            }
        }
        Command::Replay(arguments) => {
            let subscription = arguments.subscription.as_deref();
            let letters = dead::list(&bus, Some(&arguments.service), subscription, arguments.limit).await?;
            let chosen = letters.iter().filter(|letter| arguments.sequence.is_none_or(|one| one == letter.sequence));
            let mut count = 0;
            for letter in chosen {
                dead::replay(&bus, letter).await?;
                count += 1;
            }
            println!("{count} replayed");
        }
    }
    Ok(())
}
