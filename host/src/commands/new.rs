//! `ward new`: a component to begin with.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, bail, ensure};
use clap::{Args, ValueEnum};

use serde_json::json;

use super::output::{self, Format, line, note};
use crate::config::ServiceName;

/// A file of the template, below the new component.
macro_rules! template {
    ($file:literal) => {
        include_str!(concat!("../../../components/sdk/template/", $file))
    };
}

const EXAMPLES: &str = "Examples:
  ward new notes                          components/notes: REST, and a table
  ward new notes --with http              REST alone
  ward new notes --with sql,http,events   REST, a table, an event heard and one published
  ward new notes --dir ~/services         ~/services/notes, outside of this repository";

#[derive(Args)]
#[command(after_help = EXAMPLES)]
pub struct Arguments {
    /// The service's name: lower case letters, digits and dashes.
    name: String,
    /// What it shall have.
    #[arg(long, value_enum, value_delimiter = ',', default_values = ["sql", "http"])]
    with: Vec<Feature>,
    /// In which folder NAME is made; without it components/, or the working directory outside of Ward's repository.
    #[arg(long)]
    dir: Option<PathBuf>,
    /// The folder components/sdk of Ward's repository; without it that of the repository around the working directory.
    #[arg(long)]
    sdk: Option<PathBuf>,
    #[command(flatten)]
    format: Format,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, ValueEnum)]
enum Feature {
    /// Routes over REST.
    Http,
    /// A table.
    Sql,
    /// An event that it hears, and one that it publishes.
    Events,
}

pub fn run(arguments: &Arguments) -> anyhow::Result<()> {
    let name = ServiceName::parse(&arguments.name).with_context(|| {
        format!("{:?} is not a service name: lower case letters, digits and dashes, at most 40", arguments.name)
    })?;
    let features = features(&arguments.with)?;
    let place = Place::find(name.as_str(), arguments)?;
    ensure!(!place.folder.exists(), "{} is there already; nothing was written", place.folder.display());
    let template = Template { name: name.as_str(), features: &features, sdk: &place.sdk };
    let files = files(&features, place.is_in_workspace);
    for (path, text) in &files {
        write(&place.folder.join(path), &template.fill(text)?)?;
    }
    format(&place.folder);
    let next = next_steps(name.as_str(), &place)?;
    if arguments.format.json {
        let files: Vec<&str> = files.into_iter().map(|(path, _)| path).collect();
        return output::json(&json!({"service": name.as_str(), "folder": place.folder, "files": files, "next": next}));
    }
    tell(&place, &next, &template)
}

/// What was asked for, and what it cannot do without.
fn features(asked: &[Feature]) -> anyhow::Result<BTreeSet<Feature>> {
    let mut features: BTreeSet<Feature> = asked.iter().copied().collect();
    if features.contains(&Feature::Events) {
        // An event is kept beside the rows that it tells of, until it is sent.
        features.insert(Feature::Sql);
    }
    if !features.contains(&Feature::Http) && !features.contains(&Feature::Events) {
        bail!("nobody could reach it: add http or events to --with");
    }
    Ok(features)
}

/// Where a component is written, and with which SDK.
struct Place {
    folder: PathBuf,
    sdk: PathBuf,
    is_in_workspace: bool,
}

impl Place {
    fn find(name: &str, arguments: &Arguments) -> anyhow::Result<Self> {
        let here = std::env::current_dir()?;
        let repository = here.ancestors().find(|folder| folder.join("components/sdk/Cargo.toml").exists());
        let components = repository.map(|repository| repository.join("components"));
        let sdk = match (&arguments.sdk, &components) {
            (Some(sdk), _) => sdk.canonicalize().with_context(|| format!("there is no {}", sdk.display()))?,
            (None, Some(components)) => components.join("sdk"),
            (None, None) => bail!("this is not Ward's repository: say where its components/sdk is, with --sdk"),
        };
        let folder = match (&arguments.dir, &components) {
            (Some(folder), _) => here.join(folder).join(name),
            (None, Some(components)) => components.join(name),
            (None, None) => here.join(name),
        };
        let is_in_workspace = components.is_some_and(|components| folder.parent() == Some(components.as_path()));
        Ok(Self { folder, sdk, is_in_workspace })
    }
}

fn files(features: &BTreeSet<Feature>, is_in_workspace: bool) -> Vec<(&'static str, &'static str)> {
    let mut files =
        vec![("service.toml", template!("service.toml")), ("tests/component.rs", template!("component.rs"))];
    if features.contains(&Feature::Sql) {
        files.extend([
            ("src/lib.rs", template!("lib.rs")),
            ("src/store.rs", template!("store.rs")),
            ("src/tests.rs", template!("tests.rs")),
            ("migrations/1_items.sql", template!("1_items.sql")),
        ]);
    } else {
        files.push(("src/lib.rs", template!("greeting.rs")));
    }
    if is_in_workspace {
        files.push(("Cargo.toml", template!("Cargo.workspace.toml")));
    } else {
        files.extend([
            ("Cargo.toml", template!("Cargo.alone.toml")),
            (".cargo/config.toml", template!("config.toml")),
            (".gitignore", "target\n"),
        ]);
    }
    files
}

/// Fills a text in: `{{name}}` is a value, and lines between `{{#sql}}` and `{{/sql}}` are there with that feature, those of `{{^sql}}` without it.
struct Template<'a> {
    name: &'a str,
    features: &'a BTreeSet<Feature>,
    sdk: &'a Path,
}

impl Template<'_> {
    fn fill(&self, text: &str) -> anyhow::Result<String> {
        let (mut filled, mut open) = (String::with_capacity(text.len()), Vec::new());
        for line in text.lines() {
            let mark = line.strip_prefix("{{").and_then(|rest| rest.strip_suffix("}}"));
            match mark.and_then(|mark| mark.split_at_checked(1)) {
                Some(("#", feature)) => open.push(self.has(feature)?),
                Some(("^", feature)) => open.push(!self.has(feature)?),
                Some(("/", _)) => drop(open.pop()),
                _ if open.iter().all(|is_there| *is_there) => {
                    filled.push_str(&self.values(line));
                    filled.push('\n');
                }
                _ => {}
            }
        }
        Ok(filled)
    }

    fn has(&self, feature: &str) -> anyhow::Result<bool> {
        let feature = Feature::from_str(feature, true).map_err(anyhow::Error::msg)?;
        Ok(self.features.contains(&feature))
    }

    fn values(&self, line: &str) -> String {
        if !line.contains("{{") {
            return line.to_owned();
        }
        let doors = [(Feature::Http, "served"), (Feature::Events, "subscribed")];
        let doors = doors.iter().filter(|(feature, _)| self.features.contains(feature)).map(|(_, door)| *door);
        let sdk = self.sdk.display().to_string();
        line.replace("{{name}}", self.name)
            .replace("{{Name}}", &capitalized(self.name))
            .replace("{{doors}}", &doors.collect::<Vec<_>>().join(", "))
            .replace("{{sdk}}", &sdk)
    }
}

/// `lab-results` as `LabResults`.
fn capitalized(name: &str) -> String {
    let words = name.split('-').filter_map(|word| {
        let mut characters = word.chars();
        characters.next().map(|first| first.to_uppercase().chain(characters).collect::<String>())
    });
    words.collect()
}

fn write(path: &Path, text: &str) -> anyhow::Result<()> {
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
    }
    std::fs::write(path, text).with_context(|| format!("cannot write {}", path.display()))
}

/// How lines break depends on the length of the name. Without rustfmt they stay as they are.
fn format(folder: &Path) {
    let _ = Command::new("rustfmt")
        .args(["--edition", "2024", "src/lib.rs", "tests/component.rs"])
        .current_dir(folder)
        .stderr(Stdio::null())
        .status();
}

/// The folder as one would type it here.
fn from_here(place: &Place) -> anyhow::Result<&Path> {
    let here = std::env::current_dir()?;
    Ok(place.folder.strip_prefix(&here).unwrap_or(&place.folder))
}

/// The commands by which it goes live.
fn next_steps(name: &str, place: &Place) -> anyhow::Result<[String; 4]> {
    let folder = from_here(place)?.display();
    let build =
        if place.is_in_workspace { format!("ward build {name}") } else { format!("(cd {folder} && ward build)") };
    let (test, artifact) = match place.is_in_workspace {
        true => (format!("cargo test -p {name}"), format!("target/components/{name}.wasm")),
        false => (format!("(cd {folder} && cargo test)"), format!("{folder}/target/components/{name}.wasm")),
    };
    Ok([build, test, "ward provision".to_owned(), format!("ward deploy {name} {artifact}")])
}

fn tell(place: &Place, next: &[String], template: &Template<'_>) -> anyhow::Result<()> {
    line(from_here(place)?.display());
    note(format_args!(
        "\nNext:\n  {}\n\n\
         In the profile development it gets what its service.toml asks for, if `development.include` finds that file. \
         In production this belongs into the configuration of the hosts:\n\n{}",
        next.join("\n  "),
        template.fill(template!("service.toml"))?.lines().skip(2).collect::<Vec<_>>().join("\n")
    ));
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(with: &[Feature]) -> String {
        let features = features(with).unwrap();
        let template = Template { name: "lab-results", features: &features, sdk: Path::new("/sdk") };
        files(&features, true).into_iter().map(|(_, text)| template.fill(text).unwrap()).collect()
    }

    #[test]
    fn nothing_of_the_template_is_left() {
        use Feature::{Events, Http, Sql};
        for with in [&[Http][..], &[Sql, Http], &[Events], &[Sql, Http, Events]] {
            let text = all(with);
            assert!(!text.contains("{{"), "{with:?}: {text}");
            assert!(text.contains("lab-results"), "{with:?}");
        }
    }

    #[test]
    fn features_come_alone_and_together() {
        assert!(!all(&[Feature::Http]).contains("sql"));
        assert!(all(&[Feature::Events]).contains("create table"));
        assert!(all(&[Feature::Sql, Feature::Http]).contains("addLabResultsItem"));
        assert!(features(&[Feature::Sql]).unwrap_err().to_string().contains("--with"));
    }

    #[test]
    fn an_author_begins_with_a_hundred_lines_of_code_or_less() {
        use Feature::{Events, Http, Sql};
        for with in [&[Http][..], &[Sql, Http], &[Sql, Http, Events]] {
            let features = features(with).unwrap();
            let template = Template { name: "notes", features: &features, sdk: Path::new("/sdk") };
            let is_authors = |path: &str| path.starts_with("src/") && path != "src/tests.rs";
            let sources = files(&features, true).into_iter().filter(|(path, _)| is_authors(path));
            let is_code = |line: &&str| !line.trim().is_empty() && !line.trim_start().starts_with("//");
            let lines: usize =
                sources.map(|(_, text)| template.fill(text).unwrap().lines().filter(is_code).count()).sum();
            assert!(lines <= 100, "{with:?}: {lines}");
        }
    }
}
