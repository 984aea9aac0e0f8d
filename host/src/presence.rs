//! Which hosts there are, as each of them says itself.
//!
//! A host announces itself twice a second on `ward.presence`; who was silent for [`PATIENCE`] counts as gone. Nothing is stored and nobody
//! elects: every host keeps what it heard, and what follows from it (`services::placement`) is the same on all that heard the
//! same. While two have heard different things, a service runs on a host more or on a host less than wished.
//!
//! A host that ends says that it offers nothing any more, so that others take its place before it goes.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use futures_util::StreamExt;
use serde::{Deserialize, Serialize};
use tokio::sync::watch;
use ward_proto::call::subject;

use crate::bus::{Bus, BusError, Headers};

const HEARTBEAT: Duration = Duration::from_millis(500);
/// Three heartbeats, and a little.
const PATIENCE: Duration = Duration::from_millis(1700);

/// What a host says of itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Announcement {
    /// Two processes may have one name, while one takes over from the other.
    pub instance: String,
    pub host: String,
    pub labels: BTreeSet<String>,
    /// Services that it could run now: loaded, and with a database that answers.
    pub offers: BTreeSet<String>,
    /// It ends, and will soon answer nobody any more.
    #[serde(default)]
    pub leaves: bool,
}

/// What was heard of the others, by instance, and when.
#[derive(Default)]
struct Others(BTreeMap<String, (Announcement, Instant)>);

/// What an announcement told.
#[derive(Debug, PartialEq, Eq)]
enum News {
    Nothing,
    Changed,
    Came,
}

impl Others {
    fn hear(&mut self, announcement: Announcement, now: Instant) -> News {
        let before = self.0.insert(announcement.instance.clone(), (announcement.clone(), now));
        match before {
            None => News::Came,
            Some((before, _)) if before != announcement => News::Changed,
            Some(_) => News::Nothing,
        }
    }

    /// The names of those that stay, and are not another process of the host `own`.
    fn staying(&self, own: &str) -> BTreeSet<String> {
        let staying = self.0.values().filter(|(one, _)| !one.leaves && one.host != own);
        staying.map(|(one, _)| one.host.clone()).collect()
    }

    /// True when somebody has gone.
    fn forget_silent(&mut self, now: Instant) -> bool {
        let before = self.0.len();
        self.0.retain(|_, (_, at)| now.saturating_duration_since(*at) < PATIENCE);
        self.0.len() < before
    }
}

pub struct Presence {
    bus: Arc<Bus>,
    own: Mutex<Announcement>,
    others: Mutex<Others>,
    changed: watch::Sender<()>,
    is_leaving: watch::Sender<bool>,
    began: Instant,
}

impl Presence {
    pub fn new(bus: Arc<Bus>, host: String, labels: BTreeSet<String>) -> Self {
        let instance = uuid::Uuid::new_v4().simple().to_string();
        Self {
            bus,
            own: Mutex::new(Announcement { instance, host, labels, offers: BTreeSet::new(), leaves: false }),
            others: Mutex::default(),
            changed: watch::channel(()).0,
            is_leaving: watch::channel(false).0,
            began: Instant::now(),
        }
    }

    pub fn host(&self) -> String {
        self.own().host.clone()
    }

    pub fn labels(&self) -> BTreeSet<String> {
        self.own().labels.clone()
    }

    /// Changes when a host came, went, or offers something else.
    pub fn changed(&self) -> watch::Receiver<()> {
        self.changed.subscribe()
    }

    /// Does another host offer a service? Waits until everybody has had the time to say so.
    pub async fn is_offered_elsewhere(&self, service: &str) -> bool {
        tokio::time::sleep((HEARTBEAT * 2).saturating_sub(self.began.elapsed())).await;
        self.others().0.values().any(|(announcement, _)| announcement.offers.contains(service))
    }

    /// Has everybody had the time to say that they are there?
    pub fn is_settled(&self) -> bool {
        self.began.elapsed() > HEARTBEAT * 2
    }

    /// Announces this host and hears of the others, for ever.
    pub async fn run(self: Arc<Self>) -> Result<(), BusError> {
        let mut heard = self.bus.subscribe(subject::PRESENCE.to_owned()).await?;
        let mut heartbeat = tokio::time::interval(HEARTBEAT);
        loop {
            tokio::select! {
                _ = heartbeat.tick() => {
                    if self.others().forget_silent(Instant::now()) {
                        self.changed.send_replace(());
                    }
                    self.announce().await;
                }
                message = heard.next() => match message {
                    None => return Ok(()),
                    Some(message) => {
                        // Who comes new shall not have to wait for our next heartbeat.
                        if self.hear(&message.payload) == News::Came {
                            self.announce().await;
                        }
                    }
                },
            }
        }
    }

    /// Says whether this host could run a service; the others hear of a change at once.
    pub async fn offer(&self, service: &str, can_run: bool) {
        let is_new = {
            let can_run = can_run && !self.has_left();
            let mut own = self.own();
            match can_run {
                true => own.offers.insert(service.to_owned()),
                false => own.offers.remove(service),
            }
        };
        if is_new {
            self.changed.send_replace(());
            self.announce().await;
        }
    }

    /// Offers nothing any more, so that others take this host's place.
    pub async fn leave(&self) {
        self.is_leaving.send_replace(true);
        {
            let mut own = self.own();
            own.offers.clear();
            own.leaves = true;
        }
        self.announce().await;
    }

    pub fn has_left(&self) -> bool {
        *self.is_leaving.borrow()
    }

    /// The names of the other hosts that are there, and stay.
    pub fn peers(&self) -> BTreeSet<String> {
        let own = self.host();
        self.others().staying(&own)
    }

    /// All that offer a service, this host among them: their names and labels.
    pub fn offering(&self, service: &str) -> BTreeMap<String, BTreeSet<String>> {
        let own = self.own().clone();
        let others = self.others();
        let all = others.0.values().map(|(announcement, _)| announcement).chain([&own]);
        let offering = all.filter(|one| one.offers.contains(service));
        offering.map(|one| (one.host.clone(), one.labels.clone())).collect()
    }

    async fn announce(&self) {
        // The client would keep all of them, and send what is long over when NATS is back.
        if !self.bus.is_connected() {
            return;
        }
        let text = serde_json::to_vec(&*self.own()).unwrap_or_default();
        self.bus.publish(subject::PRESENCE.to_owned(), Headers::new(), text.into()).await;
    }

    fn hear(&self, payload: &[u8]) -> News {
        let news = match serde_json::from_slice::<Announcement>(payload) {
            Ok(announcement) if announcement.instance != self.own().instance => {
                self.others().hear(announcement, Instant::now())
            }
            _ => News::Nothing,
        };
        if news != News::Nothing {
            self.changed.send_replace(());
        }
        news
    }

    fn own(&self) -> MutexGuard<'_, Announcement> {
        self.own.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn others(&self) -> MutexGuard<'_, Others> {
        self.others.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn announcement(instance: &str, offers: &[&str]) -> Announcement {
        Announcement {
            instance: instance.to_owned(),
            host: "h".to_owned(),
            labels: BTreeSet::new(),
            offers: offers.iter().map(|name| (*name).to_owned()).collect(),
            leaves: false,
        }
    }

    #[test]
    fn what_is_said_again_is_no_news() {
        let (mut others, now) = (Others::default(), Instant::now());
        assert_eq!(others.hear(announcement("a", &[]), now), News::Came);
        assert_eq!(others.hear(announcement("a", &[]), now), News::Nothing);
        assert_eq!(others.hear(announcement("a", &["s"]), now), News::Changed);
        assert_eq!(others.hear(announcement("b", &["s"]), now), News::Came);
    }

    #[test]
    fn who_ends_or_has_the_same_name_is_no_peer() {
        let (mut others, now) = (Others::default(), Instant::now());
        let named = |instance: &str, host: &str, leaves: bool| Announcement {
            host: host.to_owned(),
            leaves,
            ..announcement(instance, &[])
        };
        for heard in [named("1", "own", false), named("2", "b", false), named("3", "c", true), named("4", "d", false)] {
            others.hear(heard, now);
        }
        others.hear(named("4", "d", true), now);
        assert!(others.staying("own").iter().eq(["b"]), "{:?}", others.staying("own"));
    }

    #[test]
    fn who_misses_three_heartbeats_is_gone() {
        let (mut others, now) = (Others::default(), Instant::now());
        others.hear(announcement("a", &[]), now);
        others.hear(announcement("b", &[]), now + HEARTBEAT * 3);
        assert!(!others.forget_silent(now + HEARTBEAT * 3));
        assert!(others.forget_silent(now + HEARTBEAT * 4));
        assert_eq!(others.hear(announcement("a", &[]), now), News::Came);
        assert_eq!(others.hear(announcement("b", &[]), now), News::Nothing);
    }
}
