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
use super::ledger::Bill;
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
