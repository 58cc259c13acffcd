//! What happens by itself: ends of delays and visibility timeouts, retention, move tasks.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use crate::time::Time;

/// What a timer is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Timer {
    /// A message becomes visible (delay, timeout or lingering copy), if it still has this generation and deadline.
    Visible { slot: u32, generation: u32 },
    /// The oldest message of a queue may be too old.
    OldestTooOld { queue: u16 },
    /// A message with a retention timer of its own may be too old, if it still has this id.
    TooOld { slot: u32, id: u64 },
    /// The next step of a queue's move task.
    Move { queue: u16 },
}

/// Pending timers in the order (time, insertion).
#[derive(Debug)]
pub(crate) struct Timers {
    heap: BinaryHeap<Reverse<(Time, u64, Timer)>>,
    inserted: u64,
    next: Time,
}

impl Default for Timers {
    fn default() -> Self {
        Timers { heap: BinaryHeap::new(), inserted: 0, next: Time::MAX }
    }
}

impl Timers {
    /// The instant of the next timer; `Time::MAX` = none.
    #[inline]
    pub fn next(&self) -> Time {
        self.next
    }

    pub fn add(&mut self, at: Time, timer: Timer) {
        self.heap.push(Reverse((at, self.inserted, timer)));
        self.inserted += 1;
        self.next = self.next.min(at);
    }

    /// Takes the next timer that is due at `now`.
    pub fn due(&mut self, now: Time) -> Option<(Time, Timer)> {
        if self.next > now {
            return None;
        }
        let Reverse((at, _, timer)) = self.heap.pop()?;
        self.next = self.heap.peek().map_or(Time::MAX, |Reverse((at, _, _))| *at);
        Some((at, timer))
    }
}
