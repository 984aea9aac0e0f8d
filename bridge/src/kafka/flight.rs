//! Which events are done: the arithmetic of the position.

use std::collections::VecDeque;

/// The events under way, in the order of the stream.
#[derive(Debug)]
pub struct Flight {
    /// Every event up to this one is done.
    floor: u64,
    /// The last event taken.
    taken: u64,
    under_way: VecDeque<UnderWay>,
}

#[derive(Debug)]
struct UnderWay {
    sequence: u64,
    /// Records of the event that Kafka has not confirmed.
    open: usize,
}

impl Flight {
    /// Nothing is under way, and everything up to `floor` is done.
    pub fn new(floor: u64) -> Self {
        Self { floor, taken: floor, under_way: VecDeque::new() }
    }

    /// Takes the event at `sequence`, of which `records` records have to be confirmed.
    pub fn take(&mut self, sequence: u64, records: usize) {
        self.taken = sequence;
        self.under_way.push_back(UnderWay { sequence, open: records });
        self.settle();
    }

    /// One record of the event at `sequence` is confirmed.
    pub fn confirm(&mut self, sequence: u64) {
        if let Ok(place) = self.under_way.binary_search_by_key(&sequence, |event| event.sequence)
            && let Some(event) = self.under_way.get_mut(place)
        {
            event.open = event.open.saturating_sub(1);
        }
        self.settle();
    }

    /// Every event up to this one is done.
    pub fn floor(&self) -> u64 {
        self.floor
    }

    /// The last event taken.
    pub fn taken(&self) -> u64 {
        self.taken
    }

    /// How many events are between the floor and the last one taken, done or not.
    pub fn len(&self) -> usize {
        self.under_way.len()
    }

    pub fn is_empty(&self) -> bool {
        self.under_way.is_empty()
    }

    fn settle(&mut self) {
        while let Some(event) = self.under_way.pop_front_if(|event| event.open == 0) {
            self.floor = event.sequence;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_floor_waits_for_the_slowest_and_then_jumps() {
        let mut flight = Flight::new(10);
        flight.take(11, 1);
        flight.take(12, 2);
        flight.take(15, 1);
        flight.confirm(12);
        flight.confirm(15);
        assert_eq!((flight.floor(), flight.len()), (10, 3));
        flight.confirm(11);
        assert_eq!((flight.floor(), flight.len()), (11, 2));
        flight.confirm(12);
        assert_eq!((flight.floor(), flight.len(), flight.taken()), (15, 0, 15));
    }

    #[test]
    fn an_event_without_records_is_done_when_its_turn_comes() {
        let mut flight = Flight::new(0);
        flight.take(1, 1);
        flight.take(2, 0);
        assert_eq!(flight.floor(), 0);
        flight.confirm(1);
        assert_eq!(flight.floor(), 2);
        flight.take(9, 0);
        assert_eq!(flight.floor(), 9);
    }

    #[test]
    fn a_confirmation_of_something_unknown_changes_nothing() {
        let mut flight = Flight::new(5);
        flight.take(6, 1);
        flight.confirm(3);
        flight.confirm(7);
        assert_eq!((flight.floor(), flight.len()), (5, 1));
    }
}
