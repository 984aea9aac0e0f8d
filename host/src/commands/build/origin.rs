//! Where a component comes from, as git and rustc say it.
//!
//! The same source has to give the same bytes wherever and whenever it is built. So the commit is the last one that changed
//! something the component is built from, not the last of all, and no clock is asked.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::artifacts::Provenance;
use crate::clock;

/// What a component was built from.
pub struct Origin<'a> {
    pub service: &'a str,
    pub version: &'a str,
    /// The crate's directory.
    pub directory: &'a Path,
    /// The files that the compiler read.
    pub inputs: Vec<PathBuf>,
}

/// The compiler, and this program, which makes a component of the compiler's output.
pub fn toolchain(directory: &Path) -> String {
    let rustc = std::env::var("RUSTC").unwrap_or_else(|_| "rustc".to_owned());
    let version = said(Command::new(rustc).arg("--version").current_dir(directory));
    format!("{}, ward {}", version.as_deref().unwrap_or("unknown rustc"), env!("CARGO_PKG_VERSION"))
}

impl Origin<'_> {
    pub fn provenance(&self, toolchain: &str) -> Provenance {
        let paths = self.paths();
        let last = self.last_commit(&paths);
        let (commit, committed_s) = last.unzip();
        let given = std::env::var("SOURCE_DATE_EPOCH").ok().and_then(|seconds| seconds.parse::<i64>().ok());
        Provenance {
            name: self.service.to_owned(),
            version: self.version.to_owned(),
            dirty: commit.is_some() && self.is_changed(&paths),
            commit,
            source_time: given.or(committed_s).map(|seconds| clock::rfc3339(seconds.saturating_mul(1_000_000))),
            toolchain: toolchain.to_owned(),
        }
    }

    /// What the compiler read, and what cargo read to call it, within the repository.
    fn paths(&self) -> Vec<PathBuf> {
        let Some(root) = self.git(&["rev-parse", "--show-toplevel"], &[]).map(PathBuf::from) else { return Vec::new() };
        let mut paths: BTreeSet<PathBuf> = self.inputs.iter().filter_map(|path| path.canonicalize().ok()).collect();
        paths.extend(self.directory.canonicalize());
        let folders = paths.iter().flat_map(|path| path.ancestors()).collect::<BTreeSet<_>>();
        let manifests = folders.iter().flat_map(|folder| {
            ["Cargo.toml", "Cargo.lock", ".cargo/config.toml", "rust-toolchain.toml"].map(|name| folder.join(name))
        });
        let manifests: Vec<PathBuf> = manifests.filter(|path| path.exists()).collect();
        paths.extend(manifests);
        paths.into_iter().filter(|path| path.starts_with(&root)).collect()
    }

    /// Its hash, and its time in seconds since the epoch.
    fn last_commit(&self, paths: &[PathBuf]) -> Option<(String, i64)> {
        if paths.is_empty() {
            return None;
        }
        let line = self.git(&["log", "-1", "--format=%H %ct"], paths)?;
        let (hash, seconds) = line.split_once(' ')?;
        Some((hash.to_owned(), seconds.parse().ok()?))
    }

    fn is_changed(&self, paths: &[PathBuf]) -> bool {
        self.git(&["status", "--porcelain"], paths).is_none_or(|changes| !changes.is_empty())
    }

    /// None where there is no repository, or no git.
    fn git(&self, arguments: &[&str], paths: &[PathBuf]) -> Option<String> {
        let mut git = Command::new("git");
        git.current_dir(self.directory).args(arguments);
        if !paths.is_empty() {
            git.arg("--").args(paths);
        }
        said(&mut git)
    }
}

/// The trimmed output of a command that succeeds.
fn said(command: &mut Command) -> Option<String> {
    let output = command.stdin(std::process::Stdio::null()).output().ok()?;
    output.status.success().then(|| String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn git(folder: &Path, arguments: &[&str]) {
        let who = ["-c", "user.name=a", "-c", "user.email=a@b"];
        let mut command = Command::new("git");
        assert!(said(command.current_dir(folder).args(who).args(arguments)).is_some(), "git {arguments:?}");
    }

    #[test]
    fn names_the_commit_that_changed_the_component_and_whether_it_was_changed_since() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path();
        let at = |name: &str| root.join(name);
        for name in ["stock", "other"] {
            std::fs::create_dir(at(name)).unwrap();
            std::fs::write(at(name).join("lib.rs"), name).unwrap();
        }
        git(root, &["init", "-q"]);
        git(root, &["add", "-A"]);
        git(root, &["commit", "-qm", "one"]);
        let origin = Origin {
            service: "stock",
            version: "1.0.0",
            directory: &at("stock"),
            inputs: vec![at("stock/lib.rs"), PathBuf::from("/usr/lib/elsewhere")],
        };
        let first = origin.provenance("rustc");
        assert!(first.commit.is_some() && !first.dirty && first.source_time.is_some(), "{first:?}");

        std::fs::write(at("other/lib.rs"), "changed").unwrap();
        git(root, &["commit", "-qam", "two"]);
        assert_eq!(origin.provenance("rustc"), first, "another component's change is none of this one");

        std::fs::write(at("stock/lib.rs"), "changed").unwrap();
        assert!(origin.provenance("rustc").dirty);
        git(root, &["commit", "-qam", "three"]);
        assert_ne!(origin.provenance("rustc").commit, first.commit);
    }

    #[test]
    fn outside_a_repository_there_is_no_commit() {
        let folder = tempfile::tempdir().unwrap();
        let origin = Origin { service: "stock", version: "1.0.0", directory: folder.path(), inputs: vec![] };
        let provenance = origin.provenance("rustc");
        assert_eq!((provenance.commit, provenance.dirty), (None, false));
    }
}
