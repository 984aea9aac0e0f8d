//! The same load on several servers, in turns: what the machine does meanwhile hits all of them alike.

use std::collections::BTreeSet;
use std::time::Duration;

use serde_json::{Value, json};

use super::load::{Load, Sample};
use super::options::Extent;
use super::processes::Process;
use super::report::{Section, median, number, range};
use super::requests::Requests;

/// Who is measured.
pub struct Contender {
    pub name: &'static str,
    pub address: String,
    pub requests: Requests,
    pub status: u16,
}

/// What all of them do. The first contender is the yardstick of the others.
pub struct Contest<'a> {
    pub work: &'static str,
    pub contenders: &'a [Contender],
    pub processes: &'a [Process],
    /// The least that Ward is to reach of the yardstick, by number of connections.
    pub target: fn(usize) -> Option<f64>,
}

pub const COLUMNS: [&str; 9] =
    ["work", "conn.", "server", "requests/s", "p50 ms", "p99 ms", "failed", "CPU us a request", "of native (target)"];

impl Contest<'_> {
    /// One row for each contender and number of connections. `settle` waits until what a run has left behind is done.
    pub async fn run(&self, extent: &Extent, section: &mut Section, settle: impl AsyncFn()) {
        for connections in &extent.connections {
            let mut samples: Vec<Vec<Sample>> = vec![Vec::new(); self.contenders.len()];
            for round in 0..extent.rounds {
                for turn in 0..self.contenders.len() {
                    // Every other round the other way round.
                    let place = if round % 2 == 0 { turn } else { self.contenders.len() - 1 - turn };
                    let sample = self.sample(place, *connections, extent).await;
                    samples[place].push(sample);
                    settle().await;
                }
            }
            for (place, contender) in self.contenders.iter().enumerate() {
                self.report(*connections, contender, &samples[place], &samples[0], section);
            }
        }
    }

    async fn sample(&self, place: usize, connections: usize, extent: &Extent) -> Sample {
        let contender = &self.contenders[place];
        let load = Load {
            address: contender.address.clone(),
            connections,
            requests: contender.requests.clone(),
            status: contender.status,
            every: None,
            warm_up: Duration::from_millis(500),
            length: extent.length,
        };
        load.run(self.processes).await
    }

    fn report(&self, connections: usize, who: &Contender, samples: &[Sample], first: &[Sample], section: &mut Section) {
        let all = |value: fn(&Sample) -> f64| samples.iter().map(value).collect::<Vec<_>>();
        let rates = all(Sample::requests_per_s);
        let ratios: Vec<f64> =
            samples.iter().zip(first).map(|(own, first)| own.requests_per_s() / first.requests_per_s()).collect();
        let errors: usize = samples.iter().map(|sample| sample.errors).sum();
        let is_yardstick = std::ptr::eq(samples, first);
        let target = (self.target)(connections).filter(|_| !is_yardstick && who.name == "ward");
        let ratio = match (is_yardstick, target) {
            (true, _) => String::new(),
            (false, None) => range(&ratios),
            (false, Some(target)) => format!("{} (target {target})", range(&ratios)),
        };
        let [p50, p99] = [all(|sample| sample.percentile_ms(50.0)), all(|sample| sample.percentile_ms(99.0))];
        let cells = [
            self.work.to_owned(),
            connections.to_string(),
            who.name.to_owned(),
            range(&rates),
            number(median(&p50)),
            number(median(&p99)),
            errors.to_string(),
            cpu_text(samples),
            ratio,
        ];
        let error = samples.iter().find_map(|sample| sample.error.as_deref());
        let data = json!({
            "work": self.work, "connections": connections, "server": who.name, "requests_per_s": rates,
            "p50_ms": p50, "p99_ms": p99, "max_ms": all(|sample| sample.percentile_ms(100.0)), "errors": errors,
            "error": error, "cpu_us_per_request": cpu(samples), "of_native": (!is_yardstick).then_some(ratios),
            "target": target,
        });
        section.row(&cells, data);
        if let Some(error) = error {
            eprintln!("  the first failure: {error}");
        }
    }
}

/// Medians by process.
fn cpu(samples: &[Sample]) -> Value {
    let names: BTreeSet<&str> = samples.iter().flat_map(|sample| sample.cpu_us.keys().copied()).collect();
    let of = |name: &str| {
        let values: Vec<f64> = samples.iter().filter_map(|sample| sample.cpu_us_per_request(name)).collect();
        median(&values)
    };
    names.into_iter().map(|name| (name.to_owned(), json!(of(name).round()))).collect::<serde_json::Map<_, _>>().into()
}

/// Only those that took part.
fn cpu_text(samples: &[Sample]) -> String {
    let cpu = cpu(samples);
    let parts = cpu.as_object().into_iter().flatten().filter(|(_, value)| value.as_f64() >= Some(1.0));
    parts.map(|(name, value)| format!("{name} {}", value.as_f64().unwrap_or_default())).collect::<Vec<_>>().join(", ")
}
