//! Numbers for people and for files.

use crate::time::{Duration, Time};

/// Rounds to a number of decimals, so that files hold no noise of the last bits.
#[must_use]
pub fn round(value: f64, decimals: i32) -> f64 {
    let factor = 10_f64.powi(decimals);
    (value * factor).round() / factor
}

/// Seconds of an instant.
#[must_use]
pub fn instant(time: Time) -> f64 {
    time.as_secs_f64()
}

/// Seconds of an instant that may not have come.
#[must_use]
pub fn instant_if(time: Option<Time>) -> Option<f64> {
    time.map(Time::as_secs_f64)
}

/// Seconds of a span that may not exist.
#[must_use]
pub fn seconds_if(span: Option<Duration>) -> Option<f64> {
    span.map(Duration::as_secs_f64)
}

/// A count with separators: `235,912`.
#[must_use]
pub fn count(value: u64) -> String {
    let digits = value.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// A span for people, to about three digits: `7.2ms`, `350ms`, `1.25s`, `12.5s`, `2m05s`, `1h04m`, `3d02h`.
#[must_use]
pub fn span(span: Duration) -> String {
    let micros = span.as_micros();
    if micros < 0 {
        return format!("-{}", self::span(-span));
    }
    match micros {
        0 => "0s".to_owned(),
        1..1_000 => format!("{micros}µs"),
        1_000..9_950 => format!("{:.1}ms", micros as f64 / 1e3),
        9_950..999_500 => format!("{:.0}ms", micros as f64 / 1e3),
        999_500..9_995_000 => format!("{:.2}s", micros as f64 / 1e6),
        9_995_000..59_950_000 => format!("{:.1}s", micros as f64 / 1e6),
        _ => long_span((micros + 500_000) / 1_000_000),
    }
}

fn long_span(seconds: i64) -> String {
    let minutes = (seconds + 30) / 60;
    match seconds {
        ..3_600 => format!("{}m{:02}s", seconds / 60, seconds % 60),
        3_600..86_370 => format!("{}h{:02}m", minutes / 60, minutes % 60),
        _ => {
            let hours = (minutes + 30) / 60;
            format!("{}d{:02}h", hours / 24, hours % 24)
        }
    }
}

/// A number for people with about three digits: `0`, `0.042`, `6.13`, `43.2`, `1,234`.
#[must_use]
pub fn short(value: f64) -> String {
    match value.abs() {
        v if v >= 999.5 => count(value.round() as u64),
        v if v >= 99.95 => format!("{value:.0}"),
        v if v >= 9.995 => format!("{value:.1}"),
        0.0 => "0".to_owned(),
        v if v >= 0.0995 => format!("{value:.2}"),
        _ => format!("{value:.3}"),
    }
}

/// A share for people: `62 %`, `0.4 %`, `<0.1 %`.
#[must_use]
pub fn percent(share: f64) -> String {
    let percent = share * 100.0;
    match percent {
        0.0 => "0 %".to_owned(),
        ..0.05 => "<0.1 %".to_owned(),
        ..9.95 => format!("{percent:.1} %"),
        _ => format!("{percent:.0} %"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_read_well() {
        assert_eq!(
            [0, 12, 999, 1000, 235_912, 1_000_000].map(count),
            ["0", "12", "999", "1,000", "235,912", "1,000,000"]
        );
        let micros = [0, 250, 7_200, 350_000, 1_250_000, 12_500_000, 125_000_000, 3_840_000_000, 266_400_000_000];
        let spans = ["0s", "250µs", "7.2ms", "350ms", "1.25s", "12.5s", "2m05s", "1h04m", "3d02h"];
        assert_eq!(micros.map(|micros| span(Duration::from_micros(micros))), spans);
        assert_eq!(span(Duration::from_micros(59_960_000)), "1m00s");
        assert_eq!(span(Duration::from_secs(3599)), "59m59s");
        assert_eq!(
            [0.0, 0.0421, 6.134, 43.21, 123.4, 1234.5].map(short),
            ["0", "0.042", "6.13", "43.2", "123", "1,235"]
        );
        assert_eq!([0.0, 0.000_1, 0.004, 0.6249, 1.0].map(percent), ["0 %", "<0.1 %", "0.4 %", "62 %", "100 %"]);
        assert_eq!(round(1.0 / 3.0, 6), 0.333_333);
    }
}
