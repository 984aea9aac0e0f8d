//! Reads while a canary of `patient` has half of the calls, against reads without one.

use std::time::Duration;

use serde_json::json;
use ward_tests::artifact::{marked, write};
use ward_tests::clinic::JOHN;
use ward_tests::machine::component;

use super::Whole;
use crate::load::{Load, Sample};
use crate::options::Extent;
use crate::report::{Section, median, number, range};
use crate::requests;

const COLUMNS: [&str; 5] = ["a canary", "requests/s", "p50 ms", "p99 ms", "of without"];
const CONNECTIONS: usize = 32;

pub async fn measure(whole: &Whole, extent: &Extent) -> Section {
    let note = "Reads by key on 32 connections, in turns without a canary and with one that gets half of the calls.";
    let mut section = Section::new("A canary", note, &COLUMNS);
    let original = std::fs::read(component("patient")).unwrap();
    let (mut without, mut with, mut ratios) = (Figures::default(), Figures::default(), Vec::new());
    for round in 0..extent.rounds as u32 {
        let rate = without.add(&load(whole, extent.length).run(&[]).await);
        let variant = write(whole.system.folder(), "canary", &marked(&original, !std::process::id() - round));
        whole.system.command(&["deploy", "patient", variant.to_str().unwrap(), "--canary", "50"]).await;
        ratios.push(with.add(&load(whole, extent.length).run(&[]).await) / rate);
        whole.system.command(&["rollback", "patient"]).await;
    }
    section.row(&without.cells("none", "-"), json!({"canary_percent": 0, "rates": without.rates}));
    let data = json!({"canary_percent": 50, "rates": with.rates, "ratio": median(&ratios)});
    section.row(&with.cells("of 50 per cent", &range(&ratios)), data);
    section
}

#[derive(Default)]
struct Figures {
    rates: Vec<f64>,
    p50: Vec<f64>,
    p99: Vec<f64>,
}

impl Figures {
    /// Requests a second.
    fn add(&mut self, sample: &Sample) -> f64 {
        assert_eq!(sample.errors, 0, "a request failed");
        self.p50.push(sample.percentile_ms(50.0));
        self.p99.push(sample.percentile_ms(99.0));
        self.rates.push(sample.requests_per_s());
        sample.requests_per_s()
    }

    fn cells(&self, what: &str, ratio: &str) -> [String; 5] {
        [what.to_owned(), range(&self.rates), number(median(&self.p50)), number(median(&self.p99)), ratio.to_owned()]
    }
}

fn load(whole: &Whole, length: Duration) -> Load {
    Load {
        address: whole.address().to_owned(),
        connections: CONNECTIONS,
        every: None,
        requests: requests::same(requests::get(&format!("/api/patients/{JOHN}"), &whole.token)),
        status: 200,
        warm_up: Duration::from_millis(500),
        length,
    }
}
