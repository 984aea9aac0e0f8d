//! What the machine offers: ports, directories, programs, and how many systems it can bear at once.

mod port;

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, LazyLock};

use tempfile::TempDir;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

pub use port::port;

/// The root of the repository.
pub fn repository() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap()
}

/// A built program of Ward: beside the running program or one folder above (target/debug for a test, target/release for
/// the bench), or in `WARD_TEST_BIN`; for tests of a component elsewhere, in the repository's target/debug.
pub fn program(name: &str) -> PathBuf {
    let folder = match std::env::var_os("WARD_TEST_BIN") {
        Some(folder) => PathBuf::from(folder),
        None => std::env::current_exe().unwrap().ancestors().nth(1).unwrap().to_owned(),
    };
    let program = folder.join(name);
    let places = [program, folder.join("..").join(name), repository().join("target/debug").join(name)];
    let program = places.iter().find(|place| place.exists()).unwrap_or(&places[1]).clone();
    assert!(
        program.exists(),
        "{} is not built: run the tests with ./dev test, or build it with cargo build --workspace --bins",
        program.display()
    );
    program
}

/// A built component.
pub fn component(service: &str) -> PathBuf {
    let path = repository().join("target/components").join(format!("{service}.wasm"));
    assert!(
        path.exists(),
        "{} is not built: run the tests with ./dev test, or build it with ward build",
        path.display()
    );
    path
}

/// A program of the machine, on the PATH or in one of `folders`.
pub fn tool(name: &str, folders: &[PathBuf]) -> PathBuf {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path)
        .chain(folders.iter().cloned())
        .map(|folder| folder.join(name))
        .find(|candidate| candidate.is_file())
        .unwrap_or_else(|| panic!("{name} is not installed: ./dev test installs it"))
}

/// Room for one more system. Half the cores, since each is a database, a broker, a host and the load on them.
pub async fn room() -> OwnedSemaphorePermit {
    static ROOM: LazyLock<Arc<Semaphore>> = LazyLock::new(|| {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        Arc::new(Semaphore::new((cores / 2).max(1)))
    });
    ROOM.clone().acquire_owned().await.unwrap()
}

/// A directory of a system. `WARD_TEST_KEEP=1` leaves it there.
pub fn directory(stem: &str) -> TempDir {
    let mut directory = tempfile::Builder::new().prefix(stem).tempdir_in(&run().path).unwrap();
    directory.disable_cleanup(keeps());
    open_to_all(directory.path());
    directory
}

/// Servers that refuse root run as another user, who has to get there.
pub fn open_to_all(path: &Path) {
    use std::os::unix::fs::PermissionsExt;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o755)).unwrap();
}

fn keeps() -> bool {
    std::env::var_os("WARD_TEST_KEEP").is_some()
}

/// The directory of this test process. A shell removes it when the process has ended, in whatever way: it reads from a
/// pipe that nobody else holds.
struct Run {
    path: PathBuf,
    _guard: Option<Child>,
}

fn run() -> &'static Run {
    static RUN: LazyLock<Run> = LazyLock::new(|| {
        let path = tempfile::Builder::new().prefix("ward-tests-").tempdir().unwrap().keep();
        open_to_all(&path);
        let guard = "trap '' INT TERM HUP; read -r _; for _ in 1 2 3 4 5; do rm -rf \"$1\" && break; sleep 1; done";
        let guard = (!keeps()).then(|| {
            Command::new("setsid")
                .args(["sh", "-c", guard, "guard"])
                .arg(&path)
                .stdin(Stdio::piped())
                .stdout(Stdio::null())
                .stderr(Stdio::null())
                .spawn()
                .unwrap()
        });
        Run { path, _guard: guard }
    });
    &RUN
}
