//! Which files have other contents than before. It knows nothing of what they are for.
//!
//! It looks again and again instead of asking the operating system to be told: a component has some fifty files, a look at
//! their times takes under a millisecond, and it works alike for every file system and every way in which editors save. Only a file
//! whose time or size is another is read, and only other contents count, so that a touch is nothing.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use sha2::{Digest, Sha256};

/// Between two looks. A save counts when two looks in a row see the same, so an editor that writes several files is
/// waited for.
const PAUSE: Duration = Duration::from_millis(100);

pub struct Watch {
    folder: PathBuf,
    /// Files and folders elsewhere.
    also: BTreeSet<PathBuf>,
    seen: BTreeMap<PathBuf, Stamp>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Stamp {
    modified: Option<SystemTime>,
    size: u64,
    contents: [u8; 32],
}

impl Watch {
    /// What is in the folder now has been seen.
    pub fn new(folder: PathBuf) -> Self {
        let mut watch = Self { folder, also: BTreeSet::new(), seen: BTreeMap::new() };
        watch.seen = watch.look();
        watch
    }

    /// Watches these as well, as they are now. What is in the folder is watched already.
    pub fn also(&mut self, paths: Vec<PathBuf>) {
        for path in paths.into_iter().filter(|path| !path.starts_with(&self.folder)) {
            if !self.also.contains(&path) {
                collect(&path, &self.seen.clone(), &mut self.seen);
                self.also.insert(path);
            }
        }
    }

    /// Waits until there are files with other contents than at the last answer, or than at the start: those that
    /// changed, came or went, in the order of their names.
    pub async fn changed(&mut self) -> Vec<PathBuf> {
        loop {
            tokio::time::sleep(PAUSE).await;
            let mut now = self.look();
            if now == self.seen {
                continue;
            }
            loop {
                tokio::time::sleep(PAUSE).await;
                let next = self.look();
                if next == now {
                    break;
                }
                now = next;
            }
            let changed = self.take(now);
            if !changed.is_empty() {
                return changed;
            }
        }
    }

    /// Has seen `now`; returns what is different in it.
    fn take(&mut self, now: BTreeMap<PathBuf, Stamp>) -> Vec<PathBuf> {
        let before = std::mem::replace(&mut self.seen, now);
        let contents = |stamps: &BTreeMap<PathBuf, Stamp>, path: &Path| stamps.get(path).map(|stamp| stamp.contents);
        let paths: BTreeSet<&PathBuf> = before.keys().chain(self.seen.keys()).collect();
        let differs = |path: &&&PathBuf| contents(&before, path) != contents(&self.seen, path);
        paths.iter().filter(differs).map(|path| (*path).clone()).collect()
    }

    fn look(&self) -> BTreeMap<PathBuf, Stamp> {
        let mut found = BTreeMap::new();
        for path in std::iter::once(&self.folder).chain(&self.also) {
            collect(path, &self.seen, &mut found);
        }
        found
    }
}

/// Adds the files at and below a path. What cannot be read is as good as gone; it may be there at the next look.
fn collect(path: &Path, seen: &BTreeMap<PathBuf, Stamp>, found: &mut BTreeMap<PathBuf, Stamp>) {
    let Ok(metadata) = std::fs::metadata(path) else {
        return;
    };
    if !metadata.is_dir() {
        if let Some(stamp) = stamp(path, &metadata, seen.get(path)) {
            found.insert(path.to_owned(), stamp);
        }
        return;
    }
    let entries = std::fs::read_dir(path).into_iter().flatten().flatten();
    for entry in entries.map(|entry| entry.path()).filter(|path| !is_ignored(path)) {
        collect(&entry, seen, found);
    }
}

fn stamp(path: &Path, metadata: &std::fs::Metadata, seen: Option<&Stamp>) -> Option<Stamp> {
    let (modified, size) = (metadata.modified().ok(), metadata.len());
    match seen {
        Some(seen) if seen.modified == modified && seen.size == size => Some(seen.clone()),
        _ => Some(Stamp { modified, size, contents: Sha256::digest(std::fs::read(path).ok()?).into() }),
    }
}

/// What builds and editors leave lying about: hidden files, backups, and folders that say of themselves that they hold
/// what can be made again (CACHEDIR.TAG, as cargo's do).
fn is_ignored(path: &Path) -> bool {
    const FOLDERS: [&str; 4] = ["target", "node_modules", "__pycache__", "dist"];
    const ENDS: [&str; 6] = ["~", ".swp", ".swx", ".tmp", ".bak", ".orig"];
    let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    let is_temporary = name.starts_with('.') || name.starts_with('#') || ENDS.iter().any(|end| name.ends_with(end));
    // Vim tries with a file of this name whether it can write.
    is_temporary || name == "4913" || FOLDERS.contains(&name) || path.join("CACHEDIR.TAG").exists()
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Folder(tempfile::TempDir);

    impl Folder {
        fn new() -> Self {
            let folder = Self(tempfile::tempdir().unwrap());
            folder.write("src/lib.rs", "one");
            folder
        }

        fn path(&self) -> PathBuf {
            self.0.path().join("a")
        }

        fn write(&self, name: &str, text: &str) -> PathBuf {
            let path = self.path().join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(&path, text).unwrap();
            path
        }
    }

    fn changed(watch: &mut Watch) -> Vec<PathBuf> {
        let now = watch.look();
        watch.take(now)
    }

    #[test]
    fn names_what_changed_came_and_went() {
        let folder = Folder::new();
        let gone = folder.write("gone.sql", "x");
        let mut watch = Watch::new(folder.path());
        assert!(changed(&mut watch).is_empty());
        let source = folder.write("src/lib.rs", "two");
        let new = folder.write("src/new.rs", "");
        std::fs::remove_file(&gone).unwrap();
        assert_eq!(changed(&mut watch), [gone, source, new]);
        assert!(changed(&mut watch).is_empty());
    }

    #[test]
    fn a_touch_is_nothing() {
        let folder = Folder::new();
        let mut watch = Watch::new(folder.path());
        let file = std::fs::File::options().append(true).open(folder.path().join("src/lib.rs")).unwrap();
        file.set_modified(SystemTime::UNIX_EPOCH).unwrap();
        assert_ne!(watch.look(), watch.seen);
        assert!(changed(&mut watch).is_empty());
    }

    #[test]
    fn builds_and_editors_may_write() {
        let folder = Folder::new();
        let mut watch = Watch::new(folder.path());
        folder.write("build/CACHEDIR.TAG", "");
        for name in ["target/x", "build/x", "src/.lib.rs.swp", "src/lib.rs~", "src/#lib.rs#", "4913", ".git/index"] {
            folder.write(name, "");
        }
        assert_eq!(changed(&mut watch), Vec::<PathBuf>::new());
    }

    #[test]
    fn files_elsewhere_are_watched_as_they_are_then() {
        let folder = Folder::new();
        let elsewhere = folder.0.path().join("sql.rs");
        std::fs::write(&elsewhere, "one").unwrap();
        let mut watch = Watch::new(folder.path());
        watch.also(vec![elsewhere.clone()]);
        assert!(changed(&mut watch).is_empty());
        std::fs::write(&elsewhere, "two").unwrap();
        assert_eq!(changed(&mut watch), [elsewhere]);
    }
}
