//! Memory of each process: after the start with nothing to do, and the most under load.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::json;
use ward_tests::clinic::JOHN;

use super::Whole;
use crate::load::Load;
use crate::options::Extent;
use crate::processes::{memory_mb, resident_mb};
use crate::report::{Section, number};
use crate::requests;

const COLUMNS: [&str; 5] = ["process", "idle MB", "under load MB", "afterwards MB", "target, idle"];

/// Resident set; for PostgreSQL's many processes the proportional one, since they share their buffers.
type Memory = BTreeMap<&'static str, f64>;

pub async fn measure(whole: &Whole, extent: &Extent) -> Section {
    let note = "Resident memory; PostgreSQL: all its processes, shared pages counted once. The load: registrations on 32 \
                connections, then reads on 32, with all services, the bridge and Kafka.";
    let mut section = Section::new("Memory", note, &COLUMNS);
    let idle = now(whole);
    let mut most = idle.clone();
    for (requests, status) in [
        (requests::registrations(&whole.token), 201),
        (requests::same(requests::get(&format!("/api/patients/{JOHN}"), &whole.token)), 200),
    ] {
        let load = Load {
            address: whole.address().to_owned(),
            connections: 32,
            requests,
            status,
            every: None,
            warm_up: Duration::ZERO,
            length: extent.length * 2,
        };
        let load = tokio::spawn(async move { load.run(&[]).await });
        while !load.is_finished() {
            tokio::time::sleep(Duration::from_millis(250)).await;
            for (name, memory) in now(whole) {
                let before = most.entry(name).or_default();
                *before = before.max(memory);
            }
        }
        let sample = load.await.unwrap();
        assert_eq!(sample.errors, 0, "{:?}", sample.error);
        whole.settle().await;
    }
    let afterwards = now(whole);
    for (name, idle) in &idle {
        let target = match *name {
            "host" => "under 60",
            "bridge" => "under 40",
            _ => "",
        };
        let cells = [name.to_string(), number(*idle), number(most[name]), number(afterwards[name]), target.to_owned()];
        section.row(
            &cells,
            json!({"process": name, "idle_mb": idle, "under_load_mb": most[name], "afterwards_mb": afterwards[name]}),
        );
    }
    section
}

fn now(whole: &Whole) -> Memory {
    let processes = whole.processes.iter().filter(|process| process.name != "load");
    let memory = processes.map(|process| match process.name {
        "postgres" => (process.name, memory_mb(process)),
        _ => (process.name, resident_mb(process.id)),
    });
    memory.collect()
}
