//! `[sweep]` and `[tune]`: settings by their paths, and the values to try.

use crate::api::decode::{Decode, Problems, Shape};
use crate::api::scalar::parse_scenario_duration;
use crate::api::tree::{Node, Span, Value};
use crate::choice;
use crate::scenario::toml::parse_value;
use crate::time::Duration;

/// Most values of one axis.
pub const MAX_VALUES: usize = 1000;

/// A setting and the values it takes.
#[derive(Clone, Debug, PartialEq)]
pub struct Axis {
    /// Path of the setting, such as `ScaledObject/orders.pollingInterval`.
    pub path: String,
    /// Where the path is written.
    pub span: Span,
    /// The values, in the order of the file.
    pub values: Vec<Node>,
}

/// `[sweep]`: combinations of the axes' values, each run several times.
#[derive(Clone, Debug, PartialEq)]
pub struct Sweep {
    /// Runs of each combination, with different randomness; default 10.
    pub replications: u32,
    /// How the axes combine; default `cross`.
    pub design: SweepDesign,
    /// Number of combinations of the designs `latinHypercube` and `sobol`; default 64.
    pub points: u32,
    /// The axes.
    pub axes: Vec<Axis>,
}

/// `[tune]`: the best combination of the axes' values is sought.
#[derive(Clone, Debug, PartialEq)]
pub struct Tune {
    /// What is made small; default the cost.
    pub minimize: Minimize,
    /// Most runs; default 500.
    pub budget: u32,
    /// Runs of a combination before it is trusted; default 10.
    pub replications: u32,
    /// The axes.
    pub axes: Vec<Axis>,
}

choice! {
    /// Which combinations of the values a sweep runs.
    pub enum SweepDesign {
        /// Every combination.
        Cross = "cross",
        /// The i-th values of all settings together.
        Zip = "zip",
        /// `points` combinations in which each setting is covered evenly.
        LatinHypercube = "latinHypercube",
        /// The first `points` of Sobol's sequence.
        Sobol = "sobol",
    }
}

choice! {
    /// What tuning makes small, among combinations that meet the objectives.
    pub enum Minimize {
        /// USD of the run.
        Cost = "cost",
        /// 95th percentile of the wait.
        P95Wait = "p95Wait",
        /// 99th percentile of the wait.
        P99Wait = "p99Wait",
    }
}

impl Default for Sweep {
    fn default() -> Self {
        Sweep { replications: 10, design: SweepDesign::Cross, points: 64, axes: Vec::new() }
    }
}

impl Default for Tune {
    fn default() -> Self {
        Tune { minimize: Minimize::Cost, budget: 500, replications: 10, axes: Vec::new() }
    }
}

impl Decode for Sweep {
    fn decode(node: &Node, problems: &mut Problems) -> Option<Self> {
        let Options { replications, design, points, axes, .. } =
            Options::read(node, &["replications", "design", "points"], problems)?;
        let default = Sweep::default();
        Some(Sweep {
            replications: replications.unwrap_or(default.replications),
            design: design.unwrap_or(default.design),
            points: points.unwrap_or(default.points),
            axes,
        })
    }
    fn absent() -> Option<Self> {
        Some(Sweep::default())
    }
    fn describe() -> String {
        "`replications`, `design` (`cross`, `zip`, `latinHypercube`, `sobol`), `points`, and settings by their paths: `\"ScaledObject/orders.pollingInterval\" = [5, 10, 15]`"
            .to_owned()
    }
    fn shape() -> Shape {
        Shape::Map(Node::shape)
    }
}

impl Decode for Tune {
    fn decode(node: &Node, problems: &mut Problems) -> Option<Self> {
        let Options { replications, budget, minimize, axes, .. } =
            Options::read(node, &["replications", "budget", "minimize"], problems)?;
        let default = Tune::default();
        Some(Tune {
            minimize: minimize.unwrap_or(default.minimize),
            budget: budget.unwrap_or(default.budget),
            replications: replications.unwrap_or(default.replications),
            axes,
        })
    }
    fn absent() -> Option<Self> {
        Some(Tune::default())
    }
    fn describe() -> String {
        "`minimize`, `budget`, `replications`, and settings by their paths: `\"ScaledObject/orders.pollingInterval\" = { from = 5, to = 60, step = 5 }`".to_owned()
    }
    fn shape() -> Shape {
        Shape::Map(Node::shape)
    }
}

impl Decode for Node {
    fn decode(node: &Node, _: &mut Problems) -> Option<Self> {
        Some(node.clone())
    }
    fn describe() -> String {
        "any value".to_owned()
    }
}

#[derive(Default)]
struct Options {
    replications: Option<u32>,
    budget: Option<u32>,
    minimize: Option<Minimize>,
    design: Option<SweepDesign>,
    points: Option<u32>,
    axes: Vec<Axis>,
}

impl Options {
    fn read(node: &Node, known: &[&str], problems: &mut Problems) -> Option<Self> {
        let Some(entries) = node.entries() else {
            problems.error(node.span, "expected a table", format!("this is {}", node.value.kind()));
            return None;
        };
        let mut options = Options::default();
        for (key, value) in entries {
            match key.name.as_str() {
                name if known.contains(&name) => match name {
                    "replications" => options.replications = Some(positive(value, problems)?),
                    "budget" => options.budget = Some(positive(value, problems)?),
                    "points" => options.points = Some(positive(value, problems)?),
                    "design" => options.design = Some(SweepDesign::decode(value, problems)?),
                    _ => options.minimize = Some(Minimize::decode(value, problems)?),
                },
                name => {
                    let values = axis_values(value, problems)?;
                    options.axes.push(Axis { path: name.to_owned(), span: key.span, values });
                }
            }
        }
        Some(options)
    }
}

/// An axis as the command line gives it: `ScaledObject/orders.pollingInterval=5,10,30`. Values are TOML, or else texts.
///
/// # Errors
/// When there is no path, or the number of values is wrong.
pub fn parse_axis(argument: &str) -> Result<Axis, String> {
    let form = "expected PATH=VALUE,VALUE,...";
    let (path, text) = argument.split_once('=').ok_or(form)?;
    let (path, text) = (path.trim(), text.trim());
    let values = match parse_value(&format!("[{text}]")).value {
        Value::List(values) => values,
        _ => text.split(',').map(|value| parse_value(value.trim())).collect(),
    };
    if path.is_empty() || text.is_empty() || values.len() > MAX_VALUES {
        return Err(format!("{form}, with 1 to {MAX_VALUES} values"));
    }
    Ok(Axis { path: path.to_owned(), span: Span::default(), values })
}

fn positive(node: &Node, problems: &mut Problems) -> Option<u32> {
    let number = u32::decode(node, problems)?;
    if number == 0 || number > 1_000_000 {
        problems.error(node.span, format!("`{number}` is out of range"), "must be between 1 and 1000000");
        return None;
    }
    Some(number)
}

fn axis_values(node: &Node, problems: &mut Problems) -> Option<Vec<Node>> {
    let help = "a list such as [5, 10, 15], or a range such as { from = 5, to = 60, step = 5 }";
    let values = match &node.value {
        Value::List(values) => values.clone(),
        Value::Map(_) => range(node, problems)?,
        other => {
            problems.error_with_help(node.span, "expected values to try", format!("this is {}", other.kind()), help);
            return None;
        }
    };
    if values.is_empty() || values.len() > MAX_VALUES {
        problems.error_with_help(node.span, "wrong number of values", format!("needs 1 to {MAX_VALUES}"), help);
        return None;
    }
    Some(values)
}

/// `{ from, to, step }` over integers or durations.
fn range(node: &Node, problems: &mut Problems) -> Option<Vec<Node>> {
    let number = |key: &str| {
        node.get(key).and_then(|node| match &node.value {
            Value::Int(value) => Some((*value, false)),
            Value::Str(text) => parse_scenario_duration(text).ok().map(|duration| (duration.as_micros(), true)),
            _ => None,
        })
    };
    let known = node
        .entries()
        .is_some_and(|entries| entries.iter().all(|(k, _)| ["from", "to", "step"].contains(&k.name.as_str())));
    let bounds = match (number("from"), number("to"), number("step")) {
        (Some((from, a)), Some((to, b)), Some((step, c))) if a == b && b == c && step > 0 && from <= to && known => {
            Some((from, to, step, a))
        }
        _ => None,
    };
    let Some((from, to, step, is_duration)) = bounds else {
        let help = "three integers, or three durations: { from = \"0s\", to = \"5m\", step = \"30s\" }";
        problems.error_with_help(node.span, "not a range", "needs `from` <= `to` and `step` > 0", help);
        return None;
    };
    let values = (0..=MAX_VALUES as i64).map_while(|i| from.checked_add(step.checked_mul(i)?)).take_while(|v| *v <= to);
    let node_of = |value: i64| {
        let value = if is_duration { Value::Str(Duration::from_micros(value).to_string()) } else { Value::Int(value) };
        Node { value, span: node.span }
    };
    Some(values.map(node_of).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn axes_of_the_command_line() -> Result<(), String> {
        let values = |text: &str| parse_axis(text).map(|axis| axis.values.into_iter().map(|node| node.value).collect());
        assert_eq!(parse_axis("a.b = 5, 10")?.path, "a.b");
        assert_eq!(values("a=5,10")?, [Value::Int(5), Value::Int(10)]);
        assert_eq!(values("a=0s,1m")?, [Value::Str("0s".to_owned()), Value::Str("1m".to_owned())]);
        let lists: Vec<Value> = values("a=[\"amd64\"],[\"amd64\",\"arm64\"]")?;
        assert!(matches!(&lists[1], Value::List(items) if items.len() == 2));
        assert!(parse_axis("a").is_err() && parse_axis("=3").is_err() && parse_axis("a=").is_err());
        Ok(())
    }
}
