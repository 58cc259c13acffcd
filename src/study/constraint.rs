//! Objectives of a scenario as bounds on measures.

use crate::scenario::objectives::{Dollars, Objectives};
use crate::time::Duration;

/// A measure must not exceed a limit.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Constraint {
    /// Key in `[objectives]`.
    pub objective: &'static str,
    /// Name of the measure.
    pub measure: &'static str,
    /// Largest value allowed.
    pub limit: f64,
}

/// The objectives of a scenario; one may need more than one bound.
#[must_use]
pub fn constraints(objectives: &Objectives) -> Vec<Constraint> {
    let seconds = |limit: Option<Duration>| limit.map(Duration::as_secs_f64);
    let count = |limit: Option<u64>| limit.map(|n| n as f64);
    let dollars = |limit: Option<Dollars>| limit.map(|limit| limit.0.as_f64());
    // A quantile of the waits is not known when it falls among messages that still wait at the end.
    let known = |limit: Option<Duration>, share: f64| limit.map(|_| share);
    [
        ("p50Wait", "waiting_share", known(objectives.p50_wait, 0.5)),
        ("p95Wait", "waiting_share", known(objectives.p95_wait, 0.05)),
        ("p99Wait", "waiting_share", known(objectives.p99_wait, 0.01)),
        ("p50Wait", "wait_p50_s", seconds(objectives.p50_wait)),
        ("p95Wait", "wait_p95_s", seconds(objectives.p95_wait)),
        ("p99Wait", "wait_p99_s", seconds(objectives.p99_wait)),
        ("maxWait", "wait_max_s", seconds(objectives.max_wait)),
        ("p95Sojourn", "sojourn_p95_s", seconds(objectives.p95_sojourn)),
        ("maxAge", "age_max_s", seconds(objectives.max_age)),
        ("drainedWithin", "drain_s", seconds(objectives.drained_within)),
        ("drainedWithin", "left", objectives.drained_within.map(|_| 0.0)),
        ("deadLettered", "dead_lettered", count(objectives.dead_lettered)),
        ("duplicates", "duplicates", count(objectives.duplicates)),
        ("maxCost", "cost_usd", dollars(objectives.max_cost)),
        ("maxCostPerMillion", "cost_per_million_usd", dollars(objectives.max_cost_per_million)),
        ("maxPods", "pods_max", objectives.max_pods.map(f64::from)),
        ("maxNodes", "nodes_max", objectives.max_nodes.map(f64::from)),
    ]
    .into_iter()
    .filter_map(|(objective, measure, limit)| limit.map(|limit| Constraint { objective, measure, limit }))
    .collect()
}
