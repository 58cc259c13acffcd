//! `summary.json`: the numbers of one run. Keys are stable; a unit ends the name of every quantity.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::cluster::catalogue::CapacityType;
use crate::scenario::objectives::Objectives;
use crate::telemetry::ledger::{Split, per_million};
use crate::telemetry::series::{hours, seconds};
use crate::telemetry::{Durations, NodeRecord, NodeState, Outcome, QueueRecord, QueueTotals, Series, WorkloadKey};
use crate::time::{Duration, Time};
use crate::units::Usd;

use super::numbers::{instant, instant_if, round, seconds_if};
use super::objectives::{Verdict, verdicts};

/// Version of the keys below; it grows when one is renamed, removed or means something else.
pub const SCHEMA: u32 = 2;

/// The numbers of one run.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Summary {
    /// [`SCHEMA`].
    pub schema: u32,
    /// Version of the program.
    pub version: &'static str,
    /// Name of the scenario.
    pub scenario: String,
    /// AWS region.
    pub region: String,
    /// Seed.
    pub seed: u64,
    /// Number of the replication, from 0.
    pub replication: u32,
    /// Simulated time.
    pub duration_s: f64,
    /// Beginning of the run which means and quantiles leave out.
    pub warm_up_s: f64,
    /// `duration`, `idle`, `message_limit`, `too_many_at_once` or `pod_limit`.
    pub ended: &'static str,
    /// All queues together.
    pub messages: Messages,
    /// Each queue.
    pub queues: Vec<Queue>,
    /// Pods of all workloads that consume a queue, or of all workloads when none does.
    pub pods: Pods,
    /// Each Deployment and ScaledJob.
    pub workloads: Vec<Workload>,
    /// Nodes.
    pub nodes: Nodes,
    /// Each instance type and capacity type in use.
    pub instance_types: Vec<InstanceTypeUse>,
    /// Money.
    pub cost: Cost,
    /// What the backlogs waited for, message-seconds of all queues by factor.
    pub blame_message_s: BTreeMap<&'static str, f64>,
    /// Objectives of the scenario.
    pub objectives: Vec<Verdict>,
}

/// Messages over the whole run, and their times.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Messages {
    /// Sent by producers, the initial backlog included.
    pub sent: u64,
    /// Deliveries to consumers.
    pub received: u64,
    /// Processed and deleted.
    pub processed: u64,
    /// Still in a queue at the end: visible, in flight or delayed.
    pub left: u64,
    /// Moved to a dead-letter queue.
    pub dead_lettered: u64,
    /// Deliveries whose visibility timeout ran out.
    pub visibility_expired: u64,
    /// Deliveries of messages which were processed already, or elsewhere.
    pub duplicates: u64,
    /// Removed by the retention period.
    pub retention_expired: u64,
    /// Removed by a purge.
    pub purged: u64,
    /// Sent to first received.
    pub wait: Times,
    /// Sent to deleted.
    pub sojourn: Times,
}

/// A distribution of times.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Times {
    /// How many.
    pub count: u64,
    /// Mean.
    pub mean_s: Option<f64>,
    /// Median.
    pub p50_s: Option<f64>,
    /// 90th percentile.
    pub p90_s: Option<f64>,
    /// 95th percentile.
    pub p95_s: Option<f64>,
    /// 99th percentile.
    pub p99_s: Option<f64>,
    /// Maximum.
    pub max_s: Option<f64>,
}

/// One queue.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Queue {
    /// Name.
    pub name: String,
    /// Messages of this queue.
    pub messages: Messages,
    /// Mean number of visible messages.
    pub visible_mean: f64,
    /// Largest number of visible messages.
    pub visible_max: i64,
    /// When that was reached.
    pub peak_at_s: f64,
    /// When no message was visible for the first time after the peak.
    pub drained_at_s: Option<f64>,
    /// Mean number of messages in flight.
    pub in_flight_mean: f64,
    /// Largest number of messages in flight.
    pub in_flight_max: i64,
    /// Largest age of the oldest message.
    pub oldest_age_max_s: f64,
    /// When the first message was processed.
    pub first_processed_at_s: Option<f64>,
    /// When the last message was processed.
    pub last_processed_at_s: Option<f64>,
    /// Billed requests.
    pub requests: u64,
    /// Their cost.
    pub requests_usd: f64,
    /// What the backlog waited for, message-seconds by factor.
    pub blame_message_s: BTreeMap<&'static str, f64>,
}

/// Pods by state over the run.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Pods {
    /// Created over the run.
    pub created: u64,
    /// Most at a time.
    pub max: i64,
    /// Mean number.
    pub mean: f64,
    /// Most ready at a time.
    pub ready_max: i64,
    /// Mean number of ready pods.
    pub ready_mean: f64,
    /// Most waiting for a node at a time.
    pub pending_max: i64,
    /// Pod-hours from creation to the end.
    pub hours: f64,
    /// Created to ready.
    pub startup: Times,
    /// Created to bound to a node.
    pub scheduling: Times,
    /// Pods that ended, by reason.
    pub ended: BTreeMap<String, u64>,
}

/// One Deployment or ScaledJob.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Workload {
    /// Name.
    pub name: String,
    /// Queue it consumes.
    pub queue: Option<String>,
    /// Objects that scale it.
    pub scaled_by: Vec<String>,
    /// Most replicas wanted.
    pub desired_max: i64,
    /// Mean number of replicas wanted.
    pub desired_mean: f64,
    /// Changes of the number of replicas wanted.
    pub scalings: u64,
    /// Its pods.
    pub pods: Pods,
}

/// Nodes whose instance ran.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Nodes {
    /// Instances that ran, those there from the beginning included.
    pub launched: u64,
    /// Launches that never became a running instance.
    pub launch_failed: u64,
    /// Most at a time.
    pub max: i64,
    /// Mean number.
    pub mean: f64,
    /// Number at the end.
    pub at_end: i64,
    /// Hours of Spot nodes.
    pub spot_hours: f64,
    /// Hours of on-demand nodes.
    pub on_demand_hours: f64,
    /// Hours of nodes from capacity reservations; absent without any.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reserved_hours: Option<f64>,
    /// Hours of nodes bought otherwise or unknown.
    pub other_hours: f64,
    /// Asked for to ready for pods.
    pub startup: Times,
    /// Running to shut down.
    pub lifetime: Times,
    /// Spot interruptions.
    pub interrupted: u64,
    /// Nodes that went, by reason.
    pub removed: BTreeMap<String, u64>,
    /// Share (0 to 1) of the allocatable CPU of ready nodes that was requested.
    pub cpu_requested_share: Option<f64>,
    /// Share (0 to 1) of the allocatable memory of ready nodes that was requested.
    pub memory_requested_share: Option<f64>,
}

/// Use of one instance type, bought one way.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct InstanceTypeUse {
    /// Instance type.
    pub name: String,
    /// `spot`, `on-demand`, `reserved`, or `unknown`.
    pub capacity_type: &'static str,
    /// Instances.
    pub launched: u64,
    /// Node-hours.
    pub hours: f64,
    /// Cost.
    pub usd: f64,
}

/// Money.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Cost {
    /// Everything.
    pub total_usd: f64,
    /// Everything per million messages processed.
    pub per_million_messages_usd: Option<f64>,
    /// Instances.
    pub instances_usd: f64,
    /// Of the instances: consumers at work on messages that they then deleted.
    pub useful_usd: f64,
    /// Of the instances: consumers at work on messages that had to be processed again, had been processed already, or are lost.
    pub redone_usd: f64,
    /// Of the instances: on nodes with consumers, requested by nobody or by pods that start or wait for messages.
    pub idle_usd: f64,
    /// Of the instances: on nodes without consumers.
    pub empty_usd: f64,
    /// Of the instances: before they were ready for pods.
    pub boot_usd: f64,
    /// Of the instances: from the beginning of their deletion on.
    pub draining_usd: f64,
    /// Of the instances: reserved for the system or requested by other pods.
    pub overhead_usd: f64,
    /// Of the instances: Spot.
    pub spot_usd: f64,
    /// Of the instances: on demand.
    pub on_demand_usd: f64,
    /// Capacity reservations, less the instances in them; absent without any.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unused_reservations_usd: Option<f64>,
    /// Requests to queues.
    pub requests_usd: f64,
    /// Highest cost of all running instances per hour.
    pub rate_max_usd_per_h: f64,
}

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
