//! The numbers of a run that studies compare.
//!
//! A message that still waits at the end of a run has waited at least as long as it is there: it counts with that age in waits
//! and sojourns. Were it left out, settings that serve nobody would have the shortest waits.

use crate::engine::Durations;
use crate::telemetry::NodeState;
use crate::telemetry::{NodeRecord, Outcome, QueueRecord};
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
    "left" true |run| total(run, to_process);
    "waiting_share" true waiting_share;
    "dead_lettered" true |run| total(run, |queue| queue.totals.dead_lettered);
    "duplicates" true |run| total(run, |queue| queue.totals.duplicates);
    "age_max_s" true |run| run.queues.iter().map(|queue| queue.oldest_age.max(run.end)).max().unwrap_or(0) as f64 / 1e6;
    "drain_s" true drain;
    "cost_per_million_usd" true |run| run.total_cost().as_f64() * 1e6 / run.processed().max(1) as f64;
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

fn total(run: &Outcome, of: fn(&QueueRecord) -> u64) -> f64 {
    run.queues.iter().map(of).sum::<u64>() as f64
}

/// Messages left to process: dead letters are not.
fn to_process(queue: &QueueRecord) -> u64 {
    queue.totals.left - queue.unfinished.dead_letters.min(queue.totals.left)
}

/// Share of all messages that were never received.
fn waiting_share(run: &Outcome) -> f64 {
    let waiting: u64 = run.queues.iter().map(|queue| queue.unfinished.waiting.count()).sum();
    waiting as f64 / waits(run).count().max(1) as f64
}

/// Seconds from the last arrival until nothing was left to process; with messages left, until the end of the run.
fn drain(run: &Outcome) -> f64 {
    let Some(last_sent) = run.queues.iter().filter_map(|queue| queue.totals.last_sent).max() else { return 0.0 };
    let emptied = if run.queues.iter().any(|queue| to_process(queue) > 0) { Some(run.end) } else { run.emptied() };
    seconds(emptied.map(|emptied| emptied.since(last_sent).max_zero()))
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

/// Waits of all queues together; messages which still wait count with their age.
#[must_use]
pub fn waits(run: &Outcome) -> Durations {
    merged(run.queues.iter().flat_map(|queue| [&queue.wait, &queue.unfinished.waiting]))
}

/// Sojourns of all queues together; messages which are not processed count with their age.
#[must_use]
pub fn sojourns(run: &Outcome) -> Durations {
    merged(run.queues.iter().flat_map(|queue| [&queue.sojourn, &queue.unfinished.present]))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sqs::Unfinished;
    use crate::telemetry::QueueTotals;
    use crate::time::Time;

    fn run(served: u64, waiting: u64, dead_letters: u64) -> Outcome {
        let mut queue =
            QueueRecord { unfinished: Unfinished { dead_letters, ..Unfinished::default() }, ..QueueRecord::default() };
        queue.wait.record_n(Duration::from_secs(2), served);
        queue.sojourn.record_n(Duration::from_secs(3), served);
        queue.unfinished.waiting.record_n(Duration::from_secs(500), waiting);
        queue.unfinished.present.record_n(Duration::from_secs(500), waiting);
        queue.totals = QueueTotals {
            sent: served + waiting + dead_letters,
            processed: served,
            left: waiting + dead_letters,
            last_sent: Some(Time::from_secs_f64(100.0)),
            last_processed: Some(Time::from_secs_f64(130.0)),
            ..QueueTotals::default()
        };
        Outcome { end: Time::from_secs_f64(600.0), queues: vec![queue], ..Outcome::default() }
    }

    fn value(name: &str, run: &Outcome) -> f64 {
        Measure::find(name).map_or(f64::NAN, |measure| measure.of(run))
    }

    #[test]
    fn who_serves_nobody_does_not_look_fast() {
        let (all, some, none) = (run(100, 0, 0), run(80, 20, 0), run(0, 100, 0));
        for name in [
            "wait_mean_s",
            "wait_p95_s",
            "wait_p99_s",
            "wait_max_s",
            "sojourn_p95_s",
            "left",
            "waiting_share",
            "drain_s",
        ] {
            let [all, some, none] = [&all, &some, &none].map(|run| value(name, run));
            assert!(all < some && some <= none, "{name}: {all} {some} {none}");
        }
        assert_eq!(value("wait_p50_s", &none), 500.0);
        assert_eq!(value("waiting_share", &some), 0.2);
        assert_eq!((value("drain_s", &all), value("drain_s", &none)), (30.0, 500.0));
    }

    #[test]
    fn dead_letters_are_not_left_to_process() {
        let run = run(90, 0, 10);
        assert_eq!((value("left", &run), value("drain_s", &run), value("waiting_share", &run)), (0.0, 30.0, 0.0));
    }
}
