//! The event calendar: pending events in the total order (time, insertion number).

use std::cmp::Ordering;
use std::collections::BinaryHeap;

use crate::time::Time;

/// Names one scheduled event, to cancel it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Ticket(u64);

struct Entry<E> {
    at: Time,
    number: u64,
    event: E,
}

impl<E> PartialEq for Entry<E> {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
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
        (other.at, other.number).cmp(&(self.at, self.number))
    }
}

/// Pending events. Of two events at the same instant the one scheduled first comes first.
pub struct Calendar<E> {
    heap: BinaryHeap<Entry<E>>,
    cancelled: rustc_hash::FxHashSet<u64>,
    next_number: u64,
    now: Time,
}

impl<E> Default for Calendar<E> {
    fn default() -> Self {
        Calendar {
            heap: BinaryHeap::new(),
            cancelled: rustc_hash::FxHashSet::default(),
            next_number: 0,
            now: Time::ZERO,
        }
    }
}

impl<E> Calendar<E> {
    /// Adds an event. An instant before the last event taken counts as that instant: time never goes back.
    pub fn schedule(&mut self, at: Time, event: E) -> Ticket {
        let number = self.next_number;
        self.next_number += 1;
        self.heap.push(Entry { at: at.max(self.now), number, event });
        Ticket(number)
    }

    /// Removes a pending event in O(1); the ticket of an event already taken or cancelled must not be used again.
    pub fn cancel(&mut self, ticket: Ticket) {
        self.cancelled.insert(ticket.0);
    }

    /// The instant of the next event.
    pub fn next_time(&mut self) -> Option<Time> {
        self.drop_cancelled();
        self.heap.peek().map(|entry| entry.at)
    }

    /// Takes the next event.
    pub fn pop(&mut self) -> Option<(Time, E)> {
        self.drop_cancelled();
        let entry = self.heap.pop()?;
        debug_assert!(entry.at >= self.now, "the calendar went back from {} to {}", self.now, entry.at);
        self.now = entry.at;
        Some((entry.at, entry.event))
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

    fn drop_cancelled(&mut self) {
        if self.cancelled.is_empty() {
            return;
        }
        while let Some(entry) = self.heap.peek() {
            if !self.cancelled.remove(&entry.number) {
                break;
            }
            self.heap.pop();
        }
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
    fn cancelled_events_do_not_come() {
        let mut calendar = Calendar::default();
        let first = calendar.schedule(Time::from_micros(1), 'a');
        calendar.schedule(Time::from_micros(2), 'b');
        calendar.cancel(first);
        assert_eq!(calendar.next_time(), Some(Time::from_micros(2)));
        assert_eq!(calendar.pop(), Some((Time::from_micros(2), 'b')));
        assert_eq!(calendar.pop(), None);
    }
}
