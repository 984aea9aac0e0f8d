//! Examples for `--help`, of the commands that do not bring their own.

use clap::Command;

/// By the words of the command, an example a line.
const EXAMPLES: &[(&str, &[&str])] = &[
    ("host", &["ward host --config /etc/ward/ward.toml", "WARD_GATEWAY_LISTEN=127.0.0.1:8080 ward host"]),
    ("provision", &["WARD_DATABASE_URL='postgres://admin:…@db.internal:5432/postgres?sslmode=require' ward provision"]),
    ("build", &["ward build", "ward build stock", "ward build ./elsewhere/stock"]),
    ("componentize", &["ward componentize target/wasm32-unknown-unknown/guest/stock.wasm stock.wasm"]),
    ("inspect", &["ward inspect stock.wasm", "ward inspect ede7584cb995 --json"]),
    ("diff", &["ward diff ede7584cb995 stock.wasm"]),
    ("promote", &["ward promote stock"]),
    ("history", &["ward history stock", "ward history stock --json"]),
    ("push", &["ward push stock.wasm", "ward push stock.wasm --key release.pem --json"]),
    ("prune", &["ward prune --dry-run", "ward prune --keep 5"]),
    ("deploy", &["ward deploy stock target/components/stock.wasm", "ward deploy stock stock.wasm --canary 5"]),
    ("dev", &["ward dev components/stock", "ward dev components/stock --json | jq .outcome"]),
    ("rollback", &["ward rollback stock", "ward rollback stock --reason 'slow since noon'"]),
    ("ps", &["ward ps", "ward ps --json | jq '.[].services[].service'"]),
    ("hosts", &["ward hosts", "WARD_NATS_URL=nats://n1.internal:4222 ward hosts --json"]),
    ("user add", &["ward user add ann@example.com --role ADMIN < password"]),
    ("keys rotate", &["ward keys rotate", "ward keys rotate --json"]),
    ("keys artifact new", &["ward keys artifact new release.pem"]),
    ("keys artifact public", &["ward keys artifact public release.pem"]),
];

/// The command with examples wherever there are some.
pub fn add_to(command: Command) -> Command {
    EXAMPLES.iter().fold(command, |command, (words, lines)| {
        let words: Vec<&str> = words.split(' ').collect();
        add(command, &words, &format!("Examples:\n  {}", lines.join("\n  ")))
    })
}

fn add(command: Command, words: &[&str], text: &str) -> Command {
    match words.split_first() {
        None => {
            let own = command.get_after_help().map(ToString::to_string).unwrap_or_default();
            match own.contains("Example") {
                true => command,
                false => command.after_help(format!("{own}\n\n{text}").trim_start().to_owned()),
            }
        }
        Some((first, _)) if command.find_subcommand(first).is_none() => command,
        Some((first, rest)) => command.mut_subcommand(*first, |inner| add(inner, rest, text)),
    }
}
