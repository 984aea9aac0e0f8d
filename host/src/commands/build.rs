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
    /// Names of directories below components/, or paths of others; without any all of components/, or of the working directory's workspace.
    names: Vec<String>,
}

/// A crate that makes a component: the directory's name is the service's.
#[derive(Debug, Clone)]
pub struct Source {
    pub directory: PathBuf,
    pub service: String,
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

/// An artifact that was built.
pub struct Built {
    pub path: PathBuf,
    pub size: usize,
    /// False when the same bytes were there before.
    pub is_new: bool,
}

pub fn run(arguments: &Arguments) -> anyhow::Result<()> {
    let workspace = Workspace::of(Path::new("."))?;
    let chosen = workspace.chosen(&arguments.names)?;
    for built in workspace.build(&chosen, Detail::Progress)? {
        tell(&built);
    }
    Ok(())
}

/// What cargo says while it builds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Detail {
    Progress,
    /// Warnings and errors alone.
    Faults,
}

/// The crates that cargo knows in one place.
#[derive(Clone)]
pub struct Workspace {
    directory: PathBuf,
    target: PathBuf,
    sources: Vec<Source>,
}

impl Workspace {
    /// That of a directory in it.
    pub fn of(directory: &Path) -> anyhow::Result<Self> {
        let metadata = metadata(directory)?;
        let target = metadata.get("target_directory").and_then(Value::as_str).context("no target directory")?;
        Ok(Self { directory: directory.to_owned(), target: PathBuf::from(target), sources: sources(&metadata) })
    }

    /// The component whose folder this is.
    pub fn at(&self, directory: &Path) -> anyhow::Result<&Source> {
        let directory = directory.canonicalize().with_context(|| format!("cannot find {}", directory.display()))?;
        let is_it = |source: &&Source| source.directory.canonicalize().is_ok_and(|path| path == directory);
        let found = self.sources.iter().find(is_it);
        found.with_context(|| format!("{} is not the folder of a crate with a cdylib", directory.display()))
    }

    fn chosen(&self, names: &[String]) -> anyhow::Result<Vec<&Source>> {
        if names.is_empty() {
            // Another workspace than Ward's has no folder components/: there all of it is meant.
            let components: Vec<&Source> = self.sources.iter().filter(|source| source.is_in_components()).collect();
            return Ok(if components.is_empty() { self.sources.iter().collect() } else { components });
        }
        let find = |name: &String| {
            let found = self.sources.iter().find(|source| source.is_named(name));
            found.with_context(|| format!("{name} is neither below components/ nor the path of a crate with a cdylib"))
        };
        names.iter().map(find).collect()
    }

    /// Artifacts in the order of `chosen`. The compiler's messages go to standard error.
    pub fn build(&self, chosen: &[&Source], detail: Detail) -> anyhow::Result<Vec<Built>> {
        let mut cargo = cargo(&self.directory);
        cargo.args(["build", "--target", TARGET, "--profile", PROFILE]);
        if detail == Detail::Faults {
            cargo.arg("--quiet");
        }
        for source in chosen {
            cargo.args(["-p", &source.package]);
        }
        if !cargo.status().context("cannot run cargo")?.success() {
            bail!("the components were not built");
        }
        let output = self.target.join("components");
        std::fs::create_dir_all(&output)?;
        let artifact = |source: &&Source| {
            componentize(&self.module(source, "wasm"), &output.join(format!("{}.wasm", source.service)))
        };
        chosen.iter().map(artifact).collect()
    }

    /// The files and folders that the last build read: of the component, and of all that is built with it here. None
    /// before the first build.
    pub fn inputs(&self, source: &Source) -> Vec<PathBuf> {
        let listed = std::fs::read_to_string(self.module(source, "d")).unwrap_or_default();
        let paths = dependencies(&listed).into_iter().map(PathBuf::from);
        paths.filter(|path| !path.starts_with(&self.target)).collect()
    }

    fn module(&self, source: &Source, extension: &str) -> PathBuf {
        self.target.join(TARGET).join(PROFILE).join(&source.library).with_extension(extension)
    }
}

fn cargo(directory: &Path) -> Command {
    let mut cargo = Command::new(std::env::var("CARGO").unwrap_or_else(|_| "cargo".to_owned()));
    cargo.current_dir(directory);
    cargo
}

fn metadata(directory: &Path) -> anyhow::Result<Value> {
    let mut cargo = cargo(directory);
    cargo.args(["metadata", "--no-deps", "--format-version", "1"]);
    let output = cargo.output().context("cannot run cargo")?;
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

/// The paths behind the colon of cargo's dep-info; a space in a path has a backslash before it.
fn dependencies(listed: &str) -> Vec<String> {
    let Some((_, paths)) = listed.split_once(": ") else {
        return Vec::new();
    };
    let hidden = paths.trim_end().replace("\\ ", "\0");
    hidden.split(' ').filter(|path| !path.is_empty()).map(|path| path.replace('\0', " ")).collect()
}

pub fn componentize_file(input: &Path, output: &Path) -> anyhow::Result<()> {
    tell(&componentize(input, output)?);
    Ok(())
}

fn tell(built: &Built) {
    if built.is_new {
        println!("{} ({} KiB)", built.path.display(), built.size / 1024);
    }
}

/// Writes only when something changed, so that nobody deploys what is there already.
fn componentize(input: &Path, output: &Path) -> anyhow::Result<Built> {
    let module = std::fs::read(input).with_context(|| format!("cannot read {}", input.display()))?;
    let component = wit_component::ComponentEncoder::default()
        .validate(true)
        .module(&module)
        .and_then(|encoder| encoder.encode())
        .with_context(|| format!("{} does not make a component", input.display()))?;
    let is_new = !std::fs::read(output).is_ok_and(|present| present == component);
    if is_new {
        std::fs::write(output, &component).with_context(|| format!("cannot write {}", output.display()))?;
    }
    Ok(Built { path: output.to_owned(), size: component.len(), is_new })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_cargo_lists() {
        let listed = "/t/a.wasm: /w/src/lib.rs /w/with\\ space/b.rs\n";
        assert_eq!(dependencies(listed), ["/w/src/lib.rs", "/w/with space/b.rs"]);
        assert_eq!(dependencies(""), Vec::<String>::new());
    }
}
