//! Two or more scenarios side by side: each replication of one is paired with the same replication of the others, which has the
//! same arrivals, service times, boot times and interruptions.

use rayon::prelude::*;
use serde::Serialize;

use super::constraint::{Constraint, constraints};
use super::measures::MEASURES;
use super::profile::Profile;
use super::statistics::Estimate;
use super::sweep::Runner;
use crate::scenario::Scenario;

/// Confidence of all intervals.
pub const CONFIDENCE: f64 = 0.95;

/// One measure in all scenarios.
#[derive(Clone, Debug, Serialize)]
pub struct Line {
    /// Name of the measure, with its unit.
    pub measure: &'static str,
    /// Whether less is better.
    pub less_is_better: bool,
    /// Mean and half width of its 95 % interval in each scenario.
    pub values: Vec<Interval>,
    /// Paired difference of each scenario after the first to the first.
    pub differences: Vec<Interval>,
    /// How many times fewer replications the paired difference needs than one of independent runs, for the same width of its interval:
    /// the sum of both variances over the variance of the difference. Absent where the difference does not vary.
    pub pairing_gain: Vec<Option<f64>>,
}

/// A mean and half the width of its 95 % interval.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Interval {
    /// Mean.
    pub mean: f64,
    /// Half width; absent with a single replication.
    pub half_width: Option<f64>,
}

impl From<Estimate> for Interval {
    fn from(estimate: Estimate) -> Self {
        Interval { mean: estimate.mean, half_width: Some(estimate.half_width).filter(|width| width.is_finite()) }
    }
}

impl Interval {
    /// Whether the interval leaves out zero.
    #[must_use]
    pub fn is_significant(&self) -> bool {
        self.half_width.is_some_and(|width| self.mean.abs() > width)
    }
}

/// An objective that a scenario's mean misses.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Miss {
    /// Index of the scenario.
    pub scenario: usize,
    /// Key in `[objectives]`.
    pub objective: &'static str,
    /// The measure that it bounds.
    pub measure: &'static str,
    /// Limit.
    pub limit: f64,
    /// Mean over the replications.
    pub mean: f64,
}

/// The comparison.
#[derive(Clone, Debug, Serialize)]
pub struct Comparison {
    /// Names of the scenarios; the first is what others are compared with.
    pub names: Vec<String>,
    /// Runs of each.
    pub replications: u32,
    /// All measures.
    pub lines: Vec<Line>,
    /// Missed objectives.
    pub misses: Vec<Miss>,
    /// Curves over time of each scenario's runs.
    #[serde(skip)]
    pub profiles: Vec<Vec<Profile>>,
}

/// Measures in which being worse than the first scenario counts, unless others are asked for.
pub const GATED: [&str; 6] = ["cost_usd", "wait_p95_s", "wait_p99_s", "left", "dead_lettered", "duplicates"];

/// Runs all scenarios and compares them.
///
/// # Errors
/// When a run fails.
pub fn compare(scenarios: &[(String, &Scenario)], replications: u32, runner: Runner<'_>) -> Result<Comparison, String> {
    let jobs: Vec<(usize, u32)> =
        (0..scenarios.len()).flat_map(|index| (0..replications).map(move |replication| (index, replication))).collect();
    let length = scenarios.iter().map(|(_, scenario)| scenario.simulation.duration).max().unwrap_or_default();
    let rows: Vec<(Vec<f64>, Profile)> = jobs
        .par_iter()
        .map(|(index, replication)| {
            let (name, scenario) = &scenarios[*index];
            let outcome = runner(scenario, *replication).map_err(|reason| format!("{name}: {reason}"))?;
            let values = MEASURES.iter().map(|measure| measure.of(&outcome)).collect();
            Ok((values, Profile::of(&outcome, length)))
        })
        .collect::<Result<_, String>>()?;
    let samples = |scenario: usize, column: usize| -> Vec<f64> {
        rows.iter().zip(&jobs).filter(|(_, (index, _))| *index == scenario).map(|((row, _), _)| row[column]).collect()
    };
    let lines: Vec<Line> = MEASURES
        .iter()
        .enumerate()
        .map(|(column, measure)| Line {
            measure: measure.name,
            less_is_better: measure.less_is_better,
            values: (0..scenarios.len()).map(|i| Estimate::of(&samples(i, column), CONFIDENCE).into()).collect(),
            differences: (1..scenarios.len())
                .map(|i| Estimate::of_difference(&samples(0, column), &samples(i, column), CONFIDENCE).into())
                .collect(),
            pairing_gain: (1..scenarios.len())
                .map(|i| pairing_gain(&samples(0, column), &samples(i, column)))
                .collect(),
        })
        .collect();
    let misses = misses(scenarios, &lines);
    let names = scenarios.iter().map(|(name, _)| name.clone()).collect();
    let mut profiles = vec![Vec::new(); scenarios.len()];
    for ((_, profile), (index, _)) in rows.into_iter().zip(&jobs) {
        profiles[*index].push(profile);
    }
    Ok(Comparison { names, replications, lines, misses, profiles })
}

/// How many times fewer replications pairing needs: an interval of a mean is as wide as its variance over the replications says.
#[must_use]
pub fn pairing_gain(a: &[f64], b: &[f64]) -> Option<f64> {
    let variance = |estimate: Estimate| estimate.deviation * estimate.deviation;
    let unpaired = variance(Estimate::of(a, CONFIDENCE)) + variance(Estimate::of(b, CONFIDENCE));
    let paired = variance(Estimate::of_difference(a, b, CONFIDENCE));
    (paired > 0.0).then(|| unpaired / paired)
}

fn misses(scenarios: &[(String, &Scenario)], lines: &[Line]) -> Vec<Miss> {
    let mut found = Vec::new();
    for (index, (_, scenario)) in scenarios.iter().enumerate() {
        for constraint in constraints(&scenario.objectives) {
            let line = lines.iter().find(|line| line.measure == constraint.measure);
            if let Some(mean) = line.map(|line| line.values[index].mean).filter(|mean| *mean > constraint.limit) {
                let Constraint { objective, measure, limit } = constraint;
                found.push(Miss { scenario: index, objective, measure, limit, mean });
            }
        }
    }
    found
}

impl Comparison {
    /// Of the named measures, those that are worse in a scenario after the first by more than `share` of the first's mean, with
    /// significance: scenario, measure, by which share (infinite where the first's mean is zero).
    #[must_use]
    pub fn regressions(&self, share: f64, measures: &[&str]) -> Vec<(usize, &'static str, f64)> {
        let mut worse = Vec::new();
        for line in self.lines.iter().filter(|line| line.less_is_better && measures.contains(&line.measure)) {
            let base = line.values[0].mean;
            for (offset, difference) in line.differences.iter().enumerate() {
                // A difference that is the same in all runs has no width, and is no chance.
                if difference.is_significant() && difference.mean > share * base.abs() {
                    let relative = if base == 0.0 { f64::INFINITY } else { difference.mean / base.abs() };
                    worse.push((offset + 1, line.measure, relative));
                }
            }
        }
        worse
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn comparison(base: f64, difference: f64, half_width: f64) -> Comparison {
        let interval = |mean, half_width| Interval { mean, half_width: Some(half_width) };
        let line = |measure| Line {
            measure,
            less_is_better: true,
            values: vec![interval(base, 1.0), interval(base + difference, 1.0)],
            differences: vec![interval(difference, half_width)],
            pairing_gain: vec![None],
        };
        Comparison {
            names: vec!["a".to_owned(), "b".to_owned()],
            replications: 10,
            lines: vec![line("cost_usd"), line("pods_mean")],
            misses: Vec::new(),
            profiles: Vec::new(),
        }
    }

    #[test]
    fn regressions_are_significant_and_beyond_the_bound() {
        let worse =
            |base, difference, width, share| comparison(base, difference, width).regressions(share, &["cost_usd"]);
        assert_eq!(worse(10.0, 1.0, 0.5, 0.05), [(1, "cost_usd", 0.1)]);
        assert_eq!(worse(10.0, 1.0, 0.5, 0.2), [], "within the bound");
        assert_eq!(worse(10.0, 1.0, 1.5, 0.05), [], "may be chance");
        assert_eq!(worse(10.0, -1.0, 0.5, 0.0), [], "better");
        assert_eq!(worse(0.0, 1.0, 0.0, 0.5), [(1, "cost_usd", f64::INFINITY)]);
    }

    #[test]
    fn pairing_gains_what_both_share() {
        let a = [10.0, 20.0, 30.0, 40.0];
        assert_eq!(pairing_gain(&a, &[11.0, 21.0, 31.0, 41.0]), None, "nothing is left to chance");
        let gain = pairing_gain(&a, &[12.0, 21.0, 32.0, 41.0]);
        assert!(gain.is_some_and(|gain| gain > 500.0), "{gain:?}");
        let opposite = pairing_gain(&a, &[40.0, 30.0, 20.0, 10.0]);
        assert_eq!(opposite, Some(0.5));
    }
}
