//! Simulated time: integer microseconds, so that equal instants are equal and sums never round.

use std::fmt;
use std::num::NonZeroU64;
use std::ops::{Add, AddAssign, Div, Mul, Neg, Sub, SubAssign};

/// An instant of a run: microseconds since its beginning (t = 0). Range: 0 to about 292,000 years.
///
/// It holds one more than the microseconds, so that `Option<Time>` takes no more room: pods and nodes remember many instants.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Time(NonZeroU64);

/// A signed span of simulated time in microseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Duration(i64);

const MICROS_PER_SECOND: i64 = 1_000_000;

impl Time {
    /// The beginning of a run.
    pub const ZERO: Time = Time(NonZeroU64::MIN);
    /// Later than every instant of a run.
    pub const MAX: Time = Time::from_micros(i64::MAX as u64 - 1);

    /// The instant `micros` microseconds after the beginning.
    #[inline]
    #[must_use]
    pub const fn from_micros(micros: u64) -> Self {
        Time(NonZeroU64::MIN.saturating_add(micros))
    }

    /// The instant `seconds` seconds after the beginning, rounded to the microsecond. Negative and NaN give `ZERO`.
    #[inline]
    #[must_use]
    pub fn from_secs_f64(seconds: f64) -> Self {
        Time::ZERO + Duration::from_secs_f64(seconds.max(0.0))
    }

    /// Microseconds since the beginning.
    #[inline]
    #[must_use]
    pub const fn as_micros(self) -> u64 {
        self.0.get() - 1
    }

    /// Seconds since the beginning.
    #[inline]
    #[must_use]
    pub fn as_secs_f64(self) -> f64 {
        self.as_micros() as f64 / MICROS_PER_SECOND as f64
    }

    /// The span since `earlier`, negative if `earlier` is later.
    #[inline]
    #[must_use]
    pub const fn since(self, earlier: Time) -> Duration {
        Duration(self.0.get() as i64 - earlier.0.get() as i64)
    }

    /// The last whole second of the wall clock at or before this instant, where `phase` is an instant of the run at which a
    /// wall-clock second begins (Kubernetes stores many times in whole seconds). An instant before the first such second
    /// of the run gives `ZERO`.
    #[inline]
    #[must_use]
    pub fn floor_second(self, phase: Time) -> Time {
        const SECOND: u64 = MICROS_PER_SECOND as u64;
        let offset = phase.as_micros() % SECOND;
        match self.as_micros().checked_sub(offset) {
            Some(since) => Time::from_micros(offset + since / SECOND * SECOND),
            None => Time::ZERO,
        }
    }

    /// How many seconds of the wall clock began up to this instant; `phase` as for [`Time::floor_second`].
    #[inline]
    #[must_use]
    pub fn seconds_begun(self, phase: Time) -> u32 {
        const SECOND: u64 = MICROS_PER_SECOND as u64;
        self.as_micros().checked_sub(phase.as_micros() % SECOND).map_or(0, |since| (since / SECOND) as u32 + 1)
    }
}

impl Duration {
    /// No time.
    pub const ZERO: Duration = Duration(0);
    /// Longer than every run.
    pub const MAX: Duration = Duration(i64::MAX / 4);

    /// A span of `micros` microseconds.
    #[inline]
    #[must_use]
    pub const fn from_micros(micros: i64) -> Self {
        Duration(micros)
    }

    /// A span of `millis` milliseconds.
    #[inline]
    #[must_use]
    pub const fn from_millis(millis: i64) -> Self {
        Duration(millis * 1000)
    }

    /// A span of `seconds` seconds.
    #[inline]
    #[must_use]
    pub const fn from_secs(seconds: i64) -> Self {
        Duration(seconds * MICROS_PER_SECOND)
    }

    /// A span of `minutes` minutes.
    #[inline]
    #[must_use]
    pub const fn from_mins(minutes: i64) -> Self {
        Duration::from_secs(minutes * 60)
    }

    /// A span of `hours` hours.
    #[inline]
    #[must_use]
    pub const fn from_hours(hours: i64) -> Self {
        Duration::from_secs(hours * 3600)
    }

    /// A span of `seconds` seconds rounded to the microsecond; saturates at `MAX`, NaN gives `ZERO`.
    #[inline]
    #[must_use]
    pub fn from_secs_f64(seconds: f64) -> Self {
        Duration(round_half_away(seconds * MICROS_PER_SECOND as f64).clamp(-Self::MAX.0, Self::MAX.0))
    }

    /// Microseconds.
    #[inline]
    #[must_use]
    pub const fn as_micros(self) -> i64 {
        self.0
    }

    /// Seconds.
    #[inline]
    #[must_use]
    pub fn as_secs_f64(self) -> f64 {
        self.0 as f64 / MICROS_PER_SECOND as f64
    }

    /// The larger of this span and zero.
    #[inline]
    #[must_use]
    pub fn max_zero(self) -> Self {
        Duration(self.0.max(0))
    }
}

/// The nearest integer, halves away from zero; saturates. As `f64::round`, without a call of a library function.
#[inline]
pub(crate) fn round_half_away(x: f64) -> i64 {
    /// From here on doubles are whole: a sum with it is rounded to the nearest integer, halves to even.
    const WHOLE: f64 = (1_u64 << 52) as f64;
    if (0.0..WHOLE / 2.0).contains(&x) {
        let sum = x + WHOLE;
        let half_went_down = x - (sum - WHOLE) == 0.5;
        return sum.to_bits().wrapping_sub(WHOLE.to_bits()).wrapping_add(u64::from(half_went_down)) as i64;
    }
    let whole = x as i64;
    let rest = x - whole as f64;
    whole.saturating_add(i64::from(rest >= 0.5)).saturating_sub(i64::from(rest <= -0.5))
}

impl Default for Time {
    /// The beginning of a run.
    fn default() -> Time {
        Time::ZERO
    }
}

impl Add<Duration> for Time {
    type Output = Time;
    #[inline]
    fn add(self, rhs: Duration) -> Time {
        // Spelled out so that what never happens costs a jump that is not taken, rather than a choice between numbers.
        match (self.0.get() as i64).checked_add(rhs.0) {
            Some(sum) if sum > 0 => Time(NonZeroU64::new(sum as u64).unwrap_or(NonZeroU64::MIN)),
            _ => beyond(rhs),
        }
    }
}

/// Where an instant ends up that would leave the range of instants.
#[cold]
#[inline(never)]
fn beyond(span: Duration) -> Time {
    if span.0 > 0 { Time::MAX } else { Time::ZERO }
}

/// The span at the end of the range, in the direction of `span`.
#[cold]
#[inline(never)]
fn longest(span: Duration) -> Duration {
    Duration(if span.0 > 0 { i64::MAX } else { i64::MIN })
}

impl AddAssign<Duration> for Time {
    #[inline]
    fn add_assign(&mut self, rhs: Duration) {
        *self = *self + rhs;
    }
}

impl Sub<Duration> for Time {
    type Output = Time;
    #[inline]
    fn sub(self, rhs: Duration) -> Time {
        self + -rhs
    }
}

impl Sub<Time> for Time {
    type Output = Duration;
    #[inline]
    fn sub(self, rhs: Time) -> Duration {
        self.since(rhs)
    }
}

impl Add for Duration {
    type Output = Duration;
    #[inline]
    fn add(self, rhs: Duration) -> Duration {
        self.0.checked_add(rhs.0).map_or_else(|| longest(rhs), Duration)
    }
}

impl AddAssign for Duration {
    #[inline]
    fn add_assign(&mut self, rhs: Duration) {
        *self = *self + rhs;
    }
}

impl Sub for Duration {
    type Output = Duration;
    #[inline]
    fn sub(self, rhs: Duration) -> Duration {
        Duration(self.0.saturating_sub(rhs.0))
    }
}

impl SubAssign for Duration {
    #[inline]
    fn sub_assign(&mut self, rhs: Duration) {
        *self = *self - rhs;
    }
}

impl Neg for Duration {
    type Output = Duration;
    #[inline]
    fn neg(self) -> Duration {
        Duration(-self.0)
    }
}

impl Mul<i64> for Duration {
    type Output = Duration;
    #[inline]
    fn mul(self, rhs: i64) -> Duration {
        Duration(self.0.saturating_mul(rhs))
    }
}

impl Div<i64> for Duration {
    type Output = Duration;
    #[inline]
    fn div(self, rhs: i64) -> Duration {
        Duration(self.0 / rhs)
    }
}

impl std::iter::Sum for Duration {
    #[inline]
    fn sum<I: Iterator<Item = Duration>>(iter: I) -> Duration {
        iter.fold(Duration::ZERO, Add::add)
    }
}

/// Seconds with up to three decimals, as in `12.345s`.
impl fmt::Display for Time {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", Duration(self.as_micros() as i64))
    }
}

/// Go's form with at most millisecond resolution: `350ms`, `12.5s`, `1h30m`, `-2s`.
impl fmt::Display for Duration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let micros = self.0.unsigned_abs();
        let sign = if self.0 < 0 { "-" } else { "" };
        if micros == 0 {
            return write!(f, "0s");
        }
        if micros < MICROS_PER_SECOND as u64 {
            return write!(f, "{sign}{}ms", micros as f64 / 1000.0);
        }
        let millis = (micros + 500) / 1000;
        let (hours, minutes, rest) = (millis / 3_600_000, millis / 60_000 % 60, millis % 60_000);
        write!(f, "{sign}")?;
        if hours > 0 {
            write!(f, "{hours}h")?;
        }
        if minutes > 0 {
            write!(f, "{minutes}m")?;
        }
        if rest > 0 {
            write!(f, "{}s", rest as f64 / 1000.0)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn instants_stay_between_the_beginning_and_the_end() {
        assert_eq!(size_of::<Option<Time>>(), size_of::<Time>());
        assert_eq!(Time::ZERO - Duration::from_secs(1), Time::ZERO);
        assert_eq!(Time::from_micros(5) - Duration::from_micros(5), Time::ZERO);
        assert_eq!(Time::from_micros(5).as_micros(), 5);
        assert_eq!(Time::MAX + Duration::from_secs(1), Time::MAX);
        assert_eq!(Time::from_micros(2).since(Time::from_micros(5)), Duration::from_micros(-3));
    }

    #[test]
    fn whole_seconds_follow_the_phase_of_the_wall_clock() {
        let phase = Time::from_micros(300_000);
        assert_eq!(Time::from_micros(5_299_999).floor_second(phase), Time::from_micros(4_300_000));
        assert_eq!(Time::from_micros(5_300_000).floor_second(phase), Time::from_micros(5_300_000));
        assert_eq!(Time::from_micros(100_000).floor_second(phase), Time::ZERO);
    }

    #[test]
    fn seconds_are_rounded_half_away_from_zero() {
        for (seconds, micros) in [
            (0.000_000_5, 1),
            (-0.000_000_5, -1),
            (0.000_000_499_999, 0),
            (1.999_999_6, 2_000_000),
            (f64::NAN, 0),
            (f64::INFINITY, Duration::MAX.as_micros()),
            (f64::NEG_INFINITY, -Duration::MAX.as_micros()),
        ] {
            assert_eq!(Duration::from_secs_f64(seconds).as_micros(), micros, "{seconds}");
        }
    }

    #[test]
    fn durations_print_as_go_prints_them() {
        for (micros, text) in [
            (0, "0s"),
            (350_000, "350ms"),
            (12_500_000, "12.5s"),
            (5_400_000_000, "1h30m"),
            (-2_000_000, "-2s"),
            (60_000_000, "1m"),
        ] {
            assert_eq!(Duration::from_micros(micros).to_string(), text);
        }
    }
}
