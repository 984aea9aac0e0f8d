//! `ward inspect`: what an artifact is, needs and offers, before it runs anywhere.

use std::time::Duration;

use anyhow::Context;
use clap::Args;
use serde_json::{Value, json};

use super::output::{self, Format, HEADING, paint};
use super::push::read;
use crate::artifacts::{Artifacts, Digest, Inspected, Inspector, Provenance, Stated, Verdict, access, effect};
use crate::bus::Bus;
use crate::config::{Config, ServiceConfig, ServiceName};
use crate::engine::{Access, Look, Outline};
use crate::limits;
use crate::services::desired::DesiredState;

/// Who only wants to look at a file does not wait for NATS longer.
const PATIENCE: Duration = Duration::from_secs(2);

#[derive(Args)]
pub struct Arguments {
    /// A file, the digest of an artifact that was pushed (its beginning is enough), or `service:NAME` for what NAME shall run.
    artifact: String,
    #[command(flatten)]
    format: Format,
}

pub async fn run(config: &Config, arguments: Arguments) -> anyhow::Result<()> {
    let artifact = Artifact::find(config, &arguments.artifact).await?;
    let inspector = Inspector::new(&config.engine)?;
    let _progress = output::Progress::of("compiling");
    let inspected = inspector.inspect(&artifact.digest, &artifact.bytes).await?;
    drop(_progress);
    let loading = loading(config, &inspector, &inspected).await;
    let report = report(&artifact, &inspected.look, &loading);
    if arguments.format.json {
        return output::json(&report);
    }
    for (name, lines) in text(&artifact, &inspected.look, &loading) {
        print(name, lines);
    }
    Ok(())
}

/// An artifact that somebody asked about.
pub struct Artifact {
    pub bytes: Vec<u8>,
    pub digest: Digest,
    /// None when the store could not be asked.
    signature: Option<(Verdict, bool)>,
}

impl Artifact {
    /// A file, a digest or its beginning, or `service:NAME`.
    pub async fn find(config: &Config, what: &str) -> anyhow::Result<Self> {
        let path = std::path::Path::new(what);
        if path.exists() {
            let bytes = read(config, path)?;
            let digest = Digest::of(&bytes);
            let asking = tokio::time::timeout(PATIENCE, signature(config, &digest)).await;
            return Ok(Self { bytes, digest, signature: asking.ok().and_then(Result::ok) });
        }
        let bus = Bus::connect(&config.nats, "ward inspect").await?;
        let artifacts = Artifacts::open(&bus, &config.artifacts).await?;
        let digest = match what.strip_prefix("service:") {
            Some(service) => desired(&bus, service).await?,
            None => {
                let found = artifacts.resolve(what).await;
                found.with_context(|| format!("{what} is neither a file nor an artifact that was pushed"))?
            }
        };
        let verdict = artifacts.verdict(&digest).await?;
        let accepted = artifacts.trust().accepts(&verdict);
        Ok(Self { bytes: artifacts.fetch(&digest).await?, digest, signature: Some((verdict, accepted)) })
    }
}

async fn signature(config: &Config, digest: &Digest) -> anyhow::Result<(Verdict, bool)> {
    let bus = Bus::connect(&config.nats, "ward inspect").await?;
    let artifacts = Artifacts::open(&bus, &config.artifacts).await?;
    let verdict = artifacts.verdict(digest).await?;
    let accepted = artifacts.trust().accepts(&verdict);
    Ok((verdict, accepted))
}

async fn desired(bus: &Bus, service: &str) -> anyhow::Result<Digest> {
    let name = ServiceName::parse(service).with_context(|| format!("{service:?} is not a service name"))?;
    let current = DesiredState::open(bus).await?.get(&name).await?;
    let digest = current.desired.and_then(|desired| Digest::parse(&desired.stable.digest));
    digest.with_context(|| format!("nothing was deployed as {service}"))
}

/// What the operator's configuration makes of it.
pub struct Loading<'a> {
    /// None when the service is not configured.
    service: Option<&'a ServiceConfig>,
    refusal: Option<String>,
}

pub fn configured<'a>(config: &'a Config, outline: &Outline) -> Option<&'a ServiceConfig> {
    ServiceName::parse(&outline.description.name).and_then(|name| config.service(&name))
}

async fn loading<'a>(config: &'a Config, inspector: &Inspector, inspected: &Inspected) -> Loading<'a> {
    let outline = match &inspected.look.outline {
        Ok(outline) => outline,
        Err(error) => return Loading { service: None, refusal: Some(error.to_string()) },
    };
    let service = configured(config, outline);
    let refusal = match service {
        None => None,
        Some(service) => inspector.would_load(inspected, &service.name, &service.grants).await.err(),
    };
    Loading { service, refusal: refusal.map(|error| error.to_string()) }
}

fn report(artifact: &Artifact, look: &Look, loading: &Loading<'_>) -> Value {
    let (provenance, readable) = match Provenance::of(&artifact.bytes) {
        Stated::Provenance(provenance) => (Some(provenance), true),
        Stated::Nothing => (None, true),
        Stated::Unreadable => (None, false),
    };
    let needs: Vec<Value> =
        look.needs.iter().map(|need| json!({"grant": need.capability.name(), "interface": need.interface})).collect();
    let mut report = json!({
        "digest": artifact.digest,
        "size": artifact.bytes.len(),
        "provenance": provenance,
        "provenance_readable": readable,
        "signature": artifact.signature.as_ref().map(|(verdict, _)| verdict),
        "accepted": artifact.signature.as_ref().map(|(_, accepted)| accepted),
        "needs": needs,
        "configured": loading.service.is_some(),
        "refusal": loading.refusal,
        "limits": loading.service.map(|service| &service.limits),
    });
    if let (Ok(outline), Some(fields)) = (&look.outline, report.as_object_mut()) {
        fields.extend(offers(outline));
    }
    report
}

fn offers(outline: &Outline) -> serde_json::Map<String, Value> {
    let described = &outline.description;
    let calls = outline.calls.iter().map(|call| json!({"interface": call.contract.text, "function": call.name}));
    let functions = outline.functions.iter().map(|function| {
        json!({"interface": function.contract.text, "function": *function.name, "effect": effect(function.effect)})
    });
    let routes = described.routes.iter().map(|route| {
        let (access, roles) = match &route.access {
            Access::Public => ("public", None),
            Access::Authenticated => ("authenticated", None),
            Access::Roles(roles) => ("roles", Some(roles)),
        };
        json!({
            "method": route.method, "path": route.path, "operation": route.operation, "effect": effect(route.effect),
            "access": access, "roles": roles, "live": route.live,
        })
    });
    let subscriptions = described.subscriptions.iter();
    let subscriptions = subscriptions.map(|one| json!({"name": one.name, "events": one.event_types}));
    let migrations = described.migrations.iter().map(|step| json!({"version": step.version, "name": step.name}));
    let list = |values: &mut dyn Iterator<Item = Value>| Value::Array(values.collect());
    let fields = [
        ("service", json!(described.name)),
        ("version", json!(described.version)),
        ("calls", list(&mut calls.into_iter())),
        ("publishes", json!(described.publishes)),
        ("functions", list(&mut functions.into_iter())),
        ("routes", list(&mut routes.into_iter())),
        ("subscriptions", list(&mut subscriptions.into_iter())),
        ("migrations", list(&mut migrations.into_iter())),
    ];
    fields.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
}

type Section = (&'static str, Vec<String>);

/// For people. What the artifact says of itself cannot do anything to their terminal ([`plain`]).
fn text(artifact: &Artifact, look: &Look, loading: &Loading<'_>) -> Vec<Section> {
    let size = artifact.bytes.len();
    let mut sections = vec![
        ("artifact", vec![artifact.digest.to_string()]),
        ("size", vec![format!("{} KiB ({size} bytes)", size.div_ceil(1024))]),
        ("signature", vec![signature_text(artifact.signature.as_ref())]),
        ("built from", provenance_text(&artifact.bytes)),
    ];
    let needs = look.needs.iter().map(|need| format!("{:<10} {}", need.capability.name(), plain(&need.interface)));
    sections.push(("needs", needs.collect()));
    if let Ok(outline) = &look.outline {
        let described = &outline.description;
        sections.insert(0, ("service", vec![format!("{} {}", plain(&described.name), plain(&described.version))]));
        sections.extend(offers_text(outline));
    }
    sections.push(("limits", loading.service.map(limits_text).unwrap_or_default()));
    sections.push(("a host", vec![loading_text(loading)]));
    sections
}

fn offers_text(outline: &Outline) -> [Section; 6] {
    let described = &outline.description;
    let calls = outline.calls.iter().map(|call| format!("{}/{}", plain(&call.contract.text), plain(&call.name)));
    let functions = outline.functions.iter().map(|function| {
        format!("{:<6} {}/{}", effect(function.effect), plain(&function.contract.text), plain(&function.name))
    });
    let routes = described.routes.iter().map(|route| {
        let (effect, live) = (effect(route.effect), if route.live { ", live" } else { "" });
        let access = plain(&access(&route.access));
        format!("{:<6} {:<40} {effect}{live}; {access}", plain(&route.method), plain(&route.path))
    });
    let subscriptions = described.subscriptions.iter();
    let subscriptions =
        subscriptions.map(|one| format!("{:<20} {}", plain(&one.name), plain(&one.event_types.join(", "))));
    let migrations = described.migrations.iter().map(|step| format!("{:<6} {}", step.version, plain(&step.name)));
    [
        ("calls", calls.collect()),
        ("publishes", described.publishes.iter().map(|name| plain(name)).collect()),
        ("functions", functions.collect()),
        ("routes", routes.collect()),
        ("hears", subscriptions.collect()),
        ("migrations", migrations.collect()),
    ]
}

fn signature_text(signature: Option<&(Verdict, bool)>) -> String {
    let Some((verdict, accepted)) = signature else {
        return "not known: NATS, where signatures are, cannot be reached".to_owned();
    };
    let state = match verdict {
        Verdict::Trusted { key } => format!("by the trusted key {}", plain(key)),
        Verdict::Unsigned => "none".to_owned(),
        Verdict::UnknownKey { keys } => format!("by {}, not among artifacts.trusted_keys", plain(&keys.join(", "))),
        Verdict::WrongSignature { key } => format!("wrong: names the key {}, and is not its", plain(key)),
        Verdict::Unreadable => "unreadable".to_owned(),
    };
    match (verdict, accepted) {
        (Verdict::Trusted { .. }, _) => state,
        (_, true) => format!("{state}; accepted, since artifacts.trusted_keys is empty"),
        (_, false) => format!("{state}; hosts refuse it"),
    }
}

fn provenance_text(artifact: &[u8]) -> Vec<String> {
    let provenance = match Provenance::of(artifact) {
        Stated::Provenance(provenance) => provenance,
        Stated::Nothing => return vec!["it does not say; `ward build` writes it".to_owned()],
        Stated::Unreadable => return vec!["what it says cannot be read".to_owned()],
    };
    let commit =
        provenance.commit.as_deref().map_or("no commit".to_owned(), |commit| format!("commit {}", plain(commit)));
    let changed = if provenance.dirty { ", changed since" } else { "" };
    let time = provenance.source_time.as_deref().map(|time| format!(", {}", plain(time))).unwrap_or_default();
    vec![
        format!("{} {}, {commit}{changed}{time}", plain(&provenance.name), plain(&provenance.version)),
        plain(&provenance.toolchain),
    ]
}

fn limits_text(service: &ServiceConfig) -> Vec<String> {
    let limits = limits::list(&service.limits).into_iter();
    limits.map(|(name, value, unit)| format!("{name:<16} {value} {unit}")).collect()
}

fn loading_text(loading: &Loading<'_>) -> String {
    match (loading.service, &loading.refusal) {
        (_, Some(refusal)) => format!("refuses it: {}", plain(refusal)),
        (Some(_), None) => "with this configuration loads it".to_owned(),
        (None, None) => "does not run it: the configuration has no section for this service".to_owned(),
    }
}

fn print(name: &str, lines: Vec<String>) {
    let mut name = name;
    for line in lines {
        let padding = " ".repeat(14_usize.saturating_sub(name.len()));
        output::line(format_args!("{}{padding}{line}", paint(HEADING, name)));
        name = "";
    }
}

/// Text of an artifact, as it may stand on a terminal and in one line: what would control either is shown by its number.
pub fn plain(text: &str) -> String {
    let controls = |character: char| {
        character.is_control()
            || matches!(character, '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
    };
    let shown = |character: char| match controls(character) {
        true => character.escape_unicode().to_string(),
        false => character.to_string(),
    };
    text.chars().map(shown).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_artifact_cannot_write_to_the_terminal() {
        assert_eq!(plain("list \u{1b}[2Jé\nx\u{202e}"), "list \\u{1b}[2Jé\\u{a}x\\u{202e}");
    }
}
