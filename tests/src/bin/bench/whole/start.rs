//! From the start of a process to its readiness. What the host runs was compiled before, what the bridge mirrors is there.

use std::time::{Duration, Instant};

use rustix::process::Signal;
use serde_json::json;
use ward_tests::server::Server;

use super::Whole;
use crate::http::once;
use crate::options::Extent;
use crate::report::{Section, median, range};
use crate::requests;

const COLUMNS: [&str; 4] = ["process", "until it answers, ms", "until it is ready, ms", "target"];
const BOUND: Duration = Duration::from_secs(30);

pub async fn measure(whole: &mut Whole, extent: &Extent) -> Section {
    let note =
        "From the start of the process. Ready is the host when all services are served, the bridge when it mirrors.";
    let mut section = Section::new("Start", note, &COLUMNS);
    let host = whole.address().to_owned();
    let bridge = whole.system.bridge().address().to_owned();
    for (name, address, target) in [("host", host, "ready under 1000"), ("bridge", bridge, "")] {
        let (mut alive, mut ready) = (Vec::new(), Vec::new());
        for _ in 0..extent.rounds {
            let server = match name {
                "host" => &mut whole.system.hosts[0].server,
                _ => &mut whole.system.bridge.as_mut().unwrap().server,
            };
            let times = start_again(server, &address).await;
            alive.push(times[0]);
            ready.push(times[1]);
        }
        let cells = [name.to_owned(), range(&alive), range(&ready), target.to_owned()];
        section
            .row(&cells, json!({"process": name, "alive_ms": alive, "ready_ms": ready, "median_ms": median(&ready)}));
    }
    section
}

/// Milliseconds until it answers, and until it is ready.
async fn start_again(server: &mut Server, address: &str) -> [f64; 2] {
    server.stop(Signal::TERM, BOUND).await;
    let began = Instant::now();
    server.start_again();
    let mut times = [0.0; 2];
    for (time, path) in times.iter_mut().zip(["/healthz", "/readyz"]) {
        let request = requests::plain(path);
        while !once(address, &request).await.is_ok_and(|(status, _)| status == 200) {
            assert!(began.elapsed() < BOUND, "{address} does not become ready\n{}", server.log());
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        *time = began.elapsed().as_secs_f64() * 1000.0;
    }
    times
}
