//! A run as a few curves over time, small enough to keep one of every replication; and what many of them have in common.

use crate::telemetry::NodeState;
use crate::telemetry::outcome::Ended;
use crate::telemetry::{Outcome, Series};
use crate::time::{Duration, Time};

use super::statistics::quantile;

/// Instants of a profile.
pub const INSTANTS: usize = 600;

/// What a curve shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Curve {
    /// Visible messages of all queues.
    Queue,
    /// Pods that exist.
    Pods,
    /// Nodes that are billed.
    Nodes,
    /// Cost of all running instances, USD per hour.
    CostRate,
}

impl Curve {
    /// All curves, in the order of their panels.
    pub const ALL: [Curve; 4] = [Curve::Queue, Curve::Pods, Curve::Nodes, Curve::CostRate];
}

/// The curves of one run at equal distances.
#[derive(Clone, Debug, PartialEq)]
pub struct Profile {
    /// Values at each instant up to the end of the run, by curve.
    values: [Vec<f64>; 4],
}

/// Percentiles over several runs at one instant.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Band {
    /// When.
    pub at: Time,
    /// Smallest value, 10th percentile, median, 90th percentile, largest value.
    pub levels: [f64; 5],
}

/// The instants of profiles over a span.
#[must_use]
pub fn instants(length: Duration) -> Vec<Time> {
    let at = |index: usize| length.as_micros() * index as i64 / INSTANTS as i64;
    (0..=INSTANTS).map(|index| Time::ZERO + Duration::from_micros(at(index))).collect()
}

impl Profile {
    /// The curves of a run at the [`instants`] of `length`. A run that ended because it was idle stays as it was at its end.
    #[must_use]
    pub fn of(outcome: &Outcome, length: Duration) -> Profile {
        let all = instants(length);
        let last = if outcome.ended == Ended::Idle { all.len() } else { all.partition_point(|at| *at <= outcome.end) };
        let at = |series: &Series, unit: f64| -> Vec<f64> {
            all[..last].iter().map(|at| series.at((*at).min(outcome.end)) as f64 * unit).collect()
        };
        Profile {
            values: [
                at(&Series::sum(outcome.queues.iter().map(|queue| &queue.visible)), 1.0),
                at(&outcome.pods_existing(None), 1.0),
                at(&outcome.nodes_in(NodeState::Running, |_| true), 1.0),
                at(&outcome.cost_rate(), 1e-9),
            ],
        }
    }
}

/// The percentiles of a curve over runs, as long as one of them goes on.
#[must_use]
pub fn bands(profiles: &[Profile], curve: Curve, length: Duration) -> Vec<Band> {
    let values = |index: usize| -> Vec<f64> {
        profiles.iter().filter_map(|profile| profile.values[curve as usize].get(index).copied()).collect()
    };
    let band = |(index, at): (usize, Time)| {
        let samples = values(index);
        let level = |q: f64| quantile(&samples, q);
        let levels = [level(0.0)?, level(0.1)?, level(0.5)?, level(0.9)?, level(1.0)?];
        Some(Band { at, levels })
    };
    instants(length).into_iter().enumerate().map_while(band).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::telemetry::QueueRecord;

    fn run(messages: i64, end: f64, ended: Ended) -> Profile {
        let mut queue = QueueRecord::default();
        queue.visible.record(Time::from_secs_f64(10.0), messages);
        let outcome = Outcome { end: Time::from_secs_f64(end), ended, queues: vec![queue], ..Outcome::default() };
        Profile::of(&outcome, Duration::from_secs(600))
    }

    #[test]
    fn bands_are_percentiles_over_the_runs_that_go_on() {
        let profiles: Vec<Profile> = (1..=10).map(|n| run(n * 10, 600.0, Ended::Duration)).collect();
        let band = bands(&profiles, Curve::Queue, Duration::from_secs(600));
        assert_eq!((band.len(), band[9].levels), (INSTANTS + 1, [0.0; 5]));
        assert_eq!(band[300].levels, [10.0, 10.0, 50.0, 90.0, 100.0]);
        let short = [run(5, 300.0, Ended::Duration)];
        assert_eq!(bands(&short, Curve::Queue, Duration::from_secs(600)).len(), 301);
        let idle = [run(5, 300.0, Ended::Idle)];
        assert_eq!(bands(&idle, Curve::Queue, Duration::from_secs(600)).len(), INSTANTS + 1);
    }
}
