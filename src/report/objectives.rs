//! Objectives held against what a run measured.

use serde::Serialize;

use crate::scenario::objectives::Objectives;
use crate::sqs::Unfinished;
use crate::telemetry::{Durations, Outcome};
use crate::time::Duration;
use crate::units::Usd;

use super::numbers;
use super::summary::{Summary, all_sojourns, all_waits};

/// An objective and how the run did. Seconds, counts or USD, as the name's unit says.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Verdict {
    /// Key in `[objectives]`.
    pub name: &'static str,
    /// Unit of both numbers: `s`, `messages`, `usd`, `pods` or `nodes`.
    pub unit: &'static str,
    /// The most that is allowed.
    pub limit: f64,
    /// What the run measured; absent = never, or nothing to measure.
    pub measured: Option<f64>,
    /// Whether the objective is met.
    pub met: bool,
}

/// All objectives of the scenario, in the order of its reference.
#[must_use]
pub fn verdicts(objectives: &Objectives, outcome: &Outcome, summary: &Summary) -> Vec<Verdict> {
    let unfinished = |of: fn(&Unfinished) -> u64| outcome.queues.iter().map(|queue| of(&queue.unfinished)).sum();
    let waits = Censored { known: all_waits(outcome), waiting: unfinished(|left| left.waiting.count()) };
    let sojourns = Censored { known: all_sojourns(outcome), waiting: unfinished(|left| left.present.count()) };
    let mut list = Vec::new();
    let mut time = |name, limit: Option<Duration>, measured: Option<Duration>, met_when_absent: bool| {
        if let Some(limit) = limit {
            let met = measured.map_or(met_when_absent, |measured| measured <= limit);
            let measured = numbers::seconds_if(measured);
            list.push(Verdict { name, unit: "s", limit: limit.as_secs_f64(), measured, met });
        }
    };
    // Without a single message there is no wait to miss an objective.
    time("p50Wait", objectives.p50_wait, waits.quantile(0.5), waits.is_empty());
    time("p95Wait", objectives.p95_wait, waits.quantile(0.95), waits.is_empty());
    time("p99Wait", objectives.p99_wait, waits.quantile(0.99), waits.is_empty());
    let oldest_left = outcome.queues.iter().filter_map(|queue| queue.unfinished.waiting.max()).max();
    let longest = waits.known.max().max(oldest_left);
    time("maxWait", objectives.max_wait, longest, true);
    time("p95Sojourn", objectives.p95_sojourn, sojourns.quantile(0.95), sojourns.is_empty());
    let oldest = outcome.queues.iter().map(|queue| queue.oldest_age.max(outcome.end)).max();
    time("maxAge", objectives.max_age, oldest.map(Duration::from_micros), true);
    time("drainedWithin", objectives.drained_within, drained_after_last_arrival(outcome), false);

    let mut amount = |name, unit, limit: Option<f64>, measured: f64| {
        if let Some(limit) = limit {
            list.push(Verdict { name, unit, limit, measured: Some(measured), met: measured <= limit });
        }
    };
    amount(
        "deadLettered",
        "messages",
        objectives.dead_lettered.map(|n| n as f64),
        summary.messages.dead_lettered as f64,
    );
    amount("duplicates", "messages", objectives.duplicates.map(|n| n as f64), summary.messages.duplicates as f64);
    amount("maxCost", "usd", objectives.max_cost.map(|limit| limit.0.as_f64()), outcome.total_cost().as_f64());
    if let Some(limit) = objectives.max_cost_per_million {
        let measured = summary.cost.per_million_messages_usd;
        // Money spent and nothing processed: no price is high enough.
        let met = measured.map_or(outcome.total_cost() == Usd::ZERO, |measured| measured <= limit.0.as_f64());
        list.push(Verdict { name: "maxCostPerMillion", unit: "usd", limit: limit.0.as_f64(), measured, met });
    }
    let mut amount = |name, unit, limit: Option<u32>, measured: i64| {
        if let Some(limit) = limit {
            let (limit, measured) = (f64::from(limit), measured as f64);
            list.push(Verdict { name, unit, limit, measured: Some(measured), met: measured <= limit });
        }
    };
    amount("maxPods", "pods", objectives.max_pods, summary.pods.max);
    amount("maxNodes", "nodes", objectives.max_nodes, summary.nodes.max);
    list
}

/// Times of messages of which some are not over at the end of the run, and so longer than any that are known.
struct Censored {
    known: Durations,
    waiting: u64,
}

impl Censored {
    fn is_empty(&self) -> bool {
        self.known.count() + self.waiting == 0
    }

    /// The quantile over all; `None` when it falls among those that are not over.
    fn quantile(&self, quantile: f64) -> Option<Duration> {
        let all = (self.known.count() + self.waiting) as f64;
        let rank = quantile * all / self.known.count().max(1) as f64;
        if rank > 1.0 { None } else { self.known.quantile(rank) }
    }
}

/// The span from the last arrival until the last message was processed or dead-lettered, over all queues; `None` when messages
/// are left to process.
fn drained_after_last_arrival(outcome: &Outcome) -> Option<Duration> {
    if outcome.queues.iter().any(|queue| queue.totals.left > queue.unfinished.dead_letters) {
        return None;
    }
    let last_sent = outcome.queues.iter().filter_map(|queue| queue.totals.last_sent).max();
    Some(outcome.emptied().zip(last_sent).map_or(Duration::ZERO, |(emptied, sent)| emptied.since(sent).max_zero()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_which_still_wait_count_as_waiting_longest() {
        let mut known = Durations::default();
        known.record_n(Duration::from_secs(1), 90);
        known.record_n(Duration::from_secs(2), 5);
        let times = |waiting| Censored { known: known.clone(), waiting };
        assert_eq!(times(0).quantile(0.9).map(|t| t.as_secs_f64().round()), Some(1.0));
        assert_eq!(times(5).quantile(0.95).map(|t| t.as_secs_f64().round()), Some(2.0));
        assert_eq!(times(6).quantile(0.95), None);
        let none = Censored { known: Durations::default(), waiting: 3 };
        assert_eq!((none.quantile(0.5), none.is_empty()), (None, false));
    }
}
