//! `summary.json`: the numbers of one run. Keys are stable; a unit ends the name of every quantity.

mod make;

use std::collections::BTreeMap;

use serde::Serialize;

pub use make::{all_sojourns, all_waits, summarize, times};

use super::objectives::Verdict;

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
