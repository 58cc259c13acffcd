//! Step series: a value which holds until the next change, with its exact integral.

use crate::time::{Duration, Time};

/// A value over time, recorded when it changes. Before the first change it is 0.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Series {
    /// Instant and value from that instant on, in order of time, each value different from the one before.
    steps: Vec<(Time, i64)>,
}

impl Series {
    /// The value is `value` from `now` on. Of several values at one instant the last one counts.
    ///
    /// # Panics
    /// When `now` lies before the last change: a mistake of the caller.
    pub fn record(&mut self, now: Time, value: i64) {
        if let Some(&(last, _)) = self.steps.last() {
            assert!(now >= last, "series recorded at {now} after {last}");
            if last == now {
                self.steps.pop();
            }
        }
        if self.last() != value {
            self.steps.push((now, value));
        }
    }

    /// Adds `change` to the value at `now`.
    ///
    /// # Panics
    /// As [`Series::record`].
    pub fn add(&mut self, now: Time, change: i64) {
        self.record(now, self.last() + change);
    }

    /// The series which changes by the given amounts at the given instants, in any order.
    #[must_use]
    pub fn from_changes(mut changes: Vec<(Time, i64)>) -> Series {
        changes.sort_by_key(|&(at, _)| at);
        let mut series = Series::default();
        for (at, change) in changes {
            series.add(at, change);
        }
        series
    }

    /// The sum of several series.
    #[must_use]
    pub fn sum<'a>(all: impl IntoIterator<Item = &'a Series>) -> Series {
        let mut changes = Vec::new();
        for series in all {
            let mut before = 0;
            for &(at, value) in &series.steps {
                changes.push((at, value - before));
                before = value;
            }
        }
        Series::from_changes(changes)
    }

    /// The value after the last change.
    #[must_use]
    pub fn last(&self) -> i64 {
        self.steps.last().map_or(0, |&(_, value)| value)
    }

    /// The value at `time`.
    #[must_use]
    pub fn at(&self, time: Time) -> i64 {
        match self.steps.partition_point(|&(at, _)| at <= time) {
            0 => 0,
            after => self.steps[after - 1].1,
        }
    }

    /// All changes: instant and value from it on.
    #[must_use]
    pub fn steps(&self) -> &[(Time, i64)] {
        &self.steps
    }

    /// The largest value taken until `end`, at least 0.
    #[must_use]
    pub fn max(&self, end: Time) -> i64 {
        self.steps.iter().filter(|&&(at, _)| at <= end).map(|&(_, value)| value).max().unwrap_or(0).max(0)
    }

    /// The exact sum of value x time from the beginning to `end`, in value-microseconds.
    #[must_use]
    pub fn integral(&self, end: Time) -> i128 {
        let mut sum = 0;
        for (index, &(at, value)) in self.steps.iter().enumerate() {
            let until = self.steps.get(index + 1).map_or(end, |&(next, _)| next.min(end));
            sum += i128::from(value) * i128::from(until.since(at).max_zero().as_micros());
        }
        sum
    }

    /// The time-weighted mean from `start` to `end`; 0 for an empty span.
    #[must_use]
    pub fn mean(&self, start: Time, end: Time) -> f64 {
        if end <= start {
            return 0.0;
        }
        (self.integral(end) - self.integral(start)) as f64 / end.since(start).as_micros() as f64
    }

    /// The first instant at or after `from` at which `holds` is true of the value.
    #[must_use]
    pub fn first(&self, from: Time, holds: impl Fn(i64) -> bool) -> Option<Time> {
        if holds(self.at(from)) {
            return Some(from);
        }
        self.steps.iter().find(|&&(at, value)| at > from && holds(value)).map(|&(at, _)| at)
    }

    /// For charts only: at most `buckets` spans of equal length up to `end`, each with the lowest and highest value in it,
    /// so that no peak is lost. Sums and means are never taken from this.
    #[must_use]
    pub fn envelope(&self, end: Time, buckets: usize) -> Vec<Bucket> {
        let buckets = buckets.max(1) as u64;
        let width = end.as_micros().div_ceil(buckets).max(1);
        let mut result = Vec::new();
        let mut next = 0;
        let mut value = 0;
        let mut start = 0;
        while start < end.as_micros() {
            let until = (start + width).min(end.as_micros());
            let mut bucket = Bucket { start: Time::from_micros(start), low: i64::MAX, high: i64::MIN, last: value };
            if self.steps.get(next).is_none_or(|&(at, _)| at.as_micros() > start) {
                bucket.include(value);
            }
            while let Some(&(at, changed)) = self.steps.get(next).filter(|&&(at, _)| at.as_micros() < until) {
                debug_assert!(at.as_micros() >= start);
                value = changed;
                bucket.include(value);
                next += 1;
            }
            bucket.last = value;
            result.push(bucket);
            start = until;
        }
        result
    }
}

/// One span of [`Series::envelope`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bucket {
    /// Where the span begins.
    pub start: Time,
    /// Lowest value in the span.
    pub low: i64,
    /// Highest value in the span.
    pub high: i64,
    /// Value at the end of the span.
    pub last: i64,
}

impl Bucket {
    fn include(&mut self, value: i64) {
        self.low = self.low.min(value);
        self.high = self.high.max(value);
    }
}

/// Value-hours of a sum in value-microseconds.
#[must_use]
pub fn hours(value_micros: i128) -> f64 {
    value_micros as f64 / Duration::from_hours(1).as_micros() as f64
}

/// Value-seconds of a sum in value-microseconds.
#[must_use]
pub fn seconds(value_micros: i128) -> f64 {
    value_micros as f64 / Duration::from_secs(1).as_micros() as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> Time {
        Time::from_micros(seconds * 1_000_000)
    }

    fn example() -> Series {
        let mut series = Series::default();
        for (second, value) in [(10, 2), (20, 5), (20, 4), (30, 4), (40, 0)] {
            series.record(at(second), value);
        }
        series
    }

    #[test]
    fn integral_mean_and_maximum_are_exact() {
        let series = example();
        assert_eq!(series.steps(), [(at(10), 2), (at(20), 4), (at(40), 0)]);
        assert_eq!(series.integral(at(100)), (2 * 10 + 4 * 20) * 1_000_000);
        assert_eq!(series.integral(at(25)), (2 * 10 + 4 * 5) * 1_000_000);
        assert!((series.mean(at(0), at(100)) - 1.0).abs() < 1e-12);
        assert!((series.mean(at(15), at(25)) - 3.0).abs() < 1e-12);
        assert_eq!((series.max(at(100)), series.max(at(15)), series.max(at(5))), (4, 2, 0));
        assert_eq!((series.at(at(9)), series.at(at(10)), series.at(at(39)), series.at(at(40))), (0, 2, 4, 0));
    }

    #[test]
    fn a_value_restored_at_the_same_instant_leaves_no_step() {
        let mut series = Series::default();
        series.record(at(1), 3);
        series.record(at(2), 9);
        series.record(at(2), 3);
        assert_eq!(series.steps(), [(at(1), 3)]);
    }

    #[test]
    fn sums_and_changes_agree() {
        let series = Series::from_changes(vec![(at(40), -4), (at(10), 2), (at(20), 2)]);
        assert_eq!(series, example());
        let double = Series::sum([&series, &series]);
        assert_eq!(double.integral(at(50)), 2 * series.integral(at(50)));
    }

    #[test]
    fn first_instant_of_a_condition() {
        let series = example();
        assert_eq!(series.first(Time::ZERO, |value| value >= 3), Some(at(20)));
        assert_eq!(series.first(at(25), |value| value == 0), Some(at(40)));
        assert_eq!(series.first(at(25), |value| value == 4), Some(at(25)));
        assert_eq!(series.first(Time::ZERO, |value| value > 9), None);
    }

    #[test]
    fn the_envelope_keeps_every_peak() {
        let mut series = Series::default();
        series.record(at(0), 1);
        series.record(at(11), 7);
        series.record(at(12), 1);
        series.record(at(30), 3);
        let envelope = series.envelope(at(40), 4);
        let spans: Vec<_> = envelope.iter().map(|b| (b.start, b.low, b.high, b.last)).collect();
        assert_eq!(spans, [(at(0), 1, 1, 1), (at(10), 1, 7, 1), (at(20), 1, 1, 1), (at(30), 3, 3, 3)]);
    }
}
