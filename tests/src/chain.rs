//! Checks the way of a registration: answered, stored, in the event on Kafka. Nothing is lost on it, nothing doubled,
//! nothing invented, and the events of one patient keep their order.

use std::collections::{BTreeMap, BTreeSet};

use crate::topic::Record;

/// What was seen at each place.
#[derive(Debug, Clone, Default)]
pub struct Chain {
    /// The clients' names for what they asked for, with the id in the answer.
    pub answered: BTreeMap<String, String>,
    /// Rows of the database: the id, and the client's name.
    pub stored: Vec<(String, String)>,
    /// Records of the topic, in order within each partition.
    pub records: Vec<Event>,
}

/// A record, as far as the check is concerned.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    pub id: String,
    pub patient: String,
    pub kind: String,
    pub version: u64,
    pub partition: i32,
}

impl From<&Record> for Event {
    fn from(record: &Record) -> Self {
        let event = record.patient_event();
        Self {
            id: event.event_id,
            patient: record.key.clone().unwrap_or_default(),
            kind: event.event_type,
            version: event.version,
            partition: record.partition,
        }
    }
}

impl Chain {
    /// One sentence for each fault; none when all is well.
    pub fn faults(&self) -> Vec<String> {
        [self.lost_answers(), self.doubled_rows(), self.events(), self.order()].concat()
    }

    /// A client that got no answer does not know; one that did relies on it.
    fn lost_answers(&self) -> Vec<String> {
        let stored: BTreeSet<(&str, &str)> =
            self.stored.iter().map(|(id, name)| (name.as_str(), id.as_str())).collect();
        let lost = self.answered.iter().filter(|(name, id)| !stored.contains(&(name.as_str(), id.as_str())));
        lost.map(|(name, id)| format!("{name} was answered with {id} and is not stored")).collect()
    }

    fn doubled_rows(&self) -> Vec<String> {
        let names = count(self.stored.iter().map(|(_, name)| name.as_str()));
        let doubled = names.into_iter().filter(|(_, times)| *times > 1);
        doubled.map(|(name, times)| format!("{name} is stored {times} times")).collect()
    }

    fn events(&self) -> Vec<String> {
        let created = self.records.iter().filter(|event| event.kind == "PATIENT_CREATED");
        let created = count(created.map(|event| event.patient.as_str()));
        let stored: BTreeSet<&str> = self.stored.iter().map(|(id, _)| id.as_str()).collect();
        let mut faults = Vec::new();
        for id in &stored {
            match created.get(id).copied().unwrap_or(0) {
                0 => faults.push(format!("{id} is stored and has no event")),
                1 => {}
                times => faults.push(format!("{id} has {times} events of its creation")),
            }
        }
        let invented = created.keys().filter(|id| !stored.contains(*id));
        faults.extend(invented.map(|id| format!("{id} has an event and is not stored")));
        let ids = count(self.records.iter().map(|event| event.id.as_str()));
        let doubled = ids.into_iter().filter(|(_, times)| *times > 1);
        faults.extend(doubled.map(|(id, times)| format!("the event {id} is on the topic {times} times")));
        faults
    }

    fn order(&self) -> Vec<String> {
        let mut last: BTreeMap<&str, &Event> = BTreeMap::new();
        let mut faults = Vec::new();
        for event in &self.records {
            if let Some(before) = last.insert(&event.patient, event) {
                if before.partition != event.partition {
                    faults.push(format!("{} is in two partitions", event.patient));
                } else if before.version >= event.version {
                    let [before, after] = [before.version, event.version];
                    faults.push(format!("{} has version {after} after {before}", event.patient));
                }
            }
        }
        faults
    }
}

fn count<'a>(names: impl Iterator<Item = &'a str>) -> BTreeMap<&'a str, usize> {
    let mut times = BTreeMap::new();
    for name in names {
        *times.entry(name).or_insert(0) += 1;
    }
    times
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Three patients, the first of them changed twice.
    fn good() -> Chain {
        let mut chain = Chain::default();
        for patient in ["a", "b", "c"] {
            chain.answered.insert(format!("name-{patient}"), patient.to_owned());
            chain.stored.push((patient.to_owned(), format!("name-{patient}")));
            chain.records.push(event(patient, "PATIENT_CREATED", 1));
        }
        chain.records.push(event("a", "PATIENT_UPDATED", 2));
        chain.records.push(event("a", "PATIENT_DELETED", 3));
        chain
    }

    fn event(patient: &str, kind: &str, version: u64) -> Event {
        Event {
            id: format!("{patient}-{version}"),
            patient: patient.to_owned(),
            kind: kind.to_owned(),
            version,
            partition: 0,
        }
    }

    #[track_caller]
    fn finds(seed: impl Fn(&mut Chain), fault: &str) {
        let mut chain = good();
        seed(&mut chain);
        assert!(chain.faults().iter().any(|found| found == fault), "{:?}", chain.faults());
    }

    #[test]
    fn finds_nothing_in_a_good_chain() {
        assert_eq!(good().faults(), Vec::<String>::new());
    }

    #[test]
    fn an_unanswered_registration_may_be_stored() {
        let mut chain = good();
        chain.answered.remove("name-b");
        assert_eq!(chain.faults(), Vec::<String>::new());
    }

    #[test]
    fn finds_each_seeded_bug() {
        finds(|chain| drop(chain.stored.remove(1)), "name-b was answered with b and is not stored");
        finds(|chain| chain.stored.push(("d".into(), "name-b".into())), "name-b is stored 2 times");
        finds(|chain| drop(chain.records.remove(1)), "b is stored and has no event");
        finds(|chain| chain.records.push(event("d", "PATIENT_CREATED", 1)), "d has an event and is not stored");
        finds(|chain| chain.records.push(chain.records[1].clone()), "the event b-1 is on the topic 2 times");
        finds(
            |chain| chain.records.push(Event { id: "other".into(), ..event("b", "PATIENT_CREATED", 2) }),
            "b has 2 events of its creation",
        );
        finds(|chain| chain.records.swap(3, 4), "a has version 2 after 3");
        finds(|chain| chain.records[4].partition = 1, "a is in two partitions");
    }
}
