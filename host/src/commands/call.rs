//! `ward call`: a typed call of any function of any service, with JSON.

use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::io::Read;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Context;
use clap::Args;
use clap_complete::ArgValueCandidates;
use serde_json::{Map, Value, json};
use ward_proto::call::{FailureKind, JSON, header, subject};
use ward_telemetry::Trail;

use super::output::{self, BAD, Exit, FAINT, Format, HEADING, line, note, paint};
use super::{ask, completion};
use crate::bus::{Bus, Headers};
use crate::calls::client::Client;
use crate::calls::typed::Contract;
use crate::calls::{Call, Failure, envelope};
use crate::config::Config;
use crate::security::Principal;
use crate::services::FunctionStatus;

#[derive(Args)]
#[command(after_help = "Whoever has access to NATS may call anything as anybody: --subject and --role are believed.

Examples:
  ward call                                               # every function of every service, with its types
  ward call stock                                         # those of the service stock
  ward call stock items.count '{\"shelf\": \"a-7\"}'
  ward call stock count - < shelf.json                    # the short name, where it is the only one
  ward call stock add @item.json --subject ann@example.com --role ADMIN --idempotency-key once-1

The answer's value goes to standard output. Exit code 1 is an error that the service answered; others: ward --help.")]
pub struct Arguments {
    /// The service; without it all are listed.
    #[arg(add = ArgValueCandidates::new(completion::services))]
    service: Option<String>,
    /// INTERFACE.FUNCTION, or FUNCTION where no other interface has one of that name; of the newest version, or as in
    /// FUNCTION@0.1.0. Without it all are listed.
    #[arg(add = ArgValueCandidates::new(completion::functions))]
    function: Option<String>,
    /// The parameters by name, as one JSON object; `-` reads them from standard input, `@FILE` from a file.
    #[arg(default_value = "{}", value_name = "JSON")]
    parameters: String,
    /// On whose behalf; without it nobody's.
    #[arg(long, value_name = "WHO", requires = "role")]
    subject: Option<String>,
    /// The role of whoever it is done for: see docs/roles.md.
    #[arg(long, requires = "subject")]
    role: Option<String>,
    /// Milliseconds to wait.
    #[arg(long, value_name = "MS", default_value_t = 5000)]
    deadline: u64,
    /// A call that is repeated under the same key is done once.
    #[arg(long, value_name = "KEY")]
    idempotency_key: Option<String>,
    #[command(flatten)]
    format: Format,
}

pub async fn run(config: &Config, arguments: Arguments) -> anyhow::Result<()> {
    let bus = Bus::connect(&config.nats, "ward call").await?;
    let known = functions(&bus).await?;
    let (Some(service), Some(name)) = (&arguments.service, &arguments.function) else {
        return list(&known, arguments.service.as_deref(), arguments.format);
    };
    let function = find(&known, service, name)?;
    let parameters = parameters(&arguments.parameters, function)?;
    let call = call(&arguments)?;
    let mut headers = Headers::new();
    headers.insert(header::CONTENT_TYPE, JSON);
    headers.insert(header::CONTRACT, function.contract.as_str());
    let client = Client::new(bus.into());
    let _progress = output::Progress::of(format!("waiting for {service} {}", function.path()));
    let payload = Value::Object(parameters).to_string().into();
    let reply = client.call(&call, service, &function.interface, &function.name, headers, payload).await;
    drop(_progress);
    match reply {
        Ok(reply) => {
            let answer = serde_json::from_slice(&reply.payload).context("the answer is no JSON")?;
            answered(&call.id, function, answer, arguments.format)
        }
        Err(failure) => Err(not_answered(&call.id, function, &failure, arguments.format)),
    }
}

/// The functions of all services, as the hosts serve them now.
pub async fn functions(bus: &Bus) -> anyhow::Result<Vec<FunctionStatus>> {
    let mut functions: Vec<FunctionStatus> = ask::everybody(bus, subject::FUNCTIONS, &()).await?;
    functions.sort();
    functions.dedup();
    Ok(functions)
}

fn list(known: &[FunctionStatus], service: Option<&str>, format: Format) -> anyhow::Result<()> {
    if let Some(service) = service {
        check_service(known, service)?;
    }
    let wanted = known.iter().filter(|function| service.is_none_or(|service| function.service == service));
    if format.json {
        return output::json(&wanted.collect::<Vec<_>>());
    }
    for function in wanted {
        let effect = if function.writes { "writes" } else { "reads" };
        line(format_args!("{} {}", paint(HEADING, &function.service), paint(HEADING, function.path())));
        line(paint(FAINT, format_args!("// {effect}, {}", function.contract)));
        line(format_args!("{}\n", function.signature));
    }
    Ok(())
}

fn check_service(known: &[FunctionStatus], service: &str) -> anyhow::Result<()> {
    if known.iter().any(|function| function.service == service) {
        return Ok(());
    }
    let names = known.iter().map(|function| function.service.as_str());
    Err(unknown(&format!("no service {service} with functions is served"), service, names))
}

/// The function that is meant, by its path or by its name alone; the newest version of its contract, unless one is named.
fn find<'a>(known: &'a [FunctionStatus], service: &str, name: &str) -> anyhow::Result<&'a FunctionStatus> {
    check_service(known, service)?;
    let of_service = || known.iter().filter(|function| function.service == service);
    let (path, version) = name.split_once('@').map_or((name, None), |(path, version)| (path, Some(version)));
    let of_version =
        |function: &&FunctionStatus| version.is_none_or(|version| function.contract.ends_with(&format!("@{version}")));
    let named = of_service().filter(|function| function.path() == path || function.name == path).filter(of_version);
    let mut newest: BTreeMap<String, &FunctionStatus> = BTreeMap::new();
    for function in named {
        let known = newest.entry(function.path()).or_insert(function);
        if age(function, known).is_gt() {
            *known = function;
        }
    }
    match newest.values().collect::<Vec<_>>().as_slice() {
        [function] => Ok(function),
        [] => {
            let paths: Vec<String> = of_service().map(FunctionStatus::path).collect();
            let names = paths.iter().map(String::as_str).chain(of_service().map(|function| function.name.as_str()));
            Err(unknown(&format!("{service} has no function {name}"), path, names))
        }
        _ => {
            let paths: Vec<&str> = newest.keys().map(String::as_str).collect();
            Err(Exit::Usage.because(format_args!("{name} is not the only one: say {}", paths.join(" or "))))
        }
    }
}

/// Which of two versions of a function came first.
fn age(one: &FunctionStatus, other: &FunctionStatus) -> Ordering {
    let contracts = Contract::parse(&one.contract).zip(Contract::parse(&other.contract));
    contracts.map_or(Ordering::Equal, |(one, other)| one.age(&other))
}

/// How alike a name must be to be suggested, from 0 to 1.
const ALIKE: f64 = 0.7;

fn unknown<'a>(what: &str, name: &str, known: impl Iterator<Item = &'a str>) -> anyhow::Error {
    let mut alike: Vec<(f64, &str)> = known.map(|other| (strsim::jaro_winkler(name, other), other)).collect();
    alike.retain(|(score, _)| *score >= ALIKE);
    alike.sort_by(|one, other| other.0.total_cmp(&one.0).then(one.1.cmp(other.1)));
    alike.dedup_by_key(|(_, other)| *other);
    let advice = match alike.first() {
        Some((_, best)) => format!("did you mean {best}?"),
        None => "`ward call` lists all".to_owned(),
    };
    Exit::Usage.because(format_args!("{what}; {advice}"))
}

fn parameters(text: &str, function: &FunctionStatus) -> anyhow::Result<Map<String, Value>> {
    let text = match (text, text.strip_prefix('@')) {
        ("-", _) => std::io::read_to_string(std::io::stdin().lock().take(MOST_INPUT))?,
        (_, Some(file)) => std::fs::read_to_string(file).with_context(|| format!("cannot read {file}"))?,
        _ => text.to_owned(),
    };
    let usage = |message: String| {
        Exit::Usage.because(format_args!("{message}; {} is\n{}", function.path(), function.signature))
    };
    match serde_json::from_str(&text) {
        Ok(Value::Object(map)) => Ok(map),
        Ok(_) => Err(usage("the parameters are one JSON object, with a field for each".to_owned())),
        Err(error) => Err(usage(format!("the parameters are no JSON: {error}"))),
    }
}

/// Bytes that are read from standard input; no message holds more.
const MOST_INPUT: u64 = 8 << 20;

fn call(arguments: &Arguments) -> anyhow::Result<Call> {
    let key = arguments.idempotency_key.clone();
    if key.as_deref().is_some_and(|key| !envelope::is_idempotency_key(key)) {
        return Err(Exit::Usage.because("an idempotency key has 1 to 255 visible ASCII characters"));
    }
    let principal = arguments.subject.clone().zip(arguments.role.clone());
    Ok(Call {
        id: envelope::new_id(),
        principal: principal.map(|(subject, role)| Arc::new(Principal { subject, role })),
        trail: Trail::default(),
        deadline: Instant::now() + Duration::from_millis(arguments.deadline),
        idempotency_key: key,
    })
}

fn answered(call: &str, function: &FunctionStatus, answer: Value, format: Format) -> anyhow::Result<()> {
    let (side, value) = match answer {
        Value::Object(map) => map.into_iter().next().context("the answer is empty")?,
        _ => anyhow::bail!("the answer is neither ok nor err"),
    };
    if format.json {
        output::json(&json!({"call": call, side.as_str(): value}))?;
    } else {
        output::json(&value)?;
    }
    match side.as_str() {
        "ok" => Ok(()),
        _ => Err(Exit::Failed.because(format_args!("{} {} answered an error", function.service, function.path()))),
    }
}

fn not_answered(call: &str, function: &FunctionStatus, failure: &Failure, format: Format) -> anyhow::Error {
    if format.json {
        let body = json!({"call": call, "failure": {"kind": failure.kind.name(), "message": failure.message}});
        let _ = output::json(&body);
    }
    match failure.kind {
        FailureKind::Refused => note(format_args!("{} is {}", function.path(), function.signature)),
        FailureKind::Trapped => note(format_args!("what happened: ward logs --call {call}, ward trace {call}")),
        _ => {}
    }
    Exit::of_failure(failure.kind).because(format_args!("{}: {}", paint(BAD, failure.kind.name()), failure.message))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn function(service: &str, interface: &str, name: &str) -> FunctionStatus {
        FunctionStatus {
            service: service.into(),
            interface: interface.into(),
            name: name.into(),
            contract: format!("shop:{service}/{interface}@0.1.0"),
            writes: false,
            signature: "func() -> result<_, _>".into(),
        }
    }

    fn known() -> Vec<FunctionStatus> {
        vec![
            function("stock", "items", "open"),
            function("stock", "items", "count"),
            function("stock", "shelves", "count"),
        ]
    }

    #[test]
    fn finds_a_function_by_its_path_and_by_a_name_that_is_the_only_one() {
        let known = known();
        for name in ["items.open", "open"] {
            assert_eq!(find(&known, "stock", name).unwrap().path(), "items.open");
        }
        assert_eq!(find(&known, "stock", "shelves.count").unwrap().interface, "shelves");
        let error = find(&known, "stock", "count").unwrap_err().to_string();
        assert!(error.contains("items.count or shelves.count"), "{error}");
    }

    #[test]
    fn finds_the_newest_version_or_the_one_named() {
        let mut known = known();
        for version in ["0.10.0", "0.9.0"] {
            known.push(FunctionStatus { contract: format!("shop:stock/items@{version}"), ..known[0].clone() });
        }
        let contract = |name: &str| find(&known, "stock", name).map(|function| function.contract.clone());
        assert_eq!(contract("open").unwrap(), "shop:stock/items@0.10.0");
        assert_eq!(contract("items.open@0.1.0").unwrap(), "shop:stock/items@0.1.0");
        assert!(contract("open@0.2.0").is_err());
    }

    #[test]
    fn suggests_what_was_meant() {
        let known = known();
        for (service, name, advice) in [
            ("stok", "open", "did you mean stock?"),
            ("stock", "oppen", "did you mean open?"),
            ("stock", "xyz", "lists all"),
        ] {
            let error = find(&known, service, name).unwrap_err().to_string();
            assert!(error.contains(advice), "{error}");
        }
    }

    #[test]
    fn parameters_are_an_object() {
        let function = function("stock", "items", "open");
        assert!(parameters(r#"{"a": 1}"#, &function).is_ok());
        for (text, part) in [("[]", "one JSON object"), ("{", "no JSON")] {
            let error = parameters(text, &function).unwrap_err().to_string();
            assert!(error.contains(part) && error.contains("func()"), "{error}");
        }
    }
}
