//! Rates of events as a scenario writes them: `"10/s"`, `"600/m"`, `"2.5k/h"`, `"1M/d"`.

use super::decode::{Decode, Problems};
use super::tree::{Node, Value};
use crate::time::Duration;

/// Events per unit of time. Range: finite, >= 0.
#[derive(Clone, Copy, Debug, Default, PartialEq, PartialOrd)]
pub struct Rate {
    /// Events per second.
    pub per_second: f64,
}

impl Rate {
    /// A rate in events per second.
    #[must_use]
    pub const fn per_second(per_second: f64) -> Self {
        Rate { per_second }
    }

    /// The mean time between two events; `Duration::MAX` at rate 0.
    #[must_use]
    pub fn interval(self) -> Duration {
        if self.per_second > 0.0 { Duration::from_secs_f64(1.0 / self.per_second) } else { Duration::MAX }
    }
}

/// `<number>[k|M]/<s|m|min|h|d>`.
fn parse(text: &str) -> Option<Rate> {
    let (count, unit) = text.split_once('/')?;
    let seconds = match unit.trim() {
        "s" | "sec" | "second" => 1.0,
        "m" | "min" | "minute" => 60.0,
        "h" | "hour" => 3600.0,
        "d" | "day" => 86_400.0,
        _ => return None,
    };
    let count = count.trim();
    let (digits, factor) = match count.as_bytes().last()? {
        b'k' => (&count[..count.len() - 1], 1e3),
        b'M' => (&count[..count.len() - 1], 1e6),
        _ => (count, 1.0),
    };
    let number: f64 = digits.replace('_', "").parse().ok()?;
    (number.is_finite() && number >= 0.0).then_some(Rate { per_second: number * factor / seconds })
}

/// Largest rate, per second.
const MAX_PER_SECOND: f64 = 1e6;

impl Decode for Rate {
    fn decode(node: &Node, problems: &mut Problems) -> Option<Self> {
        let rate = node.as_str().and_then(parse);
        if rate.is_some_and(|rate| rate.per_second > MAX_PER_SECOND) {
            problems.error(node.span, "this rate is too large", format!("at most {MAX_PER_SECOND}/s"));
            return None;
        }
        if rate.is_none() {
            let help = match &node.value {
                Value::Int(n) => format!("write the unit: \"{n}/s\""),
                Value::Float(x) => format!("write the unit: \"{x}/s\""),
                _ => "a count and a unit of time, such as \"10/s\", \"600/m\" or \"5k/h\"".to_owned(),
            };
            problems.error_with_help(node.span, "expected a rate", format!("this is {}", node.value.kind()), help);
        }
        rate
    }
    fn describe() -> String {
        "a rate such as \"10/s\"".to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates() {
        for (text, expected) in [
            ("10/s", Some(10.0)),
            ("600/m", Some(10.0)),
            ("36k/h", Some(10.0)),
            ("0.5 / s", Some(0.5)),
            ("10", None),
            ("-1/s", None),
            ("10/week", None),
        ] {
            assert_eq!(parse(text).map(|rate| rate.per_second), expected, "{text}");
        }
    }
}
