//! Compiled code on disk, shared by all hosts of one user on a machine.
//!
//! Compiled code is machine code that a host runs as its own. So the directory belongs to the host's user alone, and code is
//! taken only if it has the checksum that is written before it; it is read into memory first, so that what was checked is what
//! runs, whatever happens to the file later. All of it can be deleted at any time: that costs compiling again, nothing else.
//!
//! `<root>/<engine>/<digest>.cwasm`, where `<engine>` stands for the engine's version and settings. Who uses code holds a
//! shared lock on its file ([`Lease`]), so that nobody takes it away for room; who compiles holds a lock for the digest, so that
//! others wait and find the code. The system drops both with the process, however that ends.

use std::fs::{File, OpenOptions};
use std::io::{Error, ErrorKind, Read, Result, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use sha2::{Digest, Sha256};

use crate::clock;

const CHECKSUM_BYTES: usize = 32;

/// What is no code and older than this was left by somebody who was killed.
const LEFTOVER: Duration = Duration::from_secs(600);

pub struct Cache {
    root: PathBuf,
    directory: PathBuf,
    limit_bytes: u64,
}

/// As long as it lives, the code stays in the cache.
pub struct Lease(#[expect(dead_code, reason = "the open file holds the lock")] File);

/// While it lives, others who want to compile the same wait.
pub struct Turn {
    path: PathBuf,
    _lock: File,
}

impl Drop for Turn {
    /// Who waits with this very file still gets it; who comes later makes another, and finds the code.
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.path);
    }
}

impl Cache {
    /// `engine` tells apart what cannot load each other's code.
    pub fn open(root: &Path, engine: u64, limit_bytes: u64) -> Result<Self> {
        let cache = Self { root: root.to_owned(), directory: root.join(format!("{engine:016x}")), limit_bytes };
        cache.ensure()?;
        Ok(cache)
    }

    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// Makes the directory if somebody deleted it, and refuses one into which others can write.
    pub fn ensure(&self) -> Result<()> {
        std::fs::DirBuilder::new().recursive(true).mode(0o700).create(&self.directory)?;
        let metadata = std::fs::symlink_metadata(&self.directory)?;
        let own = std::fs::metadata("/proc/self")?.uid();
        if !metadata.is_dir() || metadata.uid() != own || metadata.mode() & 0o022 != 0 {
            let message = "it must be a directory of the host's user, and nobody else may write there: delete it";
            return Err(Error::new(ErrorKind::PermissionDenied, message));
        }
        Ok(())
    }

    /// The code of a digest, if it is there and whole.
    pub fn get(&self, digest: &str) -> Result<Option<(Vec<u8>, Lease)>> {
        let mut file = match File::open(self.path(digest)) {
            Ok(file) => file,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error),
        };
        file.lock_shared()?;
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes)?;
        let Some((checksum, code)) = bytes.split_at_checked(CHECKSUM_BYTES) else { return Ok(None) };
        if Sha256::digest(code)[..] != *checksum {
            return Ok(None);
        }
        // The last use, for `shrink`.
        let _ = file.set_modified(clock::now());
        let code = code.to_vec();
        Ok(Some((code, Lease(file))))
    }

    pub fn put(&self, digest: &str, code: &[u8]) -> Result<()> {
        let aside = self.scratch(digest, "new");
        let mut file = File::create(&aside)?;
        file.write_all(&Sha256::digest(code)).and_then(|()| file.write_all(code))?;
        std::fs::rename(&aside, self.path(digest))
    }

    /// The right to compile this digest; none while somebody else has it.
    pub fn try_turn(&self, digest: &str) -> Result<Option<Turn>> {
        let path = self.directory.join(format!("{digest}.lock"));
        let lock = OpenOptions::new().create(true).truncate(false).write(true).open(&path)?;
        match lock.try_lock() {
            Ok(()) => Ok(Some(Turn { path, _lock: lock })),
            Err(std::fs::TryLockError::WouldBlock) => Ok(None),
            Err(std::fs::TryLockError::Error(error)) => Err(error),
        }
    }

    /// A name for a file that is needed for a moment.
    pub fn scratch(&self, digest: &str, kind: &str) -> PathBuf {
        self.directory.join(format!("{digest}.{}.{kind}", uuid::Uuid::new_v4().simple()))
    }

    /// Removes code until the bound holds: what was used last longest ago first, also that of other engines, and never what
    /// somebody uses.
    pub fn shrink(&self) {
        let mut files = self.files();
        files.sort_by_key(|file| file.used_at);
        let mut total: u64 = files.iter().map(|file| file.size).sum();
        let long_ago = clock::now().checked_sub(LEFTOVER);
        for file in files {
            let is_leftover = !file.is_code() && long_ago.is_some_and(|long_ago| file.used_at < long_ago);
            let is_surplus = file.is_code() && total > self.limit_bytes;
            if (is_leftover || is_surplus) && remove_unused(&file.path) {
                total = total.saturating_sub(file.size);
            }
        }
    }

    fn path(&self, digest: &str) -> PathBuf {
        self.directory.join(format!("{digest}.cwasm"))
    }

    /// Ours, by their names; a cache that was configured into another directory leaves that alone.
    fn files(&self) -> Vec<Cached> {
        let engines = list(&self.root).filter(|path| name(path).is_some_and(|name| is_hexadecimal(name, 16)));
        let files = engines.flat_map(|engine| list(&engine).collect::<Vec<_>>());
        let ours = files.filter(|path| {
            let stem = name(path).and_then(|name| name.split_once('.'));
            stem.is_some_and(|(digest, _)| is_hexadecimal(digest, 64))
        });
        ours.filter_map(Cached::of).collect()
    }
}

struct Cached {
    path: PathBuf,
    size: u64,
    used_at: SystemTime,
}

impl Cached {
    fn of(path: PathBuf) -> Option<Self> {
        let metadata = std::fs::symlink_metadata(&path).ok().filter(std::fs::Metadata::is_file)?;
        Some(Self { path, size: metadata.len(), used_at: metadata.modified().ok()? })
    }

    fn is_code(&self) -> bool {
        self.path.extension().is_some_and(|extension| extension == "cwasm")
    }
}

/// False if somebody uses it.
fn remove_unused(path: &Path) -> bool {
    let locked = File::open(path).is_ok_and(|file| file.try_lock().is_ok() && std::fs::remove_file(path).is_ok());
    if locked {
        tracing::debug!(path = %path.display(), "removed from the cache of compiled code");
    }
    locked
}

fn list(directory: &Path) -> impl Iterator<Item = PathBuf> {
    std::fs::read_dir(directory).into_iter().flatten().flatten().map(|entry| entry.path())
}

fn name(path: &Path) -> Option<&str> {
    path.file_name()?.to_str()
}

fn is_hexadecimal(text: &str, length: usize) -> bool {
    text.len() == length && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    const KIB: usize = 1024;

    fn digest(number: u8) -> String {
        format!("{number:064x}")
    }

    fn cache(root: &Path, limit: usize) -> Cache {
        Cache::open(root, 1, limit as u64).unwrap()
    }

    fn has(cache: &Cache, number: u8) -> bool {
        cache.path(&digest(number)).exists()
    }

    /// Used so many seconds ago.
    fn put(cache: &Cache, number: u8, ago_s: u64) {
        cache.put(&digest(number), &[number; KIB]).unwrap();
        let file = File::open(cache.path(&digest(number))).unwrap();
        file.set_modified(clock::now() - Duration::from_secs(ago_s)).unwrap();
    }

    #[test]
    fn gives_back_what_is_whole_and_nothing_else() {
        let root = tempfile::tempdir().unwrap();
        let cache = cache(root.path(), KIB);
        assert!(cache.get(&digest(1)).unwrap().is_none());
        cache.put(&digest(1), b"code").unwrap();
        assert_eq!(cache.get(&digest(1)).unwrap().unwrap().0, b"code");
        let path = cache.path(&digest(1));
        let whole = std::fs::read(&path).unwrap();
        for damaged in [&whole[..whole.len() - 1], &whole[..10], b""] {
            std::fs::write(&path, damaged).unwrap();
            assert!(cache.get(&digest(1)).unwrap().is_none(), "{damaged:?}");
        }
    }

    /// A process that another test has just begun holds all open files, and so their locks, until it runs its own program.
    fn until_free(path: &Path) {
        while File::open(path).unwrap().try_lock().is_err() {
            std::thread::yield_now();
        }
    }

    #[test]
    fn the_longest_unused_goes_first_and_what_is_in_use_stays() {
        let root = tempfile::tempdir().unwrap();
        let cache = cache(root.path(), 3 * KIB);
        put(&cache, 1, 40);
        let lease = cache.get(&digest(1)).unwrap().unwrap().1;
        for (number, ago_s) in [(2, 30), (3, 10), (4, 20)] {
            put(&cache, number, ago_s);
        }
        File::open(cache.path(&digest(1))).unwrap().set_modified(SystemTime::UNIX_EPOCH).unwrap();
        cache.shrink();
        assert_eq!([1, 2, 3, 4].map(|number| has(&cache, number)), [true, false, true, false]);
        drop(lease);
        until_free(&cache.path(&digest(1)));
        put(&cache, 5, 0);
        cache.shrink();
        assert_eq!([1, 3, 5].map(|number| has(&cache, number)), [false, true, true]);
    }

    #[test]
    fn room_is_made_by_what_other_engines_left_and_strangers_files_stay() {
        let root = tempfile::tempdir().unwrap();
        let old = Cache::open(root.path(), 7, 0).unwrap();
        put(&old, 1, 100);
        let leftover = old.scratch(&digest(1), "wasm");
        File::create(&leftover).unwrap().set_modified(SystemTime::UNIX_EPOCH).unwrap();
        let strangers = [root.path().join("notes"), old.directory().join("notes.cwasm")];
        strangers.iter().for_each(|path| std::fs::write(path, [0; 9000]).unwrap());
        let cache = cache(root.path(), KIB * 2);
        put(&cache, 2, 0);
        cache.shrink();
        assert!(!has(&old, 1) && has(&cache, 2));
        assert!(!leftover.exists() && strangers.iter().all(|path| path.exists()));
    }

    #[test]
    fn one_compiles_and_the_others_wait() {
        let root = tempfile::tempdir().unwrap();
        let (cache, other) = (cache(root.path(), KIB), cache(root.path(), KIB));
        let turn = cache.try_turn(&digest(1)).unwrap();
        assert!(turn.is_some() && other.try_turn(&digest(1)).unwrap().is_none());
        assert!(other.try_turn(&digest(2)).unwrap().is_some());
        drop(turn);
        assert!(other.try_turn(&digest(1)).unwrap().is_some());
    }

    #[test]
    fn a_directory_where_others_may_write_is_refused() {
        let root = tempfile::tempdir().unwrap();
        let cache = cache(root.path(), KIB);
        std::fs::set_permissions(cache.directory(), std::fs::Permissions::from_mode(0o777)).unwrap();
        assert_eq!(cache.ensure().unwrap_err().kind(), ErrorKind::PermissionDenied);
    }

    #[test]
    fn comes_back_after_it_was_deleted() {
        let root = tempfile::tempdir().unwrap();
        let cache = cache(&root.path().join("cache"), KIB);
        std::fs::remove_dir_all(root.path().join("cache")).unwrap();
        assert!(cache.get(&digest(1)).unwrap().is_none());
        cache.ensure().unwrap();
        cache.put(&digest(1), b"code").unwrap();
        assert!(cache.get(&digest(1)).unwrap().is_some());
    }
}
