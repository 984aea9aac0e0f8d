//! Which events are on Kafka already: reads the ends of the topics.
//!
//! Each partition is read from its end back to records that are older than the first event in question; none of
//! the events in question can lie further back. Everything here blocks.

use std::collections::HashSet;
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

/// A partition and what it holds.
struct Partition<'a> {
    topic: &'a str,
    number: i32,
    low: i64,
    high: i64,
}

/// The events on `topics` that were stored in the stream at `since_ms` or later. Older ones may be among them.
pub fn present(broker: &Broker, topics: &[String], since_ms: i64) -> Result<Present, KafkaError> {
    let consumer: BaseConsumer<Quiet> = broker.consumer_config().create_with_context(Quiet)?;
    let mut present = Present::new();
    for topic in topics {
        for number in partitions(&consumer, topic)? {
            let (low, high) = consumer.fetch_watermarks(topic, number, TIMEOUT)?;
            let partition = Partition {
                topic,
                number,
                low,
                high,
            };
            read_back(&consumer, &partition, since_ms - CLOCKS_DIFFER_MS, &mut present)?;
        }
    }
    Ok(present)
}

/// The topic's partitions; none for a topic that is not there yet.
fn partitions(consumer: &BaseConsumer<Quiet>, topic: &str) -> Result<Vec<i32>, KafkaError> {
    let metadata = consumer.fetch_metadata(Some(topic), TIMEOUT)?;
    let Some(found) = metadata.topics().iter().find(|found| found.name() == topic) else {
        return Ok(Vec::new());
    };
    match found.error().map(RDKafkaErrorCode::from) {
        Some(RDKafkaErrorCode::UnknownTopicOrPartition | RDKafkaErrorCode::UnknownTopic) => Ok(Vec::new()),
        Some(code) => Err(KafkaError::MetadataFetch(code)),
        None => Ok(found.partitions().iter().map(|partition| partition.id()).collect()),
    }
}

fn read_back(
    consumer: &BaseConsumer<Quiet>,
    partition: &Partition<'_>,
    since_ms: i64,
    present: &mut Present,
) -> Result<(), KafkaError> {
    let mut window = FIRST_WINDOW;
    let mut start = partition.high;
    while start > partition.low {
        start = partition.low.max(partition.high.saturating_sub(window));
        let first_ms = read(consumer, partition, start, present)?;
        if first_ms.is_some_and(|first_ms| first_ms < since_ms) {
            break;
        }
        window = window.saturating_mul(4);
    }
    Ok(())
}

/// Reads from `start` to the end; returns when the first record was written.
fn read(
    consumer: &BaseConsumer<Quiet>,
    partition: &Partition<'_>,
    start: i64,
    present: &mut Present,
) -> Result<Option<i64>, KafkaError> {
    let mut assignment = TopicPartitionList::new();
    assignment.add_partition_offset(partition.topic, partition.number, Offset::Offset(start))?;
    consumer.assign(&assignment)?;
    let mut first_ms = None;
    let mut heard = Instant::now();
    while heard.elapsed() < TIMEOUT {
        match consumer.poll(TIMEOUT) {
            // Left over from the partition before.
            Some(Ok(message)) if !partition.has(&message) => {}
            Some(Ok(message)) => {
                heard = Instant::now();
                first_ms = first_ms.or(message.timestamp().to_millis());
                present.extend(event_id(&message).map(|id| (partition.topic.to_owned(), id)));
                if message.offset() + 1 >= partition.high {
                    return Ok(first_ms);
                }
            }
            Some(Err(KafkaError::PartitionEOF(number))) if number == partition.number => return Ok(first_ms),
            Some(Err(KafkaError::PartitionEOF(_))) | None => {}
            Some(Err(error)) => return Err(error),
        }
    }
    Err(KafkaError::MessageConsumption(RDKafkaErrorCode::OperationTimedOut))
}

impl Partition<'_> {
    fn has(&self, message: &BorrowedMessage<'_>) -> bool {
        message.topic() == self.topic && message.partition() == self.number
    }
}

fn event_id(message: &BorrowedMessage<'_>) -> Option<String> {
    let name = ce::on_kafka(ce::ID);
    let header = message.headers()?.iter().find(|header| header.key == name)?;
    String::from_utf8(header.value?.to_vec()).ok()
}
