//! True counts of a queue: now, over time (areas, extremes) and a little way back (for lagging counters).

use std::collections::VecDeque;

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

/// The largest counts in a span of time, each where it was first reached.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Window {
    /// Visible messages.
    pub visible: Reached,
    /// Messages in flight.
    pub in_flight: Reached,
}

/// Counts with their integrals over time.
#[derive(Clone, Debug)]
pub struct Counts {
    depth: Depth,
    /// The integral of a count over time is (count · now) less the instants at which it rose plus those at which it fell; these
    /// are the sums of those instants, in microseconds.
    visible_instants: i128,
    in_flight_instants: i128,
    window: Window,
    history: Option<VecDeque<(Time, Depth)>>,
}

impl Counts {
    /// Zero counts; `history` keeps what [`Counts::at`] needs.
    pub(crate) fn new(history: bool) -> Self {
        let remembered = || {
            let capacity = (HISTORY_SPAN.as_micros() / HISTORY_STEP.as_micros() + 2) as usize;
            let mut past = VecDeque::with_capacity(capacity);
            past.push_back((Time::ZERO, Depth::default()));
            past
        };
        Counts {
            depth: Depth::default(),
            visible_instants: 0,
            in_flight_instants: 0,
            window: Window::default(),
            history: history.then(remembered),
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
        let now = i128::from(now.as_micros());
        let visible = i128::from(self.depth.visible) * now + self.visible_instants;
        let in_flight = i128::from(self.depth.in_flight) * now + self.in_flight_instants;
        (visible, in_flight)
    }

    /// The largest counts since the last call; `now` begins a new window.
    pub fn take_window(&mut self, now: Time) -> Window {
        let next = Window { visible: (now, self.depth.visible), in_flight: (now, self.depth.in_flight) };
        std::mem::replace(&mut self.window, next)
    }

    /// A message becomes visible that was not there before.
    #[inline]
    pub(crate) fn appear(&mut self, now: Time) {
        self.visible_instants -= i128::from(now.as_micros());
        self.depth.visible += 1;
        rise(&mut self.window.visible, now, self.depth.visible);
        self.keep(now);
    }

    /// A visible message goes into flight.
    #[inline]
    pub(crate) fn take(&mut self, now: Time) {
        self.visible_instants += i128::from(now.as_micros());
        self.in_flight_instants -= i128::from(now.as_micros());
        self.depth.visible -= 1;
        self.depth.in_flight += 1;
        rise(&mut self.window.in_flight, now, self.depth.in_flight);
        self.keep(now);
    }

    /// A message in flight is deleted.
    #[inline]
    pub(crate) fn finish(&mut self, now: Time) {
        self.in_flight_instants += i128::from(now.as_micros());
        self.depth.in_flight -= 1;
        self.keep(now);
    }

    /// Any other change.
    pub(crate) fn change(&mut self, now: Time, change: impl FnOnce(&mut Depth)) {
        let before = self.depth;
        change(&mut self.depth);
        let growth = |before: u64, after: u64| i128::from(after) - i128::from(before);
        let instant = i128::from(now.as_micros());
        self.visible_instants -= growth(before.visible, self.depth.visible) * instant;
        self.in_flight_instants -= growth(before.in_flight, self.depth.in_flight) * instant;
        rise(&mut self.window.visible, now, self.depth.visible);
        rise(&mut self.window.in_flight, now, self.depth.in_flight);
        self.keep(now);
    }

    #[inline]
    fn keep(&mut self, now: Time) {
        if let Some(history) = &mut self.history {
            remember(history, now, self.depth);
        }
    }

    /// The counts as they were at `at` (to the nearest 0.1 s, at most a minute back).
    pub(crate) fn at(&self, at: Time) -> Depth {
        let Some(history) = &self.history else { return self.depth };
        let after = history.partition_point(|(from, _)| *from <= at);
        history.get(after.saturating_sub(1)).map_or(self.depth, |(_, depth)| *depth)
    }
}

#[inline]
fn rise(reached: &mut Reached, now: Time, count: u64) {
    if count > reached.1 {
        *reached = (now, count);
    }
}

#[inline]
fn remember(history: &mut VecDeque<(Time, Depth)>, now: Time, depth: Depth) {
    if let Some((from, last)) = history.back_mut()
        && now.since(*from) < HISTORY_STEP
    {
        *last = depth;
        return;
    }
    while history.len() > 1 && history[1].0 + HISTORY_SPAN < now {
        history.pop_front();
    }
    history.push_back((now, depth));
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
        assert_eq!(counts.take_window(at(20)).visible, (at(10), 4));
        assert_eq!(counts.take_window(at(30)).visible, (at(20), 1));
        assert_eq!(counts.at(at(12)).visible, 4);
        assert_eq!(counts.at(at(9)).visible, 0);
    }
}
