//! True counts of a queue: now, over time (areas, extremes) and a little way back (for lagging counters).

use std::collections::VecDeque;

use crate::engine::count_one;
use crate::time::{Duration, Time};

/// Resolution of the memory of past counts.
const HISTORY_STEP: Duration = Duration::from_millis(100);
/// Length of the memory of past counts, a little above the longest lag.
const HISTORY_SPAN: Duration = Duration::from_secs(61);

/// How many messages are in each state.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Depth {
    /// Can be received (exhausted messages that wait for the attempt that moves them included).
    pub visible: u64,
    /// Received, not deleted, timeout running.
    pub in_flight: u64,
    /// Sent with a delay that has not passed.
    pub delayed: u64,
}

impl Depth {
    /// All messages.
    #[must_use]
    pub const fn total(&self) -> u64 {
        self.visible + self.in_flight + self.delayed
    }
}

/// A count at the instant at which it was reached.
pub type Reached = (Time, u64);

/// The smallest and the largest count in a span of time, each where it was first reached.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Extremes {
    /// The smallest.
    pub least: Reached,
    /// The largest.
    pub most: Reached,
}

impl Extremes {
    /// Those of an instant.
    const fn at(now: Time, count: u64) -> Extremes {
        Extremes { least: (now, count), most: (now, count) }
    }

    #[inline]
    fn rise(&mut self, now: Time, count: u64) {
        if count > self.most.1 {
            self.most = (now, count);
        }
    }

    #[inline]
    fn fall(&mut self, now: Time, count: u64) {
        if count < self.least.1 {
            self.least = (now, count);
        }
    }
}

/// What happened since the last look.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Window {
    /// Visible messages.
    pub visible: Extremes,
    /// Messages in flight.
    pub in_flight: Extremes,
}

/// The integral of a count over time, in message-microseconds.
///
/// It is (count · now) less the instants at which the count rose plus those at which it fell. What is added for each message is
/// counted modulo 2⁶⁴, which is exact as long as less than that comes together between two looks.
#[derive(Clone, Copy, Debug, Default)]
struct Area {
    /// Fallen less risen instants, in microseconds.
    instants: u64,
    /// The integral at the last look.
    looked: i128,
    /// The same modulo 2⁶⁴.
    looked_low: u64,
}

impl Area {
    #[inline]
    fn rise(&mut self, now: Time) {
        self.instants = self.instants.wrapping_sub(now.as_micros());
    }

    #[inline]
    fn fall(&mut self, now: Time) {
        self.instants = self.instants.wrapping_add(now.as_micros());
    }

    fn change(&mut self, now: Time, before: u64, after: u64) {
        self.instants = self.instants.wrapping_sub(after.wrapping_sub(before).wrapping_mul(now.as_micros()));
    }

    fn low(&self, now: Time, count: u64) -> u64 {
        count.wrapping_mul(now.as_micros()).wrapping_add(self.instants)
    }

    fn until(&self, now: Time, count: u64) -> i128 {
        self.looked + i128::from(self.low(now, count).wrapping_sub(self.looked_low))
    }

    fn look(&mut self, now: Time, count: u64) {
        self.looked = self.until(now, count);
        self.looked_low = self.low(now, count);
    }
}

/// Counts with their integrals over time.
#[derive(Clone, Debug)]
pub struct Counts {
    depth: Depth,
    visible_area: Area,
    in_flight_area: Area,
    window: Window,
    history: Option<History>,
}

impl Counts {
    /// Zero counts; `history` keeps what [`Counts::at`] needs.
    pub(crate) fn new(history: bool) -> Self {
        Counts {
            depth: Depth::default(),
            visible_area: Area::default(),
            in_flight_area: Area::default(),
            window: Window::default(),
            history: history.then(History::new),
        }
    }

    /// The counts now.
    #[inline]
    #[must_use]
    pub fn depth(&self) -> Depth {
        self.depth
    }

    /// Message-microseconds until `now`: integrals of visible and in-flight messages over time.
    #[must_use]
    pub fn areas(&self, now: Time) -> (i128, i128) {
        (self.visible_area.until(now, self.depth.visible), self.in_flight_area.until(now, self.depth.in_flight))
    }

    /// The extremes since the last call; `now` begins a new window.
    pub(crate) fn take_window(&mut self, now: Time) -> Window {
        let Depth { visible, in_flight, .. } = self.depth;
        self.visible_area.look(now, visible);
        self.in_flight_area.look(now, in_flight);
        let next = Window { visible: Extremes::at(now, visible), in_flight: Extremes::at(now, in_flight) };
        std::mem::replace(&mut self.window, next)
    }

    /// A message becomes visible that was not there before.
    #[inline]
    pub(crate) fn appear(&mut self, now: Time) {
        self.keep(now);
        self.visible_area.rise(now);
        count_one(&mut self.depth.visible);
        self.window.visible.rise(now, self.depth.visible);
    }

    /// A visible message goes into flight.
    #[inline]
    pub(crate) fn take(&mut self, now: Time) {
        self.keep(now);
        self.visible_area.fall(now);
        self.in_flight_area.rise(now);
        self.depth.visible -= 1;
        count_one(&mut self.depth.in_flight);
        self.window.visible.fall(now, self.depth.visible);
        self.window.in_flight.rise(now, self.depth.in_flight);
    }

    /// A message in flight is deleted.
    #[inline(always)]
    pub(crate) fn finish(&mut self, now: Time) {
        self.keep(now);
        self.in_flight_area.fall(now);
        self.depth.in_flight -= 1;
        self.window.in_flight.fall(now, self.depth.in_flight);
    }

    /// Any other change.
    pub(crate) fn change(&mut self, now: Time, change: impl FnOnce(&mut Depth)) {
        self.keep(now);
        let before = self.depth;
        change(&mut self.depth);
        self.visible_area.change(now, before.visible, self.depth.visible);
        self.in_flight_area.change(now, before.in_flight, self.depth.in_flight);
        self.window.visible.rise(now, self.depth.visible);
        self.window.visible.fall(now, self.depth.visible);
        self.window.in_flight.rise(now, self.depth.in_flight);
        self.window.in_flight.fall(now, self.depth.in_flight);
    }

    /// To be called before a change.
    #[inline]
    fn keep(&mut self, now: Time) {
        if let Some(history) = &mut self.history
            && now >= history.ends
        {
            history.begin_step(now, self.depth);
        }
    }

    /// Whether [`Counts::at`] gives the present counts for `at` and every later instant.
    pub(crate) fn steady_since(&self, at: Time) -> bool {
        self.history.as_ref().is_none_or(|history| at >= history.began)
    }

    /// The counts as they were at `at` (to the nearest 0.1 s, at most a minute back).
    pub(crate) fn at(&self, at: Time) -> Depth {
        self.history.as_ref().and_then(|history| history.at(at)).unwrap_or(self.depth)
    }
}

/// Counts of the past in steps: each begins with a change and holds the counts after the last change in it.
#[derive(Clone, Debug)]
struct History {
    /// The steps that are over: where they began, and their counts.
    past: VecDeque<(Time, Depth)>,
    /// Where the present step began; its counts are those of now.
    began: Time,
    /// From where on a change begins a new step.
    ends: Time,
}

impl History {
    fn new() -> Self {
        let capacity = (HISTORY_SPAN.as_micros() / HISTORY_STEP.as_micros() + 2) as usize;
        History { past: VecDeque::with_capacity(capacity), began: Time::ZERO, ends: Time::ZERO + HISTORY_STEP }
    }

    fn begin_step(&mut self, now: Time, depth: Depth) {
        self.past.push_back((self.began, depth));
        while self.past.len() > 1 && self.past[1].0 + HISTORY_SPAN < now {
            self.past.pop_front();
        }
        self.began = now;
        self.ends = now + HISTORY_STEP;
    }

    /// The counts at an instant; `None` = those of now.
    fn at(&self, at: Time) -> Option<Depth> {
        if at >= self.began {
            return None;
        }
        let after = self.past.partition_point(|(from, _)| *from <= at);
        self.past.get(after.saturating_sub(1)).map(|(_, depth)| *depth)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> Time {
        Time::from_micros(seconds * 1_000_000)
    }

    #[test]
    fn areas_and_windows_are_exact() {
        let mut counts = Counts::new(true);
        counts.change(at(10), |depth| depth.visible = 4);
        counts.change(at(15), |depth| depth.visible = 1);
        // 4 messages for 5 s and 1 message for 5 s.
        assert_eq!(counts.areas(at(20)), (25_000_000, 0));
        assert_eq!(counts.take_window(at(20)).visible, Extremes { least: (Time::ZERO, 0), most: (at(10), 4) });
        counts.take(at(25));
        counts.finish(at(27));
        assert_eq!(counts.areas(at(30)), (30_000_000, 2_000_000));
        let window = counts.take_window(at(30));
        assert_eq!(window.visible, Extremes { least: (at(25), 0), most: (at(20), 1) });
        assert_eq!(window.in_flight, Extremes { least: (at(20), 0), most: (at(25), 1) });
        assert_eq!(counts.take_window(at(31)).visible, Extremes::at(at(30), 0));
        assert_eq!(counts.at(at(12)).visible, 4);
        assert_eq!(counts.at(at(9)).visible, 0);
        assert!(counts.steady_since(at(27)) && !counts.steady_since(at(26)));
    }

    /// Twenty million messages for a fortnight are more message-microseconds than 64 bits hold.
    #[test]
    fn areas_stay_exact_beyond_64_bits() {
        let mut counts = Counts::new(false);
        counts.change(at(0), |depth| (depth.visible, depth.in_flight) = (20_000_000, 10_000_000));
        for day in 1..=14 {
            counts.take_window(at(day * 86_400));
        }
        let micros = 14 * 86_400 * 1_000_000_i128;
        assert_eq!(counts.areas(at(14 * 86_400)), (20_000_000 * micros, 10_000_000 * micros));
    }
}
