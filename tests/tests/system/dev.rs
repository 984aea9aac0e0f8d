//! `ward dev`: what a developer saves goes live, and nothing else does.

use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use rustix::process::Signal;
use serde_json::{Value, json};
use ward_tests::clinic::NOBODY;
use ward_tests::machine::repository;
use ward_tests::rest::Rest;
use ward_tests::server::Server;
use ward_tests::{System, within};

/// The first build compiles what the component is made with.
const BUILD: Duration = Duration::from_secs(900);

/// A copy of billing that may be changed, in a workspace where everything else is the repository's.
struct Copy {
    folder: PathBuf,
}

impl Copy {
    fn new(folder: &Path) -> Self {
        let root = folder.join("source");
        link_all(repository(), &root, &["target", ".git", ".ward", "components", "Cargo.lock"]);
        std::fs::copy(repository().join("Cargo.lock"), root.join("Cargo.lock")).unwrap();
        link_all(&repository().join("components"), &root.join("components"), &["billing"]);
        let copy = Self { folder: root.join("components/billing") };
        copy_all(&repository().join("components/billing"), &copy.folder);
        copy
    }

    fn routes(&self) -> PathBuf {
        self.folder.join("src/routes.rs")
    }

    /// Saves billing's routes with another answer for a patient without an account.
    fn save(&self, answer: &str) {
        let routes = std::fs::read_to_string(repository().join("components/billing/src/routes.rs")).unwrap();
        let changed = routes.replace("The patient has no billing account.", answer);
        std::fs::write(self.routes(), changed).unwrap();
    }
}

fn link_all(from: &Path, to: &Path, but: &[&str]) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap().map(Result::unwrap) {
        if !but.iter().any(|name| entry.file_name() == *name) {
            symlink(entry.path(), to.join(entry.file_name())).unwrap();
        }
    }
}

fn copy_all(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap().map(Result::unwrap) {
        let to = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy_all(&entry.path(), &to);
        } else {
            std::fs::copy(entry.path(), to).unwrap();
        }
    }
}

/// The lines of `ward dev` that end a round.
fn rounds(dev: &Server) -> Vec<String> {
    let ends = ["billing ", "ward: "];
    let log = dev.log();
    log.lines().filter(|line| ends.iter().any(|end| line.starts_with(end))).map(str::to_owned).collect()
}

/// The last line, once there are so many.
async fn round(dev: &Server, number: usize) -> String {
    within(BUILD, &format!("round {number}"), async || rounds(dev).get(number - 1).cloned()).await
}

async fn detail(rest: &Rest) -> String {
    let answer = rest.get(&format!("/api/billing/accounts/{NOBODY}")).await;
    answer.expect_problem(404)["detail"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn each_save_goes_live_and_what_does_not_build_does_not() {
    let system = System::start().await;
    let rest = system.admin().await;
    let copy = Copy::new(system.folder());
    // A folder of its own for what is built, kept between runs: the artifacts in target/ are what other tests deploy.
    let built = repository().join("target/dev-test").display().to_string();
    let mut dev = system.running(&["dev", copy.folder.to_str().unwrap()], &[("CARGO_TARGET_DIR", &built)]);
    round(&dev, 1).await;

    copy.save("Nobody has opened an account.");
    let line = round(&dev, 2).await;
    assert!(line.contains(" live after ") && line.ends_with(": src/routes.rs"), "{line}");
    assert_eq!(detail(&rest).await, "Nobody has opened an account.");

    copy.save("Not \" Rust");
    let line = round(&dev, 3).await;
    assert!(line.contains(" not built after ") && line.contains(" serves on: src/routes.rs"), "{line}");
    assert!(dev.log().contains("components/billing/src/routes.rs:"), "the compiler says where\n{}", dev.log());
    assert_eq!(detail(&rest).await, "Nobody has opened an account.");

    // Back to what is live: the same bytes come out.
    copy.save("Nobody has opened an account.");
    let line = round(&dev, 4).await;
    assert!(line.contains(" unchanged, nothing to swap "), "{line}");

    // A touch is no round: the next line is of the save after it.
    let file = std::fs::File::options().append(true).open(copy.folder.join("src/find.rs")).unwrap();
    file.set_modified(SystemTime::UNIX_EPOCH).unwrap();
    copy.save("Still nobody.");
    let line = round(&dev, 5).await;
    assert!(line.contains(" live after ") && line.ends_with(": src/routes.rs"), "{line}");
    assert_eq!(detail(&rest).await, "Still nobody.");

    assert!(dev.stop(Signal::INT, Duration::from_secs(10)).await.success(), "{}", dev.log());
    assert_eq!(rounds(&dev).len(), 5, "{}", dev.log());
    system.end().await;
}

#[tokio::test]
async fn programs_get_a_line_of_json_for_each_round() {
    let system = System::start().await;
    let copy = Copy::new(system.folder());
    let built = repository().join("target/dev-test").display().to_string();
    let mut dev = system.running(&["dev", copy.folder.to_str().unwrap(), "--json"], &[("CARGO_TARGET_DIR", &built)]);
    let first = report(&dev, 1).await;
    assert_eq!((&first["service"], &first["files"]), (&json!("billing"), &json!([])), "{first}");

    copy.save("Told to programs.");
    let live = report(&dev, 2).await;
    assert_eq!((&live["outcome"], &live["files"]), (&json!("live"), &json!(["src/routes.rs"])), "{live}");
    assert!(
        live["build_ms"].as_u64().unwrap() + live["swap_ms"].as_u64().unwrap() <= live["whole_ms"].as_u64().unwrap()
    );
    assert_eq!(live["digest"], system.serving("billing").await);

    copy.save("Not \" Rust");
    let refused = report(&dev, 3).await;
    assert_eq!((&refused["outcome"], &refused["digest"]), (&json!("not-built"), &live["digest"]), "{refused}");
    assert!(refused["reason"].is_string() && refused["swap_ms"].is_null(), "{refused}");
    assert!(dev.stop(Signal::INT, Duration::from_secs(10)).await.success(), "{}", dev.log());
    system.end().await;
}

/// What the round with this number said as JSON.
async fn report(dev: &Server, number: usize) -> Value {
    let reports = || dev.log().lines().filter_map(|line| serde_json::from_str(line).ok()).nth(number - 1);
    within(BUILD, &format!("round {number}"), async || reports()).await
}

#[tokio::test]
async fn a_folder_without_a_component_is_refused() {
    let system = System::shared().await;
    let output = system.try_command(&["dev", repository().join("proto").to_str().unwrap()]).await;
    let said = ward_tests::ward::said(&output);
    assert!(!output.status.success() && said.contains("is not the folder of a crate with a cdylib"), "{said}");
}
