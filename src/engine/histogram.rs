//! Distributions of durations: exact count, sum, minimum and maximum; quantiles to three significant digits.

use std::collections::BTreeMap;

use crate::time::Duration;

/// Bits of a value that its bucket keeps: buckets are at most 1/1024 of their values wide, three significant digits.
const KEPT_BITS: u32 = 11;
/// Buckets per power of two.
const HALF: usize = 1 << (KEPT_BITS - 1);

/// Durations of something, mergeable without loss over runs and shards.
#[derive(Clone, Debug)]
pub struct Durations {
    /// Counts by bucket modulo 2³², up to the largest one used. Values below 2048 µs have a bucket each; above, each power of two
    /// has 1024. Two are touched for each message, in no order: small ones stay in the near caches.
    buckets: Vec<u32>,
    /// How often a bucket's count has passed 2³².
    passed: BTreeMap<usize, u64>,
    count: u64,
    sum: i128,
    min: Duration,
    max: Duration,
}

impl Default for Durations {
    fn default() -> Self {
        Durations {
            buckets: Vec::new(),
            passed: BTreeMap::new(),
            count: 0,
            sum: 0,
            min: Duration::MAX,
            max: Duration::ZERO,
        }
    }
}

/// Counts one more, without the check that other sums have: a count that grows by ones does not reach its end in centuries.
#[inline(always)]
pub(crate) fn count_one(count: &mut u64) {
    *count = count.wrapping_add(1);
}

/// The bucket of a number of microseconds.
#[inline]
fn bucket_of(micros: u64) -> usize {
    // With the kept bits set no value is shorter than these.
    let shift = u64::BITS - KEPT_BITS - (micros | ((1 << KEPT_BITS) - 1)).leading_zeros();
    shift as usize * HALF + (micros >> shift) as usize
}

/// The largest number of microseconds in a bucket.
fn largest_in(bucket: usize) -> u64 {
    let shift = (bucket / HALF).saturating_sub(1);
    let kept = (bucket - shift * HALF) as u64;
    ((kept + 1) << shift) - 1
}

impl Durations {
    /// Counts one duration; a negative one counts as zero.
    #[inline(always)]
    pub fn record(&mut self, value: Duration) {
        let value = value.max_zero();
        let micros = value.as_micros().unsigned_abs();
        let bucket = self.bucket(micros);
        let count = self.buckets[bucket].wrapping_add(1);
        self.buckets[bucket] = count;
        if count == 0 {
            *self.passed.entry(bucket).or_default() += 1;
        }
        count_one(&mut self.count);
        self.sum += i128::from(micros);
        self.min = self.min.min(value);
        self.max = self.max.max(value);
    }

    /// Counts the same duration `count` times.
    pub fn record_n(&mut self, value: Duration, count: u64) {
        if count == 0 {
            return;
        }
        let value = value.max_zero();
        let micros = value.as_micros().unsigned_abs();
        let bucket = self.bucket(micros);
        self.add(bucket, count);
        self.count += count;
        self.sum += i128::from(value.as_micros()) * i128::from(count);
        self.min = self.min.min(value);
        self.max = self.max.max(value);
    }

    /// The place of the bucket of a number of microseconds.
    #[inline(always)]
    fn bucket(&mut self, micros: u64) -> usize {
        let bucket = bucket_of(micros);
        if bucket >= self.buckets.len() {
            // In steps of a power of two: a few times in a whole run.
            self.buckets.resize((bucket / HALF + 1) * HALF, 0);
        }
        bucket
    }

    fn add(&mut self, bucket: usize, count: u64) {
        let sum = u64::from(self.buckets[bucket]) + count;
        self.buckets[bucket] = sum as u32;
        if sum >> u32::BITS > 0 {
            *self.passed.entry(bucket).or_default() += sum >> u32::BITS;
        }
    }

    /// The counts of all buckets.
    fn counts(&self) -> impl Iterator<Item = u64> {
        self.buckets.iter().enumerate().map(|(bucket, count)| {
            let passed = self.passed.get(&bucket).copied().unwrap_or(0);
            (passed << u32::BITS) + u64::from(*count)
        })
    }

    /// Adds all durations of another histogram.
    pub fn merge(&mut self, other: &Durations) {
        if other.buckets.len() > self.buckets.len() {
            self.buckets.resize(other.buckets.len(), 0);
        }
        other.counts().enumerate().for_each(|(bucket, count)| self.add(bucket, count));
        self.count += other.count;
        self.sum += other.sum;
        self.min = self.min.min(other.min);
        self.max = self.max.max(other.max);
    }

    /// How many were counted.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.count
    }

    /// Exact mean to the microsecond; `None` when nothing was counted.
    #[must_use]
    pub fn mean(&self) -> Option<Duration> {
        let count = i128::from(self.count());
        (count > 0).then(|| Duration::from_micros(((self.sum + count / 2) / count) as i64))
    }

    /// Exact minimum.
    #[must_use]
    pub fn min(&self) -> Option<Duration> {
        (self.count() > 0).then_some(self.min)
    }

    /// Exact maximum.
    #[must_use]
    pub fn max(&self) -> Option<Duration> {
        (self.count() > 0).then_some(self.max)
    }

    /// The smallest duration which at least the share `quantile` (0 to 1) of all do not exceed, to three significant digits
    /// and never outside the exact minimum and maximum.
    #[must_use]
    pub fn quantile(&self, quantile: f64) -> Option<Duration> {
        if self.count() == 0 {
            return None;
        }
        let rank = ((quantile * self.count as f64).ceil() as u64).clamp(1, self.count);
        let mut below = 0;
        let bucket = self.counts().position(|count| {
            below += count;
            below >= rank
        });
        let micros = largest_in(bucket.unwrap_or(0));
        Some(Duration::from_micros(i64::try_from(micros).unwrap_or(i64::MAX)).clamp(self.min, self.max))
    }

    /// The share (0 to 1) of all which do not exceed `limit`, to the resolution of the histogram; 1 when nothing was counted.
    #[must_use]
    pub fn share_within(&self, limit: Duration) -> f64 {
        if self.count() == 0 || limit >= self.max {
            return 1.0;
        }
        if limit < self.min {
            return 0.0;
        }
        let bucket = bucket_of(limit.as_micros().unsigned_abs());
        let within: u64 = self.counts().take(bucket + 1).sum();
        within as f64 / self.count as f64
    }
}

impl PartialEq for Durations {
    fn eq(&self, other: &Self) -> bool {
        (&self.buckets, &self.passed) == (&other.buckets, &other.passed)
            && (self.sum, self.min, self.max) == (other.sum, other.min, other.max)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_within_a_thousandth_and_the_ends_are_exact() {
        let mut waits = Durations::default();
        for millis in 1..=10_000 {
            waits.record(Duration::from_millis(millis));
        }
        assert_eq!(waits.count(), 10_000);
        assert_eq!(waits.min(), Some(Duration::from_millis(1)));
        assert_eq!(waits.max(), Some(Duration::from_secs(10)));
        assert_eq!(waits.mean(), Some(Duration::from_micros(5_000_500)));
        for (quantile, seconds) in [(0.5, 5.0), (0.95, 9.5), (0.99, 9.9)] {
            let got = waits.quantile(quantile).expect("not empty").as_secs_f64();
            assert!((got - seconds).abs() <= seconds / 1000.0, "{quantile}: {got}");
        }
        assert_eq!(waits.quantile(1.0), Some(Duration::from_secs(10)));
        assert!((waits.share_within(Duration::from_secs(5)) - 0.5).abs() < 0.001);
    }

    #[test]
    fn merging_equals_recording_together() {
        let (mut left, mut right, mut both) = (Durations::default(), Durations::default(), Durations::default());
        for micros in [3, 500, 70_000, 9_000_000_000] {
            left.record_n(Duration::from_micros(micros), 2);
            both.record_n(Duration::from_micros(micros), 2);
        }
        for micros in [0, 499, 1_000_000_000_000] {
            right.record(Duration::from_micros(micros));
            both.record(Duration::from_micros(micros));
        }
        left.merge(&right);
        assert_eq!(left, both);
    }

    #[test]
    fn counts_beyond_32_bits_are_whole() {
        let (short, long) = (Duration::from_millis(1), Duration::from_millis(2));
        let mut waits = Durations::default();
        waits.record_n(short, (1 << 32) - 1);
        waits.record(short);
        waits.record_n(long, (5 << 32) + 7);
        waits.merge(&waits.clone());
        assert_eq!(waits.counts().filter(|count| *count > 0).collect::<Vec<_>>(), [1 << 33, (10 << 32) + 14]);
        assert_eq!(waits.count(), (12 << 32) + 14);
        assert_eq!(waits.quantile(0.16), Some(short));
        assert_eq!(waits.quantile(0.17), Some(long));
        assert!((waits.share_within(short) - 1.0 / 6.0).abs() < 1e-6);
    }

    #[test]
    fn nothing_counted_has_no_quantiles() {
        let empty = Durations::default();
        assert_eq!((empty.quantile(0.5), empty.mean(), empty.max()), (None, None, None));
    }
}
