//! Round numbers for axes.

use crate::report::numbers::count;

/// An axis from 0 to `top` with a line every `step`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Scale {
    /// Upper end.
    pub top: f64,
    /// Distance of lines.
    pub step: f64,
}

/// An axis for values up to `max` with about `lines` lines, in steps of 1, 2 or 5 times a power of ten; whole steps only for
/// `whole` numbers.
#[must_use]
pub fn values(max: f64, lines: usize, whole: bool) -> Scale {
    let max = if max > 0.0 { max } else { 1.0 };
    let raw = max / lines.max(1) as f64;
    let power = 10_f64.powf(raw.log10().floor());
    let factor = [1.0, 2.0, 5.0, 10.0].into_iter().find(|factor| factor * power >= raw * 0.999).unwrap_or(10.0);
    let mut step = factor * power;
    if whole {
        step = step.max(1.0);
    }
    // A little air above the highest value, so that a flat top does not look cut off.
    let top = ((max * 1.04 / step).ceil() * step).max(step);
    Scale { top, step }
}

/// An axis for values between two bounds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Span {
    /// Lower end, on a line.
    pub low: f64,
    /// Upper end, on a line.
    pub high: f64,
    /// Distance of lines.
    pub step: f64,
}

/// An axis for values from `low` to `high`, both at least 0, with about `lines` lines. It begins at 0 unless the values are far
/// from it compared with their differences. `seconds`: steps are those in which people count time.
#[must_use]
pub fn span(low: f64, high: f64, lines: usize, seconds: bool) -> Span {
    let high = if high > 0.0 { high } else { 1.0 };
    let low = if high - low < low { low } else { 0.0 };
    let width = if high > low { high - low } else { high };
    let raw = width / lines.max(1) as f64;
    let step = if seconds && raw > 0.1 { time_step(width, lines) } else { values(width, lines, false).step };
    let low = if low > 0.0 { ((low - width * 0.1) / step).floor().max(0.0) * step } else { 0.0 };
    let high = low + (((high - low) * 1.04 / step).ceil() * step).max(step);
    Span { low, high, step }
}

/// Distance in seconds of about `lines` lines over `duration` seconds, which people count in.
#[must_use]
pub fn time_step(duration: f64, lines: usize) -> f64 {
    const STEPS: [f64; 22] = [
        0.1, 0.5, 1.0, 2.0, 5.0, 10.0, 15.0, 30.0, 60.0, 120.0, 300.0, 600.0, 900.0, 1800.0, 3600.0, 7200.0, 10800.0,
        21600.0, 43200.0, 86400.0, 172_800.0, 604_800.0,
    ];
    let raw = duration / lines.max(1) as f64;
    STEPS.into_iter().find(|step| *step >= raw).unwrap_or_else(|| (raw / 604_800.0).ceil() * 604_800.0)
}

/// A time on the axis: `0`, `30s`, `10m`, `1h30m`, `2d`, `2d06h`.
#[must_use]
pub fn time_label(seconds: f64) -> String {
    let whole = seconds.round() as u64;
    if seconds.fract() != 0.0 {
        return format!("{seconds:.1}s");
    }
    let (days, hours, minutes, rest) = (whole / 86_400, whole / 3600 % 24, whole / 60 % 60, whole % 60);
    match (days, hours, minutes, rest) {
        (0, 0, 0, 0) => "0".to_owned(),
        (0, 0, 0, seconds) => format!("{seconds}s"),
        (0, 0, minutes, 0) => format!("{minutes}m"),
        (0, 0, minutes, seconds) => format!("{minutes}m{seconds:02}s"),
        (0, hours, 0, _) => format!("{hours}h"),
        (0, hours, minutes, _) => format!("{hours}h{minutes:02}m"),
        (days, 0, 0, _) => format!("{days}d"),
        (days, hours, _, _) => format!("{days}d{hours:02}h"),
    }
}

/// A value on an axis whose lines are `step` apart: `0`, `0.05`, `250`, `20k`, `1.5M`.
#[must_use]
pub fn value_label(value: f64, step: f64) -> String {
    if value == 0.0 {
        return "0".to_owned();
    }
    let (divisor, suffix) = match value.abs() {
        v if v >= 1e6 => (1e6, "M"),
        v if v >= 1e4 => (1e3, "k"),
        _ => (1.0, ""),
    };
    let decimals = (-(step / divisor).log10().floor()).clamp(0.0, 6.0) as usize;
    let scaled = value / divisor;
    if decimals == 0 {
        format!("{}{suffix}", count(scaled.round() as u64))
    } else {
        format!("{scaled:.decimals$}{suffix}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn axes_have_round_steps_and_reach_above_the_highest_value() {
        for (max, step, top) in
            [(97.0, 20.0, 120.0), (182_330.0, 50_000.0, 200_000.0), (0.0, 1.0, 2.0), (2.0, 1.0, 3.0)]
        {
            assert_eq!(values(max, 5, true), Scale { top, step }, "{max}");
        }
        assert_eq!(values(0.9, 5, false), Scale { top: 1.0, step: 0.2 });
    }

    #[test]
    fn axes_begin_at_zero_unless_that_would_hide_the_differences() {
        assert_eq!(span(0.2, 0.9, 5, false), Span { low: 0.0, high: 1.0, step: 0.2 });
        let far = span(100.0, 101.0, 5, false);
        assert!(far.low > 99.0 && far.low <= 100.0 && far.high > 101.0, "{far:?}");
        assert_eq!(span(0.0, 250.0, 5, true).step, 60.0);
        assert_eq!(span(0.0, 0.0, 5, false).low, 0.0);
    }

    #[test]
    fn times_are_counted_as_people_count() {
        assert_eq!(
            [45.0, 2400.0, 3600.0, 86_400.0].map(|duration| time_step(duration, 10)),
            [5.0, 300.0, 600.0, 10800.0]
        );
        let labels = [0.0, 30.0, 90.0, 600.0, 5400.0, 7200.0, 172_800.0, 194_400.0, 0.5].map(time_label);
        assert_eq!(labels, ["0", "30s", "1m30s", "10m", "1h30m", "2h", "2d", "2d06h", "0.5s"]);
    }

    #[test]
    fn values_are_short() {
        let labels = [(0.0, 1.0), (0.05, 0.05), (250.0, 50.0), (20_000.0, 5000.0), (1.5e6, 5e5), (5000.0, 1000.0)];
        assert_eq!(labels.map(|(value, step)| value_label(value, step)), ["0", "0.05", "250", "20k", "1.5M", "5,000"]);
    }
}
