//! Reads while another component spins on half of the cores, against reads when nobody does.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use serde_json::json;
use tokio::task::JoinSet;
use ward_tests::clinic::JOHN;
use ward_tests::{Rest, System};

use super::load::{Load, Sample};
use super::options::Options;
use super::report::{Section, median, number, range};
use super::{requests, stage};

const COLUMNS: [&str; 7] = ["reads", "conn.", "p50 ms alone", "beside", "p99 ms alone", "beside", "p99 of alone"];

/// Connections, and how long after one request each of them sends the next; none: when it has its answer.
const LOADS: [(usize, Option<Duration>); 3] =
    [(1, None), (1, Some(Duration::from_millis(10))), (8, Some(Duration::from_millis(16)))];

pub async fn run(options: &Options, sections: &mut Vec<Section>) {
    let note = "Reads by key of `patient` while as many calls of another component as half of the cores do nothing but compute, and while none does, \
                in turns; medians. By the clock, a read counts from when it was due. Target: p99 within 2 times of alone.";
    let mut section = Section::new("Fairness", note, &COLUMNS);
    let system = stage::plan().hostile().start().await;
    let token = system.admin().await.token().unwrap().to_owned();
    let extent = options.extent();
    for (connections, every) in LOADS {
        let load = Load {
            address: system.hosts[0].address().to_owned(),
            connections,
            every,
            requests: requests::same(requests::get(&format!("/api/patients/{JOHN}"), &token)),
            status: 200,
            warm_up: Duration::from_millis(500),
            length: extent.length,
        };
        let (mut alone, mut beside) = (Figures::default(), Figures::default());
        for _ in 0..extent.rounds {
            alone.add(&load.run(&[]).await);
            let spinners = Spinners::start(&system);
            beside.add(&load.run(&[]).await);
            spinners.end().await;
        }
        let ratios: Vec<f64> = beside.p99.iter().zip(&alone.p99).map(|(beside, alone)| beside / alone).collect();
        let what = every.map_or("one after the other".to_owned(), |every| {
            format!("{:.0} a second", connections as f64 / every.as_secs_f64())
        });
        let cells = [
            what.clone(),
            connections.to_string(),
            number(median(&alone.p50)),
            number(median(&beside.p50)),
            number(median(&alone.p99)),
            number(median(&beside.p99)),
            range(&ratios),
        ];
        let data =
            json!({"reads": what, "connections": connections, "p99_ms_alone": alone.p99, "p99_ms_beside": beside.p99});
        section.row(&cells, data);
    }
    sections.push(section);
    system.end_broken();
}

#[derive(Default)]
struct Figures {
    p50: Vec<f64>,
    p99: Vec<f64>,
}

impl Figures {
    fn add(&mut self, sample: &Sample) {
        assert_eq!(sample.errors, 0, "a read failed: {:?}", sample.error);
        self.p50.push(sample.percentile_ms(50.0));
        self.p99.push(sample.percentile_ms(99.0));
    }
}

/// Clients whose calls compute until they are stopped, over and over.
struct Spinners {
    clients: JoinSet<()>,
    enough: Arc<AtomicBool>,
}

impl Spinners {
    fn start(system: &System) -> Self {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let mut spinners = Self { clients: JoinSet::new(), enough: Arc::default() };
        for _ in 0..cores.div_ceil(2) {
            let (rest, enough): (Rest, _) = (system.rest(), spinners.enough.clone());
            spinners.clients.spawn(async move {
                while !enough.load(Ordering::Relaxed) {
                    rest.get("/hostile/read/spin").await.expect(504);
                }
            });
        }
        spinners
    }

    /// Returns when none of them computes any more.
    async fn end(self) {
        self.enough.store(true, Ordering::Relaxed);
        self.clients.join_all().await;
    }
}
