//! A Kafka topic, read from its beginning.

use std::collections::BTreeMap;
use std::time::Duration;

use prost::Message as _;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::message::{Headers, Message};
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};
use rdkafka::{ClientConfig, error::KafkaError};
use tokio::time::Instant;
use ward_proto::patient_events::PatientEvent;

use crate::PATIENCE;

/// One record of a topic.
#[derive(Debug, Clone)]
pub struct Record {
    pub partition: i32,
    pub offset: i64,
    pub key: Option<String>,
    pub headers: BTreeMap<String, String>,
    pub payload: Vec<u8>,
}

impl Record {
    pub fn patient_event(&self) -> PatientEvent {
        PatientEvent::decode(self.payload.as_slice()).expect("a PatientEvent")
    }
}

/// A place in a topic.
#[derive(Debug, Clone)]
pub struct Topic {
    brokers: String,
    name: String,
}

impl Topic {
    pub fn new(brokers: &str, name: &str) -> Self {
        Self { brokers: brokers.to_owned(), name: name.to_owned() }
    }

    /// All records that the topic has now, in order within each partition. None when it does not exist.
    pub async fn read(&self) -> Vec<Record> {
        let topic = self.clone();
        tokio::task::spawn_blocking(move || topic.read_blocking().unwrap()).await.unwrap()
    }

    /// Reads until the records satisfy `enough`.
    pub async fn until(&self, what: &str, enough: impl Fn(&[Record]) -> bool) -> Vec<Record> {
        crate::eventually(&format!("{what} on the topic {}", self.name), async || {
            let records = self.read().await;
            enough(&records).then_some(records)
        })
        .await
    }

    fn read_blocking(&self) -> Result<Vec<Record>, KafkaError> {
        let consumer: BaseConsumer = ClientConfig::new()
            .set("bootstrap.servers", &self.brokers)
            .set("group.id", crate::unique("reader"))
            .set("enable.auto.commit", "false")
            .set("isolation.level", "read_committed")
            .create()?;
        let wait = Duration::from_secs(10);
        let metadata = consumer.fetch_metadata(None, wait)?;
        let Some(topic) = metadata.topics().iter().find(|topic| topic.name() == self.name) else {
            return Ok(Vec::new());
        };
        let mut places = TopicPartitionList::new();
        let mut left = BTreeMap::new();
        for partition in topic.partitions() {
            let (low, high) = consumer.fetch_watermarks(&self.name, partition.id(), wait)?;
            if low < high {
                places.add_partition_offset(&self.name, partition.id(), Offset::Beginning)?;
                left.insert(partition.id(), high);
            }
        }
        consumer.assign(&places)?;
        let (mut records, end) = (Vec::new(), Instant::now() + PATIENCE);
        while !left.is_empty() {
            assert!(Instant::now() < end, "reading the topic {} takes too long", self.name);
            let Some(message) = consumer.poll(Duration::from_millis(100)) else {
                continue;
            };
            let record = record(&message?);
            if left.get(&record.partition).is_some_and(|high| record.offset + 1 >= *high) {
                left.remove(&record.partition);
            }
            records.push(record);
        }
        records.sort_by_key(|record| (record.partition, record.offset));
        Ok(records)
    }
}

fn record(message: &impl Message) -> Record {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let headers = message.headers().into_iter().flat_map(|headers| headers.iter());
    Record {
        partition: message.partition(),
        offset: message.offset(),
        key: message.key().map(text),
        headers: headers.map(|header| (header.key.to_owned(), text(header.value.unwrap_or_default()))).collect(),
        payload: message.payload().unwrap_or_default().to_vec(),
    }
}
