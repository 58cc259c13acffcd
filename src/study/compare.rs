//! Two or more scenarios side by side: each replication of one is paired with the same replication of the others, which has the
//! same arrivals, service times, boot times and interruptions.

use rayon::prelude::*;
use serde::Serialize;

use super::constraint::constraints;
use super::measures::MEASURES;
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
}

/// Runs all scenarios and compares them.
///
/// # Errors
/// When a run fails.
pub fn compare(scenarios: &[(String, &Scenario)], replications: u32, runner: Runner<'_>) -> Result<Comparison, String> {
    let jobs: Vec<(usize, u32)> =
        (0..scenarios.len()).flat_map(|index| (0..replications).map(move |replication| (index, replication))).collect();
    let rows: Vec<Vec<f64>> = jobs
        .par_iter()
        .map(|(index, replication)| {
            let (name, scenario) = &scenarios[*index];
            let outcome = runner(scenario, *replication).map_err(|reason| format!("{name}: {reason}"))?;
            Ok(MEASURES.iter().map(|measure| measure.of(&outcome)).collect())
        })
        .collect::<Result<_, String>>()?;
    let samples = |scenario: usize, column: usize| -> Vec<f64> {
        rows.iter().zip(&jobs).filter(|(_, (index, _))| *index == scenario).map(|(row, _)| row[column]).collect()
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
        })
        .collect();
    let misses = misses(scenarios, &lines);
    Ok(Comparison { names: scenarios.iter().map(|(name, _)| name.clone()).collect(), replications, lines, misses })
}

fn misses(scenarios: &[(String, &Scenario)], lines: &[Line]) -> Vec<Miss> {
    let mut found = Vec::new();
    for (index, (_, scenario)) in scenarios.iter().enumerate() {
        for constraint in constraints(&scenario.objectives) {
            let line = lines.iter().find(|line| line.measure == constraint.measure);
            if let Some(mean) = line.map(|line| line.values[index].mean).filter(|mean| *mean > constraint.limit) {
                found.push(Miss { scenario: index, objective: constraint.objective, limit: constraint.limit, mean });
            }
        }
    }
    found
}

impl Comparison {
    /// Measures that are worse in a scenario after the first by more than `share` of the first's mean, with significance.
    #[must_use]
    pub fn regressions(&self, share: f64) -> Vec<(usize, &'static str, f64)> {
        let mut worse = Vec::new();
        for line in self.lines.iter().filter(|line| line.less_is_better) {
            let base = line.values[0].mean;
            for (offset, difference) in line.differences.iter().enumerate() {
                if difference.is_significant() && difference.mean > share * base.abs() {
                    let relative = if base == 0.0 { f64::INFINITY } else { difference.mean / base.abs() };
                    worse.push((offset + 1, line.measure, relative));
                }
            }
        }
        worse
    }
}
