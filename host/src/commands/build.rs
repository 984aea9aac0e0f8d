//! `ward build`: components from source.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, bail};
use clap::Args;
use serde_json::Value;

const TARGET: &str = "wasm32-unknown-unknown";
const PROFILE: &str = "guest";

#[derive(Args)]
pub struct Arguments {
    /// Names of directories below components/, or paths of others; without any all of components/.
    names: Vec<String>,
}

/// A crate that makes a component: the directory's name is the service's.
struct Source {
    directory: PathBuf,
    service: String,
    package: String,
    library: String,
}

impl Source {
    fn is_in_components(&self) -> bool {
        self.directory.parent().is_some_and(|parent| parent.ends_with("components"))
    }

    fn is_named(&self, name: &str) -> bool {
        (self.is_in_components() && self.service == name) || (name.contains('/') && self.directory.ends_with(name))
    }
}

pub fn run(arguments: &Arguments) -> anyhow::Result<()> {
    let metadata = metadata()?;
    let all = sources(&metadata);
    let chosen: Vec<&Source> = if arguments.names.is_empty() {
        all.iter().filter(|source| source.is_in_components()).collect()
    } else {
        let find = |name: &String| {
            let found = all.iter().find(|source| source.is_named(name));
            found.with_context(|| format!("{name} is neither below components/ nor the path of a crate with a cdylib"))
        };
        arguments.names.iter().map(find).collect::<anyhow::Result<_>>()?
    };
    let mut cargo = Command::new(std::env::var("CARGO").unwrap_or_else(|_| "cargo".to_owned()));
    cargo.args(["build", "--target", TARGET, "--profile", PROFILE]);
    for source in &chosen {
        cargo.args(["-p", &source.package]);
    }
    if !cargo.status().context("cannot run cargo")?.success() {
        bail!("the components were not built");
    }
    let target = metadata.get("target_directory").and_then(Value::as_str).context("no target directory")?;
    let target = PathBuf::from(target);
    let output = target.join("components");
    std::fs::create_dir_all(&output)?;
    for source in chosen {
        let module = target.join(TARGET).join(PROFILE).join(format!("{}.wasm", source.library));
        componentize_file(&module, &output.join(format!("{}.wasm", source.service)))?;
    }
    Ok(())
}

fn metadata() -> anyhow::Result<Value> {
    let output = Command::new(std::env::var("CARGO").unwrap_or_else(|_| "cargo".to_owned()))
        .args(["metadata", "--no-deps", "--format-version", "1"])
        .output()
        .context("cannot run cargo")?;
    if !output.status.success() {
        bail!("cargo metadata failed: {}", String::from_utf8_lossy(&output.stderr));
    }
    Ok(serde_json::from_slice(&output.stdout)?)
}

fn sources(metadata: &Value) -> Vec<Source> {
    let packages = metadata.get("packages").and_then(Value::as_array);
    packages.into_iter().flatten().filter_map(source).collect()
}

fn source(package: &Value) -> Option<Source> {
    let directory = Path::new(package.get("manifest_path")?.as_str()?).parent()?;
    let targets = package.get("targets")?.as_array()?;
    let library = targets.iter().find(|target| {
        let kinds = target.get("crate_types").and_then(Value::as_array);
        kinds.is_some_and(|kinds| kinds.iter().any(|kind| kind == "cdylib"))
    })?;
    Some(Source {
        directory: directory.to_owned(),
        service: directory.file_name()?.to_str()?.to_owned(),
        package: package.get("name")?.as_str()?.to_owned(),
        library: library.get("name")?.as_str()?.replace('-', "_"),
    })
}

/// Writes only when something changed, so that nobody deploys what is there already.
pub fn componentize_file(input: &Path, output: &Path) -> anyhow::Result<()> {
    let module = std::fs::read(input).with_context(|| format!("cannot read {}", input.display()))?;
    let component = wit_component::ComponentEncoder::default()
        .validate(true)
        .module(&module)
        .and_then(|encoder| encoder.encode())
        .with_context(|| format!("{} does not make a component", input.display()))?;
    if std::fs::read(output).is_ok_and(|present| present == component) {
        return Ok(());
    }
    std::fs::write(output, &component).with_context(|| format!("cannot write {}", output.display()))?;
    println!("{} ({} KiB)", output.display(), component.len() / 1024);
    Ok(())
}
