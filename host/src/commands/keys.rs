//! `ward keys`: the keys that tokens are signed with.

use clap::Subcommand;

use crate::config::Config;
use crate::security::generate_key;

#[derive(Subcommand)]
pub enum Command {
    /// Make a new key, which verifies at once and signs after tokens.key_rest_s. Old ones still verify: remove a file when its last token has expired.
    Rotate,
}

pub fn run(config: &Config, command: Command) -> anyhow::Result<()> {
    match command {
        Command::Rotate => {
            let kid = generate_key(&config.tokens.key_dir)?;
            let directory = config.tokens.key_dir.display();
            let rest = config.tokens.key_rest_s;
            println!("{kid} verifies now and signs in {rest} s; by then every host must have it in its {directory}");
            Ok(())
        }
    }
}
