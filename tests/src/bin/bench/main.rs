//! `./dev bench`: measures Ward against a native program that does the same work, and by itself.
//!
//! One run starts its own servers, lets them take turns, prints tables, and writes target/bench.json and target/bench.md.
//! What the numbers mean is in docs/performance.md. Nothing fails because it is slow: a busy machine is not a bug.
//!
//! [`duel`] has Ward and the yardstick ([`native`]) side by side, [`whole`] a whole Ward with bridge and Apache Kafka.

#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "what goes wrong here ends the measurement, and the message is for whoever runs it"
)]

mod contest;
mod duel;
mod fairness;
mod http;
mod load;
mod native;
mod options;
mod pages;
mod processes;
mod report;
mod requests;
mod stage;
mod whole;

use clap::Parser;

use options::{Hidden, Options, Part};

pub use native::now as native_now;

/// The yardstick has the host's allocator.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() {
    let mut options = Options::parse();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    match options.hidden.take() {
        Some(Hidden::Native(native)) => runtime.block_on(native::serve(native)),
        None => runtime.block_on(measure(&options)),
    }
}

async fn measure(options: &Options) {
    if let Err(reason) = stage::check() {
        eprintln!("bench: {reason}");
        std::process::exit(1);
    }
    let machine = report::machine();
    let mut sections = Vec::new();
    let in_duel = [Part::Read, Part::List, Part::Register, Part::Login, Part::Pages];
    if in_duel.iter().any(|part| options.wants(*part)) {
        eprintln!("Ward and native side by side");
        duel::Duel::start().await.run(options, &mut sections).await;
    }
    if options.wants(Part::Fairness) {
        eprintln!("Beside a component that spins");
        fairness::run(options, &mut sections).await;
    }
    let in_whole = [Part::Calls, Part::Kafka, Part::Swap, Part::Canary, Part::Memory, Part::Start];
    if in_whole.iter().any(|part| options.wants(*part)) {
        eprintln!("A whole Ward");
        whole::run(options, &mut sections).await;
    }
    report::write(&machine, &sections);
}
