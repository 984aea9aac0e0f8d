//! Many swaps under a steady load, a fifth of them bad: no request fails, and a bad one is back within a second.
//!
//! `./dev test` runs a few of them; `./dev soak` sets `WARD_SOAK` to their number, with release builds, and
//! prints what it saw.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use serde_json::Value;
use ward_tests::artifact::{Fault, behaving, marked, write};
use ward_tests::clinic::JOHN;
use ward_tests::load::Load;
use ward_tests::machine::component;
use ward_tests::rest::Rest;
use ward_tests::{System, eventually, within};

/// A bad generation that took calls is gone by then.
const BACK: Duration = Duration::from_secs(1);

/// How a version can be bad.
enum Bad {
    /// `tests/hostile`, told to be so.
    Behaves(&'static str),
    Artifact(Fault),
}

/// One after the other. Those that trap, fail or stall pass their probe, and are found out by calls. `./dev test` does not get to the last one,
/// which needs the whole machine for a moment.
const WAYS: [Bad; 7] = [
    Bad::Behaves("traps!"),
    Bad::Behaves("errors"),
    Bad::Behaves("unwell"),
    Bad::Artifact(Fault::Garbage),
    Bad::Artifact(Fault::Truncated),
    Bad::Artifact(Fault::OtherService),
    Bad::Behaves("stalls"),
];

struct Extent {
    swaps: u32,
    requests_per_s: u32,
    steady: Duration,
}

impl Extent {
    fn of_this_run() -> Self {
        match std::env::var("WARD_SOAK") {
            Ok(swaps) => Self { swaps: swaps.parse().unwrap(), requests_per_s: 500, steady: Duration::from_secs(20) },
            Err(_) => Self { swaps: 30, requests_per_s: 100, steady: Duration::from_secs(2) },
        }
    }
}

/// One fifth is bad.
fn artifact(original: &[u8], other: &[u8], round: u32) -> (Vec<u8>, bool) {
    let is_good = round % 5 != 4;
    let bytes = match &WAYS[round as usize / 5 % WAYS.len()] {
        _ if is_good => marked(original, round),
        Bad::Behaves(mode) => behaving(&marked(original, round), mode),
        Bad::Artifact(fault) => fault.apply(original, other, round),
    };
    (bytes, is_good)
}

/// How long requests took, each with the moment of its answer.
type Latencies = Arc<Mutex<Vec<(Instant, Duration)>>>;

/// Four calls of what is swapped to one of a service that is not.
fn load(rest: Rest, admin: Rest, extent: &Extent, latencies: &Latencies) -> Load {
    let latencies = latencies.clone();
    Load::paced(32, extent.requests_per_s, move |number| {
        let (rest, admin, latencies) = (rest.clone(), admin.clone(), latencies.clone());
        async move {
            let began = Instant::now();
            let answer = match number % 5 {
                0 => admin.get(&format!("/api/patients/{JOHN}")).await,
                _ => rest.get("/hostile/read/nothing").await,
            };
            latencies.lock().unwrap().push((Instant::now(), began.elapsed()));
            answer.check(200)
        }
    })
}

fn p99(latencies: &Latencies, from: Instant, to: Instant) -> Duration {
    let all = latencies.lock().unwrap();
    let mut chosen: Vec<Duration> =
        all.iter().filter(|(at, _)| (from..to).contains(at)).map(|(_, took)| *took).collect();
    chosen.sort_unstable();
    chosen.get(chosen.len() * 99 / 100).copied().unwrap_or_default()
}

/// When each digest served, from the first look that saw it to the last.
#[derive(Default)]
struct Served(BTreeMap<String, (Instant, Instant)>);

struct Observer {
    served: Arc<Mutex<Served>>,
    task: tokio::task::JoinHandle<()>,
}

impl Observer {
    async fn start(system: &System) -> Self {
        let client = system.nats.client().await;
        let served: Arc<Mutex<Served>> = Arc::default();
        let noted = served.clone();
        let task = tokio::spawn(async move {
            let mut looks = tokio::time::interval(Duration::from_millis(10));
            loop {
                looks.tick().await;
                if let Ok(reply) = client.request("ward.hosts", "".into()).await
                    && let Some(digest) = serving(&reply.payload)
                {
                    let now = Instant::now();
                    noted.lock().unwrap().0.entry(digest).or_insert((now, now)).1 = now;
                }
            }
        });
        Self { served, task }
    }

    fn how_long(&self, digest: &str) -> Duration {
        let served = self.served.lock().unwrap();
        served.0.get(digest).map(|(first, last)| *last - *first).unwrap_or_default()
    }

    /// Seen later than at `after`.
    fn serves_after(&self, after: Instant, digest: &str) -> bool {
        let served = self.served.lock().unwrap();
        let latest = served.0.iter().max_by_key(|(_, (_, last))| *last);
        latest.is_some_and(|(latest, (_, last))| latest == digest && *last > after)
    }
}

impl Drop for Observer {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// The digest of the hostile component in a host's status.
fn serving(status: &[u8]) -> Option<String> {
    let host: Value = serde_json::from_slice(status).ok()?;
    let hostile = host["services"].as_array()?.iter().find(|service| service["service"] == "hostile")?.clone();
    hostile["serving"]["digest"].as_str().map(str::to_owned)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_request_fails_and_every_bad_swap_is_back_within_a_second() {
    let extent = Extent::of_this_run();
    let system = System::with().hostile().limits("hostile", "concurrency = 64\nqueue = 256").start().await;
    let [hostile, billing] = ["hostile", "billing"].map(|name| std::fs::read(component(name)).unwrap());
    let latencies: Latencies = Arc::default();
    let (begin, load) = (Instant::now(), load(system.rest(), system.admin().await, &extent, &latencies));
    within(extent.steady * 2, "the steady time", async || (begin.elapsed() > extent.steady).then_some(())).await;

    let observer = Observer::start(&system).await;
    let (swapping, mut good, mut bad) = (Instant::now(), String::new(), Vec::new());
    for round in 0..extent.swaps {
        let (bytes, is_good) = artifact(&hostile, &billing, round);
        let (digest, file) = (sha256(&bytes), write(system.folder(), "candidate", &bytes));
        deploy(&system, file.to_str().unwrap(), is_good).await;
        if is_good {
            good = digest;
        } else {
            bad.push(digest);
        }
        let deployed = Instant::now();
        eventually("the good one serves", async || observer.serves_after(deployed, &good).then_some(())).await;
    }
    let longest = bad.iter().map(|digest| observer.how_long(digest)).max().unwrap_or_default();
    let ended = Instant::now();
    let (asked, failures) = load.end().await;
    println!(
        "{} swaps in {:.0} s, {asked} requests, {} failed; p99 {:.1} ms, before the swaps {:.1} ms; the longest bad one {} ms",
        extent.swaps,
        (ended - swapping).as_secs_f64(),
        failures.len(),
        p99(&latencies, swapping, ended).as_secs_f64() * 1e3,
        p99(&latencies, begin, swapping).as_secs_f64() * 1e3,
        longest.as_millis(),
    );
    assert!(failures.is_empty(), "{} of {asked} failed: {:?}", failures.len(), &failures[..1]);
    assert!(longest < BACK, "a bad one served for {longest:?}");
    system.end_broken();
}

/// What is good has to be taken. While a host is still writing down that it went back, an operator is told that somebody
/// was faster, and says it again.
async fn deploy(system: &System, file: &str, is_good: bool) {
    for last in [false, false, true] {
        let output = system.try_command(&["deploy", "hostile", file]).await;
        if output.status.success() || !is_good {
            return;
        }
        assert!(!last, "{}", ward_tests::ward::said(&output));
    }
}

fn sha256(bytes: &[u8]) -> String {
    use sha2::{Digest, Sha256};
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}
