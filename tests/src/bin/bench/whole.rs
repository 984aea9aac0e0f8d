//! A whole Ward, as `./dev up --kafka` runs it: all services, the bridge, Apache Kafka.

mod calls;
mod canary;
mod events;
mod memory;
mod start;
mod swap;

use ward_tests::System;

use super::options::{Extent, Options, Part};
use super::processes::Process;
use super::report::Section;
use super::stage;

/// The system, and who does its work.
pub struct Whole {
    pub system: System,
    pub token: String,
    pub processes: Vec<Process>,
}

impl Whole {
    pub fn address(&self) -> &str {
        self.system.hosts[0].address()
    }

    /// Waits until all that followed from what was done is done, too.
    pub async fn settle(&self) {
        self.system.settle().await;
    }
}

pub async fn run(options: &Options, sections: &mut Vec<Section>) {
    let extent: Extent = options.extent();
    let system = stage::plan().kafka().start().await;
    let token = system.admin().await.token().unwrap().to_owned();
    let processes = stage::processes(&system);
    let mut whole = Whole { system, token, processes };
    whole.settle().await;
    // In this order: memory wants processes that have done nothing yet, start ends the processes that the others know.
    if options.wants(Part::Memory) {
        sections.push(memory::measure(&whole, &extent).await);
    }
    if options.wants(Part::Calls) {
        sections.push(calls::measure(&whole, &extent).await);
    }
    if options.wants(Part::Kafka) {
        sections.push(events::measure(&whole, &extent).await);
    }
    if options.wants(Part::Swap) {
        sections.push(swap::measure(&whole, &extent).await);
    }
    if options.wants(Part::Canary) {
        sections.push(canary::measure(&whole, &extent).await);
    }
    if options.wants(Part::Start) {
        sections.push(start::measure(&mut whole, &extent).await);
    }
    whole.system.end_broken();
}
