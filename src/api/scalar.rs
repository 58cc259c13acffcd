//! Scalars of manifests and scenarios: numbers, durations, quantities, "integer or percentage".

use super::decode::{Decode, Problems, Shape};
use super::tree::{Node, Value};
use crate::time::Duration;
use crate::units::{Cpu, Memory, QuantityError, Resource, Resources, parse_quantity, parse_quantity_milli};

/// A whole number of seconds, as KEDA and the HPA write durations.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Seconds(pub u32);

impl Seconds {
    /// As a duration.
    #[must_use]
    pub const fn duration(self) -> Duration {
        Duration::from_secs(self.0 as i64)
    }
}

/// A duration in Go's grammar (`metav1.Duration`): `30s`, `1h30m`, `720h`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct GoDuration(pub Duration);

/// A Go duration or `Never` (Karpenter's `NillableDuration`); `None` = `Never`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NillableDuration(pub Option<Duration>);

/// A count or a percentage (`intstr.IntOrString`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum IntOrPercent {
    /// A count.
    Count(i64),
    /// A percentage, 0 to 100.
    Percent(i64),
}

/// A number written as an integer, a float or a Kubernetes quantity, in thousandths.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Quantity {
    /// Thousandths, fractions rounded up.
    pub milli: i64,
}

/// What is wrong with a text that should be a duration.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DurationError {
    /// No number at all.
    #[error("not a duration")]
    Malformed,
    /// A number without a unit.
    #[error("missing unit")]
    MissingUnit,
    /// A unit that Go does not know.
    #[error("unknown unit `{0}`")]
    UnknownUnit(String),
    /// Beyond what is representable.
    #[error("out of range")]
    OutOfRange,
}

/// Go's `time.ParseDuration`: a sign and a sequence of decimal numbers with units `ns us µs ms s m h`, or `0`.
///
/// # Errors
/// When the text is no such sequence.
pub fn parse_go_duration(text: &str) -> Result<Duration, DurationError> {
    parse_duration(text, false)
}

/// Go's grammar with days (`d`) added, as scenarios write durations.
///
/// # Errors
/// When the text is no such sequence.
pub fn parse_scenario_duration(text: &str) -> Result<Duration, DurationError> {
    parse_duration(text, true)
}

fn parse_duration(text: &str, days: bool) -> Result<Duration, DurationError> {
    let (sign, mut rest) = match text.strip_prefix('-') {
        Some(rest) => (-1.0, rest),
        None => (1.0, text.strip_prefix('+').unwrap_or(text)),
    };
    if rest == "0" {
        return Ok(Duration::ZERO);
    }
    if rest.is_empty() {
        return Err(DurationError::Malformed);
    }
    let mut seconds = 0.0_f64;
    while !rest.is_empty() {
        let end = rest.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(rest.len());
        let number: f64 = rest[..end].parse().map_err(|_| DurationError::Malformed)?;
        rest = &rest[end..];
        let end = rest.find(|c: char| c.is_ascii_digit() || c == '.').unwrap_or(rest.len());
        let unit = match &rest[..end] {
            "" => return Err(DurationError::MissingUnit),
            "ns" => 1e-9,
            "us" | "µs" | "μs" => 1e-6,
            "ms" => 1e-3,
            "s" => 1.0,
            "m" => 60.0,
            "h" => 3600.0,
            "d" if days => 86_400.0,
            other => return Err(DurationError::UnknownUnit(other.to_owned())),
        };
        seconds += number * unit;
        rest = &rest[end..];
    }
    if seconds > 9.2e9 { Err(DurationError::OutOfRange) } else { Ok(Duration::from_secs_f64(sign * seconds)) }
}

fn wrong_kind(node: &Node, expected: &str, problems: &mut Problems) {
    problems.error(node.span, format!("expected {expected}"), format!("this is {}", node.value.kind()));
}

/// Advice for a value that is right but for its quotes or its exponent, added to the last problem.
fn unquote<T: std::str::FromStr>(node: &Node, problems: &mut Problems) {
    if let Value::Float(number) = node.value
        && number.fract() == 0.0
        && number.abs() < 1e15
        && let Some(problem) = problems.list.last_mut()
    {
        problem.help = Some(format!("write it out: {number}"));
    }
    if let Some(text) = node.as_str().filter(|text| text.parse::<T>().is_ok())
        && let Some(problem) = problems.list.last_mut()
    {
        problem.help = Some(format!("leave the quotes out: {text}"));
    }
}

fn decode_duration(node: &Node, days: bool, problems: &mut Problems) -> Option<Duration> {
    let Some(text) = node.as_str() else {
        let help = match node.value {
            Value::Int(n) => format!("write a unit: \"{n}s\""),
            _ => "a number with a unit, such as \"30s\", \"5m\" or \"1h30m\"".to_owned(),
        };
        problems.error_with_help(node.span, "expected a duration", format!("this is {}", node.value.kind()), help);
        return None;
    };
    match parse_duration(text, days) {
        Ok(duration) if duration < Duration::ZERO => {
            problems.error(node.span, format!("negative duration `{text}`"), "must not be negative");
            None
        }
        Ok(duration) => Some(duration),
        Err(error) => {
            let help = "a number with a unit (ms, s, m, h), such as \"30s\", \"5m\" or \"1h30m\"";
            problems.error_with_help(node.span, format!("`{text}` is not a duration"), error.to_string(), help);
            None
        }
    }
}

impl Decode for Duration {
    fn decode(node: &Node, problems: &mut Problems) -> Option<Self> {
        decode_duration(node, true, problems)
    }
    fn show(&self) -> String {
        format!("\"{self}\"")
    }
    fn describe() -> String {
        "a duration such as \"30s\"".to_owned()
    }
}

impl Decode for GoDuration {
    fn decode(node: &Node, problems: &mut Problems) -> Option<Self> {
        decode_duration(node, false, problems).map(GoDuration)
    }
    fn show(&self) -> String {
        format!("\"{}\"", self.0)
    }
    fn describe() -> String {
        "a duration such as \"30s\"".to_owned()
    }
}

impl Decode for NillableDuration {
    fn decode(node: &Node, problems: &mut Problems) -> Option<Self> {
        if node.as_str() == Some("Never") {
            return Some(NillableDuration(None));
        }
        decode_duration(node, false, problems).map(|duration| NillableDuration(Some(duration)))
    }
    fn show(&self) -> String {
        self.0.map_or_else(|| "\"Never\"".to_owned(), |duration| format!("\"{duration}\""))
    }
    fn describe() -> String {
        "a duration such as \"30s\", or `Never`".to_owned()
    }
}

impl Decode for String {
    fn decode(node: &Node, problems: &mut Problems) -> Option<Self> {
        if let Some(text) = node.as_str() {
            return Some(text.to_owned());
        }
        let help = match &node.value {
            Value::Int(n) => format!("quote it: \"{n}\""),
            Value::Bool(b) => format!("quote it: \"{b}\""),
            Value::Float(x) => format!("quote it: \"{x}\""),
            _ => "a quoted text".to_owned(),
        };
        problems.error_with_help(node.span, "expected a string", format!("this is {}", node.value.kind()), help);
        None
    }
    fn show(&self) -> String {
        format!("\"{self}\"")
    }
    fn describe() -> String {
        "a string".to_owned()
    }
}

impl Decode for bool {
    fn decode(node: &Node, problems: &mut Problems) -> Option<Self> {
        if let Value::Bool(value) = node.value {
            return Some(value);
        }
        wrong_kind(node, "`true` or `false`", problems);
        unquote::<bool>(node, problems);
        None
    }
    fn show(&self) -> String {
        self.to_string()
    }
    fn describe() -> String {
        "`true` or `false`".to_owned()
    }
}

macro_rules! integer {
    ($($ty:ty),*) => { $(
        impl Decode for $ty {
            fn decode(node: &Node, problems: &mut Problems) -> Option<Self> {
                let Value::Int(value) = node.value else {
                    wrong_kind(node, "an integer", problems);
                    unquote::<i64>(node, problems);
                    return None;
                };
                let narrowed = <$ty>::try_from(value).ok();
                if narrowed.is_none() {
                    let allowed = format!("must be between {} and {}", <$ty>::MIN, <$ty>::MAX);
                    problems.error(node.span, format!("`{value}` is out of range"), allowed);
                }
                narrowed
            }
            fn show(&self) -> String {
                self.to_string()
            }
            fn describe() -> String {
                if <$ty>::MIN == 0 { "an integer >= 0".to_owned() } else { "an integer".to_owned() }
            }
        }
    )* };
}
integer!(u16, u32, u64, usize, i32, i64);

impl Decode for f64 {
    fn decode(node: &Node, problems: &mut Problems) -> Option<Self> {
        match node.value {
            Value::Float(value) if value.is_finite() => Some(value),
            Value::Int(value) => Some(value as f64),
            _ => {
                wrong_kind(node, "a finite number", problems);
                unquote::<f64>(node, problems);
                None
            }
        }
    }
    fn show(&self) -> String {
        self.to_string()
    }
    fn describe() -> String {
        "a number".to_owned()
    }
}

impl Decode for Seconds {
    fn decode(node: &Node, problems: &mut Problems) -> Option<Self> {
        if let (Value::Str(text), Ok(duration)) = (&node.value, parse_go_duration(node.as_str().unwrap_or_default())) {
            let help = format!("write {}", duration.as_micros() / 1_000_000);
            problems.error_with_help(
                node.span,
                "expected a whole number of seconds",
                format!("this is `{text}`"),
                help,
            );
            return None;
        }
        u32::decode(node, problems).map(Seconds)
    }
    fn show(&self) -> String {
        self.0.to_string()
    }
    fn describe() -> String {
        "a whole number of seconds".to_owned()
    }
}

/// The text of a quantity: strings as they are, plain numbers as YAML allows them.
fn quantity_text(node: &Node, problems: &mut Problems) -> Option<String> {
    match &node.value {
        Value::Str(text) => Some(text.clone()),
        Value::Int(value) => Some(value.to_string()),
        Value::Float(value) => Some(value.to_string()),
        _ => {
            wrong_kind(node, "a quantity such as \"500m\" or \"1Gi\"", problems);
            None
        }
    }
}

fn decode_quantity(
    node: &Node,
    parse: impl Fn(&str) -> Result<i64, QuantityError>,
    problems: &mut Problems,
) -> Option<i64> {
    let text = quantity_text(node, problems)?;
    match parse(&text) {
        Ok(value) => Some(value),
        Err(error) => {
            let stripped = text.trim_matches(|c| matches!(c, '“' | '”' | '‘' | '’' | '\'' | '"'));
            let (label, help) = if stripped.len() < text.len() && parse(stripped).is_ok() {
                ("the typographic quotes are part of this value", format!("write \"{stripped}\""))
            } else {
                let label = match error {
                    QuantityError::Malformed => "not a number with a suffix",
                    QuantityError::OutOfRange => "out of range",
                };
                (label, "a number with an optional suffix: m, k, M, G, T or Ki, Mi, Gi, Ti".to_owned())
            };
            problems.error_with_help(node.span, format!("`{text}` is not a quantity"), label, help);
            None
        }
    }
}

fn non_negative(value: i64, node: &Node, problems: &mut Problems) -> Option<i64> {
    if value < 0 {
        problems.error(node.span, "negative quantity", "must not be negative");
        return None;
    }
    Some(value)
}

impl Decode for Cpu {
    fn decode(node: &Node, problems: &mut Problems) -> Option<Self> {
        let milli = decode_quantity(node, parse_quantity_milli, problems)?;
        non_negative(milli, node, problems).map(Cpu::from_milli)
    }
    fn show(&self) -> String {
        format!("\"{self}\"")
    }
    fn describe() -> String {
        "a CPU quantity such as \"500m\" or \"2\"".to_owned()
    }
}

impl Decode for Memory {
    fn decode(node: &Node, problems: &mut Problems) -> Option<Self> {
        let bytes = decode_quantity(node, parse_quantity, problems)?;
        non_negative(bytes, node, problems).map(Memory::from_bytes)
    }
    fn show(&self) -> String {
        format!("\"{self}\"")
    }
    fn describe() -> String {
        "a memory quantity such as \"512Mi\"".to_owned()
    }
}

impl Decode for Quantity {
    fn decode(node: &Node, problems: &mut Problems) -> Option<Self> {
        decode_quantity(node, parse_quantity_milli, problems).map(|milli| Quantity { milli })
    }
    fn describe() -> String {
        "a quantity such as \"5\" or \"2500m\"".to_owned()
    }
}

impl Decode for Resources {
    fn decode(node: &Node, problems: &mut Problems) -> Option<Self> {
        let Some(entries) = node.entries() else {
            wrong_kind(node, "a table of resources", problems);
            return None;
        };
        let mut resources = Resources::ZERO;
        let mut usable = true;
        for (key, value) in entries {
            let Some(resource) = Resource::parse(&key.name) else {
                let near = super::decode::closest(&key.name, Resource::ALL.iter().map(|r| r.name()));
                let help = near.map_or_else(
                    || {
                        "known: cpu, memory, ephemeral-storage, pods, nodes and the GPU and accelerator names"
                            .to_owned()
                    },
                    |near| format!("did you mean `{near}`?"),
                );
                problems.error_with_help(key.span, format!("unknown resource `{}`", key.name), "not a resource", help);
                usable = false;
                continue;
            };
            let amount = match resource {
                Resource::Cpu => Cpu::decode(value, problems).map(Cpu::milli),
                _ => Memory::decode(value, problems).map(Memory::bytes),
            };
            match amount {
                Some(amount) => resources.0[resource as usize] = amount,
                None => usable = false,
            }
        }
        usable.then_some(resources)
    }
    fn absent() -> Option<Self> {
        Some(Resources::ZERO)
    }
    fn shape() -> Shape {
        Shape::Map(|| Shape::Scalar)
    }
    fn describe() -> String {
        "a table of resources such as { cpu = \"500m\", memory = \"1Gi\" }".to_owned()
    }
}

impl Decode for IntOrPercent {
    fn decode(node: &Node, problems: &mut Problems) -> Option<Self> {
        let parsed = match &node.value {
            Value::Int(count) if *count >= 0 => Some(IntOrPercent::Count(*count)),
            Value::Str(text) => match text.strip_suffix('%') {
                Some(percent) => percent.parse().ok().filter(|p| (0..=100).contains(p)).map(IntOrPercent::Percent),
                None => text.parse().ok().filter(|n| *n >= 0).map(IntOrPercent::Count),
            },
            _ => None,
        };
        if parsed.is_none() {
            problems.error(node.span, "expected a count or a percentage", "a count >= 0, or \"0%\" to \"100%\"");
        }
        parsed
    }
    fn describe() -> String {
        "a count, or a percentage such as \"10%\"".to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn go_durations() {
        for (text, micros) in [
            ("30s", Ok(30_000_000)),
            ("1h30m", Ok(5_400_000_000)),
            ("30m1h", Ok(5_400_000_000)),
            ("1.5h30m", Ok(7_200_000_000)),
            ("100ms", Ok(100_000)),
            ("0", Ok(0)),
            ("168h0m0s", Ok(604_800_000_000)),
            ("30", Err(DurationError::MissingUnit)),
            ("1d", Err(DurationError::UnknownUnit("d".to_owned()))),
            ("", Err(DurationError::Malformed)),
            ("s", Err(DurationError::Malformed)),
        ] {
            assert_eq!(parse_go_duration(text).map(Duration::as_micros), micros, "{text}");
        }
        assert_eq!(parse_scenario_duration("1d"), Ok(Duration::from_hours(24)));
    }
}
