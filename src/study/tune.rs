//! The best settings among those that meet the objectives.
//!
//! Candidates race: all run a few replications with the same random numbers, those that are significantly worse than the best
//! drop out, the rest run more (Maron and Moore 1994, with paired differences). Where there are too many combinations to race
//! them all, a [`Proposer`] chooses which to try next.

use std::collections::BTreeMap;

use rayon::prelude::*;

use super::constraint::Constraint;
use super::design::{Design, MAX_SOBOL_AXES, points};
use super::measures::MEASURES;
use super::pareto;
use super::statistics::Estimate;
use crate::engine::Streams;

/// Confidence of eliminations and of reported gains.
const CONFIDENCE: f64 = 0.95;
/// Replications before the first elimination.
const FIRST_ROUND: u32 = 3;
/// Replications of a first look before the race, for spaces too large to race whole.
const LOOK: u32 = 2;

/// What is tuned. A combination is given by the index of each axis' value.
pub trait System: Sync {
    /// Whether the combination is one that can run; others are passed over.
    fn is_valid(&self, point: &[usize]) -> bool;

    /// Runs a combination once and gives the values of all measures.
    ///
    /// # Errors
    /// When the run fails.
    fn run(&self, point: &[usize], replication: u32) -> Result<Vec<f64>, String>;
}

/// A function is a system in which every combination can run.
impl<F: Fn(&[usize], u32) -> Result<Vec<f64>, String> + Sync> System for F {
    fn is_valid(&self, _: &[usize]) -> bool {
        true
    }

    fn run(&self, point: &[usize], replication: u32) -> Result<Vec<f64>, String> {
        self(point, replication)
    }
}

/// What is sought.
#[derive(Clone, Debug)]
pub struct Goal {
    /// Measure to make small.
    pub minimize: &'static str,
    /// Bounds that must hold on the mean, with two standard errors to spare.
    pub constraints: Vec<Constraint>,
    /// Most runs.
    pub budget: usize,
    /// Replications of a combination before it is trusted.
    pub replications: u32,
    /// Seed of the search.
    pub seed: u64,
}

/// Chooses combinations to try.
pub trait Proposer {
    /// Up to `count` combinations not seen yet, given all that were seen with their scores (smaller is better).
    fn propose(&mut self, seen: &BTreeMap<Vec<usize>, f64>, count: usize) -> Vec<Vec<usize>>;
}

/// An even spread first, then neighbours of the best: one step along one axis, or a mix of two good ones (an evolutionary search).
pub struct Evolution {
    lengths: Vec<usize>,
    spread: Vec<Vec<usize>>,
    stream: crate::engine::Stream,
}

impl Evolution {
    /// A search over axes with these numbers of values.
    #[must_use]
    pub fn new(lengths: &[usize], seed: u64) -> Self {
        let count = 16.max(4 * lengths.len());
        let design = if lengths.len() <= MAX_SOBOL_AXES {
            Design::Sobol { points: count }
        } else {
            Design::LatinHypercube { points: count }
        };
        let mut spread = points(design, lengths, seed).unwrap_or_default();
        spread.reverse();
        Evolution { lengths: lengths.to_vec(), spread, stream: Streams::new(seed, 0).open("tune", 0) }
    }

    fn child(&mut self, parents: &[&Vec<usize>]) -> Vec<usize> {
        let (a, b) = (parents[self.stream.below(parents.len())], parents[self.stream.below(parents.len())]);
        let mut child: Vec<usize> =
            a.iter().zip(b).map(|(x, y)| if self.stream.chance(0.5) { *x } else { *y }).collect();
        let axis = self.stream.below(child.len());
        let up = self.stream.chance(0.5);
        child[axis] = if up { (child[axis] + 1).min(self.lengths[axis] - 1) } else { child[axis].saturating_sub(1) };
        child
    }
}

impl Proposer for Evolution {
    fn propose(&mut self, seen: &BTreeMap<Vec<usize>, f64>, count: usize) -> Vec<Vec<usize>> {
        let mut chosen: Vec<Vec<usize>> = Vec::new();
        while chosen.len() < count {
            let Some(point) = self.spread.pop() else { break };
            if !seen.contains_key(&point) && !chosen.contains(&point) {
                chosen.push(point);
            }
        }
        let mut ranked: Vec<(&Vec<usize>, f64)> = seen.iter().map(|(point, score)| (point, *score)).collect();
        ranked.sort_by(|a, b| a.1.total_cmp(&b.1));
        let parents: Vec<&Vec<usize>> = ranked.iter().take(6).map(|(point, _)| *point).collect();
        let mut tries = 0;
        while chosen.len() < count && !parents.is_empty() && tries < 50 * count {
            tries += 1;
            let child = self.child(&parents);
            if !seen.contains_key(&child) && !chosen.contains(&child) {
                chosen.push(child);
            }
        }
        chosen
    }
}

/// A combination and what it gave.
#[derive(Clone, Debug)]
pub struct Tried {
    /// Indices into the axes' values.
    pub point: Vec<usize>,
    /// Values of all measures, by replication.
    pub runs: Vec<Vec<f64>>,
    /// Whether it was still in the race at the end.
    pub finalist: bool,
}

impl Tried {
    /// Samples of a measure.
    #[must_use]
    pub fn samples(&self, measure: &str) -> Vec<f64> {
        let column = MEASURES.iter().position(|m| m.name == measure).unwrap_or(0);
        self.runs.iter().map(|run| run[column]).collect()
    }

    /// Mean of a measure.
    #[must_use]
    pub fn mean(&self, measure: &str) -> f64 {
        Estimate::of(&self.samples(measure), CONFIDENCE).mean
    }

    /// By how much the worst constraint is exceeded, as a share of its limit; 0 = all hold with two standard errors to spare. What
    /// holds by a hair in the runs of a search was picked for its luck and breaks on others.
    #[must_use]
    pub fn violation(&self, constraints: &[Constraint]) -> f64 {
        let exceeded = |c: &Constraint| {
            let scale = if c.limit == 0.0 { 1.0 } else { c.limit.abs() };
            let estimate = Estimate::of(&self.samples(c.measure), CONFIDENCE);
            let error = estimate.deviation / (estimate.samples.max(1) as f64).sqrt();
            (estimate.mean + 2.0 * error - c.limit).max(0.0) / scale
        };
        constraints.iter().map(exceeded).fold(0.0, f64::max)
    }

    /// What is made small; combinations that violate a constraint come after all that do not.
    fn score(&self, goal: &Goal) -> f64 {
        let violation = self.violation(&goal.constraints);
        if violation > 0.0 { 1e12 * (1.0 + violation) } else { self.mean(goal.minimize) }
    }
}

/// The end of a search.
#[derive(Clone, Debug)]
pub struct Tuned {
    /// All that was tried, in the order of the combinations.
    pub tried: Vec<Tried>,
    /// Index of the recommended one.
    pub best: usize,
    /// Indices of those that nothing beats in cost and p95 wait.
    pub front: Vec<usize>,
    /// Runs used.
    pub runs: usize,
}

/// Searches.
///
/// # Errors
/// When a run fails, or there is nothing to choose from.
pub fn tune(lengths: &[usize], goal: &Goal, system: &dyn System) -> Result<Tuned, String> {
    let combinations = lengths.iter().map(|n| *n as u128).product::<u128>();
    let affordable = (goal.budget as u128) / u128::from(FIRST_ROUND.max(1));
    let mut search = Search { goal, system, tried: BTreeMap::new(), runs: 0 };
    let racers = if combinations <= affordable.max(1) {
        let mut all = points(Design::Cross, lengths, goal.seed).map_err(|error| error.to_string())?;
        all.retain(|point| system.is_valid(point));
        all
    } else {
        search.explore(&mut Evolution::new(lengths, goal.seed))?
    };
    search.race(racers)?;
    search.complete_front()?;
    search.finish()
}

struct Search<'a> {
    goal: &'a Goal,
    system: &'a dyn System,
    tried: BTreeMap<Vec<usize>, Tried>,
    runs: usize,
}

impl Search<'_> {
    /// Brings combinations to `replications` runs each, as far as the budget goes.
    fn run_up_to(&mut self, combinations: &[Vec<usize>], replications: u32) -> Result<(), String> {
        let mut jobs: Vec<(&Vec<usize>, u32)> = Vec::new();
        for point in combinations {
            let done = self.tried.get(point).map_or(0, |tried| tried.runs.len() as u32);
            jobs.extend((done..replications).map(|replication| (point, replication)));
        }
        jobs.truncate(self.goal.budget.saturating_sub(self.runs));
        let rows: Vec<Vec<f64>> = jobs
            .par_iter()
            .map(|(point, replication)| self.system.run(point, *replication))
            .collect::<Result<_, String>>()?;
        self.runs += rows.len();
        for ((point, _), row) in jobs.into_iter().zip(rows) {
            let fresh = || Tried { point: point.clone(), runs: Vec::new(), finalist: false };
            self.tried.entry(point.clone()).or_insert_with(fresh).runs.push(row);
        }
        Ok(())
    }

    /// Spends half of the budget on a wide look and gives the combinations worth racing.
    fn explore(&mut self, proposer: &mut dyn Proposer) -> Result<Vec<Vec<usize>>, String> {
        let limit = self.goal.budget / 2;
        // Combinations that cannot run are as bad as can be, so that they are neither tried again nor parents of others.
        let mut passed_over: BTreeMap<Vec<usize>, f64> = BTreeMap::new();
        loop {
            let mut seen = passed_over.clone();
            seen.extend(self.tried.iter().map(|(point, tried)| (point.clone(), tried.score(self.goal))));
            let mut proposed = proposer.propose(&seen, 8);
            let all = proposed.len();
            proposed.retain(|point| {
                self.system.is_valid(point) || {
                    passed_over.insert(point.clone(), f64::INFINITY);
                    false
                }
            });
            if all == 0 || self.runs + proposed.len() * LOOK as usize > limit {
                break;
            }
            self.run_up_to(&proposed, LOOK)?;
        }
        let mut ranked: Vec<&Tried> = self.tried.values().collect();
        ranked.sort_by(|a, b| a.score(self.goal).total_cmp(&b.score(self.goal)));
        Ok(ranked.iter().take(12).map(|tried| tried.point.clone()).collect())
    }

    fn race(&mut self, mut racers: Vec<Vec<usize>>) -> Result<(), String> {
        let mut replications = FIRST_ROUND.min(self.goal.replications);
        loop {
            self.run_up_to(&racers, replications)?;
            racers.retain(|point| self.tried.contains_key(point));
            let over = replications >= self.goal.replications || self.runs >= self.goal.budget;
            racers = self.survivors(&racers);
            if over || racers.len() < 2 {
                break;
            }
            replications = (replications * 2).min(self.goal.replications);
        }
        self.run_up_to(&racers, self.goal.replications)?;
        for point in &racers {
            if let Some(tried) = self.tried.get_mut(point) {
                tried.finalist = true;
            }
        }
        Ok(())
    }

    /// Those not significantly worse than the best so far.
    fn survivors(&self, racers: &[Vec<usize>]) -> Vec<Vec<usize>> {
        let score = |point: &Vec<usize>| self.tried[point].score(self.goal);
        let Some(best) = racers.iter().min_by(|a, b| score(a).total_cmp(&score(b))) else { return Vec::new() };
        let best = &self.tried[best];
        let feasible = best.violation(&self.goal.constraints) == 0.0;
        racers.iter().filter(|point| !feasible || !self.is_beaten(&self.tried[*point], best)).cloned().collect()
    }

    fn is_beaten(&self, tried: &Tried, best: &Tried) -> bool {
        if tried.point == best.point {
            return false;
        }
        let worse = |measure: &str| {
            let difference = Estimate::of_difference(&best.samples(measure), &tried.samples(measure), CONFIDENCE);
            difference.low() > 0.0 || (difference.deviation == 0.0 && difference.mean > 0.0)
        };
        let surely_violates = |c: &Constraint| {
            let estimate = Estimate::of(&tried.samples(c.measure), CONFIDENCE);
            estimate.low() > c.limit || (estimate.deviation == 0.0 && estimate.mean > c.limit)
        };
        worse(self.goal.minimize) || self.goal.constraints.iter().any(surely_violates)
    }

    /// Those that the race dropped but nothing beats in cost and wait run as often as the finalists: the front is a result, too.
    fn complete_front(&mut self) -> Result<(), String> {
        let tried: Vec<&Tried> = self.tried.values().collect();
        let points: Vec<Vec<usize>> = front_of(&tried).into_iter().map(|index| tried[index].point.clone()).collect();
        self.run_up_to(&points, self.goal.replications)
    }

    fn finish(self) -> Result<Tuned, String> {
        let tried: Vec<Tried> = self.tried.into_values().collect();
        let finalists = tried.iter().enumerate().filter(|(_, t)| t.finalist);
        let best = finalists.min_by(|(_, a), (_, b)| a.score(self.goal).total_cmp(&b.score(self.goal)));
        let best = best.map(|(index, _)| index).ok_or("nothing was tried: the budget is too small")?;
        let front = front_of(&tried.iter().collect::<Vec<_>>());
        Ok(Tuned { front, best, runs: self.runs, tried })
    }
}

/// Those that no other beats in cost and p95 wait.
fn front_of(tried: &[&Tried]) -> Vec<usize> {
    let values: Vec<Vec<f64>> = tried.iter().map(|t| vec![t.mean("cost_usd"), t.mean("wait_p95_s")]).collect();
    pareto::front(&values)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Cost falls towards (3, 1, …); the wait grows with the first axis. Noise is shared by replication.
    fn bowl(point: &[usize], replication: u32) -> Result<Vec<f64>, String> {
        let noise = f64::from(replication % 5) * 0.3;
        let away = |x: usize, to: f64| (x as f64 - to).powi(2);
        let cost = 10.0 + away(point[0], 3.0) + away(point[1], 1.0) + noise;
        let wait = 10.0 * point[0] as f64 + noise;
        Ok(MEASURES
            .iter()
            .map(|measure| match measure.name {
                "cost_usd" => cost,
                "wait_p95_s" => wait,
                _ => 0.0,
            })
            .collect())
    }

    fn goal(budget: usize, limit: f64) -> Goal {
        let constraint = Constraint { objective: "p95Wait", measure: "wait_p95_s", limit };
        Goal { minimize: "cost_usd", constraints: vec![constraint], budget, replications: 10, seed: 1 }
    }

    #[test]
    fn a_race_finds_the_best_and_spends_little_on_the_rest() {
        let tuned = tune(&[6, 4], &goal(500, 100.0), &bowl).unwrap();
        assert_eq!(tuned.tried[tuned.best].point, [3, 1]);
        assert!(tuned.runs < 24 * 10, "used {} runs", tuned.runs);
    }

    #[test]
    fn constraints_come_before_the_goal() {
        let tuned = tune(&[6, 4], &goal(500, 12.0), &bowl).unwrap();
        assert_eq!(tuned.tried[tuned.best].point, [1, 1]);
    }

    /// The bowl, in which the two axes together must not exceed 3.
    struct Corner;

    impl System for Corner {
        fn is_valid(&self, point: &[usize]) -> bool {
            point[0] + point[1] <= 3
        }

        fn run(&self, point: &[usize], replication: u32) -> Result<Vec<f64>, String> {
            assert!(self.is_valid(point), "{point:?} cannot run");
            bowl(point, replication)
        }
    }

    #[test]
    fn combinations_that_cannot_run_are_passed_over() {
        for (lengths, budget) in [([6, 4], 500), ([40, 40], 300)] {
            let tuned = tune(&lengths, &goal(budget, 1000.0), &Corner).unwrap();
            let best = &tuned.tried[tuned.best].point;
            assert!(tuned.tried.iter().all(|tried| Corner.is_valid(&tried.point)));
            assert!([[3, 0], [2, 1]].iter().any(|wanted| best == wanted), "{best:?}");
        }
    }

    #[test]
    fn a_large_space_is_searched_within_the_budget() {
        let tuned = tune(&[40, 40], &goal(600, 1000.0), &bowl).unwrap();
        let best = &tuned.tried[tuned.best];
        assert!(tuned.runs <= 600);
        assert!(best.mean("cost_usd") < 13.0, "{:?} costs {}", best.point, best.mean("cost_usd"));
    }
}
