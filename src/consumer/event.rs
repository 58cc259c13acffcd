//! The data plane's calendar: one 128-bit key an event, ordered by (time, insertion number).

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

/// Days that there are places for, at least.
const DAYS: usize = 64;
/// So many events are taken and days passed, at least, before the length of days is looked at.
const LOOK_AFTER: usize = 1024;
/// If more events are in order than these, those of later days leave.
const IN_ORDER: usize = 64;
/// Events of a day that are put in order by comparing each with each, at most.
const FEW: usize = 8;
/// Events of a day, on average, between which the length of days stays as it is.
const LEAST_A_DAY: usize = 2;
const MOST_A_DAY: usize = 8;
/// Microseconds of the longest day, as a power of two: some twelve days.
const LONGEST_DAY: u32 = 40;

/// Pending events: a calendar queue (Brown 1988, "Calendar queues: a fast O(1) priority queue implementation for the simulation
/// event set problem"). Time is cut into days; only the events of the present day are kept in order. The length of days follows
/// the events, so that a day has a handful of them however many there are.
#[derive(Debug)]
pub(crate) struct Events {
    /// Events of the present day and of those before it, the next one last.
    today: Vec<u128>,
    /// The present day's number.
    day: u64,
    /// Events of later days, in no order: day `n` is found at `n` modulo the length, a power of two.
    days: Vec<Vec<u128>>,
    /// How many events `days` holds.
    later: usize,
    /// A day has as many microseconds, as a power of two.
    day_bits: u32,
    /// Events taken since the length of days was looked at.
    taken: usize,
    /// Days passed since then.
    passed: usize,
    number: u64,
}

impl Default for Events {
    fn default() -> Self {
        Events {
            today: Vec::new(),
            day: 0,
            days: vec![Vec::new(); DAYS],
            later: 0,
            day_bits: 15,
            taken: 0,
            passed: 0,
            number: 0,
        }
    }
}

impl Events {
    /// The instant of the next event; `Time::MAX` = none.
    #[inline]
    pub fn next(&mut self) -> Time {
        match self.today.last() {
            Some(key) => at(*key),
            None => self.turn_over(),
        }
    }

    #[inline(always)]
    pub fn add(&mut self, at: Time, kind: Kind, index: u32) -> EventNumber {
        debug_assert!(index < 1 << INDEX_BITS, "more than 268 million deliveries or workers at once");
        self.number += 1;
        if self.number as u32 == NO_EVENT {
            self.number += 1;
        }
        let number = self.number & ((1 << NUMBER_BITS) - 1);
        let low = (number << 32) | u64::from(kind as u32) << INDEX_BITS | u64::from(index);
        let key = u128::from(at.as_micros()) << (NUMBER_BITS + 32) | u128::from(number >> 32) << 64 | u128::from(low);
        self.insert(key);
        number as u32
    }

    /// Takes the next event.
    #[inline]
    pub fn take(&mut self) -> Option<(Time, EventNumber, Kind, u32)> {
        if self.today.is_empty() {
            self.turn_over();
        }
        let key = self.today.pop()?;
        self.taken += 1;
        let number = (key >> 32) as u32;
        let low = key as u32;
        Some((at(key), number, KINDS[(low >> INDEX_BITS) as usize], low & ((1 << INDEX_BITS) - 1)))
    }

    /// How many events have been made.
    pub fn made(&self) -> u64 {
        self.number
    }

    #[inline(always)]
    fn insert(&mut self, key: u128) {
        let day = self.day_of(key);
        if day > self.day {
            self.later += 1;
            self.bucket(day).push(key);
        } else {
            self.insert_today(key);
        }
    }

    #[inline(never)]
    fn insert_today(&mut self, key: u128) {
        let place = self.today.partition_point(|other| *other > key);
        self.today.insert(place, key);
        if self.today.len() > IN_ORDER {
            self.leave_later();
        }
    }

    /// Makes the day of the next event the present one again, if it is another.
    #[inline(never)]
    fn leave_later(&mut self) {
        let Some(next) = self.today.last() else { return };
        let first = self.day_of(*next);
        if first < self.day {
            self.day = first;
            let (later, today) = self.today.split_at(self.today.partition_point(|key| self.day_of(*key) > first));
            let (later, today) = (later.to_vec(), today.to_vec());
            self.today = today;
            later.into_iter().for_each(|key| self.insert(key));
        }
    }

    /// Goes to the next day that has an event, whose instant is the result.
    #[inline(never)]
    fn turn_over(&mut self) -> Time {
        if self.later == 0 {
            return Time::MAX;
        }
        if self.taken + self.passed > LOOK_AFTER.max(2 * self.later) {
            self.look_at_length();
        }
        let mut left = self.days.len();
        while self.today.is_empty() {
            self.day += 1;
            self.passed += 1;
            if left == 0 {
                // Nothing in as many days as there are places for: so on to the earliest of all.
                self.day = self.days.iter().flatten().min().map_or(self.day, |key| self.day_of(*key));
            }
            left = left.saturating_sub(1);
            self.begin_day();
        }
        self.next()
    }

    /// Puts the events of the present day in order, the next one last.
    fn begin_day(&mut self) {
        let (day, bits) = (self.day, self.day_bits);
        let place = self.place(day);
        let (there, today) = (&mut self.days[place], &mut self.today);
        let all_of_today = there.iter().fold(true, |all, key| all & (day_number(*key, bits) == day));
        if all_of_today && there.len() <= FEW {
            // Each goes where as many are later, which takes no branch that a processor could not foresee.
            today.resize(there.len(), 0);
            for key in there.iter() {
                let later: usize = there.iter().map(|other| usize::from(other > key)).sum();
                today[later] = *key;
            }
            there.clear();
        } else {
            today.extend(there.extract_if(.., |key| day_number(*key, bits) == day));
            today.sort_unstable_by(|a, b| b.cmp(a));
        }
        self.later -= today.len();
    }

    /// Makes days shorter that had many events, and longer if they had few.
    #[inline(never)]
    fn look_at_length(&mut self) {
        let bits = if self.taken > MOST_A_DAY * self.passed {
            self.day_bits.saturating_sub(1)
        } else if self.taken < LEAST_A_DAY * self.passed {
            (self.day_bits + 1).min(LONGEST_DAY)
        } else {
            self.day_bits
        };
        (self.taken, self.passed) = (0, 0);
        let days = (self.later / 4).next_power_of_two().max(DAYS);
        if bits == self.day_bits && days == self.days.len() {
            return;
        }
        let keys: Vec<u128> = self.days.iter_mut().flat_map(|day| day.drain(..)).collect();
        // The present day is over: what is left begins after it.
        self.day = ((self.day + 1) << self.day_bits).saturating_sub(1) >> bits;
        self.day_bits = bits;
        self.days.resize(days, Vec::new());
        self.later = 0;
        keys.into_iter().for_each(|key| self.insert(key));
    }

    #[inline]
    fn day_of(&self, key: u128) -> u64 {
        day_number(key, self.day_bits)
    }

    #[inline]
    fn place(&self, day: u64) -> usize {
        day as usize & (self.days.len() - 1)
    }

    #[inline]
    fn bucket(&mut self, day: u64) -> &mut Vec<u128> {
        let place = self.place(day);
        &mut self.days[place]
    }
}

/// The instant of an event.
#[inline]
fn at(key: u128) -> Time {
    Time::from_micros((key >> (NUMBER_BITS + 32)) as u64)
}

/// The day of an event, where a day has `2^bits` microseconds.
#[inline]
fn day_number(key: u128, bits: u32) -> u64 {
    (key >> (NUMBER_BITS + 32)) as u64 >> bits
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

    /// What a random number of 64 bits says: a delay whose magnitude is random, too.
    fn delay(random: u64, magnitudes: u64) -> u64 {
        (random >> 20) % (1 << ((random & 0xffff) % magnitudes))
    }

    #[test]
    fn events_come_in_the_order_of_their_keys_however_they_are_spread() {
        let mut random = 1_u64;
        let mut next_random = || {
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            random ^ (random >> 32)
        };
        for round in 0..300 {
            let (mut events, mut plain) = (Events::default(), std::collections::BTreeSet::new());
            let mut now = 0;
            let (pending, magnitudes) = ([1, 10, 40, 300, 3000][round % 5], [1, 4, 12, 20, 30, 44][round % 6]);
            for _ in 0..20_000 {
                // Mostly one for one; at times many come together, or most go.
                let wanted = if next_random() % 1000 == 0 { next_random() % (2 * pending) } else { pending };
                while (plain.len() as u64) < wanted {
                    let at = now + delay(next_random(), magnitudes);
                    let number = events.add(Time::from_micros(at), Kind::Poll, 1);
                    plain.insert((at, number));
                }
                let first = plain.pop_first();
                assert_eq!(events.next(), first.map_or(Time::MAX, |(at, _)| Time::from_micros(at)), "round {round}");
                let taken = events.take().map(|(at, number, _, _)| (at.as_micros(), number));
                assert_eq!(taken, first, "round {round}");
                now = first.map_or(now, |(at, _)| at);
            }
        }
    }
}
