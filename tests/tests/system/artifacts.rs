//! What a host loads and what it refuses: signatures, bytes of another digest, compiled code that disappears.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use async_nats::jetstream;
use async_nats::jetstream::object_store::ObjectStore;
use futures_util::future::join_all;
use serde_json::{Value, json};
use tempfile::TempDir;
use ward_tests::System;
use ward_tests::artifact::{marked, renamed, variant, write};
use ward_tests::machine::{component, directory, program};
use ward_tests::ward::said;

/// A system that trusts one key, with which every command of the operator signs.
struct Signed {
    system: System,
    keys: TempDir,
    billing: Vec<u8>,
}

/// Makes a key, and returns its public half.
fn make_key(path: &Path) -> String {
    let mut command = Command::new(program("ward"));
    command.args(["keys", "artifact", "new"]).arg(path).stderr(Stdio::null()).current_dir("/");
    let output = command.output().unwrap();
    assert!(output.status.success(), "{}", said(&output));
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

impl Signed {
    async fn start() -> Self {
        let keys = directory("keys-");
        let public = make_key(&keys.path().join("trusted.pem"));
        make_key(&keys.path().join("stranger.pem"));
        let system = System::with()
            .set("WARD_ARTIFACTS_TRUSTED_KEYS", json!([public]))
            .set("WARD_ARTIFACTS_SIGNING_KEY_FILE", keys.path().join("trusted.pem").display());
        Self { system: system.start().await, keys, billing: std::fs::read(component("billing")).unwrap() }
    }

    fn stranger(&self) -> PathBuf {
        self.keys.path().join("stranger.pem")
    }

    fn variant(&self, mark: u32) -> (Vec<u8>, PathBuf) {
        let bytes = marked(&self.billing, mark);
        let path = write(self.system.folder(), &format!("billing-{mark}"), &bytes);
        (bytes, path)
    }

    /// Stores a variant, signed by the trusted key. Returns its digest.
    async fn push(&self, mark: u32) -> String {
        let path = self.variant(mark).1;
        let pushed = self.system.command(&["push", path.to_str().unwrap(), "--json"]).await;
        let pushed: Value = serde_json::from_str(&pushed).unwrap();
        assert_eq!(pushed["signature"]["state"], "trusted");
        pushed["digest"].as_str().unwrap().to_owned()
    }

    /// Deploying what is in the store is refused with its digest and this reason, and what served serves on.
    async fn refuses(&self, digest: &str, reason: &str) {
        let serving = async || {
            let serving = &self.system.status("billing").await["serving"];
            (serving["digest"].clone(), serving["generation"].clone())
        };
        let before = serving().await;
        let output = self.system.try_command(&["deploy", "billing", digest]).await;
        let said = said(&output);
        assert!(!output.status.success() && said.contains(digest) && said.contains(reason), "{reason}: {said}");
        assert_eq!(serving().await, before);
        answers(&self.system).await;
    }
}

async fn answers(system: &System) {
    let nobody = "/api/billing/accounts/00000000-0000-0000-0000-000000000000";
    system.admin().await.get(nobody).await.expect(404);
}

async fn objects(system: &System) -> ObjectStore {
    jetstream::new(system.nats.client().await).get_object_store("ward-artifacts").await.unwrap()
}

async fn put(system: &System, name: &str, mut bytes: &[u8]) {
    objects(system).await.put(name, &mut bytes).await.unwrap();
}

async fn get(system: &System, name: &str) -> Vec<u8> {
    use tokio::io::AsyncReadExt;
    let mut bytes = Vec::new();
    objects(system).await.get(name).await.unwrap().read_to_end(&mut bytes).await.unwrap();
    bytes
}

#[tokio::test]
async fn only_what_a_trusted_key_signed_is_loaded() {
    let signed = Signed::start().await;
    let system = &signed.system;
    answers(system).await;

    // Stored by somebody without a key.
    let (bytes, path) = signed.variant(1);
    let unsigned = sha256(&bytes);
    put(system, &unsigned, &bytes).await;
    signed.refuses(&unsigned, "is not signed").await;

    let output =
        system.try_command(&["push", path.to_str().unwrap(), "--key", signed.stranger().to_str().unwrap()]).await;
    assert!(output.status.success() && said(&output).contains("will not take it"), "{}", said(&output));
    signed.refuses(&unsigned, "none of them is in artifacts.trusted_keys").await;

    // The signature of another artifact, with the name of the trusted key.
    let other = signed.push(2).await;
    let borrowed = get(system, &format!("{other}.sig")).await;
    put(system, &format!("{unsigned}.sig"), &borrowed).await;
    signed.refuses(&unsigned, "is wrong").await;

    put(system, &format!("{unsigned}.sig"), b"nothing").await;
    signed.refuses(&unsigned, "no list of signatures").await;

    // Signed at last, it serves; the beginning of its digest is enough.
    assert_eq!(signed.push(1).await, unsigned);
    system.command(&["deploy", "billing", &unsigned[..12]]).await;
    assert_eq!(system.serving("billing").await, unsigned);
    signed.system.end().await;
}

#[tokio::test]
async fn bytes_of_another_digest_are_refused() {
    let signed = Signed::start().await;
    let system = &signed.system;
    let digest = signed.push(1).await;
    let whole = get(system, &digest).await;
    let mut changed = whole.clone();
    *changed.last_mut().unwrap() ^= 1;
    for tampered in [&changed[..], &whole[..whole.len() / 2], b""] {
        put(system, &digest, tampered).await;
        signed.refuses(&digest, "changed or cut off").await;
    }
    // Whoever has the artifact can mend the store.
    assert_eq!(signed.push(1).await, digest);
    system.command(&["deploy", "billing", &digest]).await;
    assert_eq!(system.serving("billing").await, digest);
    signed.system.end().await;
}

#[tokio::test]
async fn the_cache_of_compiled_code_can_be_deleted_while_a_host_serves() {
    let cache = directory("cache-");
    let path = cache.path().join("cache");
    let mut system = System::with().set("WARD_HOST_CACHE_DIR", path.display()).start().await;
    assert!(path.exists());
    std::fs::remove_dir_all(&path).unwrap();
    answers(&system).await;
    let billing = std::fs::read(component("billing")).unwrap();
    let bytes = marked(&billing, 1);
    system.deploy("billing", write(system.folder(), "next", &bytes)).await;
    assert_eq!(system.serving("billing").await, sha256(&bytes));
    // With code that is damaged instead of missing.
    for file in compiled(&path) {
        std::fs::write(file, "no code").unwrap();
    }
    answers(&system).await;
    let host = &mut system.hosts[0];
    host.stop().await;
    host.start_again().await;
    host.until_ready().await;
    answers(&system).await;
    assert_eq!(system.serving("billing").await, sha256(&bytes));
    system.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn hosts_that_share_a_cache_compile_a_digest_once() {
    let cache = directory("cache-");
    let system = System::with()
        .hosts(2)
        .set("WARD_HOST_CACHE_DIR", cache.path().join("cache").display())
        .set("WARD_LOG_LEVEL", "info")
        .start()
        .await;
    let compiled_here = system.hosts.iter().map(|host| host.server.log().matches("compiled an artifact").count());
    assert_eq!(compiled_here.sum::<usize>(), 4, "four components on two hosts");
    system.end().await;
}

#[tokio::test]
async fn pruning_leaves_what_can_be_gone_back_to() {
    let system = System::with().set("WARD_ARTIFACTS_KEEP_S", 0).start().await;
    let billing = std::fs::read(component("billing")).unwrap();
    let deployed: Vec<Vec<u8>> = (1..=3).map(|mark| marked(&billing, mark)).collect();
    for (number, bytes) in deployed.iter().enumerate() {
        system.deploy("billing", write(system.folder(), &format!("billing-{number}"), bytes)).await;
    }
    let forgotten = marked(&billing, 9);
    let path = write(system.folder(), "forgotten", &forgotten);
    system.command(&["push", path.to_str().unwrap()]).await;

    let rehearsed = pruned(&system, &["prune", "--dry-run", "--keep", "0", "--json"]).await;
    assert_eq!(rehearsed, [sha256(&forgotten)]);
    assert_eq!(pruned(&system, &["prune", "--json"]).await, Vec::<String>::new());
    assert_eq!(pruned(&system, &["prune", "--keep", "0", "--json"]).await, [sha256(&forgotten)]);
    let output = system.try_command(&["deploy", "billing", &sha256(&forgotten)]).await;
    assert!(said(&output).contains("no artifact"), "{}", said(&output));
    answers(&system).await;
    let targets: Vec<String> = deployed.iter().map(|bytes| sha256(bytes)).chain([sha256(&billing)]).collect();
    join_all(targets.iter().map(|digest| get(&system, digest))).await;
    system.end().await;
}

/// Pushes what nobody wants yet, with settings of its own. Returns its digest.
async fn push(system: &System, mark: u32, settings: &str) -> String {
    let path = variant(system, "billing", mark);
    let output = system.shell(&format!("{settings} ward push {}", path.display()), system.folder()).await;
    assert!(output.status.success(), "{}", said(&output));
    sha256(&std::fs::read(path).unwrap())
}

/// Which of these artifacts are in the store.
async fn stored(system: &System, digests: &[String]) -> Vec<bool> {
    let objects = objects(system).await;
    let is_there = async |digest: &String| !objects.info(digest).await.unwrap().deleted;
    join_all(digests.iter().map(is_there)).await
}

#[tokio::test]
async fn who_stores_an_artifact_removes_what_nobody_can_want_any_more() {
    let system = System::with().services(&["auth", "billing"]).set("WARD_ARTIFACTS_KEEP", 2);
    let system = system.set("WARD_ARTIFACTS_KEEP_S", 0).start().await;
    let billing = std::fs::read(component("billing")).unwrap();
    let mut wanted = vec![sha256(&billing)];
    for mark in 1..=3 {
        let path = variant(&system, "billing", mark);
        // The last one is a canary.
        let arguments = ["deploy", "billing", path.to_str().unwrap(), "--canary", "5"];
        system.command(&arguments[..if mark == 3 { 5 } else { 3 }]).await;
        wanted.push(sha256(&std::fs::read(path).unwrap()));
    }
    let mut pushed = Vec::new();
    for mark in 11..=15 {
        pushed.push(push(&system, mark, "").await);
    }
    // Two stay beside the one that was pushed now.
    assert_eq!(stored(&system, &pushed).await, [false, false, true, true, true]);
    // Pushed again, or named in a deployment, it is the youngest.
    push(&system, 13, "").await;
    pushed.push(push(&system, 16, "").await);
    assert_eq!(stored(&system, &pushed).await, [false, false, true, false, true, true]);
    // Time to deploy them, for whoever pushed them.
    push(&system, 17, "WARD_ARTIFACTS_KEEP=0 WARD_ARTIFACTS_KEEP_S=3600").await;
    assert_eq!(stored(&system, &pushed[4..]).await, [true, true]);

    // All that was ever wanted is still there.
    assert_eq!(stored(&system, &wanted).await, [true; 4]);
    for back in [2, 1, 0] {
        system.command(&["rollback", "billing"]).await;
        assert_eq!(system.serving("billing").await, wanted[back]);
    }
    // A deployment makes room as well; what it deploys was the oldest of those left.
    system.command(&["deploy", "billing", &pushed[4]]).await;
    assert_eq!(stored(&system, &pushed).await, [false, false, false, false, true, true]);
    answers(&system).await;
    system.end().await;
}

async fn pruned(system: &System, arguments: &[&str]) -> Vec<String> {
    let report: Value = serde_json::from_str(&system.command(arguments).await).unwrap();
    let removed = report["removed"].as_array().unwrap().iter();
    removed.map(|digest| digest.as_str().unwrap().to_owned()).collect()
}

fn compiled(cache: &Path) -> Vec<PathBuf> {
    let engines = std::fs::read_dir(cache).unwrap().map(|entry| entry.unwrap().path());
    let files = engines.flat_map(|engine| std::fs::read_dir(engine).unwrap().map(|entry| entry.unwrap().path()));
    files.filter(|path| path.extension().is_some_and(|extension| extension == "cwasm")).collect()
}

fn sha256(bytes: &[u8]) -> String {
    use sha2::{Digest, Sha256};
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

#[tokio::test]
async fn an_artifact_shows_what_it_is_and_what_a_swap_would_change() {
    let system = System::shared().await;
    let [billing, analytics] = ["billing", "analytics"].map(|name| component(name).to_str().unwrap().to_owned());
    let bytes = std::fs::read(&billing).unwrap();
    let file = inspected(system, &billing).await;
    assert_eq!((&file["digest"], &file["size"]), (&json!(sha256(&bytes)), &json!(bytes.len())));
    assert_eq!(file["provenance"]["name"], "billing");
    assert_eq!((&file["signature"]["state"], &file["accepted"]), (&json!("unsigned"), &json!(true)));
    assert_eq!((&file["refusal"], &file["configured"]), (&Value::Null, &json!(true)));
    let needs: Vec<&str> =
        file["needs"].as_array().unwrap().iter().map(|need| need["grant"].as_str().unwrap()).collect();
    assert!(needs.contains(&"sql") && needs.contains(&"events"), "{needs:?}");
    assert_eq!(file["routes"][0]["path"], "/api/billing/accounts/{patientId}");
    assert_eq!(file["subscriptions"][0], json!({"name": "open-account", "events": ["patient.registered"]}));
    assert_eq!(inspected(system, "service:billing").await, file);
    assert_eq!(inspected(system, &sha256(&bytes)[..10]).await, file);

    let same = write(system.folder(), "same", &marked(&bytes, 1));
    let compared = async |old: &str, new: &str| {
        let output = system.try_command(&["diff", old, new, "--json"]).await;
        (output.status.code(), serde_json::from_slice::<Value>(&output.stdout).unwrap_or_default())
    };
    let (code, report) = compared("service:billing", same.to_str().unwrap()).await;
    assert_eq!((code, &report["changes"]), (Some(0), &json!([])));
    let (code, report) = compared(&billing, &analytics).await;
    assert_eq!((code, &report["breaks"]), (Some(1), &json!(true)));
    let broken: Vec<&Value> =
        report["changes"].as_array().unwrap().iter().filter(|change| change["breaks"] == true).collect();
    assert!(broken.iter().any(|change| change["what"] == "clinic:billing/accounts@0.1.0/open"), "{report}");
    let garbage = write(system.folder(), "garbage", b"garbage");
    assert_eq!(compared(&billing, garbage.to_str().unwrap()).await.0, Some(1), "no host takes the new one");
    assert_eq!(compared(garbage.to_str().unwrap(), &billing).await.0, Some(2), "the old one cannot be compared");
    assert_eq!(compared(&billing, "service:nobody").await.0, Some(2));
}

#[tokio::test]
async fn a_diff_holds_what_is_called_against_what_serves() {
    let system = System::shared().await;
    let patient = std::fs::read(component("patient")).unwrap();
    let stranger = write(system.folder(), "stranger", &renamed(&patient, "opened-at", "opened-on"));
    let [patient, stranger] = [component("patient"), stranger].map(|path| path.to_str().unwrap().to_owned());
    let compared = async |old: &str, new: &str| {
        let output = system.try_command(&["diff", old, new, "--json"]).await;
        (output.status.code(), serde_json::from_slice::<Value>(&output.stdout).unwrap_or_default())
    };
    let billing = json!(system.serving("billing").await);
    let (code, report) = compared("service:patient", &patient).await;
    let calls = report["calls"].as_array().unwrap();
    assert!(calls.iter().all(|call| call["digest"] == billing && call["breaks"].is_null()), "{report}");
    assert_eq!((code, calls.is_empty(), &report["calls_not_held"]), (Some(0), false, &Value::Null));
    assert_eq!(report["silent_hosts"], json!([]));
    let callers =
        |report: &Value| report["callers"].as_array().unwrap().iter().map(|held| held["service"].clone()).collect();
    assert_eq!(callers(&report), Vec::<Value>::new(), "nobody calls patient");

    // Nothing else about it is wrong.
    let (code, report) = compared("service:patient", &stranger).await;
    assert!(report["changes"].as_array().unwrap().iter().all(|change| change["breaks"] == false), "{report}");
    assert_eq!((code, &report["breaks"]), (Some(1), &json!(true)));
    assert!(report["calls"].to_string().contains("opened-on (missing)"), "{report}");
    let told = said(&system.try_command(&["diff", &patient, &stranger]).await);
    assert!(told.contains("opened-on (missing)") && told.contains("calls do not fit what serves now"), "{told}");

    // What patient calls of billing, looked at from the other side.
    let billing = std::fs::read(component("billing")).unwrap();
    let other = write(system.folder(), "other", &renamed(&billing, "opened-at", "opened-on"));
    let (code, report) = compared("service:billing", other.to_str().unwrap()).await;
    assert_eq!((code, callers(&report)), (Some(1), vec![json!("patient")]));
    assert!(report["callers"][0]["breaks"].to_string().contains("opened-at (missing)"), "{report}");

    let away = format!("WARD_NATS_URL=nats://127.0.0.1:1 ward diff {patient} {stranger}");
    let away = system.shell(&away, system.folder()).await;
    assert!(away.status.success() && said(&away).contains("was not held against what serves"), "{}", said(&away));
}

async fn inspected(system: &System, what: &str) -> Value {
    serde_json::from_str(&system.command(&["inspect", what, "--json"]).await).unwrap()
}
