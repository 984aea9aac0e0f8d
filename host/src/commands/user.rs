//! `ward user`: a typed call to the service that keeps the users, for the first administrator, whom nobody else could make.

use std::io::{BufRead, IsTerminal};
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use clap::{Args, Subcommand};
use serde_json::{Value, json};
use ward_proto::call::{JSON, header};
use ward_telemetry::Trail;

use super::output::{self, Format};
use crate::bus::{Bus, Headers};
use crate::calls::client::Client;
use crate::calls::{Call, envelope};
use crate::config::Config;

#[derive(Subcommand)]
pub enum Command {
    /// Add a user. The password is read from standard input, or asked for.
    Add(AddArguments),
}

#[derive(Args)]
pub struct AddArguments {
    email: String,
    /// One of the roles of docs/roles.md.
    #[arg(long)]
    role: String,
    #[command(flatten)]
    format: Format,
}

pub async fn run(config: &Config, command: Command) -> anyhow::Result<()> {
    let Command::Add(arguments) = command;
    let password = read_password()?;
    let bus = Bus::connect(&config.nats, "ward user").await?;
    let user = json!({"user": {"email": arguments.email, "password": password, "role": arguments.role}});
    let call = Call {
        id: envelope::new_id(),
        principal: None,
        trail: Trail::default(),
        deadline: Instant::now() + Duration::from_secs(10),
        idempotency_key: None,
    };
    let mut headers = Headers::new();
    headers.insert(header::CONTENT_TYPE, JSON);
    let client = Client::new(bus.into());
    let reply = client.call(&call, "auth", "users", "add", headers, user.to_string().into()).await?;
    let answer: Value = serde_json::from_slice(&reply.payload).context("the answer is no JSON")?;
    match (answer.get("ok"), answer.get("err")) {
        (Some(id), _) => added(&arguments, id.as_str().unwrap_or_default()),
        (_, Some(Value::String(kind))) if kind == "exists" => bail!("{} exists already", arguments.email),
        (_, Some(error)) => bail!("not added: {}", faults(error)),
        _ => bail!("the answer is neither ok nor err"),
    }
}

fn added(arguments: &AddArguments, id: &str) -> anyhow::Result<()> {
    let AddArguments { email, role, format } = arguments;
    if format.json {
        return output::json(&json!({"id": id, "email": email, "role": role}));
    }
    output::line(format_args!("added {email} as {role} with the id {id}"));
    Ok(())
}

fn faults(error: &Value) -> String {
    let list = error.get("invalid").and_then(Value::as_array);
    match list {
        Some(list) => list.iter().filter_map(Value::as_str).collect::<Vec<_>>().join(" "),
        None => error.to_string(),
    }
}

fn read_password() -> anyhow::Result<String> {
    let input = std::io::stdin();
    let password = if input.is_terminal() {
        rpassword::prompt_password("Password: ")?
    } else {
        let mut line = String::new();
        input.lock().read_line(&mut line)?;
        line.trim_end_matches(['\r', '\n']).to_owned()
    };
    if password.is_empty() {
        bail!("no password given: type one, or send it on standard input");
    }
    Ok(password)
}
