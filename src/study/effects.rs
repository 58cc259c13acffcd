//! What the axes of a sweep do to a measure: main effects, interactions, and where a curve bends.

use std::collections::BTreeMap;

use crate::api::scalar::parse_scenario_duration;
use crate::api::tree::{Node, Value};

use super::plan::{Job, Plan};
use super::statistics::{Estimate, knee};
use super::table::Table;

/// Confidence of all intervals.
const CONFIDENCE: f64 = 0.95;

/// A measure against one axis, averaged over all other axes.
#[derive(Clone, Debug, PartialEq)]
pub struct MainEffect {
    /// Index of the axis.
    pub axis: usize,
    /// Mean at each value that occurs: index of the value and estimate. Its interval is that of the replications.
    pub levels: Vec<(usize, Estimate)>,
    /// Share (0 to 1) of the variance of the points' means that the axis explains alone; only of full cross products.
    pub share: Option<f64>,
    /// Index into `levels` of the knee; only of axes with numbers, where the curve changes by more than chance.
    pub knee: Option<usize>,
}

/// A measure against two axes, averaged over all others.
#[derive(Clone, Debug, PartialEq)]
pub struct Interaction {
    /// Indices of the axes.
    pub axes: (usize, usize),
    /// Estimate by indices of both values.
    pub cells: BTreeMap<(usize, usize), Estimate>,
    /// Share (0 to 1) of the variance that the two explain together beyond what each explains alone; only of full cross products.
    pub share: Option<f64>,
}

/// The number that a value stands for: itself, or seconds of a duration.
#[must_use]
pub fn number(node: &Node) -> Option<f64> {
    match &node.value {
        Value::Int(value) => Some(*value as f64),
        Value::Float(value) => Some(*value),
        Value::Str(text) => {
            let rate = text.split_once('/').map_or(text.as_str(), |(number, _)| number);
            rate.parse().ok().or_else(|| parse_scenario_duration(text).ok().map(|duration| duration.as_secs_f64()))
        }
        _ => None,
    }
}

/// The numbers of an axis' values, when all are numbers and grow.
#[must_use]
pub fn numbers(values: &[Node]) -> Option<Vec<f64>> {
    let numbers: Vec<f64> = values.iter().map(number).collect::<Option<_>>()?;
    numbers.windows(2).all(|pair| pair[0] < pair[1]).then_some(numbers)
}

/// The main effect of every axis on a measure.
#[must_use]
pub fn main_effects(plan: &Plan, table: &Table, measure: &str) -> Vec<MainEffect> {
    let samples = Samples::new(plan, table, measure);
    let effect = |axis: usize| {
        let groups = samples.grouped(|point| plan.points[point][axis]);
        let levels: Vec<(usize, Estimate)> = groups.into_iter().collect();
        let share = samples.share(levels.iter().map(|(level, estimate)| {
            (samples.count(|point| plan.points[point][axis] == *level), estimate.mean - samples.mean())
        }));
        MainEffect { axis, share, knee: bend(&plan.axes[axis].values, &levels), levels }
    };
    (0..plan.axes.len()).map(effect).collect()
}

/// The interaction of every pair of axes in a measure, the strongest first.
#[must_use]
pub fn interactions(plan: &Plan, table: &Table, measure: &str) -> Vec<Interaction> {
    let samples = Samples::new(plan, table, measure);
    let alone: Vec<BTreeMap<usize, Estimate>> =
        (0..plan.axes.len()).map(|axis| samples.grouped(|point| plan.points[point][axis])).collect();
    let mut all = Vec::new();
    for first in 0..plan.axes.len() {
        for second in first + 1..plan.axes.len() {
            let of = |point: usize| (plan.points[point][first], plan.points[point][second]);
            let cells = samples.grouped(of);
            let share = samples.share(cells.iter().map(|(cell, estimate)| {
                let expected = alone[first][&cell.0].mean + alone[second][&cell.1].mean - samples.mean();
                (samples.count(|point| of(point) == *cell), estimate.mean - expected)
            }));
            all.push(Interaction { axes: (first, second), cells, share });
        }
    }
    all.sort_by(|a, b| b.share.unwrap_or(0.0).total_cmp(&a.share.unwrap_or(0.0)).then(a.axes.cmp(&b.axes)));
    all
}

/// The knee of a curve over numbers whose change is more than chance.
fn bend(values: &[Node], levels: &[(usize, Estimate)]) -> Option<usize> {
    let numbers = numbers(values)?;
    let x: Vec<f64> = levels.iter().map(|(level, _)| numbers[*level]).collect();
    let y: Vec<f64> = levels.iter().map(|(_, estimate)| estimate.mean).collect();
    let low = y.iter().copied().fold(f64::INFINITY, f64::min);
    let high = y.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let widths = levels.iter().map(|(_, estimate)| estimate.half_width);
    let chance = widths.filter(|width| width.is_finite()).fold(0.0, f64::max);
    if high - low > 2.0 * chance { knee(&x, &y) } else { None }
}

/// Values of a measure by point and replication.
struct Samples {
    runs: Vec<(Job, f64)>,
    /// Mean of each point.
    means: BTreeMap<usize, f64>,
    /// Whether every combination of the axes' values occurs once: only then do variances part into effects.
    is_full: bool,
}

impl Samples {
    fn new(plan: &Plan, table: &Table, measure: &str) -> Samples {
        let mut runs = Vec::new();
        let mut means = BTreeMap::new();
        for point in 0..plan.points.len() {
            let samples = table.samples(point, measure);
            if samples.is_empty() {
                continue;
            }
            means.insert(point, samples.iter().sum::<f64>() / samples.len() as f64);
            let jobs = samples.into_iter().enumerate();
            runs.extend(jobs.map(|(replication, value)| (Job { point, replication: replication as u32 }, value)));
        }
        let combinations: usize = plan.axes.iter().map(|axis| axis.values.len()).product();
        let distinct: std::collections::BTreeSet<&Vec<usize>> = plan.points.iter().collect();
        let is_full =
            distinct.len() == combinations && plan.points.len() == combinations && means.len() == combinations;
        Samples { runs, means, is_full }
    }

    fn mean(&self) -> f64 {
        self.means.values().sum::<f64>() / self.means.len().max(1) as f64
    }

    fn count(&self, wanted: impl Fn(usize) -> bool) -> usize {
        self.means.keys().filter(|point| wanted(**point)).count()
    }

    /// Points grouped by a key: each replication gives one sample, its mean over the points of the group.
    fn grouped<K: Ord>(&self, key: impl Fn(usize) -> K) -> BTreeMap<K, Estimate> {
        let mut sums: BTreeMap<K, BTreeMap<u32, (f64, f64)>> = BTreeMap::new();
        for (job, value) in &self.runs {
            let sum = sums.entry(key(job.point)).or_default().entry(job.replication).or_default();
            *sum = (sum.0 + value, sum.1 + 1.0);
        }
        let estimate = |samples: BTreeMap<u32, (f64, f64)>| {
            let samples: Vec<f64> = samples.into_values().map(|(sum, count)| sum / count).collect();
            Estimate::of(&samples, CONFIDENCE)
        };
        sums.into_iter().map(|(key, samples)| (key, estimate(samples))).collect()
    }

    /// Sum of squares of an effect, given as number of points and deviation, as a share of that of all points.
    fn share(&self, parts: impl Iterator<Item = (usize, f64)>) -> Option<f64> {
        let mean = self.mean();
        let total: f64 = self.means.values().map(|value| (value - mean).powi(2)).sum();
        let part: f64 = parts.map(|(points, deviation)| points as f64 * deviation.powi(2)).sum();
        (self.is_full && total > 0.0).then(|| part / total)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scenario::axes::parse_axis;
    use crate::study::design::Design;
    use crate::study::measures::MEASURES;

    fn swept(of: impl Fn(usize, usize) -> f64) -> (Plan, Table) {
        let axes = ["a.b=1,2,4,8,16", "c.d=0s,1m,5m"].map(|text| parse_axis(text).expect("an axis"));
        let plan = Plan::new(axes.to_vec(), Design::Cross, 3, 1).expect("a plan");
        let mut table = Table::default();
        for job in plan.jobs(crate::study::plan::Shard::WHOLE) {
            let value = of(plan.points[job.point][0], plan.points[job.point][1]) + f64::from(job.replication);
            table.rows.insert(job, vec![value; MEASURES.len()]);
        }
        (plan, table)
    }

    #[test]
    fn a_sum_of_effects_has_no_interaction() {
        let (plan, table) = swept(|a, b| 100.0 / (a + 1) as f64 + 7.0 * b as f64);
        let effects = main_effects(&plan, &table, "cost_usd");
        let shares: Vec<f64> = effects.iter().filter_map(|effect| effect.share).collect();
        assert!((shares.iter().sum::<f64>() - 1.0).abs() < 1e-9 && shares[0] > 0.9, "{shares:?}");
        let second: Vec<f64> = effects[1].levels.iter().map(|(_, estimate)| estimate.mean).collect();
        assert!((second[1] - second[0] - 7.0).abs() < 1e-9);
        assert!((effects[0].levels[0].1.deviation - 1.0).abs() < 1e-9, "replications differ by one");
        let interactions = interactions(&plan, &table, "cost_usd");
        assert!(interactions[0].share.is_some_and(|share| share < 1e-9));
    }

    #[test]
    fn a_product_of_effects_is_an_interaction() {
        let (plan, table) = swept(|a, b| (a as f64 - 2.0) * (b as f64 - 1.0));
        let interactions = interactions(&plan, &table, "cost_usd");
        assert!(interactions[0].share.is_some_and(|share| (share - 1.0).abs() < 1e-9), "{interactions:?}");
    }

    #[test]
    fn the_knee_is_named_where_the_curve_bends_by_more_than_chance() {
        let (plan, table) = swept(|a, _| [100.0, 20.0, 15.0, 12.0, 10.0][a]);
        let effects = main_effects(&plan, &table, "cost_usd");
        assert_eq!((effects[0].knee, effects[1].knee), (Some(1), None));
        let (plan, table) = swept(|a, _| [0.1, 0.02, 0.015, 0.012, 0.01][a]);
        assert_eq!(main_effects(&plan, &table, "cost_usd")[0].knee, None);
    }

    #[test]
    fn values_are_numbers_where_they_can_be() {
        let axis = |text: &str| parse_axis(text).map(|axis| axis.values).unwrap_or_default();
        assert_eq!(numbers(&axis("a=0s,30s,1m")), Some(vec![0.0, 30.0, 60.0]));
        assert_eq!(numbers(&axis("a=1/s,5/s")), Some(vec![1.0, 5.0]));
        assert_eq!(numbers(&axis("a=5,1")), None);
        assert_eq!(numbers(&axis("a=spot,on-demand")), None);
    }
}
