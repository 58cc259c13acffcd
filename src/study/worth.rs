//! What recommended settings are worth: against the present ones, and knob by knob, on randomness that the search did not see.
//!
//! A search picks what did well on its own runs, partly by luck; on those runs its gain is overstated. Here every figure comes
//! from fresh replications, paired: both sides of a difference have the same arrivals and the same luck.

use std::collections::BTreeMap;

use rayon::prelude::*;

use super::measures::MEASURES;
use super::statistics::Estimate;
use super::tune::{Evaluate, chosen};

/// Confidence of all intervals.
const CONFIDENCE: f64 = 0.95;
/// First number of a fresh replication: no search gets there.
const FRESH: u32 = 1 << 20;
/// Most values of a knob that are tried alone.
const MOST_VALUES: usize = 5;

/// Runs of one combination: values of all measures by replication.
pub type Runs = Vec<Vec<f64>>;

/// Recommended settings against the present ones.
#[derive(Clone, Debug, PartialEq)]
pub struct Gain {
    /// Runs with the present settings.
    pub present: Runs,
    /// Runs with the recommended settings.
    pub best: Runs,
}

impl Gain {
    /// Mean of a measure with the present settings.
    #[must_use]
    pub fn present(&self, measure: &str) -> Estimate {
        Estimate::of(&samples(&self.present, measure), CONFIDENCE)
    }

    /// Mean of a measure with the recommended settings.
    #[must_use]
    pub fn best(&self, measure: &str) -> Estimate {
        Estimate::of(&samples(&self.best, measure), CONFIDENCE)
    }

    /// Paired change from the present to the recommended settings.
    #[must_use]
    pub fn change(&self, measure: &str) -> Estimate {
        paired(&self.present, &self.best, measure)
    }

    /// Whether the present settings are at least as good in mean cost and mean p95 wait and better in one.
    #[must_use]
    pub fn is_dominated(&self) -> bool {
        let means = |runs: &Runs| ["cost_usd", "wait_p95_s"].map(|m| Estimate::of(&samples(runs, m), CONFIDENCE).mean);
        super::pareto::dominates(&means(&self.present), &means(&self.best))
    }
}

/// What a knob does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    /// Every run is the same whatever its value.
    Nothing,
    /// No value differs from the recommended one in cost or p95 wait by more than chance.
    WithinChance,
    /// Some value differs.
    Matters,
}

/// One knob, turned alone while all others have their recommended values.
#[derive(Clone, Debug, PartialEq)]
pub struct Knob {
    /// Index of the axis.
    pub axis: usize,
    /// Runs with the knob turned back to its present value.
    pub reverted: Runs,
    /// Runs at several of its values: index of the value and runs.
    pub values: Vec<(usize, Runs)>,
    /// What it does over these values.
    pub effect: Effect,
}

/// Compares recommended settings with the present ones.
///
/// # Errors
/// When a run fails.
pub fn gain(best: &[usize], replications: u32, evaluate: Evaluate<'_>) -> Result<Gain, String> {
    let choices = [vec![None; best.len()], chosen(best)];
    let mut runs = run(&choices, replications, evaluate)?;
    let [present, best] = choices.map(|choice| runs.remove(&choice).unwrap_or_default());
    Ok(Gain { present, best })
}

/// Turns each knob alone; `lengths` = number of values of each.
///
/// # Errors
/// When a run fails.
pub fn knobs(
    lengths: &[usize],
    best: &[usize],
    replications: u32,
    evaluate: Evaluate<'_>,
) -> Result<Vec<Knob>, String> {
    let turned = |axis: usize, value: Option<usize>| {
        let mut choice = chosen(best);
        choice[axis] = value;
        choice
    };
    let tried: Vec<Vec<usize>> = lengths.iter().zip(best).map(|(length, best)| spread(*length, *best)).collect();
    let mut choices = vec![chosen(best)];
    for (axis, values) in tried.iter().enumerate() {
        choices.push(turned(axis, None));
        choices.extend(values.iter().map(|value| turned(axis, Some(*value))));
    }
    let runs = run(&choices, replications, evaluate)?;
    let base = &runs[&chosen(best)];
    let knob = |(axis, values): (usize, Vec<usize>)| {
        let values: Vec<(usize, Runs)> =
            values.into_iter().map(|value| (value, runs[&turned(axis, Some(value))].clone())).collect();
        let reverted = runs[&turned(axis, None)].clone();
        let effect = effect(base, values.iter().map(|(_, runs)| runs).chain([&reverted]));
        Knob { axis, reverted, values, effect }
    };
    Ok(tried.into_iter().enumerate().map(knob).collect())
}

/// Values of a knob to try: both ends, some between, and the recommended one.
fn spread(length: usize, best: usize) -> Vec<usize> {
    let count = length.min(MOST_VALUES);
    let mut values: Vec<usize> = (0..count).map(|i| i * (length - 1) / (count - 1).max(1)).collect();
    values.push(best);
    values.sort_unstable();
    values.dedup();
    values
}

fn effect<'a>(base: &Runs, others: impl Iterator<Item = &'a Runs>) -> Effect {
    let mut effect = Effect::Nothing;
    for runs in others {
        let differs = |measure: &str| {
            let difference = paired(base, runs, measure);
            difference.is_significant() || (difference.deviation == 0.0 && difference.mean != 0.0)
        };
        if differs("cost_usd") || differs("wait_p95_s") {
            return Effect::Matters;
        }
        if runs != base {
            effect = Effect::WithinChance;
        }
    }
    effect
}

/// Runs combinations on fresh randomness; equal ones once.
fn run(
    choices: &[Vec<Option<usize>>],
    replications: u32,
    evaluate: Evaluate<'_>,
) -> Result<BTreeMap<Vec<Option<usize>>, Runs>, String> {
    let mut distinct: Vec<&Vec<Option<usize>>> = choices.iter().collect();
    distinct.sort();
    distinct.dedup();
    let jobs: Vec<_> = distinct.iter().flat_map(|choice| (0..replications).map(move |r| (*choice, r))).collect();
    let rows: Vec<Vec<f64>> = jobs
        .par_iter()
        .with_max_len(1)
        .map(|(choice, replication)| evaluate(choice, FRESH + replication))
        .collect::<Result<_, String>>()?;
    let mut runs: BTreeMap<Vec<Option<usize>>, Runs> = BTreeMap::new();
    for ((choice, _), row) in jobs.into_iter().zip(rows) {
        runs.entry(choice.clone()).or_default().push(row);
    }
    Ok(runs)
}

/// Samples of a measure by replication.
#[must_use]
pub fn samples(runs: &Runs, measure: &str) -> Vec<f64> {
    let column = MEASURES.iter().position(|m| m.name == measure).unwrap_or(0);
    runs.iter().map(|run| run[column]).collect()
}

/// Paired difference of a measure from `a` to `b`.
#[must_use]
pub fn paired(a: &Runs, b: &Runs, measure: &str) -> Estimate {
    Estimate::of_difference(&samples(a, measure), &samples(b, measure), CONFIDENCE)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::study::tune::Choice;

    /// Cost falls with the first knob, the second does nothing, the third only adds noise. At present: value 0 of each.
    fn system(choice: &Choice, replication: u32) -> Result<Vec<f64>, String> {
        assert!(replication >= FRESH, "not the randomness of the search");
        let value = |axis: usize| choice[axis].unwrap_or(0);
        let luck = f64::from(replication % 7);
        let noise = if value(2) == 0 { 0.0 } else { f64::from(replication % 5) - 2.0 };
        let cost = 100.0 - 10.0 * value(0) as f64 + luck + noise;
        let of = |name: &str| if name == "cost_usd" { cost } else { 0.0 };
        Ok(MEASURES.iter().map(|measure| of(measure.name)).collect())
    }

    #[test]
    fn the_gain_is_paired_and_fresh() -> Result<(), String> {
        let gain = gain(&[3, 1, 0], 10, &system)?;
        let change = gain.change("cost_usd");
        assert_eq!((change.mean, change.half_width), (-30.0, 0.0));
        assert!(!gain.is_dominated());
        Ok(())
    }

    #[test]
    fn knobs_without_effect_are_told_from_those_within_chance() -> Result<(), String> {
        let knobs = knobs(&[9, 3, 2], &[8, 1, 0], 10, &system)?;
        let effects: Vec<Effect> = knobs.iter().map(|knob| knob.effect).collect();
        assert_eq!(effects, [Effect::Matters, Effect::Nothing, Effect::WithinChance]);
        let values: Vec<usize> = knobs[0].values.iter().map(|(value, _)| *value).collect();
        assert_eq!(values, [0, 2, 4, 6, 8]);
        let base = &knobs[0].values[4].1;
        assert_eq!(paired(base, &knobs[0].reverted, "cost_usd").mean, 80.0);
        Ok(())
    }
}
