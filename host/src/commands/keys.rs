//! `ward keys`: the keys that tokens are signed with.

use clap::Subcommand;

use crate::config::Config;
use crate::security::generate_key;

#[derive(Subcommand)]
pub enum Command {
    /// Make a new key, which signs from now on. Old ones still verify: remove a file when its last token has expired.
    Rotate,
}

pub fn run(config: &Config, command: Command) -> anyhow::Result<()> {
    match command {
        Command::Rotate => {
            let kid = generate_key(&config.tokens.key_dir)?;
            println!("{kid} signs from now on; hosts that share {} see it at once", config.tokens.key_dir.display());
            Ok(())
        }
    }
}
