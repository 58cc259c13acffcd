//! Distributions of durations as a scenario writes them: a duration, or a table with the name of one family.

use super::decode::{Decode, Problems, Shape, closest};
use super::scalar::parse_scenario_duration;
use super::tree::{Node, Value};
use crate::engine::Distribution;
use crate::time::Duration;

/// Families in the order in which messages list them.
const FAMILIES: [&str; 7] = ["constant", "exponential", "uniform", "lognormal", "gamma", "weibull", "empirical"];

const EXAMPLE: &str =
    "a duration such as \"2s\", or a table such as { lognormal = { p50 = \"150ms\", p99 = \"900ms\" } }";

/// `"2s"` (constant) or `{ family = .. }`; `offset` and `max` beside the family shift and cut it:
///
/// - `{ constant = "2s" }`
/// - `{ exponential = { mean = "2s" } }`
/// - `{ uniform = { min = "1s", max = "3s" } }`
/// - `{ lognormal = { p50 = "150ms", p99 = "900ms" } }` or `{ lognormal = { median = "1s", sigma = 0.5 } }`
/// - `{ gamma = { mean = "2s", shape = 2.0 } }`
/// - `{ weibull = { scale = "2s", shape = 1.5 } }`
/// - `{ empirical = ["1s", "2s"] }` or `{ empirical = "durations.csv" }` (first column, in seconds; see
///   [`read_empirical_files`])
impl Decode for Distribution {
    fn decode(node: &Node, problems: &mut Problems) -> Option<Self> {
        if matches!(node.value, Value::Str(_)) {
            return Duration::decode(node, problems).map(Distribution::Constant);
        }
        let Some(entries) = node.entries() else {
            problems.error_with_help(
                node.span,
                "expected a distribution of durations",
                format!("this is {}", node.value.kind()),
                EXAMPLE,
            );
            return None;
        };
        let mut family = None;
        for (key, value) in entries {
            match key.name.as_str() {
                "offset" | "max" => {}
                name if FAMILIES.contains(&name) && family.is_none() => family = Some((name, value)),
                name if FAMILIES.contains(&name) => {
                    problems.error(key.span, "a distribution has one family", "this is a second one");
                    return None;
                }
                name => {
                    let help = closest(name, FAMILIES.into_iter()).map_or_else(
                        || format!("one of {}", FAMILIES.join(", ")),
                        |near| format!("did you mean `{near}`?"),
                    );
                    problems.error_with_help(key.span, format!("unknown distribution `{name}`"), "not a family", help);
                    return None;
                }
            }
        }
        let Some((name, value)) = family else {
            problems.error_with_help(node.span, "a distribution needs a family", "no family here", EXAMPLE);
            return None;
        };
        let of = decode_family(name, value, problems)?;
        shifted(of, node, problems)
    }

    fn describe() -> String {
        EXAMPLE.to_owned()
    }

    fn show(&self) -> String {
        let family = |name: &str, parameters: String| format!("{{ {name} = {{ {parameters} }} }}");
        match self {
            Distribution::Constant(value) => value.show(),
            Distribution::Exponential { mean } => family("exponential", format!("mean = {}", mean.show())),
            Distribution::Uniform { min, max } => {
                family("uniform", format!("min = {}, max = {}", min.show(), max.show()))
            }
            Distribution::Lognormal { median, sigma } => {
                family("lognormal", format!("median = {}, sigma = {sigma}", median.show()))
            }
            Distribution::Gamma { mean, shape } => family("gamma", format!("mean = {}, shape = {shape}", mean.show())),
            Distribution::Weibull { scale, shape } => {
                family("weibull", format!("scale = {}, shape = {shape}", scale.show()))
            }
            Distribution::Empirical(values) => {
                let listed: Vec<String> = values.iter().map(Duration::show).collect();
                format!("{{ empirical = [{}] }}", listed.join(", "))
            }
            Distribution::Shifted { offset, of, max } => match of.show().strip_suffix(" }") {
                Some(inner) => format!("{inner}, offset = {}, max = {} }}", offset.show(), max.show()),
                None => of.show(),
            },
        }
    }

    fn shape() -> Shape {
        Shape::Map(Node::shape)
    }
}

/// Replaces every `{ empirical = "path" }` below `node` by the values of that file (its first column, in seconds; lines that
/// do not start with a number, such as a header, are skipped). `read` gives the text of a file, or why it cannot.
pub fn read_empirical_files(
    node: &mut Node,
    read: &mut dyn FnMut(&str) -> Result<String, String>,
    problems: &mut Problems,
) {
    match &mut node.value {
        Value::List(items) => items.iter_mut().for_each(|item| read_empirical_files(item, read, problems)),
        Value::Map(entries) => {
            for (key, value) in entries {
                match (&value.value, key.name.as_str()) {
                    (Value::Str(path), "empirical") => match read(path) {
                        Ok(text) => value.value = Value::List(numbers_of(&text, value)),
                        Err(reason) => problems.error(value.span, format!("cannot read `{path}`"), reason),
                    },
                    _ => read_empirical_files(value, read, problems),
                }
            }
        }
        _ => {}
    }
}

fn numbers_of(text: &str, place: &Node) -> Vec<Node> {
    text.lines()
        .filter_map(|line| line.split([',', ';', '\t']).next()?.trim().parse::<f64>().ok())
        .map(|seconds| Node { value: Value::Float(seconds), span: place.span })
        .collect()
}

fn shifted(of: Distribution, node: &Node, problems: &mut Problems) -> Option<Distribution> {
    if node.get("offset").is_none() && node.get("max").is_none() {
        return Some(of);
    }
    let offset = node.get("offset").map_or(Some(Duration::ZERO), |node| Duration::decode(node, problems))?;
    let max = node.get("max").map_or(Some(Duration::MAX), |node| Duration::decode(node, problems))?;
    if max < offset {
        problems.error(node.span, "`max` is below `offset`", "every draw would be cut");
        return None;
    }
    Some(Distribution::Shifted { offset, of: Box::new(of), max })
}

fn decode_family(name: &str, value: &Node, problems: &mut Problems) -> Option<Distribution> {
    match name {
        "constant" => Duration::decode(value, problems).map(Distribution::Constant),
        "empirical" => decode_empirical(value, problems),
        "exponential" => {
            let parameters = Parameters::open(value, name, &["mean"], problems)?;
            Some(Distribution::Exponential { mean: parameters.duration("mean", problems)? })
        }
        "uniform" => {
            let parameters = Parameters::open(value, name, &["min", "max"], problems)?;
            let (min, max) = (parameters.duration("min", problems)?, parameters.duration("max", problems)?);
            if max < min {
                problems.error(value.span, "`max` is below `min`", "an empty range");
                return None;
            }
            Some(Distribution::Uniform { min, max })
        }
        "lognormal" => decode_lognormal(value, problems),
        "gamma" => {
            let parameters = Parameters::open(value, name, &["mean", "shape"], problems)?;
            let (mean, shape) = (parameters.duration("mean", problems)?, parameters.positive("shape", problems)?);
            Some(Distribution::Gamma { mean, shape })
        }
        _ => {
            let parameters = Parameters::open(value, name, &["scale", "shape"], problems)?;
            let (scale, shape) = (parameters.duration("scale", problems)?, parameters.positive("shape", problems)?);
            Some(Distribution::Weibull { scale, shape })
        }
    }
}

fn decode_lognormal(value: &Node, problems: &mut Problems) -> Option<Distribution> {
    let parameters = Parameters::open(value, "lognormal", &["p50", "p99", "median", "sigma"], problems)?;
    let median_key = if value.get("median").is_some() { "median" } else { "p50" };
    let median = parameters.duration(median_key, problems)?;
    if median == Duration::ZERO {
        problems.error(value.span, "the median of a lognormal must be positive", "zero here");
        return None;
    }
    if value.get("sigma").is_some() {
        return Some(Distribution::Lognormal { median, sigma: parameters.positive("sigma", problems)? });
    }
    let p99 = parameters.duration("p99", problems)?;
    if p99 < median {
        problems.error(value.span, "`p99` is below `p50`", "percentiles must not fall");
        return None;
    }
    Some(Distribution::lognormal_p50_p99(median, p99))
}

fn decode_empirical(value: &Node, problems: &mut Problems) -> Option<Distribution> {
    let Value::List(items) = &value.value else {
        problems.error(value.span, "expected a list of durations or the path of a file", "cannot be read here");
        return None;
    };
    let decoded: Vec<Option<Duration>> = items
        .iter()
        .map(|item| match &item.value {
            Value::Int(seconds) if *seconds >= 0 => Some(Duration::from_secs(*seconds)),
            Value::Float(seconds) if *seconds >= 0.0 => Some(Duration::from_secs_f64(*seconds)),
            Value::Str(text) if parse_scenario_duration(text).is_ok_and(|d| d >= Duration::ZERO) => {
                parse_scenario_duration(text).ok()
            }
            _ => {
                problems.error(item.span, "expected a duration", "seconds >= 0, or a duration such as \"2s\"");
                None
            }
        })
        .collect();
    let values = decoded.into_iter().collect::<Option<Vec<Duration>>>()?;
    if values.is_empty() {
        problems.error(value.span, "an empirical distribution needs at least one value", "no value");
        return None;
    }
    Some(Distribution::Empirical(values.into()))
}

/// The parameters of one family.
struct Parameters<'a> {
    node: &'a Node,
    family: &'a str,
}

impl<'a> Parameters<'a> {
    fn open(node: &'a Node, family: &'a str, allowed: &[&str], problems: &mut Problems) -> Option<Self> {
        let Some(entries) = node.entries() else {
            let message = format!("`{family}` needs a table of {}", allowed.join(", "));
            problems.error(node.span, message, format!("this is {}", node.value.kind()));
            return None;
        };
        for (key, _) in entries {
            if !allowed.contains(&key.name.as_str()) {
                let message = format!("unknown parameter `{}` of `{family}`", key.name);
                problems.error(key.span, message, format!("allowed: {}", allowed.join(", ")));
                return None;
            }
        }
        Some(Parameters { node, family })
    }

    fn get(&self, key: &str, problems: &mut Problems) -> Option<&'a Node> {
        let found = self.node.get(key);
        if found.is_none() {
            problems.error(self.node.span, format!("`{}` needs `{key}`", self.family), format!("`{key}` is missing"));
        }
        found
    }

    fn duration(&self, key: &str, problems: &mut Problems) -> Option<Duration> {
        Duration::decode(self.get(key, problems)?, problems)
    }

    fn positive(&self, key: &str, problems: &mut Problems) -> Option<f64> {
        let node = self.get(key, problems)?;
        let value = f64::decode(node, problems)?;
        if value <= 0.0 {
            problems.error(node.span, format!("`{key}` must be positive"), format!("{value} here"));
            return None;
        }
        Some(value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::tree::{Key, Span};

    fn text(value: &str) -> Node {
        Node { value: Value::Str(value.to_owned()), span: Span::default() }
    }

    fn number(value: f64) -> Node {
        Node { value: Value::Float(value), span: Span::default() }
    }

    fn table(entries: Vec<(&str, Node)>) -> Node {
        let entries =
            entries.into_iter().map(|(name, node)| (Key { name: name.to_owned(), span: Span::default() }, node));
        Node { value: Value::Map(entries.collect()), span: Span::default() }
    }

    fn read(node: &Node) -> Result<Distribution, String> {
        let mut problems = Problems::default();
        let value = Distribution::decode(node, &mut problems);
        value.ok_or_else(|| problems.list.iter().map(|p| p.message.clone()).collect::<Vec<_>>().join("; "))
    }

    #[test]
    fn every_family_is_read() {
        let second = Duration::from_secs(1);
        for (node, expected) in [
            (text("1s"), Distribution::Constant(second)),
            (table(vec![("constant", text("1s"))]), Distribution::Constant(second)),
            (
                table(vec![("exponential", table(vec![("mean", text("1s"))]))]),
                Distribution::Exponential { mean: second },
            ),
            (
                table(vec![("uniform", table(vec![("min", text("1s")), ("max", text("3s"))]))]),
                Distribution::Uniform { min: second, max: second * 3 },
            ),
            (
                table(vec![("lognormal", table(vec![("p50", text("1s")), ("p99", text("9s"))]))]),
                Distribution::lognormal_p50_p99(second, second * 9),
            ),
            (
                table(vec![("gamma", table(vec![("mean", text("1s")), ("shape", number(2.0))]))]),
                Distribution::Gamma { mean: second, shape: 2.0 },
            ),
            (
                table(vec![("weibull", table(vec![("scale", text("1s")), ("shape", number(1.5))]))]),
                Distribution::Weibull { scale: second, shape: 1.5 },
            ),
            (
                table(vec![("constant", text("1s")), ("offset", text("1s")), ("max", text("5s"))]),
                Distribution::Shifted { offset: second, of: Box::new(Distribution::Constant(second)), max: second * 5 },
            ),
        ] {
            assert_eq!(read(&node), Ok(expected));
        }
    }

    #[test]
    fn mistakes_are_named() {
        for (node, message) in [
            (table(vec![("exponental", text("1s"))]), "unknown distribution `exponental`"),
            (table(vec![("exponential", table(vec![]))]), "`exponential` needs `mean`"),
            (table(vec![("lognormal", table(vec![("p50", text("2s")), ("p99", text("1s"))]))]), "`p99` is below `p50`"),
            (number(3.0), "expected a distribution of durations"),
        ] {
            assert_eq!(read(&node), Err(message.to_owned()));
        }
    }

    #[test]
    fn files_of_durations_are_read_in_place() {
        let mut node = table(vec![("processing", table(vec![("empirical", text("d.csv"))]))]);
        let mut problems = Problems::default();
        read_empirical_files(&mut node, &mut |_| Ok("seconds\n0.5\n1.5,x\n".to_owned()), &mut problems);
        let expected: Vec<Duration> = vec![Duration::from_millis(500), Duration::from_millis(1500)];
        assert_eq!(node.get("processing").map(read), Some(Ok(Distribution::Empirical(expected.into()))));
    }
}
