//! How far the mirror is, and who mirrors: one entry in a key-value bucket, changed only by compare-and-set.
//!
//! Position and holder are one value on purpose. Who takes the mirror over gets the newest position with it, and from
//! then on every write of the one before fails, so that two mirrors can never both move it.
//!
//! A holder is alive as long as somebody answers on its subject. A process that died is known to be dead at once
//! (NATS says "no responders"), so that no time-out has to pass; one that hangs is waited for.

use std::time::Duration;

use async_nats::jetstream::kv;
use serde::{Deserialize, Serialize};
use ward_proto::call::subject;

use super::call::RequestError;
use super::events::StreamState;
use super::{Answering, Bus, BusError};

const BUCKET: &str = "WARD_BRIDGE";
const KEY: &str = "kafka";
const ASK_TIMEOUT: Duration = Duration::from_secs(2);
/// A holder must be silent twice, this long apart: long enough for one that merely reconnects, and for a broker to
/// finish what a killed one had sent it.
const SILENT_TWICE_AFTER: Duration = Duration::from_millis(500);
const ASK_AGAIN_AFTER: Duration = Duration::from_secs(2);

/// How far the mirror is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Position {
    /// The stream that it counts in.
    created_ns: i128,
    /// Every message up to this one is done.
    pub floor: u64,
    /// Nothing after `floor` has been sent to Kafka: the mirror before ended in order.
    pub settled: bool,
    holder: Option<String>,
}

/// Why the mirror must stop.
#[derive(Debug, thiserror::Error)]
pub enum PositionError {
    #[error("another bridge has taken the mirror over")]
    TakenOver,
    #[error(transparent)]
    Bus(#[from] BusError),
}

/// The right to mirror, held until another bridge takes it.
pub struct Lease {
    store: kv::Store,
    revision: u64,
    position: Position,
    bus: Bus,
    _alive: Answering,
}

impl Lease {
    /// Waits until nobody else mirrors, then takes the mirror over for `holder`, an id that no other process ever has.
    /// `standby` is called when another one is found at work.
    pub async fn acquire(bus: &Bus, holder: &str, standby: impl Fn()) -> Result<Self, BusError> {
        let alive = bus.answer(alive_subject(holder)).await?;
        let store = bucket(bus).await?;
        loop {
            let entry = store.entry(KEY).await.map_err(|e| BusError::new("read the position", e))?;
            let found: Option<Position> = entry.as_ref().and_then(|entry| serde_json::from_slice(&entry.value).ok());
            if let Some(other) = found.as_ref().and_then(|found| found.holder.as_deref()).filter(|id| *id != holder)
                && !is_gone(bus, other).await
            {
                standby();
                tokio::time::sleep(ASK_AGAIN_AFTER).await;
                continue;
            }
            let position = Position::resume(found, bus.stream_state().await?, holder);
            let revision = entry.map_or(0, |entry| entry.revision);
            match write(&store, revision, &position).await {
                Ok(revision) => {
                    return Ok(Self { store, revision, position, bus: bus.clone(), _alive: alive });
                }
                Err(WriteError::Changed) => continue,
                Err(WriteError::Bus(error)) => return Err(error),
            }
        }
    }

    pub fn position(&self) -> &Position {
        &self.position
    }

    /// When the stream was made that the position counts in.
    pub fn created_ns(&self) -> i128 {
        self.position.created_ns
    }

    /// From now on messages after the floor may be on Kafka. Before the first is sent.
    pub async fn unsettle(&mut self) -> Result<(), PositionError> {
        self.change(|position| position.settled = false).await
    }

    /// Every message up to `floor` is done.
    pub async fn advance(&mut self, floor: u64) -> Result<(), PositionError> {
        self.change(|position| position.floor = floor).await
    }

    /// Leaves the mirror to whoever wants it. `settled`: nothing after the floor has been sent.
    pub async fn release(mut self, floor: u64, settled: bool) -> Result<(), PositionError> {
        self.change(|position| {
            position.floor = floor;
            position.settled = settled;
            position.holder = None;
        })
        .await?;
        self.bus.flush().await;
        Ok(())
    }

    async fn change(&mut self, change: impl FnOnce(&mut Position)) -> Result<(), PositionError> {
        let mut position = self.position.clone();
        change(&mut position);
        self.revision = match write(&self.store, self.revision, &position).await {
            Ok(revision) => revision,
            Err(WriteError::Changed) => self.recognize(&position).await?,
            Err(WriteError::Bus(error)) => return Err(error.into()),
        };
        self.position = position;
        Ok(())
    }

    /// The entry is not as it was left. Either an earlier write of ours did arrive although its answer did not, or
    /// somebody else has written.
    async fn recognize(&self, position: &Position) -> Result<u64, PositionError> {
        let entry = self.store.entry(KEY).await.map_err(|e| BusError::new("read the position", e))?;
        let Some(entry) = entry else {
            return Err(PositionError::TakenOver);
        };
        let found: Option<Position> = serde_json::from_slice(&entry.value).ok();
        if found.is_none_or(|found| found.holder != self.position.holder) {
            return Err(PositionError::TakenOver);
        }
        match write(&self.store, entry.revision, position).await {
            Ok(revision) => Ok(revision),
            Err(WriteError::Changed) => Err(PositionError::TakenOver),
            Err(WriteError::Bus(error)) => Err(error.into()),
        }
    }
}

impl Position {
    /// Where to go on: at what was `found`, unless it speaks of another stream or of messages that the stream has lost.
    fn resume(found: Option<Self>, stream: StreamState, holder: &str) -> Self {
        let same = found.filter(|found| found.created_ns == stream.created_ns);
        let floor = same.as_ref().map_or(0, |found| found.floor);
        Self {
            created_ns: stream.created_ns,
            floor: floor.min(stream.last_sequence),
            settled: same.is_some_and(|found| found.settled) && floor <= stream.last_sequence,
            holder: Some(holder.to_owned()),
        }
    }
}

enum WriteError {
    /// The entry has another revision.
    Changed,
    Bus(BusError),
}

async fn write(store: &kv::Store, revision: u64, position: &Position) -> Result<u64, WriteError> {
    let what = "write the position";
    let value = serde_json::to_vec(position).map_err(|error| WriteError::Bus(BusError::new(what, error)))?;
    let written = store.update(KEY, value.into(), revision).await;
    written.map_err(|error| match error.kind() {
        kv::UpdateErrorKind::WrongLastRevision => WriteError::Changed,
        _ => WriteError::Bus(BusError::new(what, error)),
    })
}

async fn bucket(bus: &Bus) -> Result<kv::Store, BusError> {
    if let Ok(store) = bus.jetstream.get_key_value(BUCKET).await {
        return Ok(store);
    }
    let config = kv::Config {
        bucket: BUCKET.to_owned(),
        description: "ward-bridge: how far the mirror to Kafka is".to_owned(),
        history: 1,
        num_replicas: bus.replicas,
        ..Default::default()
    };
    let made = bus.jetstream.create_key_value(config).await;
    made.map_err(|error| BusError::new("make the bucket WARD_BRIDGE", error))
}

fn alive_subject(holder: &str) -> String {
    format!("{}.bridge-{holder}", subject::PING)
}

async fn is_gone(bus: &Bus, holder: &str) -> bool {
    if !is_silent(bus, holder).await {
        return false;
    }
    tokio::time::sleep(SILENT_TWICE_AFTER).await;
    is_silent(bus, holder).await
}

async fn is_silent(bus: &Bus, holder: &str) -> bool {
    let asked = bus.request(alive_subject(holder), &[], Vec::new(), ASK_TIMEOUT).await;
    matches!(asked, Err(RequestError::NoResponders))
}

#[cfg(test)]
mod tests {
    use super::*;

    const STREAM: StreamState = StreamState { created_ns: 7, last_sequence: 100 };

    fn found(created_ns: i128, floor: u64) -> Option<Position> {
        Some(Position { created_ns, floor, settled: true, holder: None })
    }

    #[test]
    fn goes_on_where_the_mirror_before_ended() {
        let position = Position::resume(found(7, 40), STREAM, "me");
        assert_eq!((position.floor, position.settled), (40, true));
    }

    #[test]
    fn begins_anew_in_another_stream_and_asks_kafka() {
        let position = Position::resume(found(6, 40), STREAM, "me");
        assert_eq!((position.floor, position.settled), (0, false));
        let position = Position::resume(None, STREAM, "me");
        assert_eq!((position.floor, position.settled), (0, false));
    }

    #[test]
    fn steps_back_when_the_stream_has_lost_its_newest_messages() {
        let position = Position::resume(found(7, 120), STREAM, "me");
        assert_eq!((position.floor, position.settled), (100, false));
    }
}
