//! `ward build`: components from source, with their provenance in them (`origin`).

mod origin;

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, bail};
use clap::Args;
use serde_json::{Value, json};
use wit_component::DecodedWasm;
use wit_parser::WorldItem;

use self::origin::Origin;
use super::output::{self, Format};
use crate::artifacts::{Digest, Provenance, Stated, condense};
use crate::config::Capability;

const TARGET: &str = "wasm32-unknown-unknown";
const PROFILE: &str = "guest";

#[derive(Args)]
pub struct Arguments {
    /// Names of directories below components/, or paths of others; without any all of components/, or of the working directory's workspace.
    names: Vec<String>,
    #[command(flatten)]
    format: Format,
}

/// A crate that makes a component: the directory's name is the service's.
#[derive(Debug, Clone)]
pub struct Source {
    pub directory: PathBuf,
    pub service: String,
    package: String,
    version: String,
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
    pub digest: Digest,
    /// As they stand in a component: `ward:store/sql@0.1.0`.
    pub imports: Vec<String>,
    /// False when the same bytes were there before.
    pub is_new: bool,
}

pub fn run(arguments: &Arguments) -> anyhow::Result<()> {
    let workspace = Workspace::of(Path::new("."))?;
    let chosen = workspace.chosen(&arguments.names)?;
    let built = workspace.build(&chosen, Detail::Progress)?;
    if arguments.format.json {
        return output::json(&built.iter().map(report).collect::<Vec<_>>());
    }
    built.iter().for_each(tell);
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
    /// Where cargo runs the compiler.
    root: PathBuf,
    target: PathBuf,
    sources: Vec<Source>,
}

impl Workspace {
    /// That of a directory in it.
    pub fn of(directory: &Path) -> anyhow::Result<Self> {
        let metadata = metadata(directory)?;
        let path = |name| metadata.get(name).and_then(Value::as_str).map(PathBuf::from);
        let target = path("target_directory").context("no target directory")?;
        let root = path("workspace_root").context("no workspace")?;
        Ok(Self { directory: directory.to_owned(), root, target, sources: sources(&metadata) })
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
        if let Some(setting) = same_paths_everywhere() {
            cargo.args(["--config", &setting]);
        }
        if detail == Detail::Faults {
            cargo.arg("--quiet");
        }
        for source in chosen {
            cargo.args(["-p", &source.package]);
            self.forget_other_version(source);
        }
        if !cargo.status().context("cannot run cargo")?.success() {
            bail!("the components were not built");
        }
        std::fs::create_dir_all(self.target.join("components"))?;
        let toolchain = origin::toolchain(&self.directory);
        let artifact = |source: &&Source| {
            let component = component(&self.module(source, "wasm"), &self.root)?;
            let component = self.origin(source).provenance(&toolchain).embed(component);
            write(component, &self.artifact(source))
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

    /// Cargo has one place for the modules of all versions of a crate. Back at a version that it has built before, it takes what
    /// lies there, whatever version that is of.
    fn forget_other_version(&self, source: &Source) {
        let built = std::fs::read(self.artifact(source)).map(|artifact| Provenance::of(&artifact));
        if !matches!(built, Ok(Stated::Provenance(provenance)) if provenance.version == source.version) {
            let module = self.target.join(TARGET).join(PROFILE).join("deps").join(&source.library);
            let _ = std::fs::remove_file(module.with_extension("wasm"));
        }
    }

    fn artifact(&self, source: &Source) -> PathBuf {
        self.target.join("components").join(format!("{}.wasm", source.service))
    }

    fn origin<'a>(&self, source: &'a Source) -> Origin<'a> {
        Origin {
            service: &source.service,
            version: &source.version,
            directory: &source.directory,
            inputs: self.inputs(source),
        }
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
        version: package.get("version")?.as_str()?.to_owned(),
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

/// Nothing is known of the module's origin, so the component says nothing of it.
pub fn componentize_file(input: &Path, output: &Path) -> anyhow::Result<()> {
    let directory = std::env::current_dir()?;
    tell(&write(component(input, &directory)?, output)?);
    Ok(())
}

fn tell(built: &Built) {
    let state = if built.is_new { "" } else { ", as before" };
    output::line(format_args!("{} ({} KiB{state})", built.path.display(), built.size / 1024));
    output::line(format_args!("  digest   {}", built.digest));
    let needs: Vec<String> = built.imports.iter().filter_map(|import| need(import)).collect();
    output::line(format_args!("  needs    {}", if needs.is_empty() { "nothing".to_owned() } else { needs.join(", ") }));
}

fn report(built: &Built) -> Value {
    let needs: Vec<String> = built.imports.iter().filter_map(|import| need(import)).collect();
    json!({
        "file": built.path, "size": built.size, "digest": built.digest, "imports": built.imports, "needs": needs,
        "new": built.is_new,
    })
}

/// The grant that opens an import, and for a call what is called; none for one that no host offers.
fn need(import: &str) -> Option<String> {
    match Capability::of_interface(import) {
        Some(capability) => Some(capability.name().to_owned()),
        None if import.starts_with("ward:") => None,
        None => Some(format!("call {}", import.split_once('@').map_or(import, |(name, _)| name))),
    }
}

/// `workspace` is where the compiler ran that made the module.
fn component(module: &Path, workspace: &Path) -> anyhow::Result<Vec<u8>> {
    let bytes = std::fs::read(module).with_context(|| format!("cannot read {}", module.display()))?;
    let bytes = condense(&bytes, workspace).with_context(|| format!("{} is no module", module.display()))?;
    wit_component::ComponentEncoder::default()
        .validate(true)
        .module(&bytes)
        .and_then(|encoder| encoder.encode())
        .with_context(|| format!("{} does not make a component", module.display()))
}

/// Writes only when something changed, so that nobody deploys what is there already.
fn write(component: Vec<u8>, output: &Path) -> anyhow::Result<Built> {
    let is_new = !std::fs::read(output).is_ok_and(|present| present == component);
    if is_new {
        std::fs::write(output, &component).with_context(|| format!("cannot write {}", output.display()))?;
    }
    let (digest, imports) = (Digest::of(&component), imports(&component)?);
    Ok(Built { path: output.to_owned(), size: component.len(), digest, imports, is_new })
}

/// The names of the interfaces of which a component imports functions; those of types alone open nothing.
fn imports(component: &[u8]) -> anyhow::Result<Vec<String>> {
    let DecodedWasm::Component(resolve, world) = wit_component::decode(component)? else {
        bail!("it is a package of interfaces, and no component");
    };
    let world = resolve.worlds.get(world).context("it has no world")?;
    let has_functions = |item: &WorldItem| match item {
        WorldItem::Interface { id, .. } => resolve.interfaces.get(*id).is_some_and(|one| !one.functions.is_empty()),
        WorldItem::Function(_) => true,
        WorldItem::Type { .. } => false,
    };
    let imports = world.imports.iter().filter(|(_, item)| has_functions(item));
    Ok(imports.map(|(key, _)| resolve.name_world_key(key)).collect())
}

/// The crates' own code lies elsewhere on each machine, and its paths stand in the messages of panics. They shall not make
/// another artifact of the same source.
fn same_paths_everywhere() -> Option<String> {
    let home = std::env::var_os("CARGO_HOME").map(PathBuf::from);
    let home = home.or_else(|| Some(PathBuf::from(std::env::var_os("HOME")?).join(".cargo")))?;
    let flag = format!("--remap-path-prefix={}=/crates", home.join("registry/src").to_str()?);
    Some(format!("target.{TARGET}.rustflags=[{}]", toml::Value::String(flag)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn needs_are_grants_and_calls() {
        assert_eq!(need("ward:store/sql@0.1.0").as_deref(), Some("sql"));
        assert_eq!(need("shop:stock/items@0.1.0").as_deref(), Some("call shop:stock/items"));
    }

    #[test]
    fn the_crates_of_the_registry_have_the_same_paths_everywhere() {
        let setting = same_paths_everywhere().unwrap();
        let parsed: toml::Table = setting.parse().unwrap();
        let flags = parsed["target"][TARGET]["rustflags"].as_array().unwrap();
        assert!(flags[0].as_str().unwrap().ends_with("/registry/src=/crates"), "{setting}");
    }

    #[test]
    fn reads_what_cargo_lists() {
        let listed = "/t/a.wasm: /w/src/lib.rs /w/with\\ space/b.rs\n";
        assert_eq!(dependencies(listed), ["/w/src/lib.rs", "/w/with space/b.rs"]);
        assert_eq!(dependencies(""), Vec::<String>::new());
    }
}
