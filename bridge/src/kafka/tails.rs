//! Which events are on Kafka already: reads the ends of the topics.
//!
//! Each partition is read from its end back to records that are older than the first event in question; none of
//! the events in question can lie further back. Everything here blocks.

use std::collections::{HashMap, HashSet};
use std::time::{Duration, Instant};

use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{BorrowedMessage, Headers, Message};
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};

use super::broker::{Broker, Quiet};
use ward_proto::call::ce;

const TIMEOUT: Duration = Duration::from_secs(5);
/// How many records are read at first; four times more each time it does not reach back far enough.
const FIRST_WINDOW: i64 = 2000;
/// The clocks of the NATS server and of the bridge may differ by this much.
const CLOCKS_DIFFER_MS: i64 = 60_000;

/// Topic and event id of records on Kafka.
pub type Present = HashSet<(String, String)>;

/// The part of a partition that is read.
struct Tail {
    partition: i32,
    low: i64,
    high: i64,
    window: i64,
}

impl Tail {
    fn start(&self) -> i64 {
        self.low.max(self.high.saturating_sub(self.window))
    }

    /// Nothing is left before it that matters, given when its first record was written.
    fn reaches_back(&self, first_ms: Option<i64>, since_ms: i64) -> bool {
        self.start() == self.low || first_ms.is_some_and(|first_ms| first_ms < since_ms)
    }
}

/// The events on `topics` that were stored in the stream at `since_ms` or later. Older ones may be among them.
pub fn present(broker: &Broker, topics: &[String], since_ms: i64) -> Result<Present, KafkaError> {
    let mut present = Present::new();
    for topic in topics {
        let mut tails = tails(&consumer(broker)?, topic)?;
        while !tails.is_empty() {
            // A new consumer for each reading: nothing of the one before can be mistaken for an answer.
            let firsts = read(&consumer(broker)?, topic, &tails, &mut present)?;
            tails.retain_mut(|tail| {
                let first_ms = firsts.get(&tail.partition).copied();
                let enough = tail.reaches_back(first_ms, since_ms.saturating_sub(CLOCKS_DIFFER_MS));
                tail.window = tail.window.saturating_mul(4);
                !enough
            });
        }
    }
    Ok(present)
}

fn consumer(broker: &Broker) -> Result<BaseConsumer<Quiet>, KafkaError> {
    broker.consumer_config().create_with_context(Quiet)
}

/// The partitions that hold anything; none for a topic that is not there yet.
fn tails(consumer: &BaseConsumer<Quiet>, topic: &str) -> Result<Vec<Tail>, KafkaError> {
    let metadata = consumer.fetch_metadata(Some(topic), TIMEOUT)?;
    let Some(found) = metadata.topics().iter().find(|found| found.name() == topic) else {
        return Ok(Vec::new());
    };
    match found.error().map(RDKafkaErrorCode::from) {
        Some(RDKafkaErrorCode::UnknownTopicOrPartition | RDKafkaErrorCode::UnknownTopic) => return Ok(Vec::new()),
        Some(code) => return Err(KafkaError::MetadataFetch(code)),
        None => {}
    }
    let mut tails = Vec::new();
    for partition in found.partitions().iter().map(|partition| partition.id()) {
        let (low, high) = consumer.fetch_watermarks(topic, partition, TIMEOUT)?;
        tails.push(Tail { partition, low, high, window: FIRST_WINDOW });
    }
    tails.retain(|tail| tail.low < tail.high);
    Ok(tails)
}

/// Reads each tail from its start to its end; returns when the first record of each was written.
fn read(
    consumer: &BaseConsumer<Quiet>,
    topic: &str,
    tails: &[Tail],
    present: &mut Present,
) -> Result<HashMap<i32, i64>, KafkaError> {
    let mut assignment = TopicPartitionList::new();
    for tail in tails {
        assignment.add_partition_offset(topic, tail.partition, Offset::Offset(tail.start()))?;
    }
    consumer.assign(&assignment)?;
    let mut ends: HashMap<i32, i64> = tails.iter().map(|tail| (tail.partition, tail.high)).collect();
    let mut firsts = HashMap::new();
    let mut heard = Instant::now();
    while !ends.is_empty() {
        match consumer.poll(TIMEOUT) {
            Some(Ok(message)) => {
                heard = Instant::now();
                let written_ms = message.timestamp().to_millis().unwrap_or(i64::MAX);
                firsts.entry(message.partition()).or_insert(written_ms);
                present.extend(event_id(&message).map(|id| (topic.to_owned(), id)));
                if ends.get(&message.partition()).is_some_and(|end| message.offset() + 1 >= *end) {
                    ends.remove(&message.partition());
                }
            }
            // The last records may be ones that only brokers see.
            Some(Err(KafkaError::PartitionEOF(partition))) => drop(ends.remove(&partition)),
            Some(Err(error)) => return Err(error),
            None if heard.elapsed() < TIMEOUT => {}
            None => return Err(KafkaError::MessageConsumption(RDKafkaErrorCode::OperationTimedOut)),
        }
    }
    Ok(firsts)
}

fn event_id(message: &BorrowedMessage<'_>) -> Option<String> {
    let name = ce::on_kafka(ce::ID);
    let header = message.headers()?.iter().find(|header| header.key == name)?;
    String::from_utf8(header.value?.to_vec()).ok()
}
