//! What recommended settings are worth: against the present ones, and knob by knob, on randomness that the search did not see.
//!
//! A search picks what did well on its own runs, partly by luck; on those runs its gain is overstated. Here every figure comes
//! from fresh replications, paired: both sides of a difference have the same arrivals and the same luck.

use std::collections::{BTreeMap, BTreeSet};

use rayon::prelude::*;

use super::constraint::Constraint;
use super::measures::MEASURES;
use super::statistics::Estimate;
use super::tune::System;

/// Confidence of all intervals.
const CONFIDENCE: f64 = 0.95;
/// First number of the replications that measure knobs: no search gets there.
const FRESH_KNOBS: u32 = 1 << 20;
/// First number of the replications that measure the gain: what is reported played no part in any choice.
const FRESH_GAIN: u32 = 1 << 21;
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
    /// Runs with all recommended values.
    pub base: Runs,
    /// Runs with the knob turned back to its present value; nothing when that cannot run.
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
pub fn gain(present: &[usize], best: &[usize], replications: u32, system: &dyn System) -> Result<Gain, String> {
    let points = [present.to_vec(), best.to_vec()];
    let runs = run(&points, FRESH_GAIN, replications, system)?;
    let [present, best] = points.map(|point| runs.get(&point).cloned().unwrap_or_default());
    Ok(Gain { present, best })
}

/// Turns each knob alone; `lengths` = number of values of each.
///
/// # Errors
/// When a run fails.
pub fn knobs(
    lengths: &[usize],
    present: &[usize],
    best: &[usize],
    replications: u32,
    system: &dyn System,
) -> Result<Vec<Knob>, String> {
    let turned = |axis: usize, value: usize| {
        let mut point = best.to_vec();
        point[axis] = value;
        point
    };
    let tried: Vec<Vec<usize>> =
        lengths.iter().enumerate().map(|(axis, length)| spread(*length, [best[axis], present[axis]])).collect();
    let tried: Vec<Vec<usize>> = tried
        .into_iter()
        .enumerate()
        .map(|(axis, values)| values.into_iter().filter(|value| system.is_valid(&turned(axis, *value))).collect())
        .collect();
    let all = tried.iter().enumerate().flat_map(|(axis, values)| values.iter().map(move |value| (axis, *value)));
    let points: Vec<Vec<usize>> = all.map(|(axis, value)| turned(axis, value)).chain([best.to_vec()]).collect();
    let runs = run(&points, FRESH_KNOBS, replications, system)?;
    let base = &runs[best];
    let knob = |(axis, values): (usize, Vec<usize>)| {
        let values: Vec<(usize, Runs)> =
            values.into_iter().map(|value| (value, runs[&turned(axis, value)].clone())).collect();
        let reverted = runs.get(&turned(axis, present[axis])).cloned().unwrap_or_default();
        let effect = effect(base, values.iter().map(|(_, runs)| runs));
        Knob { axis, base: base.clone(), reverted, values, effect }
    };
    Ok(tried.into_iter().enumerate().map(knob).collect())
}

/// The recommended settings without the changes that make no difference beyond chance: those knobs stay as they are, one after
/// another as long as the whole is not worse than `best`.
///
/// # Errors
/// When a run fails.
pub fn without_idle_changes(
    present: &[usize],
    best: &[usize],
    knobs: &[Knob],
    goal: (&str, &[Constraint]),
    system: &dyn System,
) -> Result<Vec<usize>, String> {
    let mut fewer = best.to_vec();
    for knob in knobs.iter().filter(|knob| best[knob.axis] != present[knob.axis]) {
        let mut without = fewer.clone();
        without[knob.axis] = present[knob.axis];
        if !is_harmed(&knob.base, &knob.reverted, goal) && system.is_valid(&without) {
            let runs = run(&[without.clone()], FRESH_KNOBS, knob.base.len() as u32, system)?;
            if !is_harmed(&knob.base, &runs[&without], goal) {
                fewer = without;
            }
        }
    }
    Ok(fewer)
}

/// Whether something that matters becomes worse by more than chance, or a bound that held breaks.
fn is_harmed(before: &Runs, after: &Runs, (minimize, constraints): (&str, &[Constraint])) -> bool {
    let mean = |runs: &Runs, measure: &str| Estimate::of(&samples(runs, measure), CONFIDENCE).mean;
    let is_worse = |measure: &str| differs(before, after, measure) && paired(before, after, measure).mean > 0.0;
    let breaks = |c: &Constraint| mean(after, c.measure) > c.limit && mean(before, c.measure) <= c.limit;
    after.is_empty() || [minimize, "cost_usd", "wait_p95_s"].into_iter().any(is_worse) || constraints.iter().any(breaks)
}

/// Whether the paired difference of a measure is more than chance.
fn differs(a: &Runs, b: &Runs, measure: &str) -> bool {
    let difference = paired(a, b, measure);
    difference.is_significant() || (difference.deviation == 0.0 && difference.mean != 0.0)
}

/// Values of a knob to try: both ends, some between, and those of `always`.
fn spread(length: usize, always: [usize; 2]) -> Vec<usize> {
    let count = length.min(MOST_VALUES);
    let mut values: Vec<usize> = (0..count).map(|i| i * (length - 1) / (count - 1).max(1)).collect();
    values.extend(always);
    values.sort_unstable();
    values.dedup();
    values
}

fn effect<'a>(base: &Runs, others: impl Iterator<Item = &'a Runs>) -> Effect {
    let mut effect = Effect::Nothing;
    for runs in others {
        if differs(base, runs, "cost_usd") || differs(base, runs, "wait_p95_s") {
            return Effect::Matters;
        }
        if runs != base {
            effect = Effect::WithinChance;
        }
    }
    effect
}

/// Runs combinations from a replication on; equal ones once.
fn run(
    points: &[Vec<usize>],
    from: u32,
    replications: u32,
    system: &dyn System,
) -> Result<BTreeMap<Vec<usize>, Runs>, String> {
    let distinct: BTreeSet<&Vec<usize>> = points.iter().collect();
    let jobs: Vec<_> = distinct.into_iter().flat_map(|point| (0..replications).map(move |r| (point, r))).collect();
    let rows: Vec<Vec<f64>> = jobs
        .par_iter()
        .with_max_len(1)
        .map(|(point, replication)| system.run(point, from + replication))
        .collect::<Result<_, String>>()?;
    let mut runs: BTreeMap<Vec<usize>, Runs> = BTreeMap::new();
    for ((point, _), row) in jobs.into_iter().zip(rows) {
        runs.entry(point.clone()).or_default().push(row);
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

    /// Cost falls with the first knob, the second does nothing, the third only adds noise.
    fn system(point: &[usize], replication: u32) -> Result<Vec<f64>, String> {
        assert!(replication >= FRESH_KNOBS, "not the randomness of the search");
        let luck = f64::from(replication % 7);
        let noise = if point[2] == 0 { 0.0 } else { f64::from(replication % 5) - 2.0 };
        let cost = 100.0 - 10.0 * point[0] as f64 + luck + noise;
        let of = |name: &str| if name == "cost_usd" { cost } else { 0.0 };
        Ok(MEASURES.iter().map(|measure| of(measure.name)).collect())
    }

    #[test]
    fn the_gain_is_paired_and_fresh() -> Result<(), String> {
        let gain = gain(&[0, 0, 0], &[3, 1, 0], 10, &system)?;
        let change = gain.change("cost_usd");
        assert_eq!((change.mean, change.half_width), (-30.0, 0.0));
        assert!(!gain.is_dominated());
        Ok(())
    }

    #[test]
    fn knobs_without_effect_are_told_from_those_within_chance() -> Result<(), String> {
        let knobs = knobs(&[9, 3, 2], &[0, 0, 0], &[8, 1, 1], 10, &system)?;
        let effects: Vec<Effect> = knobs.iter().map(|knob| knob.effect).collect();
        assert_eq!(effects, [Effect::Matters, Effect::Nothing, Effect::WithinChance]);
        let values: Vec<usize> = knobs[0].values.iter().map(|(value, _)| *value).collect();
        assert_eq!(values, [0, 2, 4, 6, 8]);
        assert_eq!(paired(&knobs[0].base, &knobs[0].reverted, "cost_usd").mean, 80.0);
        // What makes no difference is not changed.
        let fewer = without_idle_changes(&[0, 0, 0], &[8, 1, 1], &knobs, ("cost_usd", &[]), &system)?;
        assert_eq!(fewer, [8, 0, 0]);
        Ok(())
    }

    #[test]
    fn of_two_changes_either_of_which_is_enough_one_stays() -> Result<(), String> {
        // Either knob alone does the work of both.
        let either = |point: &[usize], _: u32| -> Result<Vec<f64>, String> {
            let cost = if point[0] + point[1] > 0 { 1.0 } else { 2.0 };
            Ok(MEASURES.iter().map(|m| if m.name == "cost_usd" { cost } else { 0.0 }).collect())
        };
        let knobs = knobs(&[2, 2], &[0, 0], &[1, 1], 4, &either)?;
        let fewer = without_idle_changes(&[0, 0], &[1, 1], &knobs, ("cost_usd", &[]), &either)?;
        assert_eq!(fewer, [0, 1]);
        Ok(())
    }
}
