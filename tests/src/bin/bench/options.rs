//! What to measure, and for how long.

use std::time::Duration;

use clap::{Parser, Subcommand, ValueEnum};

use super::native;

/// Measures Ward against a native program that does the same work. Starts servers of its own.
#[derive(Debug, Parser)]
#[command(args_conflicts_with_subcommands = true)]
pub struct Options {
    /// Short runs, and no table of a million rows: shows that it works, not how fast it is.
    #[arg(long)]
    pub quick: bool,
    /// Only this; may be given several times.
    #[arg(long, value_name = "WHAT")]
    pub only: Vec<Part>,
    /// Rounds of each measurement; 5, or 2 with --quick.
    #[arg(long)]
    pub rounds: Option<usize>,
    /// Seconds of each measurement; 3, or 1 with --quick.
    #[arg(long)]
    pub seconds: Option<f64>,
    /// Numbers of connections.
    #[arg(long, value_delimiter = ',', default_values_t = [1, 8, 32])]
    pub connections: Vec<usize>,
    #[command(subcommand)]
    pub hidden: Option<Hidden>,
}

#[derive(Debug, Subcommand)]
pub enum Hidden {
    /// The yardstick, in a process of its own.
    #[command(hide = true)]
    Native(native::Options),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Part {
    /// A patient by key, against native.
    Read,
    /// A list of 15, against native.
    List,
    /// A registration, against native.
    Register,
    /// The login.
    Login,
    /// A page out of 15 to 1,000,000 patients.
    Pages,
    /// A typed call over NATS.
    Calls,
    /// From the reply of a registration to its event on Kafka.
    Kafka,
    /// A new version of a component under load.
    Swap,
    /// What a canary costs.
    Canary,
    /// Others while a component computes on half of the cores.
    Fairness,
    /// Memory of each process.
    Memory,
    /// From start to ready.
    Start,
}

/// How much of it.
#[derive(Debug, Clone)]
pub struct Extent {
    pub quick: bool,
    pub rounds: usize,
    pub length: Duration,
    pub connections: Vec<usize>,
}

impl Options {
    pub fn extent(&self) -> Extent {
        let (rounds, seconds) = if self.quick { (2, 1.0) } else { (5, 3.0) };
        Extent {
            quick: self.quick,
            rounds: self.rounds.unwrap_or(rounds).max(1),
            length: Duration::from_secs_f64(self.seconds.unwrap_or(seconds)),
            connections: self.connections.clone(),
        }
    }

    pub fn wants(&self, part: Part) -> bool {
        self.only.is_empty() || self.only.contains(&part)
    }
}
