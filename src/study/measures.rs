//! The numbers of a run that studies compare.

use crate::engine::Durations;
use crate::telemetry::outcome::NodeState;
use crate::telemetry::{NodeRecord, Outcome};
use crate::time::Duration;

/// A number that a run gives.
#[derive(Clone, Copy, Debug)]
pub struct Measure {
    /// Column name, with its unit.
    pub name: &'static str,
    /// Whether less is better.
    pub less_is_better: bool,
    of: fn(&Outcome) -> f64,
}

impl Measure {
    /// Its value in a run.
    #[must_use]
    pub fn of(&self, outcome: &Outcome) -> f64 {
        (self.of)(outcome)
    }

    /// The measure of that name.
    #[must_use]
    pub fn find(name: &str) -> Option<&'static Measure> {
        MEASURES.iter().find(|measure| measure.name == name)
    }
}

macro_rules! measures {
    ($( $name:literal $less:literal $of:expr; )*) => {
        /// All measures, in the order of their columns.
        pub const MEASURES: &[Measure] = &[ $( Measure { name: $name, less_is_better: $less, of: $of } ),* ];
    };
}

measures! {
    "cost_usd" true |run| run.total_cost().as_f64();
    "wait_mean_s" true |run| seconds(waits(run).mean());
    "wait_p50_s" true |run| seconds(waits(run).quantile(0.5));
    "wait_p95_s" true |run| seconds(waits(run).quantile(0.95));
    "wait_p99_s" true |run| seconds(waits(run).quantile(0.99));
    "wait_max_s" true |run| seconds(waits(run).max());
    "sojourn_p95_s" true |run| seconds(sojourns(run).quantile(0.95));
    "sent" false |run| total(run, |queue| queue.totals.sent);
    "processed" false |run| total(run, |queue| queue.totals.processed);
    "left" true |run| total(run, |queue| queue.totals.left);
    "dead_lettered" true |run| total(run, |queue| queue.totals.dead_lettered);
    "duplicates" true |run| total(run, |queue| queue.totals.duplicates);
    "pods_mean" true |run| run.pods_existing(None).mean(run.run.warm_up, run.end);
    "pods_max" true |run| run.pods_existing(None).max(run.end) as f64;
    "nodes_mean" true |run| run.nodes_in(NodeState::Running, any).mean(run.run.warm_up, run.end);
    "nodes_max" true |run| run.nodes_in(NodeState::Running, any).max(run.end) as f64;
    "node_launches" true |run| run.nodes.iter().filter(|node| node.launched.is_some()).count() as f64;
    "node_hours" true |run| run.nodes_in(NodeState::Running, any).integral(run.end) as f64 / 3.6e9;
    "interruptions" true |run| run.nodes.iter().filter(|node| node.interrupted.is_some()).count() as f64;
}

fn any(_: &NodeRecord) -> bool {
    true
}

fn total(run: &Outcome, of: fn(&crate::telemetry::QueueRecord) -> u64) -> f64 {
    run.queues.iter().map(of).sum::<u64>() as f64
}

/// No message waited: 0.
fn seconds(duration: Option<Duration>) -> f64 {
    duration.map_or(0.0, Duration::as_secs_f64)
}

fn merged<'a>(histograms: impl Iterator<Item = &'a Durations>) -> Durations {
    let mut all = Durations::default();
    histograms.for_each(|histogram| all.merge(histogram));
    all
}

/// Waits of all queues together.
#[must_use]
pub fn waits(run: &Outcome) -> Durations {
    merged(run.queues.iter().map(|queue| &queue.wait))
}

/// Sojourns of all queues together.
#[must_use]
pub fn sojourns(run: &Outcome) -> Durations {
    merged(run.queues.iter().map(|queue| &queue.sojourn))
}
