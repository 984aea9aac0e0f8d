//! From the reply of a registration to its event in the hands of a Kafka consumer: transaction, outbox, relay, JetStream
//! (every message on the disk), bridge, Kafka, consumer.
//!
//! Registrations are sent by the clock, not when the one before was answered, so that a slow moment is not hidden by
//! asking less.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use futures_util::future::join_all;
use rdkafka::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::message::Message;
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};
use serde_json::json;

use super::Whole;
use crate::http::Connection;
use crate::load::percentile;
use crate::options::Extent;
use crate::processes::cpu_us;
use crate::report::{Section, number};
use crate::requests;

const CONNECTIONS: usize = 32;
const TOPIC: &str = "patient";
const COLUMNS: [&str; 8] =
    ["registrations/s wanted", "answered", "failed", "p50 ms", "p99 ms", "max ms", "reply p99 ms", "target"];

pub async fn measure(whole: &Whole, extent: &Extent) -> Section {
    let note = "Time from the reply of a registration until a consumer of the topic `patient` has its event. All services run, \
                so each registration also opens an account and is counted.";
    let mut section = Section::new("Reply to Kafka", note, &COLUMNS);
    let brokers = whole.system.bridge().brokers().await;
    let length = if extent.quick { Duration::from_secs(5) } else { Duration::from_secs(30) };
    for rate in [100, 500] {
        let consumed = Consumption::start(&brokers);
        let before = cpu_us(&whole.processes);
        let replies = register(whole, rate, length).await;
        let after = cpu_us(&whole.processes);
        whole.settle().await;
        let seen = consumed.end();
        let lag = |(id, replied): (&String, &Instant)| seen.get(id).map(|at| at.saturating_duration_since(*replied));
        let mut lags_us: Vec<u32> = replies.at.iter().filter_map(lag).map(|lag| lag.as_micros() as u32).collect();
        lags_us.sort_unstable();
        let missing = replies.at.len() - lags_us.len();
        assert_eq!(missing, 0, "events that did not arrive");
        let [p50, p99, max] = [50.0, 99.0, 100.0].map(|percent| percentile(&lags_us, percent) / 1000.0);
        let reply_p99 = percentile(&replies.latencies_us, 99.0) / 1000.0;
        let cpu: HashMap<&str, f64> = after.iter().map(|(name, sum)| (*name, sum - before[name])).collect();
        let target = if rate == 100 { "p99 under 30 ms" } else { "" };
        let cells = [
            rate.to_string(),
            replies.at.len().to_string(),
            replies.failed.to_string(),
            number(p50),
            number(p99),
            number(max),
            number(reply_p99),
            target.to_owned(),
        ];
        section.row(
            &cells,
            json!({"rate": rate, "seconds": length.as_secs_f64(), "answered": replies.at.len(), "failed": replies.failed,
                   "p50_ms": p50, "p99_ms": p99, "max_ms": max, "reply_p99_ms": reply_p99, "cpu_us": cpu}),
        );
    }
    section
}

/// When each patient's registration was answered.
#[derive(Default)]
struct Replies {
    at: HashMap<String, Instant>,
    latencies_us: Vec<u32>,
    failed: usize,
}

async fn register(whole: &Whole, rate: u64, length: Duration) -> Replies {
    let (next, start) = (Arc::new(AtomicU64::new(0)), Instant::now());
    let requests = requests::registrations(&whole.token);
    let clients = (0..CONNECTIONS).map(|_| {
        let (next, requests, address) = (next.clone(), requests.clone(), whole.address().to_owned());
        tokio::spawn(async move {
            let (mut replies, mut buffer) = (Replies::default(), Vec::new());
            let mut connection = Connection::open(&address).await.unwrap();
            loop {
                let due = start + Duration::from_secs(1) * next.fetch_add(1, Ordering::Relaxed) as u32 / rate as u32;
                if due >= start + length {
                    return replies;
                }
                tokio::time::sleep_until(due.into()).await;
                buffer.clear();
                requests(&mut buffer);
                let answer = connection.exchange(&buffer).await.unwrap();
                match answer.text_field("id").filter(|_| answer.status == 201) {
                    Some(id) => drop(replies.at.insert(id.to_owned(), Instant::now())),
                    None => replies.failed += 1,
                }
                replies.latencies_us.push(due.elapsed().as_micros() as u32);
            }
        })
    });
    let all = join_all(clients).await.into_iter().map(Result::unwrap);
    let mut all = all.fold(Replies::default(), |mut sum, replies| {
        sum.at.extend(replies.at);
        sum.latencies_us.extend(replies.latencies_us);
        sum.failed += replies.failed;
        sum
    });
    all.latencies_us.sort_unstable();
    all
}

/// A consumer on a thread of its own, that notes when it got whose event.
struct Consumption {
    thread: JoinHandle<HashMap<String, Instant>>,
    enough: Arc<AtomicBool>,
}

impl Consumption {
    /// Begins at the topic's end.
    fn start(brokers: &str) -> Self {
        let consumer: BaseConsumer = ClientConfig::new()
            .set("bootstrap.servers", brokers)
            .set("group.id", "bench")
            .set("enable.auto.commit", "false")
            .create()
            .unwrap();
        let wait = Duration::from_secs(10);
        let metadata = consumer.fetch_metadata(Some(TOPIC), wait).unwrap();
        let mut places = TopicPartitionList::new();
        for partition in metadata.topics()[0].partitions() {
            let (_, end) = consumer.fetch_watermarks(TOPIC, partition.id(), wait).unwrap();
            places.add_partition_offset(TOPIC, partition.id(), Offset::Offset(end)).unwrap();
        }
        consumer.assign(&places).unwrap();
        let enough = Arc::new(AtomicBool::new(false));
        let stop = enough.clone();
        let thread = std::thread::spawn(move || {
            let mut seen = HashMap::new();
            loop {
                let polled = consumer.poll(Duration::from_millis(100));
                let now = Instant::now();
                match polled {
                    Some(message) => {
                        let message = message.unwrap();
                        let key = String::from_utf8_lossy(message.key().unwrap_or_default()).into_owned();
                        seen.entry(key).or_insert(now);
                    }
                    // Only when there is nothing more.
                    None if stop.load(Ordering::Relaxed) => return seen,
                    None => {}
                }
            }
        });
        Self { thread, enough }
    }

    fn end(self) -> HashMap<String, Instant> {
        self.enough.store(true, Ordering::Relaxed);
        self.thread.join().unwrap()
    }
}
