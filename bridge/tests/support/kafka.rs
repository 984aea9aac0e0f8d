//! A Kafka inside the test: librdkafka's mock, with its errors to order, and a reader of everything on a topic.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use rdkafka::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::KafkaError;
use rdkafka::message::{Headers, Message};
use rdkafka::mocking::MockCluster;
use rdkafka::producer::{BaseProducer, DefaultProducerContext, Producer};
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};

use super::PATIENCE;

/// Outlives the bridges of the test.
pub struct Kafka {
    holder: BaseProducer,
}

/// What a consumer sees.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seen {
    pub partition: i32,
    pub key: String,
    pub headers: BTreeMap<String, String>,
    pub payload: Vec<u8>,
}

impl Seen {
    pub fn id(&self) -> &str {
        &self.headers["ce_id"]
    }

    pub fn version(&self) -> u64 {
        self.headers["ce_aggregateversion"].parse().unwrap()
    }
}

impl Kafka {
    pub fn start(topics: &[&str]) -> Self {
        let holder: BaseProducer = ClientConfig::new().set("test.mock.num.brokers", "1").create().unwrap();
        let kafka = Self { holder };
        for topic in topics {
            kafka.cluster().create_topic(topic, 3, 1).unwrap();
        }
        kafka
    }

    pub fn cluster(&self) -> MockCluster<'_, DefaultProducerContext> {
        self.holder.client().mock_cluster().unwrap()
    }

    pub fn brokers(&self) -> String {
        self.cluster().bootstrap_servers()
    }

    pub fn read(&self, topic: &str) -> Vec<Seen> {
        read(&self.brokers(), topic)
    }

    /// Waits until the topic has `count` records, and returns all that are there then.
    pub async fn wait_for(&self, topic: &str, count: usize) -> Vec<Seen> {
        let began = Instant::now();
        loop {
            let seen = self.read(topic);
            if seen.len() >= count {
                return seen;
            }
            assert!(began.elapsed() < PATIENCE, "{} of {count} records on {topic}", seen.len());
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }
}

/// Everything on the topic, partition by partition.
pub fn read(brokers: &str, topic: &str) -> Vec<Seen> {
    let consumer: BaseConsumer = ClientConfig::new()
        .set("bootstrap.servers", brokers)
        .set("group.id", "test")
        .set("enable.partition.eof", "true")
        .set("enable.auto.commit", "false")
        .set("fetch.wait.max.ms", "10")
        .create()
        .unwrap();
    let metadata = consumer.fetch_metadata(Some(topic), PATIENCE).unwrap();
    let partitions: Vec<i32> = metadata.topics()[0].partitions().iter().map(|p| p.id()).collect();
    partitions.into_iter().flat_map(|partition| read_partition(&consumer, topic, partition)).collect()
}

fn read_partition(consumer: &BaseConsumer, topic: &str, partition: i32) -> Vec<Seen> {
    let mut assignment = TopicPartitionList::new();
    assignment.add_partition_offset(topic, partition, Offset::Beginning).unwrap();
    consumer.assign(&assignment).unwrap();
    let mut seen = Vec::new();
    loop {
        match consumer.poll(PATIENCE) {
            None => {}
            Some(Ok(message)) => seen.push(Seen {
                partition,
                key: String::from_utf8(message.key().unwrap_or_default().to_vec()).unwrap(),
                headers: headers(&message),
                payload: message.payload().unwrap_or_default().to_vec(),
            }),
            Some(Err(KafkaError::PartitionEOF(_))) => return seen,
            Some(Err(error)) => panic!("{error}"),
        }
    }
}

fn headers(message: &impl Message) -> BTreeMap<String, String> {
    let headers = message.headers().unwrap();
    headers
        .iter()
        .map(|header| (header.key.to_owned(), String::from_utf8_lossy(header.value.unwrap()).into_owned()))
        .collect()
}

/// Every event `0..count` is there once, and those of each key in the order of their versions.
pub fn assert_complete_and_ordered(seen: &[Seen], count: u64) {
    let mut ids: Vec<&str> = seen.iter().map(Seen::id).collect();
    ids.sort_unstable();
    let doubled: Vec<_> = ids.windows(2).filter(|pair| pair[0] == pair[1]).map(|pair| pair[0]).collect();
    assert!(doubled.is_empty(), "doubled: {doubled:?}");
    let lost: Vec<_> = (0..count).filter(|n| ids.binary_search(&format!("event-{n}").as_str()).is_err()).collect();
    assert!(lost.is_empty(), "lost: {lost:?}");
    let mut last: BTreeMap<&str, u64> = BTreeMap::new();
    for record in seen {
        let before = last.insert(&record.key, record.version());
        assert!(before < Some(record.version()), "out of order: {record:?} after {before:?}");
    }
}
