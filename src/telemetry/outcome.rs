//! Everything that a run remembers.

use crate::cluster::catalogue::CapacityType;
use crate::cluster::pod::{EndReason, Owner};
use crate::cluster::reservation::CapacityReservation;
use crate::cluster::{Decision, PodId, QueueId};
use crate::engine::Durations;
use crate::sqs::{Extremes, Unfinished};
use crate::time::{Duration, Time};
use crate::units::{Resources, Usd};

use super::blame::Blame;
use super::ledger::{Bill, Split, request_cost};
use super::names::Names;
use super::series::Series;

/// Index of a workload of an [`Outcome`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct WorkloadKey(pub u32);

/// Index of a node of an [`Outcome`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NodeKey(pub u32);

/// Which run it was: with the same program and scenario these give the same outcome.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RunInfo {
    /// Name of the scenario.
    pub scenario: String,
    /// AWS region.
    pub region: String,
    /// Seed of the run.
    pub seed: u64,
    /// Number of the replication, from 0.
    pub replication: u32,
    /// Statistics leave out what lies before.
    pub warm_up: Time,
}

/// Why a run ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Ended {
    /// Its duration was over.
    #[default]
    Duration,
    /// Nothing was left to happen (`stopWhenIdle`).
    Idle,
    /// The most messages that the scenario allows arrived: look at this before trusting the results.
    MessageLimit,
    /// The queues held more messages than any run may: look at this before trusting the results.
    TooManyAtOnce,
    /// The most pods that the scenario allows existed: look at this before trusting the results.
    PodLimit,
}

impl Ended {
    /// The name in files.
    #[must_use]
    pub const fn key(self) -> &'static str {
        match self {
            Ended::Duration => "duration",
            Ended::Idle => "idle",
            Ended::MessageLimit => "message_limit",
            Ended::TooManyAtOnce => "too_many_at_once",
            Ended::PodLimit => "pod_limit",
        }
    }

    /// Whether the run was cut off by a limit.
    #[must_use]
    pub const fn early(self) -> bool {
        matches!(self, Ended::MessageLimit | Ended::TooManyAtOnce | Ended::PodLimit)
    }
}

/// One run, remembered.
#[derive(Clone, Debug, Default)]
pub struct Outcome {
    /// Which run.
    pub run: RunInfo,
    /// When it ended.
    pub end: Time,
    /// Why it ended.
    pub ended: Ended,
    /// Queues, by their `QueueId`.
    pub queues: Vec<QueueRecord>,
    /// Deployments, then ScaledJobs, in the order of the scenario.
    pub workloads: Vec<WorkloadRecord>,
    /// Pods, by their `PodId`: in the order of creation.
    pub pods: Vec<PodRecord>,
    /// Nodes of NodeClaims in the order in which they were asked for, then all others.
    pub nodes: Vec<NodeRecord>,
    /// Capacity reservations.
    pub reservations: Vec<CapacityReservation>,
    /// What charts mark.
    pub marks: Vec<Mark>,
    /// Why things happened, in order.
    pub decisions: Vec<Decision>,
    /// What the objects are called that pods and decisions refer to.
    pub names: Names,
}

/// Counts of one queue over a whole run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct QueueTotals {
    /// Messages which producers sent, the initial backlog included.
    pub sent: u64,
    /// Deliveries to consumers.
    pub received: u64,
    /// Messages processed and deleted.
    pub processed: u64,
    /// Deliveries whose visibility timeout ran out.
    pub expired: u64,
    /// Deliveries of a message which was processed already or is processed elsewhere.
    pub duplicates: u64,
    /// Messages moved to the dead-letter queue.
    pub dead_lettered: u64,
    /// Messages which the retention period removed.
    pub retention_expired: u64,
    /// Messages removed by a purge or with the queue.
    pub purged: u64,
    /// Messages which a move task took away, to send them again to the queue they came from.
    pub redriven: u64,
    /// Messages which are still in the queue at the end: visible, in flight and delayed.
    pub left: u64,
    /// Billed requests of producers, consumers and scalers.
    pub requests: u64,
    /// When the last message was sent.
    pub last_sent: Option<Time>,
    /// When the first message was processed.
    pub first_processed: Option<Time>,
    /// When the last message was processed.
    pub last_processed: Option<Time>,
}

/// What is remembered of a queue.
#[derive(Clone, Debug, Default)]
pub struct QueueRecord {
    /// Name.
    pub name: String,
    /// USD per million requests.
    pub price_per_million_requests: Usd,
    /// Visible messages: what they are at every look, and their largest numbers where these were reached.
    pub visible: Series,
    /// Messages in flight, likewise.
    pub in_flight: Series,
    /// Visible messages with every change counted.
    pub visible_total: Total,
    /// Messages in flight with every change counted.
    pub in_flight_total: Total,
    /// Delayed messages.
    pub delayed: Series,
    /// Age of the oldest message, in microseconds.
    pub oldest_age: Series,
    /// Messages sent so far.
    pub sent: Series,
    /// Messages processed so far.
    pub processed: Series,
    /// Messages dead-lettered so far.
    pub dead_lettered: Series,
    /// Counts over the whole run.
    pub totals: QueueTotals,
    /// Sent to first received, of every message sent after the warm-up and received.
    pub wait: Durations,
    /// Sent to deleted, of every message sent after the warm-up and processed.
    pub sojourn: Durations,
    /// Messages that are not done with at the end.
    pub unfinished: Unfinished,
    /// What the backlog waited for.
    pub blame: Blame,
}

/// The integral of a count over time, in value-microseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Total {
    /// The integral until the end of the warm-up.
    pub warm_up: i128,
    /// The integral over the whole run.
    pub whole: i128,
}

impl Total {
    /// The time-weighted mean from `start`, the end of the warm-up, to `end`; 0 for an empty span.
    #[must_use]
    pub fn mean(&self, start: Time, end: Time) -> f64 {
        if end <= start {
            return 0.0;
        }
        (self.whole - self.warm_up) as f64 / end.since(start).as_micros() as f64
    }
}

/// One look at a queue; messages and instants as they are, not as SQS approximates them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct QueueSample {
    /// Visible messages.
    pub visible: i64,
    /// Messages in flight.
    pub in_flight: i64,
    /// Fewest and most visible messages since the last look.
    pub visible_between: Extremes,
    /// Fewest and most messages in flight since the last look.
    pub in_flight_between: Extremes,
    /// Exact integrals over time of visible messages and of those in flight so far, in message-microseconds.
    pub areas: (i128, i128),
    /// Delayed messages.
    pub delayed: i64,
    /// Visible messages which wait behind an unfinished one of their FIFO group.
    pub group_blocked: i64,
    /// Messages in flight whose consumer is gone.
    pub lost_in_flight: i64,
    /// Age of the oldest message; zero without any.
    pub oldest_age: Duration,
    /// Messages sent so far.
    pub sent: i64,
    /// Messages processed so far.
    pub processed: i64,
    /// Messages dead-lettered so far.
    pub dead_lettered: i64,
}

/// What is remembered of a Deployment or ScaledJob.
#[derive(Clone, Debug, Default)]
pub struct WorkloadRecord {
    /// Name.
    pub name: String,
    /// The queue that it consumes.
    pub queue: Option<QueueId>,
    /// Objects that scale it: `ScaledObject/orders`, `HorizontalPodAutoscaler/keda-hpa-orders`.
    pub scaled_by: Vec<String>,
    /// Replicas wanted (`spec.replicas`).
    pub desired: Series,
}

/// What is remembered of a pod.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PodRecord {
    /// Its number.
    pub id: PodId,
    /// Who owns it.
    pub owner: Owner,
    /// Workload; `None` = system pod.
    pub workload: Option<WorkloadKey>,
    /// Node.
    pub node: Option<NodeKey>,
    /// When it was created.
    pub created: Time,
    /// When it was bound.
    pub scheduled: Option<Time>,
    /// When its image was on the node.
    pub pulled: Option<Time>,
    /// When its containers ran.
    pub started: Option<Time>,
    /// When it was ready.
    pub ready: Option<Time>,
    /// When it was not ready any more and when again; the latter is `Time::MAX` where it never was.
    pub unready: Vec<(Time, Time)>,
    /// When it was asked to stop.
    pub stopping: Option<Time>,
    /// When it was gone.
    pub ended: Option<Time>,
    /// Why it stopped; `None` = it did not.
    pub end: Option<EndReason>,
}

impl PodRecord {
    /// Why it stopped, as in files; empty = it did not.
    #[must_use]
    pub fn reason(&self) -> &'static str {
        self.end.map_or("", EndReason::as_str)
    }
}

/// What a node is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NodeInfo {
    /// Name.
    pub name: String,
    /// NodePool; empty = none (the node is there from the beginning, or of a node group).
    pub pool: String,
    /// Instance type.
    pub instance_type: String,
    /// Zone.
    pub zone: String,
    /// How it is bought; `None` = unknown.
    pub capacity_type: Option<CapacityType>,
    /// What the instance has.
    pub capacity: Resources,
    /// What pods may request.
    pub allocatable: Resources,
}

/// What is remembered of a node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NodeRecord {
    /// What it is.
    pub info: NodeInfo,
    /// Its NodeClaim; empty = none.
    pub claim: String,
    /// Its instance; empty = none.
    pub instance: String,
    /// When it was asked for.
    pub claimed: Time,
    /// When the instance ran.
    pub launched: Option<Time>,
    /// When the node joined.
    pub registered: Option<Time>,
    /// When it was ready for pods.
    pub ready: Option<Time>,
    /// When the interruption notice came.
    pub interrupted: Option<Time>,
    /// When draining began.
    pub draining: Option<Time>,
    /// When the instance shut down.
    pub terminated: Option<Time>,
    /// When the node object was gone.
    pub removed: Option<Time>,
    /// Why it was drained or removed; empty = it was not.
    pub reason: String,
    /// Number of the capacity reservation that its instance was launched into, among those of the outcome.
    pub reservation: Option<u16>,
    /// What it costs; `None` = it never ran.
    pub bill: Option<Bill>,
    /// CPU requested by its pods, millicores.
    pub requested_cpu: Series,
    /// Memory requested by its pods, bytes.
    pub requested_memory: Series,
}

/// What charts mark on the time axis.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum MarkKind {
    /// A limit stopped something (NodePool limit, maxReplicaCount).
    Limit,
    /// A Spot interruption.
    Interruption,
    /// A launch failed for lack of capacity.
    LaunchFailed,
    /// Karpenter removed or replaced nodes on purpose.
    Disruption,
    /// Something that the scenario does (a burst begins, for example).
    Scenario,
}

impl MarkKind {
    /// The name in files.
    #[must_use]
    pub const fn key(self) -> &'static str {
        match self {
            MarkKind::Limit => "limit",
            MarkKind::Interruption => "interruption",
            MarkKind::LaunchFailed => "launch_failed",
            MarkKind::Disruption => "disruption",
            MarkKind::Scenario => "scenario",
        }
    }
}

/// An instant worth marking.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mark {
    /// When.
    pub at: Time,
    /// What kind.
    pub kind: MarkKind,
    /// What happened, in a few words.
    pub text: String,
}

impl QueueRecord {
    /// Cost of the queue's requests.
    #[must_use]
    pub fn request_cost(&self) -> Usd {
        request_cost(self.totals.requests, self.price_per_million_requests)
    }

    /// The largest number of visible messages and when it was first reached.
    #[must_use]
    pub fn peak(&self, end: Time) -> (i64, Time) {
        let peak = self.visible.max(end);
        (peak, self.visible.first(Time::ZERO, |value| value == peak).unwrap_or(Time::ZERO))
    }

    /// When no message was visible for the first time after the peak; `None` without a peak, or when that did not happen.
    #[must_use]
    pub fn drained(&self, end: Time) -> Option<Time> {
        let (peak, at) = self.peak(end);
        if peak == 0 { None } else { self.visible.first(at, |value| value == 0) }
    }
}

impl Outcome {
    /// Instance cost of all nodes by what it was spent on.
    #[must_use]
    pub fn instance_cost(&self) -> Split {
        self.bills().map(|(_, bill)| bill.cost(self.end)).fold(Split::default(), Split::plus)
    }

    /// Cost of the requests to all queues.
    #[must_use]
    pub fn request_cost(&self) -> Usd {
        self.queues.iter().map(QueueRecord::request_cost).sum()
    }

    /// Cost of what no instance used of capacity reservations; `None` without any.
    #[must_use]
    pub fn unused_reservations(&self) -> Option<Usd> {
        let unused =
            |(number, reservation): (usize, &CapacityReservation)| reservation.unused(self.bills_in(number), self.end);
        (!self.reservations.is_empty()).then(|| self.reservations.iter().enumerate().map(unused).sum())
    }

    /// Bills of the instances that were launched into the capacity reservation of that number.
    fn bills_in(&self, number: usize) -> impl Iterator<Item = &Bill> {
        let inside = self.bills().filter(move |(node, _)| node.reservation.map(usize::from) == Some(number));
        inside.map(|(_, bill)| bill)
    }

    /// Instances, requests and unused capacity reservations together.
    #[must_use]
    pub fn total_cost(&self) -> Usd {
        self.instance_cost().total + self.request_cost() + self.unused_reservations().unwrap_or(Usd::ZERO)
    }

    /// Messages processed, over all queues.
    #[must_use]
    pub fn processed(&self) -> u64 {
        self.queues.iter().map(|queue| queue.totals.processed).sum()
    }

    /// When the last message was processed or dead-lettered, over all queues.
    #[must_use]
    pub fn emptied(&self) -> Option<Time> {
        let last = |queue: &QueueRecord| {
            let lettered = queue.dead_lettered.steps().last().map(|&(at, _)| at);
            queue.totals.last_processed.max(lettered)
        };
        self.queues.iter().filter_map(last).max()
    }

    /// Nodes whose instance ran, with their bill.
    pub fn bills(&self) -> impl Iterator<Item = (&NodeRecord, &Bill)> {
        self.nodes.iter().filter_map(|node| node.bill.as_ref().map(|bill| (node, bill)))
    }

    /// Cost of all running instances, and of what they do not use of capacity reservations, in nano-dollars per hour.
    #[must_use]
    pub fn cost_rate(&self) -> Series {
        let mut changes = Vec::new();
        for (_, bill) in self.bills() {
            bill.rate_changes(&mut changes);
        }
        for (number, reservation) in self.reservations.iter().enumerate() {
            reservation.rate_changes(self.bills_in(number), self.end, &mut changes);
        }
        Series::from_changes(changes)
    }

    /// Pods of one workload; of all that consume a queue (`None`), or of all workloads when none does. System pods never.
    pub fn pods_of(&self, workload: Option<WorkloadKey>) -> impl Iterator<Item = &PodRecord> {
        let any_consumer = self.workloads.iter().any(|record| record.queue.is_some());
        self.pods.iter().filter(move |pod| match (workload, pod.workload) {
            (_, None) => false,
            (Some(wanted), Some(workload)) => wanted == workload,
            (None, Some(workload)) => !any_consumer || self.workloads[workload.0 as usize].queue.is_some(),
        })
    }

    /// Replicas wanted of one workload, or of all of [`Outcome::pods_of`].
    #[must_use]
    pub fn pods_desired(&self, workload: Option<WorkloadKey>) -> Series {
        let any_consumer = self.workloads.iter().any(|record| record.queue.is_some());
        match workload {
            Some(workload) => self.workloads[workload.0 as usize].desired.clone(),
            None => {
                let counted = self.workloads.iter().filter(|record| !any_consumer || record.queue.is_some());
                Series::sum(counted.map(|record| &record.desired))
            }
        }
    }

    /// Pods of the workload at each time in the span between two instants of their way.
    fn pods_between(
        &self,
        workload: Option<WorkloadKey>,
        from: impl Fn(&PodRecord) -> Option<Time>,
        until: impl Fn(&PodRecord) -> Option<Time>,
    ) -> Series {
        let mut changes = Vec::new();
        for pod in self.pods_of(workload) {
            if let Some(start) = from(pod) {
                changes.push((start, 1));
                changes.extend(until(pod).map(|end| (end.max(start), -1)));
            }
        }
        Series::from_changes(changes)
    }

    /// Pods which exist, of those that [`Outcome::pods_of`] gives.
    #[must_use]
    pub fn pods_existing(&self, workload: Option<WorkloadKey>) -> Series {
        self.pods_between(workload, |pod| Some(pod.created), |pod| pod.ended)
    }

    /// Pods which wait for a node.
    #[must_use]
    pub fn pods_pending(&self, workload: Option<WorkloadKey>) -> Series {
        self.pods_between(workload, |pod| Some(pod.created), |pod| first(&[pod.scheduled, pod.ended]))
    }

    /// Pods which are on a node and not ready yet.
    #[must_use]
    pub fn pods_starting(&self, workload: Option<WorkloadKey>) -> Series {
        self.pods_between(workload, |pod| pod.scheduled, |pod| first(&[pod.ready, pod.stopping, pod.ended]))
    }

    /// Ready pods.
    #[must_use]
    pub fn pods_ready(&self, workload: Option<WorkloadKey>) -> Series {
        let until = |pod: &PodRecord| first(&[pod.stopping, pod.ended]);
        let mut changes = Vec::new();
        for pod in self.pods_of(workload) {
            let Some(mut start) = pod.ready else { continue };
            for (from, again) in &pod.unready {
                changes.extend([(start, 1), (*from, -1)]);
                start = *again;
            }
            if start < Time::MAX {
                changes.push((start, 1));
                changes.extend(until(pod).map(|end| (end.max(start), -1)));
            }
        }
        Series::from_changes(changes)
    }

    /// Pods which stop.
    #[must_use]
    pub fn pods_terminating(&self, workload: Option<WorkloadKey>) -> Series {
        self.pods_between(workload, |pod| pod.stopping, |pod| pod.ended)
    }

    /// Nodes for which `wanted` holds at each time in the span of `state`.
    #[must_use]
    pub fn nodes_in(&self, state: NodeState, wanted: impl Fn(&NodeRecord) -> bool) -> Series {
        let mut changes = Vec::new();
        for node in self.nodes.iter().filter(|node| wanted(node)) {
            let (from, until) = node.span(state);
            if let Some(start) = from {
                changes.push((start, 1));
                changes.extend(until.map(|end| (end.max(start), -1)));
            }
        }
        Series::from_changes(changes)
    }
}

/// States of a node that people look at.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum NodeState {
    /// Its instance is billed, the node is not ready for pods.
    Booting,
    /// Ready for pods.
    Ready,
    /// It takes no more pods.
    Draining,
    /// Its instance is billed: any of the others.
    Running,
}

impl NodeRecord {
    /// When the node entered and left a state.
    #[must_use]
    pub fn span(&self, state: NodeState) -> (Option<Time>, Option<Time>) {
        let gone = first(&[self.terminated, self.removed]);
        match state {
            NodeState::Booting => (self.launched, first(&[self.ready, self.draining, gone])),
            NodeState::Ready => (self.ready, first(&[self.draining, gone])),
            NodeState::Draining => (self.launched.and(self.draining), gone),
            NodeState::Running => (self.launched, gone),
        }
    }
}

/// The first of some instants that may not have come.
fn first(instants: &[Option<Time>]) -> Option<Time> {
    instants.iter().flatten().min().copied()
}
