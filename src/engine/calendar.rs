//! The event calendar: pending events in the total order (time, insertion number).

use std::cmp::Ordering;
use std::collections::BinaryHeap;

use crate::time::Time;

struct Entry<E> {
    /// Its instant in microseconds, then its number in the low 64 bits.
    key: u128,
    event: E,
}

impl<E> Entry<E> {
    fn at(&self) -> Time {
        Time::from_micros((self.key >> 64) as u64)
    }
}

impl<E> PartialEq for Entry<E> {
    fn eq(&self, other: &Self) -> bool {
        self.key == other.key
    }
}
impl<E> Eq for Entry<E> {}
impl<E> PartialOrd for Entry<E> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}
/// Reversed, since `BinaryHeap` gives its greatest entry first. Changing this order changes results.
impl<E> Ord for Entry<E> {
    fn cmp(&self, other: &Self) -> Ordering {
        other.key.cmp(&self.key)
    }
}

/// Pending events. Of two events at the same instant the one scheduled first comes first.
///
/// An event that is taken stays on top of the heap until the next one is scheduled, which then takes its place: most events schedule
/// one other, and one rearrangement of the heap is cheaper than two.
pub struct Calendar<E> {
    heap: BinaryHeap<Entry<E>>,
    next_number: u64,
    now: Time,
    /// Whether the top of the heap has been taken.
    taken: bool,
}

impl<E> Default for Calendar<E> {
    fn default() -> Self {
        Calendar { heap: BinaryHeap::new(), next_number: 0, now: Time::ZERO, taken: false }
    }
}

impl<E: Copy> Calendar<E> {
    /// Adds an event. An instant before the last event taken counts as that instant: time never goes back.
    pub fn schedule(&mut self, at: Time, event: E) {
        let at = at.max(self.now);
        let entry = Entry { key: u128::from(at.as_micros()) << 64 | u128::from(self.next_number), event };
        self.next_number += 1;
        if self.taken
            && let Some(mut top) = self.heap.peek_mut()
        {
            self.taken = false;
            *top = entry;
        } else {
            self.heap.push(entry);
        }
    }

    /// The instant of the next event.
    pub fn next_time(&mut self) -> Option<Time> {
        if self.taken {
            self.taken = false;
            self.heap.pop();
        }
        self.heap.peek().map(Entry::at)
    }

    /// Takes the next event.
    pub fn pop(&mut self) -> Option<(Time, E)> {
        let at = self.next_time()?;
        debug_assert!(at >= self.now, "the calendar went back from {} to {at}", self.now);
        self.now = at;
        self.taken = true;
        self.heap.peek().map(|entry| (at, entry.event))
    }

    /// The instant of the last event taken.
    #[must_use]
    pub fn now(&self) -> Time {
        self.now
    }

    /// How many events have been scheduled so far.
    #[must_use]
    pub fn scheduled(&self) -> u64 {
        self.next_number
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_come_by_time_then_by_insertion() {
        let mut calendar = Calendar::default();
        calendar.schedule(Time::from_micros(5), 'b');
        calendar.schedule(Time::from_micros(1), 'a');
        calendar.schedule(Time::from_micros(5), 'c');
        let order: Vec<char> = std::iter::from_fn(|| calendar.pop().map(|(_, event)| event)).collect();
        assert_eq!(order, ['a', 'b', 'c']);
    }

    #[test]
    fn an_event_scheduled_after_one_was_taken_comes_in_its_turn() {
        let mut calendar = Calendar::default();
        calendar.schedule(Time::from_micros(1), 'a');
        calendar.schedule(Time::from_micros(4), 'c');
        assert_eq!(calendar.pop(), Some((Time::from_micros(1), 'a')));
        // Takes the place of the one taken, and the past counts as the present.
        calendar.schedule(Time::from_micros(6), 'd');
        calendar.schedule(Time::ZERO, 'b');
        assert_eq!(calendar.next_time(), Some(Time::from_micros(1)));
        let order: Vec<char> = std::iter::from_fn(|| calendar.pop().map(|(_, event)| event)).collect();
        assert_eq!(order, ['b', 'c', 'd']);
        assert_eq!((calendar.next_time(), calendar.now()), (None, Time::from_micros(6)));
    }
}
