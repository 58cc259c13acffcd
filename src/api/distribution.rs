//! Distributions as a scenario writes them: a plain duration, or one table entry that names the family.

use super::decode::{Decode, Problems};
use super::tree::{Node, Span, Value};
use crate::engine::Distribution;
use crate::time::Duration;

const FAMILIES: [&str; 7] = ["constant", "exponential", "uniform", "lognormal", "gamma", "weibull", "empirical"];

impl Decode for Distribution {
    fn decode(node: &Node, problems: &mut Problems) -> Option<Self> {
        match &node.value {
            Value::Str(_) => Duration::decode(node, problems).map(Distribution::Constant),
            Value::Map(entries) => match entries.as_slice() {
                [(key, value)] => decode_family(&key.name, key.span, value, problems),
                _ => {
                    problems.error(node.span, "a distribution names exactly one family", help());
                    None
                }
            },
            other => {
                problems.error_with_help(
                    node.span,
                    "expected a distribution",
                    format!("this is {}", other.kind()),
                    help(),
                );
                None
            }
        }
    }

    fn describe() -> String {
        "a duration, or a distribution such as { lognormal = { p50 = \"150ms\", p99 = \"900ms\" } }".to_owned()
    }
}

fn help() -> String {
    format!("a duration such as \"2s\", or a table with one of: {}", FAMILIES.join(", "))
}

fn decode_family(family: &str, key: Span, node: &Node, problems: &mut Problems) -> Option<Distribution> {
    match family {
        "constant" => Duration::decode(node, problems).map(Distribution::Constant),
        "exponential" => {
            let [mean] = durations(node, ["mean"], &[], problems)?;
            Some(Distribution::Exponential { mean })
        }
        "uniform" => {
            let [min, max] = durations(node, ["min", "max"], &[], problems)?;
            if max < min {
                problems.error(node.span, "`max` is below `min`", "needs min <= max");
                return None;
            }
            Some(Distribution::Uniform { min, max })
        }
        "lognormal" => decode_lognormal(node, problems),
        "gamma" => {
            let [mean] = durations(node, ["mean"], &["shape"], problems)?;
            let shape = positive(node, "shape", problems)?;
            Some(Distribution::Gamma { mean, shape })
        }
        "weibull" => {
            let [scale] = durations(node, ["scale"], &["shape"], problems)?;
            let shape = positive(node, "shape", problems)?;
            Some(Distribution::Weibull { scale, shape })
        }
        "empirical" => decode_empirical(node, problems),
        other => {
            let near = super::decode::closest(other, FAMILIES.into_iter());
            let advice = near.map_or_else(help, |near| format!("did you mean `{near}`?"));
            problems.error_with_help(key, format!("unknown distribution `{other}`"), "not a family", advice);
            None
        }
    }
}

/// `{ p50, p99 }` or `{ p50, sigma }`.
fn decode_lognormal(node: &Node, problems: &mut Problems) -> Option<Distribution> {
    if node.get("sigma").is_some() {
        let [median] = durations(node, ["p50"], &["sigma"], problems)?;
        let sigma = positive(node, "sigma", problems)?;
        return Some(Distribution::Lognormal { median, sigma });
    }
    let [p50, p99] = durations(node, ["p50", "p99"], &[], problems)?;
    if p50 <= Duration::ZERO || p99 < p50 {
        problems.error(node.span, "not a lognormal", "needs 0 < p50 <= p99");
        return None;
    }
    Some(Distribution::lognormal_p50_p99(p50, p99))
}

/// A list of durations. A file name is turned into such a list when the scenario is loaded.
fn decode_empirical(node: &Node, problems: &mut Problems) -> Option<Distribution> {
    let values = Vec::<Duration>::decode(node, problems)?;
    if values.is_empty() {
        problems.error(node.span, "an empirical distribution needs values", "this list is empty");
        return None;
    }
    Some(Distribution::Empirical(values.into()))
}

fn durations<const N: usize>(
    node: &Node,
    keys: [&str; N],
    others: &[&str],
    problems: &mut Problems,
) -> Option<[Duration; N]> {
    let Some(entries) = node.entries() else {
        let needed = keys.iter().chain(others).copied().collect::<Vec<_>>().join(", ");
        problems.error(node.span, "expected a table", format!("needs {needed}"));
        return None;
    };
    for (key, _) in entries {
        if !keys.contains(&key.name.as_str()) && !others.contains(&key.name.as_str()) {
            let known = keys.iter().chain(others).map(|k| format!("`{k}`")).collect::<Vec<_>>().join(", ");
            problems.error_with_help(
                key.span,
                format!("unknown parameter `{}`", key.name),
                "not here",
                format!("takes {known}"),
            );
        }
    }
    let mut found = [Duration::ZERO; N];
    let mut complete = true;
    for (slot, key) in found.iter_mut().zip(keys) {
        match node.get(key) {
            Some(value) => match Duration::decode(value, problems) {
                Some(duration) => *slot = duration,
                None => complete = false,
            },
            None => {
                problems.error(node.span, format!("missing parameter `{key}`"), format!("needs `{key}`"));
                complete = false;
            }
        }
    }
    complete.then_some(found)
}

fn positive(node: &Node, key: &str, problems: &mut Problems) -> Option<f64> {
    let Some(value) = node.get(key) else {
        problems.error(node.span, format!("missing parameter `{key}`"), format!("needs `{key}`, a number > 0"));
        return None;
    };
    let number = f64::decode(value, problems)?;
    if number <= 0.0 {
        problems.error(value.span, format!("`{key}` must be > 0"), "not positive");
        return None;
    }
    Some(number)
}
