//! What a backlog waits for, read from the cluster: which pods are stuck where, what holds the autoscaler back.

use crate::api::hpa::{HpaSpec, MetricTarget};
use crate::api::keda::Trigger;
use crate::cluster::outlook::{Coming, Refusal};
use crate::cluster::pod::Pod;
use crate::cluster::workload::Hpa;
use crate::cluster::{Cluster, DeploymentId, PodId, QueueId, ScaledJobId, ScaledObjectId, ShapeId};
use crate::scenario::series::SeriesSpec;
use crate::telemetry::blame::{HpaBrake, Snapshot, Stuck};
use crate::telemetry::outcome::{QueueSample, WorkloadKey};
use crate::time::Time;

use super::Recorder;

/// Where a pod is on its way to work.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    /// The scheduler has not tried it.
    Untried,
    /// The scheduler found no node.
    Unschedulable,
    /// On a node, its application cannot work yet.
    Starting,
    /// At work, or on its way out: no longer stuck.
    Past,
}

const STAGES: usize = 4;

/// Pods of each workload by stage.
#[derive(Clone, Debug, Default)]
pub(super) struct Stages {
    /// By pod of a workload.
    pods: Vec<Option<Stage>>,
    counts: Vec<[i64; STAGES]>,
}

impl Stages {
    pub(super) fn new(workloads: usize) -> Stages {
        Stages { pods: Vec::new(), counts: vec![[0; STAGES]; workloads] }
    }

    /// The pod changed.
    pub(super) fn update(&mut self, id: PodId, pod: &Pod, workload: Option<WorkloadKey>) {
        let Some(workload) = workload else { return };
        let stage = if !pod.active() || pod.worked {
            Stage::Past
        } else if pod.node.is_some() {
            Stage::Starting
        } else if pod.unschedulable {
            Stage::Unschedulable
        } else {
            Stage::Untried
        };
        if self.pods.len() <= id.index() {
            self.pods.resize(id.index() + 1, None);
        }
        let counts = &mut self.counts[workload.0 as usize];
        if let Some(before) = self.pods[id.index()].replace(stage) {
            counts[before as usize] -= 1;
        }
        counts[stage as usize] += 1;
    }

    fn count(&self, workload: usize, stage: Stage) -> i64 {
        self.counts[workload][stage as usize]
    }
}

/// What a workload's autoscaler wants and may do.
struct Wish {
    needed: i64,
    max: i64,
    inactive: bool,
    brake: HpaBrake,
}

impl Recorder {
    /// The spec of a ScaledObject is new.
    pub(super) fn read_scaled_object(&mut self, id: ScaledObjectId, cluster: &Cluster) {
        let object = &cluster.scaled_objects[id.index()];
        let queue = object.target.map_or("", |deployment| self.queue_of(deployment.index()));
        self.triggers.scaled_objects[id.index()] = QueueTrigger::of(&object.spec.triggers, queue);
    }

    /// The spec of a ScaledJob is new.
    pub(super) fn read_scaled_job(&mut self, id: ScaledJobId, cluster: &Cluster) {
        let queue = self.queue_of(self.deployments + id.index());
        let spec = &cluster.scaled_jobs[id.index()].spec;
        self.triggers.scaled_jobs[id.index()] = QueueTrigger::of(&spec.triggers, queue);
    }

    /// The name of the queue that a workload consumes.
    fn queue_of(&self, workload: usize) -> &str {
        self.workloads[workload].queue.map_or("", |queue| &self.queues[queue.index()].name)
    }

    /// What the classifier is shown of a queue and all workloads which consume it.
    pub(super) fn snapshot(&self, now: Time, queue: QueueId, sample: &QueueSample, cluster: &Cluster) -> Snapshot {
        let mut seen = Snapshot {
            receivable: sample.visible - sample.group_blocked,
            group_blocked: sample.group_blocked,
            lost_in_flight: sample.lost_in_flight,
            ..Snapshot::default()
        };
        if seen.receivable <= 0 {
            return seen;
        }
        for index in 0..self.workloads.len() {
            if self.workloads[index].queue == Some(queue) {
                let desired = self.workloads[index].desired.last();
                let wish = self.wish(now, index, desired, sample, cluster);
                seen.needed += wish.needed;
                seen.desired += desired;
                seen.max += wish.max;
                seen.inactive |= wish.inactive;
                if seen.brake == HpaBrake::None {
                    seen.brake = wish.brake;
                }
                self.add_stuck(index, cluster, &mut seen.stuck);
            }
        }
        seen
    }

    fn wish(&self, now: Time, index: usize, desired: i64, sample: &QueueSample, cluster: &Cluster) -> Wish {
        if index >= self.deployments {
            let job = index - self.deployments;
            let trigger = self.triggers.scaled_jobs[job];
            return Wish {
                needed: trigger.map_or(desired, |trigger| trigger.needed(sample)),
                max: cluster.scaled_jobs[job].spec.max_replica_count.map_or(100, i64::from),
                // Jobs are created by polls only.
                inactive: true,
                brake: HpaBrake::None,
            };
        }
        let deployment = DeploymentId(index as u32);
        let is_its = |hpa: &&Hpa| hpa.exists && hpa.target == Some(deployment);
        let hpa = cluster.hpas.iter().find(is_its);
        let mut objects = cluster.scaled_objects.iter().enumerate();
        let object = objects.find(|(_, object)| {
            object.target == Some(deployment) && !object.deleted && object.applied.is_some_and(|at| at <= now)
        });
        match (object, hpa) {
            (Some((id, object)), hpa) => {
                let own = hpa.filter(|hpa| hpa.owner == Some(ScaledObjectId(id as u32)));
                let modified = object.spec.advanced.as_ref().is_some_and(|a| a.scaling_modifiers.is_some());
                let trigger = self.triggers.scaled_objects[id].filter(|_| !modified);
                let by_queue = trigger.map(|trigger| trigger.needed(sample));
                let needed = by_queue.or(own.and_then(|hpa| hpa.status.proposed)).unwrap_or(desired);
                let idle = object.spec.idle_replica_count.is_some_and(|idle| desired == i64::from(idle));
                Wish {
                    needed,
                    max: object.spec.max_replica_count.map_or(100, i64::from),
                    // Without an HPA (not made yet, or paused) nothing but KEDA scales.
                    inactive: desired == 0 || idle || own.is_none(),
                    brake: own.map_or(HpaBrake::None, |hpa| brake(hpa, needed, desired)),
                }
            }
            (None, Some(hpa)) => {
                let by_series = needed_by_series(&self.series, hpa, desired, now);
                let needed = by_series.or(hpa.status.proposed).unwrap_or(desired);
                let max = i64::from(hpa.spec.max_replicas);
                Wish { needed, max, inactive: false, brake: brake(hpa, needed, desired) }
            }
            (None, None) => Wish { needed: desired, max: desired, inactive: false, brake: HpaBrake::None },
        }
    }

    fn add_stuck(&self, index: usize, cluster: &Cluster, stuck: &mut Stuck) {
        stuck.pod_start += self.stages.count(index, Stage::Starting);
        let untried = self.stages.count(index, Stage::Untried);
        let unschedulable = self.stages.count(index, Stage::Unschedulable);
        let mut left = untried + unschedulable;
        if left == 0 {
            return;
        }
        let shape = match cluster.deployments.get(index).filter(|_| index < self.deployments) {
            Some(deployment) => deployment.shape,
            None => cluster.scaled_jobs[index - self.deployments].shape,
        };
        let known = Known::of(shape, cluster);
        for (pods, place) in [
            (known.booting, &mut stuck.node_boot),
            (known.refused[Refusal::NoCapacity as usize], &mut stuck.no_capacity),
            (known.refused[Refusal::PoolLimit as usize], &mut stuck.node_pool_limit),
            (known.refused[Refusal::Unfit as usize] + known.arrived, &mut stuck.scheduler),
        ] {
            let taken = left.min(pods);
            *place += taken;
            left -= taken;
        }
        // Those that no provisioner has looked at yet.
        let unseen = left.min(untried);
        stuck.scheduler += unseen;
        let no_provisioner = cluster.nodepools.is_empty() && !self.autoscaled_groups;
        *(if no_provisioner { &mut stuck.scheduler } else { &mut stuck.karpenter_batch }) += left - unseen;
    }
}

/// Pods of a template without a node, by what is known of their node.
#[derive(Default)]
struct Known {
    /// It is on its way.
    booting: i64,
    /// It is there: the scheduler has yet to bind them.
    arrived: i64,
    /// None is made, by [`Refusal`].
    refused: [i64; Refusal::COUNT],
}

impl Known {
    fn of(shape: ShapeId, cluster: &Cluster) -> Known {
        let mut known = Known::default();
        for outlook in cluster.outlooks.of(shape) {
            for (sum, pods) in known.refused.iter_mut().zip(outlook.refused) {
                *sum += i64::from(pods);
            }
            for (node, pods) in &outlook.coming {
                let pods = i64::from(*pods);
                match *node {
                    Coming::NodeGroup(group) if cluster.outlooks.is_dry(group) => {
                        known.refused[Refusal::NoCapacity as usize] += pods;
                    }
                    Coming::NodeGroup(_) => known.booting += pods,
                    Coming::NodeClaim(claim) => {
                        let claim = &cluster.nodeclaims[claim.index()];
                        if claim.end == Some("InsufficientCapacity") {
                            known.refused[Refusal::NoCapacity as usize] += pods;
                        } else if claim.initialized.is_some() {
                            known.arrived += pods;
                        } else if !claim.leaving() {
                            known.booting += pods;
                        }
                    }
                }
            }
        }
        known
    }
}

/// What keeps the HPA from asking for what is needed: its last pass was held back, or it calls the difference tolerable.
fn brake(hpa: &Hpa, needed: i64, desired: i64) -> HpaBrake {
    let held = hpa.status.held && hpa.status.proposed.is_some_and(|proposed| proposed > desired);
    let tolerable = needed as f64 <= desired as f64 * (1.0 + hpa.status.tolerance);
    if held || tolerable { HpaBrake::Policy } else { HpaBrake::None }
}

/// What a trigger on a queue reckons with.
#[derive(Clone, Copy, Debug)]
pub(super) struct QueueTrigger {
    queue_length: f64,
    in_flight: bool,
    delayed: bool,
}

impl QueueTrigger {
    /// The trigger on this queue, or else the first on any; `None` = there is none.
    fn of(triggers: &[Trigger], queue: &str) -> Option<Self> {
        let of_queue = |trigger: &&Trigger| {
            let setting = trigger.metadata.get("queueURL").or_else(|| trigger.metadata.get("queueURLFromEnv"));
            setting.and_then(|url| url.rsplit('/').next()) == Some(queue)
        };
        let mut of_sqs = triggers.iter().filter(|trigger| trigger.kind == "aws-sqs-queue");
        let trigger = of_sqs.clone().find(of_queue).or_else(|| of_sqs.next())?;
        let setting = |key: &str| trigger.metadata.get(key).map(String::as_str);
        let length = setting("queueLength").and_then(|text| text.parse().ok()).filter(|length| *length > 0.0);
        Some(QueueTrigger {
            queue_length: length.unwrap_or(5.0),
            in_flight: setting("scaleOnInFlight") != Some("false"),
            delayed: setting("scaleOnDelayed") == Some("true"),
        })
    }

    /// Replicas which it asks for.
    fn needed(&self, sample: &QueueSample) -> i64 {
        let in_flight = if self.in_flight { sample.in_flight } else { 0 };
        let delayed = if self.delayed { sample.delayed } else { 0 };
        ((sample.visible + in_flight + delayed) as f64 / self.queue_length).ceil() as i64
    }
}

/// The triggers of all that KEDA scales, read once for each change of their specs.
#[derive(Debug, Default)]
pub(super) struct Triggers {
    scaled_objects: Vec<Option<QueueTrigger>>,
    scaled_jobs: Vec<Option<QueueTrigger>>,
}

impl Triggers {
    /// None yet.
    pub(super) fn new(cluster: &Cluster) -> Self {
        Triggers {
            scaled_objects: vec![None; cluster.scaled_objects.len()],
            scaled_jobs: vec![None; cluster.scaled_jobs.len()],
        }
    }
}

/// Replicas which the metrics of an HPA of the user's own ask for at this instant, of those whose values `[[series]]` gives.
fn needed_by_series(series: &[SeriesSpec], hpa: &Hpa, desired: i64, now: Time) -> Option<i64> {
    let value_of = |name: &str| {
        let own =
            |series: &&SeriesSpec| series.hpa.as_ref() == Some(&hpa.name) && series.metric.as_deref() == Some(name);
        series.iter().find(own).and_then(|series| series.known_at(now))
    };
    let needed = |(name, target): (&str, &MetricTarget)| {
        let value = value_of(name)?;
        let of = |quantity: &Option<crate::api::scalar::Quantity>| quantity.as_ref().map(|q| q.milli as f64 / 1000.0);
        let replicas = match (of(&target.average_value), of(&target.value)) {
            (Some(average), _) if average > 0.0 => value / average,
            (_, Some(target)) if target > 0.0 => value / target * desired as f64,
            _ => return None,
        };
        Some(replicas.ceil() as i64)
    };
    targets(&hpa.spec).into_iter().filter_map(needed).max()
}

/// Names and targets of the metrics that are one number.
fn targets(spec: &HpaSpec) -> Vec<(&str, &MetricTarget)> {
    let mut found = Vec::new();
    for metric in &spec.metrics {
        found.extend(metric.external.as_ref().map(|source| (source.metric.name.as_str(), &source.target)));
        found.extend(metric.object.as_ref().map(|source| (source.metric.name.as_str(), &source.target)));
        found.extend(metric.pods.as_ref().map(|source| (source.metric.name.as_str(), &source.target)));
    }
    found
}
