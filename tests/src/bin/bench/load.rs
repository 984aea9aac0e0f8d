//! Clients that ask one after the other, and what they saw.
//!
//! They run on one thread of their own. What the processes cost is taken at the beginning and at the end of the time that
//! counts, while the load goes on before and after it.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use tokio::task::JoinSet;

use super::http::Connection;
use super::processes::{Process, cpu_us};
use super::requests::Requests;

#[derive(Clone)]
pub struct Load {
    pub address: String,
    pub connections: usize,
    /// From one request of a connection to its next; none: when it has its answer.
    pub every: Option<Duration>,
    pub requests: Requests,
    /// What a good answer has.
    pub status: u16,
    pub warm_up: Duration,
    pub length: Duration,
}

/// One measurement.
#[derive(Debug, Clone, Default)]
pub struct Sample {
    pub seconds: f64,
    /// In order.
    pub latencies_us: Vec<u32>,
    pub errors: usize,
    /// The first of them.
    pub error: Option<String>,
    pub cpu_us: BTreeMap<&'static str, f64>,
}

impl Load {
    pub async fn run(&self, processes: &[Process]) -> Sample {
        let begin = Instant::now() + self.warm_up;
        let end = begin + self.length;
        let load = self.clone();
        let clients = std::thread::spawn(move || load.clients(begin, end));
        tokio::time::sleep_until(begin.into()).await;
        let before = cpu_us(processes);
        tokio::time::sleep_until(end.into()).await;
        let after = cpu_us(processes);
        let mut sample = tokio::task::spawn_blocking(move || clients.join().unwrap()).await.unwrap();
        sample.latencies_us.sort_unstable();
        sample.seconds = self.length.as_secs_f64();
        sample.cpu_us = after.into_iter().map(|(name, sum)| (name, sum - before[name])).collect();
        sample
    }

    fn clients(&self, begin: Instant, end: Instant) -> Sample {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let clients = async {
            let mut clients = JoinSet::new();
            for place in 0..self.connections {
                clients.spawn(client(self.clone(), place, begin, end));
            }
            clients.join_all().await
        };
        runtime.block_on(clients).into_iter().fold(Sample::default(), Sample::with)
    }
}

impl Sample {
    fn with(mut self, other: Self) -> Self {
        self.latencies_us.extend(other.latencies_us);
        self.errors += other.errors;
        self.error = self.error.or(other.error);
        self
    }

    pub fn requests_per_s(&self) -> f64 {
        self.latencies_us.len() as f64 / self.seconds
    }

    pub fn percentile_ms(&self, percent: f64) -> f64 {
        percentile(&self.latencies_us, percent) / 1000.0
    }

    pub fn cpu_us_per_request(&self, process: &str) -> Option<f64> {
        let requests = self.latencies_us.len().max(1) as f64;
        self.cpu_us.get(process).map(|sum| sum / requests)
    }
}

/// Of values in order.
pub fn percentile(values: &[u32], percent: f64) -> f64 {
    let place = (values.len() as f64 * percent / 100.0) as usize;
    values.get(place.min(values.len().saturating_sub(1))).copied().map_or(0.0, f64::from)
}

async fn client(load: Load, place: usize, begin: Instant, end: Instant) -> Sample {
    let (mut sample, mut buffer) = (Sample::default(), Vec::with_capacity(1024));
    let mut connection = None;
    // By the clock a request counts from when it was due, so that a slow moment is not hidden by asking less.
    let mut due = load.every.map(|every| (Instant::now() + every * place as u32 / load.connections as u32, every));
    while Instant::now() < end {
        buffer.clear();
        (load.requests)(&mut buffer);
        let mut sent = Instant::now();
        if let Some((due, every)) = &mut due {
            if sent < *due {
                tokio::time::sleep_until((*due).into()).await;
                sent = Instant::now();
            } else {
                sent = *due;
            }
            *due += *every;
        }
        let outcome = exchange(&load, &mut connection, &buffer).await;
        let answered = Instant::now();
        if answered < begin || answered >= end {
            continue;
        }
        match outcome {
            Ok(()) => sample.latencies_us.push((answered - sent).as_micros() as u32),
            Err(error) => {
                sample.errors += 1;
                sample.error.get_or_insert(error);
            }
        }
    }
    sample
}

async fn exchange(load: &Load, connection: &mut Option<Connection>, request: &[u8]) -> Result<(), String> {
    let mut open = match connection.take() {
        Some(open) => open,
        None => Connection::open(&load.address).await.map_err(|error| error.to_string())?,
    };
    let answer = open.exchange(request).await.map_err(|error| error.to_string())?;
    if answer.status != load.status {
        return Err(format!("{} {}", answer.status, String::from_utf8_lossy(answer.body)));
    }
    *connection = Some(open);
    Ok(())
}
