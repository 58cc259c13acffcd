//! Idle workers that poll, pause and poll again. They cost nothing while their queue has nothing to deliver: each one's polls
//! come at its own phase of the common cycle, so whose turn it is at any instant is found by a search.

use super::event::{EventNumber, NO_EVENT};
use crate::time::{Duration, Time};

/// The idle workers of one kind of consumer, in the order of their phases.
#[derive(Debug)]
pub(crate) struct IdleLine {
    cycle: u64,
    /// (phase, worker).
    line: Vec<(u64, u32)>,
    /// When the next poll has an event; `Time::MAX` = it has none.
    pub tick_at: Time,
    pub tick_event: EventNumber,
}

impl IdleLine {
    pub fn new(cycle: Duration) -> Self {
        IdleLine { cycle: cycle.as_micros().max(1) as u64, line: Vec::new(), tick_at: Time::MAX, tick_event: NO_EVENT }
    }

    pub fn len(&self) -> usize {
        self.line.len()
    }

    /// The worker at a place of the line.
    pub fn worker(&self, place: usize) -> u32 {
        self.line[place].1
    }

    fn phase(&self, at: Time) -> u64 {
        at.as_micros() % self.cycle
    }

    /// Adds a worker one of whose polls is at `at`.
    pub fn insert(&mut self, at: Time, worker: u32) {
        let entry = (self.phase(at), worker);
        let place = self.line.partition_point(|other| *other < entry);
        self.line.insert(place, entry);
    }

    /// Removes a worker one of whose polls is at `at`.
    pub fn remove(&mut self, at: Time, worker: u32) {
        let entry = (self.phase(at), worker);
        if let Ok(place) = self.line.binary_search(&entry) {
            self.line.remove(place);
        }
    }

    /// The instant of the first poll at or after `from`.
    pub fn next_poll(&self, from: Time) -> Option<Time> {
        let now = self.phase(from);
        let place = self.line.partition_point(|(phase, _)| *phase < now);
        let phase = match self.line.get(place) {
            Some((phase, _)) => *phase,
            None => self.line.first()?.0 + self.cycle,
        };
        Some(from + Duration::from_micros((phase - now) as i64))
    }

    /// The `n`-th of the workers that poll at `at`.
    pub fn due(&self, at: Time, n: usize) -> Option<u32> {
        let now = self.phase(at);
        let first = self.line.partition_point(|(phase, _)| *phase < now);
        self.line.get(first + n).filter(|(phase, _)| *phase == now).map(|(_, worker)| *worker)
    }

    /// The worker that polled last before or at `at`, and how long ago.
    pub fn latest(&self, at: Time) -> Option<(u32, Duration)> {
        let now = self.phase(at);
        let after = self.line.partition_point(|(phase, _)| *phase <= now);
        let (phase, worker) = if after > 0 { self.line[after - 1] } else { *self.line.last()? };
        let elapsed = if phase <= now { now - phase } else { now + self.cycle - phase };
        Some((worker, Duration::from_micros(elapsed as i64)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whose_turn_it_is() {
        let at = |micros: u64| Time::from_micros(micros);
        let mut idle = IdleLine::new(Duration::from_micros(100));
        idle.insert(at(1_030), 1);
        idle.insert(at(1_070), 2);
        assert_eq!(idle.next_poll(at(1_100)), Some(at(1_130)));
        assert_eq!(idle.next_poll(at(1_131)), Some(at(1_170)));
        assert_eq!(idle.next_poll(at(1_171)), Some(at(1_230)));
        assert_eq!(idle.due(at(1_230), 0), Some(1));
        assert_eq!(idle.due(at(1_230), 1), None);
        assert_eq!(idle.latest(at(1_210)), Some((2, Duration::from_micros(40))));
        idle.remove(at(2_030), 1);
        assert_eq!(idle.next_poll(at(1_200)), Some(at(1_270)));
    }
}
