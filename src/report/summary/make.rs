//! The numbers of one run, worked out from what the run remembers.

use std::collections::BTreeMap;

use super::{Cost, InstanceTypeUse, Messages, Nodes, Pods, Queue, SCHEMA, Summary, Times, Workload};
use crate::cluster::catalogue::CapacityType;
use crate::report::numbers::{instant, instant_if, round, seconds_if};
use crate::report::objectives::verdicts;
use crate::scenario::objectives::Objectives;
use crate::telemetry::ledger::{Split, per_million};
use crate::telemetry::series::{hours, seconds};
use crate::telemetry::{Durations, NodeRecord, NodeState, Outcome, QueueRecord, QueueTotals, Series, WorkloadKey};
use crate::time::{Duration, Time};
use crate::units::Usd;

/// The numbers of a run, held against the objectives of its scenario.
#[must_use]
pub fn summarize(outcome: &Outcome, objectives: &Objectives) -> Summary {
    let mut summary = Summary {
        schema: SCHEMA,
        version: env!("CARGO_PKG_VERSION"),
        scenario: outcome.run.scenario.clone(),
        region: outcome.run.region.clone(),
        seed: outcome.run.seed,
        replication: outcome.run.replication,
        duration_s: instant(outcome.end),
        warm_up_s: instant(outcome.run.warm_up),
        ended: outcome.ended.key(),
        messages: all_messages(outcome),
        queues: outcome.queues.iter().map(|queue| summarize_queue(queue, outcome)).collect(),
        pods: summarize_pods(outcome, None),
        workloads: summarize_workloads(outcome),
        nodes: summarize_nodes(outcome),
        instance_types: instance_types(outcome),
        cost: summarize_cost(outcome),
        blame_message_s: blame(&outcome.queues),
        objectives: Vec::new(),
    };
    summary.objectives = verdicts(objectives, outcome, &summary);
    summary
}

/// Waits of all queues.
#[must_use]
pub fn all_waits(outcome: &Outcome) -> Durations {
    merged(outcome.queues.iter().map(|queue| &queue.wait))
}

/// Sojourns of all queues.
#[must_use]
pub fn all_sojourns(outcome: &Outcome) -> Durations {
    merged(outcome.queues.iter().map(|queue| &queue.sojourn))
}

fn merged<'a>(parts: impl Iterator<Item = &'a Durations>) -> Durations {
    parts.fold(Durations::default(), |mut all, part| {
        all.merge(part);
        all
    })
}

/// The distribution in numbers.
#[must_use]
pub fn times(durations: &Durations) -> Times {
    let quantile = |q| seconds_if(durations.quantile(q));
    Times {
        count: durations.count(),
        mean_s: seconds_if(durations.mean()),
        p50_s: quantile(0.5),
        p90_s: quantile(0.9),
        p95_s: quantile(0.95),
        p99_s: quantile(0.99),
        max_s: seconds_if(durations.max()),
    }
}

fn messages(totals: &QueueTotals, wait: &Durations, sojourn: &Durations) -> Messages {
    Messages {
        sent: totals.sent,
        received: totals.received,
        processed: totals.processed,
        left: totals.left,
        dead_lettered: totals.dead_lettered,
        visibility_expired: totals.expired,
        duplicates: totals.duplicates,
        retention_expired: totals.retention_expired,
        purged: totals.purged,
        wait: times(wait),
        sojourn: times(sojourn),
    }
}

fn all_messages(outcome: &Outcome) -> Messages {
    let mut all = QueueTotals::default();
    for totals in outcome.queues.iter().map(|queue| &queue.totals) {
        all.sent += totals.sent;
        all.received += totals.received;
        all.processed += totals.processed;
        all.left += totals.left;
        all.dead_lettered += totals.dead_lettered;
        all.expired += totals.expired;
        all.duplicates += totals.duplicates;
        all.retention_expired += totals.retention_expired;
        all.purged += totals.purged;
    }
    messages(&all, &all_waits(outcome), &all_sojourns(outcome))
}

fn summarize_queue(queue: &QueueRecord, outcome: &Outcome) -> Queue {
    let (start, end) = (outcome.run.warm_up, outcome.end);
    let (visible_max, peak_at) = queue.peak(end);
    Queue {
        name: queue.name.clone(),
        messages: messages(&queue.totals, &queue.wait, &queue.sojourn),
        visible_mean: round(queue.visible_total.mean(start, end), 3),
        visible_max,
        peak_at_s: instant(peak_at),
        drained_at_s: instant_if(queue.drained(end)),
        in_flight_mean: round(queue.in_flight_total.mean(start, end), 3),
        in_flight_max: queue.in_flight.max(end),
        oldest_age_max_s: Duration::from_micros(queue.oldest_age.max(end)).as_secs_f64(),
        first_processed_at_s: instant_if(queue.totals.first_processed),
        last_processed_at_s: instant_if(queue.totals.last_processed),
        requests: queue.totals.requests,
        requests_usd: queue.request_cost().as_f64(),
        blame_message_s: blame(std::slice::from_ref(queue)),
    }
}

fn blame(queues: &[QueueRecord]) -> BTreeMap<&'static str, f64> {
    let mut sums: BTreeMap<&'static str, i128> = BTreeMap::new();
    for (factor, micros, _) in queues.iter().flat_map(|queue| queue.blame.ranking()) {
        *sums.entry(factor.key()).or_default() += micros;
    }
    sums.into_iter().map(|(key, micros)| (key, round(seconds(micros), 3))).collect()
}

fn summarize_pods(outcome: &Outcome, workload: Option<WorkloadKey>) -> Pods {
    let (start, end) = (outcome.run.warm_up, outcome.end);
    let existing = outcome.pods_existing(workload);
    let ready = outcome.pods_ready(workload);
    let (mut startup, mut scheduling) = (Durations::default(), Durations::default());
    let mut ended = BTreeMap::new();
    let mut created = 0;
    for pod in outcome.pods_of(workload) {
        created += 1;
        if let Some(at) = pod.ready {
            startup.record(at - pod.created);
        }
        if let Some(at) = pod.scheduled {
            scheduling.record(at - pod.created);
        }
        if pod.ended.is_some() && pod.end.is_some() {
            *ended.entry(pod.reason().to_owned()).or_default() += 1;
        }
    }
    Pods {
        created,
        max: existing.max(end),
        mean: round(existing.mean(start, end), 3),
        ready_max: ready.max(end),
        ready_mean: round(ready.mean(start, end), 3),
        pending_max: outcome.pods_pending(workload).max(end),
        hours: round(hours(existing.integral(end)), 6),
        startup: times(&startup),
        scheduling: times(&scheduling),
        ended,
    }
}

fn summarize_workloads(outcome: &Outcome) -> Vec<Workload> {
    let (start, end) = (outcome.run.warm_up, outcome.end);
    let summarize = |(index, record): (usize, &crate::telemetry::WorkloadRecord)| Workload {
        name: record.name.clone(),
        queue: record.queue.map(|queue| outcome.queues[queue.index()].name.clone()),
        scaled_by: record.scaled_by.clone(),
        desired_max: record.desired.max(end),
        desired_mean: round(record.desired.mean(start, end), 3),
        scalings: record.desired.steps().len().saturating_sub(1) as u64,
        pods: summarize_pods(outcome, Some(WorkloadKey(index as u32))),
    };
    outcome.workloads.iter().enumerate().map(summarize).collect()
}

fn node_hours(node: &NodeRecord, end: Time) -> f64 {
    let (from, until) = node.span(NodeState::Running);
    from.map_or(0.0, |from| hours(i128::from(until.unwrap_or(end).min(end).since(from).max_zero().as_micros())))
}

fn summarize_nodes(outcome: &Outcome) -> Nodes {
    let end = outcome.end;
    let running = outcome.nodes_in(NodeState::Running, |_| true);
    let (mut startup, mut lifetime) = (Durations::default(), Durations::default());
    let mut nodes = Nodes {
        max: running.max(end),
        mean: round(running.mean(outcome.run.warm_up, end), 3),
        at_end: running.at(end),
        ..Nodes::default()
    };
    for node in &outcome.nodes {
        if node.launched.is_none() {
            nodes.launch_failed += u64::from(node.removed.is_some());
            continue;
        }
        nodes.launched += 1;
        nodes.interrupted += u64::from(node.interrupted.is_some());
        if node.removed.or(node.terminated).is_some() && !node.reason.is_empty() {
            *nodes.removed.entry(node.reason.clone()).or_default() += 1;
        }
        let hours = node_hours(node, end);
        match node.info.capacity_type {
            Some(CapacityType::Spot) => nodes.spot_hours += hours,
            Some(CapacityType::OnDemand) => nodes.on_demand_hours += hours,
            Some(CapacityType::Reserved) => *nodes.reserved_hours.get_or_insert(0.0) += hours,
            None => nodes.other_hours += hours,
        }
        if let Some(ready) = node.ready.filter(|_| !node.info.pool.is_empty()) {
            startup.record(ready - node.claimed);
        }
        if let (Some(from), Some(until)) = node.span(NodeState::Running) {
            lifetime.record(until - from);
        }
    }
    let all = [&mut nodes.spot_hours, &mut nodes.on_demand_hours, &mut nodes.other_hours];
    for hours in all.into_iter().chain(&mut nodes.reserved_hours) {
        *hours = round(*hours, 6);
    }
    (nodes.startup, nodes.lifetime) = (times(&startup), times(&lifetime));
    nodes.cpu_requested_share =
        requested_share(outcome, |node| (&node.requested_cpu, node.info.allocatable.cpu().milli()));
    nodes.memory_requested_share =
        requested_share(outcome, |node| (&node.requested_memory, node.info.allocatable.memory().bytes()));
    nodes
}

/// What pods requested of what ready nodes had, both integrated over time.
fn requested_share(outcome: &Outcome, of: impl Fn(&NodeRecord) -> (&Series, i64)) -> Option<f64> {
    let (mut requested, mut allocatable) = (0_i128, 0_i128);
    for node in &outcome.nodes {
        let (Some(from), (_, until)) = (node.ready, node.span(NodeState::Running)) else { continue };
        let until = until.unwrap_or(outcome.end).max(from);
        let (series, amount) = of(node);
        requested += series.integral(until) - series.integral(from);
        allocatable += i128::from(amount) * i128::from(until.since(from).as_micros());
    }
    (allocatable > 0).then(|| round(requested as f64 / allocatable as f64, 6))
}

fn instance_types(outcome: &Outcome) -> Vec<InstanceTypeUse> {
    let mut uses: BTreeMap<(&str, &'static str), (u64, f64, Usd)> = BTreeMap::new();
    for node in outcome.nodes.iter().filter(|node| node.launched.is_some()) {
        let capacity_type = node.info.capacity_type.map_or("unknown", CapacityType::as_str);
        let entry = uses.entry((&node.info.instance_type, capacity_type)).or_default();
        entry.0 += 1;
        entry.1 += node_hours(node, outcome.end);
        entry.2 += node.bill.as_ref().map_or(Usd::ZERO, |bill| bill.cost(outcome.end).total);
    }
    let of = |((name, capacity_type), (launched, hours, usd)): ((&str, _), (_, f64, Usd))| InstanceTypeUse {
        name: name.to_owned(),
        capacity_type,
        launched,
        hours: round(hours, 6),
        usd: usd.as_f64(),
    };
    uses.into_iter().map(of).collect()
}

fn summarize_cost(outcome: &Outcome) -> Cost {
    let split = outcome.instance_cost();
    let of_type = |wanted| {
        let bills = outcome.bills().filter(|(_, bill)| bill.capacity_type == wanted);
        bills.map(|(_, bill)| bill.cost(outcome.end)).fold(Split::default(), Split::plus).total.as_f64()
    };
    let total = outcome.total_cost();
    Cost {
        total_usd: total.as_f64(),
        per_million_messages_usd: per_million(total, outcome.processed()).map(Usd::as_f64),
        instances_usd: split.total.as_f64(),
        useful_usd: split.useful.as_f64(),
        redone_usd: split.redone.as_f64(),
        idle_usd: split.idle.as_f64(),
        empty_usd: split.empty.as_f64(),
        boot_usd: split.boot.as_f64(),
        draining_usd: split.draining.as_f64(),
        overhead_usd: split.overhead.as_f64(),
        spot_usd: of_type(CapacityType::Spot),
        on_demand_usd: of_type(CapacityType::OnDemand),
        unused_reservations_usd: outcome.unused_reservations().map(Usd::as_f64),
        requests_usd: outcome.request_cost().as_f64(),
        rate_max_usd_per_h: Usd::from_nano(outcome.cost_rate().max(outcome.end)).as_f64(),
    }
}
