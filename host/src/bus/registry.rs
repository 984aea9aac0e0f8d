//! Artifacts by digest, and small values under keys that can be watched.

use async_nats::jetstream::kv::{self, Operation, Store};
use async_nats::jetstream::object_store::{self, ObjectInfo, ObjectStore, UpdateMetadata};
use bytes::Bytes;
use futures_util::StreamExt;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use tokio::io::AsyncReadExt;

use super::Bus;
use crate::clock;

#[derive(Debug, thiserror::Error)]
pub enum RegistryError {
    #[error("{action}: {message}")]
    Failed { action: &'static str, message: String },
    /// Somebody else changed the value since it was read.
    #[error("somebody else changed {key} at the same time; look again, then repeat")]
    Overtaken { key: String },
    #[error("there is no {0} in the object store")]
    Missing(String),
    /// Parts of it are missing or were changed.
    #[error("the object store has damaged bytes of {0}")]
    Damaged(String),
    #[error("{name} in the object store is larger than {limit} bytes")]
    TooLarge { name: String, limit: usize },
}

fn failed<E: std::fmt::Display>(action: &'static str) -> impl FnOnce(E) -> RegistryError {
    move |error| RegistryError::Failed { action, message: error.to_string() }
}

/// A value and the revision that a change must name.
#[derive(Debug, Clone)]
pub struct Revised {
    pub value: Bytes,
    pub revision: u64,
}

/// A key that was set, or removed (no value).
#[derive(Debug, Clone)]
pub struct Change {
    pub key: String,
    pub revision: u64,
    pub value: Option<Bytes>,
}

#[derive(Clone)]
pub struct Bucket(Store);

/// Values of a key that a bucket remembers; the most that NATS allows.
const HISTORY: i64 = 64;

impl Bucket {
    pub async fn get(&self, key: &str) -> Result<Option<Revised>, RegistryError> {
        let entry = self.0.entry(key).await.map_err(failed("reading a bucket"))?;
        let entry = entry.filter(|entry| entry.operation == Operation::Put);
        Ok(entry.map(|entry| Revised { value: entry.value, revision: entry.revision }))
    }

    /// The values that the key had, the earliest first, as far back as the bucket remembers.
    pub async fn history(&self, key: &str) -> Result<Vec<Revised>, RegistryError> {
        let mut entries = self.0.history(key).await.map_err(failed("reading a bucket"))?;
        let mut values = Vec::new();
        while let Some(entry) = entries.next().await {
            let entry = entry.map_err(failed("reading a bucket"))?;
            if entry.operation == Operation::Put {
                values.push(Revised { value: entry.value, revision: entry.revision });
            }
        }
        Ok(values)
    }

    /// Sets the value if it is still what was read: `revision` of the value read, 0 for none.
    pub async fn replace(&self, key: &str, value: Bytes, revision: u64) -> Result<u64, RegistryError> {
        let overtaken = || RegistryError::Overtaken { key: key.to_owned() };
        if revision == 0 {
            // Also where there was something that was removed.
            return self.0.create(key, value).await.map_err(|error| match error.kind() {
                kv::CreateErrorKind::AlreadyExists => overtaken(),
                _ => failed("changing a bucket")(error),
            });
        }
        self.0.update(key, value, revision).await.map_err(|error| match error.kind() {
            kv::UpdateErrorKind::WrongLastRevision => overtaken(),
            _ => failed("changing a bucket")(error),
        })
    }

    pub async fn put(&self, key: &str, value: Bytes) -> Result<(), RegistryError> {
        self.0.put(key, value).await.map(|_| ()).map_err(failed("changing a bucket"))
    }

    pub async fn remove(&self, key: &str) -> Result<(), RegistryError> {
        self.0.delete(key).await.map_err(failed("changing a bucket"))
    }

    /// All values now, then every change, until the receiver is dropped. Begins again after a broken link.
    pub fn watch(&self) -> tokio::sync::mpsc::Receiver<Change> {
        let (sender, receiver) = tokio::sync::mpsc::channel(64);
        let store = self.0.clone();
        tokio::spawn(async move {
            while !sender.is_closed() {
                if let Ok(mut watch) = store.watch_with_history(">").await {
                    while let Some(Ok(entry)) = watch.next().await {
                        let value = (entry.operation == Operation::Put).then_some(entry.value);
                        if sender.send(Change { key: entry.key, revision: entry.revision, value }).await.is_err() {
                            return;
                        }
                    }
                }
                tracing::warn!("watching the desired state was interrupted; beginning again");
                tokio::time::sleep(std::time::Duration::from_millis(500)).await;
            }
        });
        receiver
    }

    /// Every value that the bucket still remembers under any key, the old ones too.
    pub async fn remembered(&self) -> Result<Vec<Bytes>, RegistryError> {
        let mut keys = self.0.keys().await.map_err(failed("listing a bucket"))?;
        let mut values = Vec::new();
        while let Some(key) = keys.next().await {
            let key = key.map_err(failed("listing a bucket"))?;
            let mut history = self.0.history(&key).await.map_err(failed("reading a bucket"))?;
            while let Some(entry) = history.next().await {
                values.push(entry.map_err(failed("reading a bucket"))?.value);
            }
        }
        Ok(values)
    }
}

#[derive(Clone)]
pub struct Objects(ObjectStore);

/// What the object store says of an object.
#[derive(Debug, Clone)]
pub struct ObjectEntry {
    pub name: String,
    /// Bytes.
    pub size: usize,
    /// Microseconds since the epoch, by the clock of who stored it or touched it last; 0 if it is not known.
    pub stored_at_us: i64,
}

/// Begins the description of an object that was touched; the time follows. The store keeps the time of the last bytes alone.
const TOUCHED: &str = "wanted again at ";

impl ObjectEntry {
    fn of(info: ObjectInfo) -> Self {
        let touched = info.description.as_deref().and_then(|text| text.strip_prefix(TOUCHED));
        let touched = touched.and_then(|time| OffsetDateTime::parse(time, &Rfc3339).ok());
        let stored_at = info.modified.max(touched).map_or(0, |at| at.unix_timestamp_nanos() / 1000);
        Self { name: info.name, size: info.size, stored_at_us: i64::try_from(stored_at).unwrap_or(0) }
    }
}

impl Objects {
    /// At most `limit` bytes, whatever the store says of the size.
    pub async fn get(&self, name: &str, limit: usize) -> Result<Vec<u8>, RegistryError> {
        let object = self.0.get(name).await.map_err(|error| match error.kind() {
            object_store::GetErrorKind::NotFound => RegistryError::Missing(name.to_owned()),
            _ => failed("reading the object store")(error),
        })?;
        let mut bytes = Vec::new();
        let mut within = object.take(u64::try_from(limit).unwrap_or(u64::MAX).saturating_add(1));
        within.read_to_end(&mut bytes).await.map_err(|error| match error.kind() {
            std::io::ErrorKind::InvalidData => RegistryError::Damaged(name.to_owned()),
            _ => failed("reading the object store")(error),
        })?;
        if bytes.len() > limit {
            return Err(RegistryError::TooLarge { name: name.to_owned(), limit });
        }
        Ok(bytes)
    }

    pub async fn list(&self) -> Result<Vec<ObjectEntry>, RegistryError> {
        let mut list = self.0.list().await.map_err(failed("listing the object store"))?;
        let mut entries = Vec::new();
        while let Some(info) = list.next().await {
            entries.push(ObjectEntry::of(info.map_err(failed("listing the object store"))?));
        }
        Ok(entries)
    }

    pub async fn entry(&self, name: &str) -> Result<Option<ObjectEntry>, RegistryError> {
        match self.0.info(name).await {
            Ok(info) => Ok((!info.deleted).then(|| ObjectEntry::of(info))),
            Err(error) if error.kind() == object_store::InfoErrorKind::NotFound => Ok(None),
            Err(error) => Err(failed("reading the object store")(error)),
        }
    }

    /// An object counts as stored now, if it is there. Its bytes stay where they are, so that nobody who reads them is disturbed.
    pub async fn touch(&self, name: &str) -> Result<(), RegistryError> {
        let description = Some(format!("{TOUCHED}{}", clock::rfc3339(clock::now_micros())));
        let metadata = UpdateMetadata { name: name.to_owned(), description, ..UpdateMetadata::default() };
        match self.0.update_metadata(name, metadata).await {
            Err(error) if error.kind() != object_store::UpdateMetadataErrorKind::NotFound => {
                Err(failed("writing the object store")(error))
            }
            _ => Ok(()),
        }
    }

    pub async fn remove(&self, name: &str) -> Result<(), RegistryError> {
        match self.0.delete(name).await {
            Err(error) if error.kind() != object_store::DeleteErrorKind::NotFound => {
                Err(failed("removing from the object store")(error))
            }
            _ => Ok(()),
        }
    }

    pub async fn put(&self, name: &str, bytes: &[u8]) -> Result<(), RegistryError> {
        let mut reader = bytes;
        self.0.put(name, &mut reader).await.map(|_| ()).map_err(failed("writing the object store"))
    }
}

impl Bus {
    pub async fn bucket(&self, name: &str) -> Result<Bucket, RegistryError> {
        let config = kv::Config {
            bucket: name.to_owned(),
            history: HISTORY,
            num_replicas: self.replicas,
            ..kv::Config::default()
        };
        self.jetstream.create_or_update_key_value(config).await.map(Bucket).map_err(failed("making a bucket"))
    }

    pub async fn objects(&self, name: &str) -> Result<Objects, RegistryError> {
        if let Ok(store) = self.jetstream.get_object_store(name).await {
            return Ok(Objects(store));
        }
        let config = object_store::Config {
            bucket: name.to_owned(),
            num_replicas: self.replicas,
            ..object_store::Config::default()
        };
        self.jetstream.create_object_store(config).await.map(Objects).map_err(failed("making the object store"))
    }
}
