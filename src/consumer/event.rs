//! The data plane's calendar: one 128-bit key an event, ordered by (time, insertion number).

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use crate::time::Time;

/// What happens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A delivery's processing ends.
    Complete,
    /// A delivery's processing begins (early deletes).
    Begin,
    /// A delivery's processing kills its pod.
    Crash,
    /// A worker polls.
    Poll,
    /// The next idle poller of a consumer polls.
    Tick,
    /// A worker's batched deletes are sent.
    Flush,
    /// A worker has waited for messages long enough.
    GiveUp,
    /// A worker's last long poll ends.
    LastPoll,
    /// A pod's drain has lasted long enough.
    DrainLimit,
}

const KINDS: [Kind; 9] = [
    Kind::Complete,
    Kind::Begin,
    Kind::Crash,
    Kind::Poll,
    Kind::Tick,
    Kind::Flush,
    Kind::GiveUp,
    Kind::LastPoll,
    Kind::DrainLimit,
];

const NUMBER_BITS: u32 = 40;
const INDEX_BITS: u32 = 28;

/// The number of an event, by which its owner recognises it: an event whose owner expects another number is void.
pub(crate) type EventNumber = u32;

/// No event is expected.
pub(crate) const NO_EVENT: EventNumber = 0;

/// Pending events.
///
/// An event that is taken stays on top of the heap until another is added, which then takes its place, or taken: the end of one
/// message is mostly followed by the start of another, and one rearrangement of the heap is cheaper than two.
#[derive(Debug, Default)]
pub(crate) struct Events {
    heap: BinaryHeap<Reverse<u128>>,
    number: u64,
    /// Whether the top of the heap has been taken.
    taken: bool,
}

impl Events {
    /// The instant of the next event; `Time::MAX` = none.
    #[inline]
    pub fn next(&self) -> Time {
        match (self.heap.as_slice(), self.taken) {
            ([first, ..], false) | ([_, first], true) => at(first),
            // The least but one of a heap is one of the two below the top.
            ([_, one, other, ..], true) => at(one).min(at(other)),
            _ => Time::MAX,
        }
    }

    #[inline]
    pub fn add(&mut self, at: Time, kind: Kind, index: u32) -> EventNumber {
        debug_assert!(index < 1 << INDEX_BITS, "more than 268 million deliveries or workers at once");
        self.number += 1;
        if self.number as u32 == NO_EVENT {
            self.number += 1;
        }
        let number = self.number & ((1 << NUMBER_BITS) - 1);
        let low = (number << 32) | u64::from(kind as u32) << INDEX_BITS | u64::from(index);
        let key = u128::from(at.as_micros()) << (NUMBER_BITS + 32) | u128::from(number >> 32) << 64 | u128::from(low);
        if self.taken {
            self.taken = false;
            if let Some(mut top) = self.heap.peek_mut() {
                *top = Reverse(key);
            }
        } else {
            self.heap.push(Reverse(key));
        }
        number as u32
    }

    /// Takes the next event.
    #[inline]
    pub fn take(&mut self) -> Option<(Time, EventNumber, Kind, u32)> {
        if self.taken {
            self.taken = false;
            self.heap.pop();
        }
        let top = self.heap.peek()?;
        self.taken = true;
        let at = at(top);
        let Reverse(key) = *top;
        let number = (key >> 32) as u32;
        let low = key as u32;
        Some((at, number, KINDS[(low >> INDEX_BITS) as usize], low & ((1 << INDEX_BITS) - 1)))
    }

    /// How many events have been made.
    pub fn made(&self) -> u64 {
        self.number
    }
}

/// The instant of an event.
#[inline]
fn at(Reverse(key): &Reverse<u128>) -> Time {
    Time::from_micros((key >> (NUMBER_BITS + 32)) as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_come_by_time_then_by_number() {
        let mut events = Events::default();
        let at = |seconds: u64| Time::from_micros(seconds * 1_000_000);
        let b = events.add(at(5), Kind::Poll, 7);
        let a = events.add(at(1), Kind::Tick, (1 << INDEX_BITS) - 1);
        let c = events.add(at(5), Kind::Complete, 3);
        assert_eq!(events.next(), at(1));
        assert_eq!(events.take(), Some((at(1), a, Kind::Tick, (1 << INDEX_BITS) - 1)));
        // Takes the place of the one taken.
        let d = events.add(at(6), Kind::Begin, 1);
        assert_eq!(events.next(), at(5));
        assert_eq!(events.take(), Some((at(5), b, Kind::Poll, 7)));
        assert_eq!(events.next(), at(5));
        assert_eq!(events.take(), Some((at(5), c, Kind::Complete, 3)));
        assert_eq!(events.next(), at(6));
        assert_eq!(events.take(), Some((at(6), d, Kind::Begin, 1)));
        assert_eq!(events.next(), Time::MAX);
        assert_eq!(events.take(), None);
    }
}
