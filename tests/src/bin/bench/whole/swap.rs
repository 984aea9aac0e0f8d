//! A new version of the component `patient`, while clients read.

use std::time::{Duration, Instant};

use serde_json::json;
use ward_tests::artifact::{marked, write};
use ward_tests::clinic::JOHN;
use ward_tests::machine::component;

use super::Whole;
use crate::load::Load;
use crate::options::Extent;
use crate::report::{Section, median, number, range};
use crate::requests;

const COLUMNS: [&str; 5] = ["swaps", "ward deploy, s", "requests meanwhile", "failed", "longest request ms"];
const PAUSE: Duration = Duration::from_millis(500);

pub async fn measure(whole: &Whole, extent: &Extent) -> Section {
    let note = "`ward deploy patient …` from its start to its end: upload, compile, check, migrate, probe, take over, while 8 \
                connections read. Each version is new, so nothing of it was compiled before.";
    let mut section = Section::new("Swap", note, &COLUMNS);
    let original = std::fs::read(component("patient")).unwrap();
    let (mut seconds, mut requests, mut failed, mut longest) = (Vec::new(), 0, 0, 0.0_f64);
    for round in 0..extent.rounds as u32 {
        let variant = write(whole.system.folder(), "variant", &marked(&original, std::process::id() + round));
        let load = load(whole, extent.length);
        let load = tokio::spawn(async move { load.run(&[]).await });
        tokio::time::sleep(PAUSE).await;
        let began = Instant::now();
        whole.system.deploy("patient", &variant).await;
        seconds.push(began.elapsed().as_secs_f64());
        let sample = load.await.unwrap();
        requests += sample.latencies_us.len();
        failed += sample.errors;
        longest = longest.max(sample.percentile_ms(100.0));
    }
    let cells = [seconds.len().to_string(), range(&seconds), requests.to_string(), failed.to_string(), number(longest)];
    let data = json!({"deploy_s": seconds, "median_s": median(&seconds), "requests": requests, "failed": failed,
        "longest_ms": longest});
    section.row(&cells, data);
    section
}

fn load(whole: &Whole, length: Duration) -> Load {
    Load {
        address: whole.address().to_owned(),
        connections: 8,
        requests: requests::same(requests::get(&format!("/api/patients/{JOHN}"), &whole.token)),
        status: 200,
        every: None,
        warm_up: Duration::ZERO,
        length: length.max(Duration::from_secs(2)) + PAUSE,
    }
}
