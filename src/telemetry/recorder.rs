//! Where a run writes down what happens. It watches the cluster as controllers do, and reads the instants that the cluster
//! keeps when the run is over.

mod assemble;
mod backlog;
mod loads;

use std::collections::BTreeMap;

use crate::cluster::instance::Instance;
use crate::cluster::{Change, Cluster, Controller, Decision, DeploymentId, InstanceId, PodId, QueueId, Rule};
use crate::cluster::{ScaledJobId, pod::Owner};
use crate::engine::Durations;
use crate::scenario::Scenario;
use crate::scenario::node_groups::NodeGroup;
use crate::scenario::series::SeriesSpec;
use crate::sqs::{Extremes, Unfinished};
use crate::time::{Duration, Time};
use crate::units::Usd;

use self::backlog::{Stages, Triggers};
use super::ledger::{Bill, Weights};

use super::Series;
use super::outcome::{
    Ended, Mark, MarkKind, Outcome, QueueRecord, QueueSample, QueueTotals, RunInfo, WorkloadKey, WorkloadRecord,
};

/// What a pod worked on messages.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PodWork {
    /// Slot-time spent on messages.
    pub busy: Duration,
    /// Of it, on messages that had to be processed again, had been processed already, or are lost.
    pub wasted: Duration,
    /// Messages that it can process at a time.
    pub slots: u32,
}

/// An instance and what is billed for it.
pub(super) struct Billed<'a> {
    pub name: String,
    pub instance: &'a Instance,
    /// `None` = nothing so far.
    pub bill: Option<Bill>,
}

/// A limit which is hit again within this time of its mark is not marked again.
const MARK_AGAIN_AFTER: Duration = Duration::from_mins(2);

/// Collects an [`Outcome`]. All calls come in the order of time.
#[derive(Debug)]
pub struct Recorder {
    run: RunInfo,
    queues: Vec<QueueRecord>,
    /// Deployments, then ScaledJobs.
    workloads: Vec<WorkloadRecord>,
    deployments: usize,
    interrupted: Vec<(InstanceId, Time)>,
    /// When pods that were ready were not, by pod; open spans end at `Time::MAX`.
    unready: BTreeMap<u32, Vec<(Time, Time)>>,
    decisions: Vec<Decision>,
    marks: Vec<Mark>,
    stages: Stages,
    triggers: Triggers,
    /// What the room that workload pods requested was good for, by node; known at the end.
    weights: Vec<Weights>,
    /// Whether a NodePool's limits kept pods of each queue's consumers from a node at the last look.
    at_limit: Vec<bool>,
    /// Values of the metrics of HPAs without KEDA.
    series: Vec<SeriesSpec>,
    /// Whether Cluster Autoscaler sizes a node group.
    autoscaled_groups: bool,
}

impl Recorder {
    /// An empty record of that run. `queues` are names and USD per million requests, by [`QueueId`]. The cluster knows all
    /// Deployments and ScaledJobs of the scenario, applied or not.
    #[must_use]
    pub fn new(run: RunInfo, queues: Vec<(String, Usd)>, cluster: &Cluster) -> Recorder {
        let queue = |(name, price)| QueueRecord { name, price_per_million_requests: price, ..QueueRecord::default() };
        let names = cluster.deployments.iter().map(|deployment| &deployment.name);
        let names = names.chain(cluster.scaled_jobs.iter().map(|scaled_job| &scaled_job.name));
        let workloads: Vec<_> =
            names.map(|name| WorkloadRecord { name: name.clone(), ..WorkloadRecord::default() }).collect();
        Recorder {
            run,
            weights: Vec::new(),
            at_limit: vec![false; queues.len()],
            queues: queues.into_iter().map(queue).collect(),
            stages: Stages::new(workloads.len()),
            triggers: Triggers::new(cluster),
            workloads,
            deployments: cluster.deployments.len(),
            interrupted: Vec::new(),
            unready: BTreeMap::new(),
            decisions: Vec::new(),
            marks: Vec::new(),
            series: Vec::new(),
            autoscaled_groups: false,
        }
    }

    /// What the scenario says of other sources of nodes and metrics.
    pub fn settings(&mut self, scenario: &Scenario) {
        self.series = scenario.series.iter().filter(|series| series.hpa.is_some()).cloned().collect();
        self.autoscaled_groups = scenario.node_groups.iter().any(NodeGroup::is_autoscaled);
    }

    /// Pods of the Deployment consume the queue: their requests are useful work, those of all others overhead.
    pub fn deployment_consumes(&mut self, deployment: DeploymentId, queue: QueueId) {
        self.workloads[deployment.index()].queue = Some(queue);
    }

    /// Jobs of the ScaledJob consume the queue.
    pub fn scaled_job_consumes(&mut self, scaled_job: ScaledJobId, queue: QueueId) {
        self.workloads[self.deployments + scaled_job.index()].queue = Some(queue);
    }

    /// Something changed in the cluster at `now`; to be called for every change, in order.
    pub fn observe(&mut self, now: Time, change: &Change, cluster: &Cluster) {
        match *change {
            Change::DeploymentSpec(id) => {
                let deployment = &cluster.deployments[id.index()];
                if deployment.applied.is_some() {
                    self.workloads[id.index()].desired.record(now, i64::from(deployment.replicas));
                }
            }
            Change::ScaledObjectSpec(id) => self.read_scaled_object(id, cluster),
            Change::ScaledJobSpec(id) => self.read_scaled_job(id, cluster),
            Change::JobCreated(id) | Change::JobFinished(id) => {
                if let Some(scaled_job) = cluster.jobs[id.index()].owner {
                    let created = matches!(change, Change::JobCreated(_));
                    let record = &mut self.workloads[self.deployments + scaled_job.index()];
                    record.desired.add(now, if created { 1 } else { -1 });
                }
            }
            Change::PodCreated(id)
            | Change::PodUnschedulable(id)
            | Change::PodWorking(id)
            | Change::PodDeleting(id)
            | Change::PodBound(id)
            | Change::PodFinished(id)
            | Change::PodGone(id) => self.stage(id, cluster),
            Change::PodReady(id) => {
                self.stage(id, cluster);
                if let Some((_, again)) = self.unready.get_mut(&id.0).and_then(|spans| spans.last_mut()) {
                    *again = now;
                }
            }
            Change::PodNotReady(id) => {
                self.stage(id, cluster);
                // One that stops is not ready by what stopped it.
                if !cluster.pods[id.index()].terminating() {
                    self.unready.entry(id.0).or_default().push((now, Time::MAX));
                }
            }
            Change::NodeClaimDeleting(id) => self.nodeclaim_ends(now, cluster.nodeclaims[id.index()].end),
            Change::SpotInterruptionWarning(id) | Change::ReservationInterruptionWarning(id) => {
                self.interrupted.push((id, now));
                let instance = &cluster.instances[id.index()];
                let catalogue = &cluster.catalogues[instance.node_class.index()];
                let kind = if instance.reservation.is_some() { "Reservation" } else { "Spot" };
                let text = format!("{kind} interruption of {}", catalogue.get(instance.instance_type).name);
                self.mark(now, MarkKind::Interruption, text);
            }
            _ => {}
        }
    }

    fn nodeclaim_ends(&mut self, now: Time, end: Option<&'static str>) {
        match end {
            Some("InsufficientCapacity") => {
                self.mark(now, MarkKind::LaunchFailed, "no capacity at EC2");
            }
            Some(reason @ ("Empty" | "Underutilized" | "Drifted" | "Expired" | "Repair")) => {
                self.mark(now, MarkKind::Disruption, reason);
            }
            _ => {}
        }
    }

    fn workload_of(&self, owner: Owner, cluster: &Cluster) -> Option<WorkloadKey> {
        match owner {
            Owner::Deployment(id) => Some(WorkloadKey(id.0)),
            Owner::Job(id) => {
                cluster.jobs[id.index()].owner.map(|scaled_job| WorkloadKey(self.deployments as u32 + scaled_job.0))
            }
            Owner::DaemonSet(_) | Owner::None => None,
        }
    }

    fn stage(&mut self, id: PodId, cluster: &Cluster) {
        let workload = self.workload_of(cluster.pods[id.index()].owner, cluster);
        self.stages.update(id, &cluster.pods[id.index()], workload);
    }

    /// Controllers decided something; to be called with all decisions of an event, in order.
    pub fn decisions(&mut self, decisions: impl IntoIterator<Item = Decision>) {
        for decision in decisions {
            if let Some(text) = limit_reached(&decision) {
                self.mark(decision.at, MarkKind::Limit, text);
            }
            self.decisions.push(decision);
        }
    }

    /// How the queue is at `now`: to be called at the beginning and after every event of the control plane. Tells also what the
    /// backlog waits for.
    pub fn queue_sample(&mut self, now: Time, queue: QueueId, sample: &QueueSample, cluster: &Cluster) {
        let seen = self.snapshot(now, queue, sample, cluster);
        let record = &mut self.queues[queue.index()];
        record_between(&mut record.visible, sample.visible_between);
        record_between(&mut record.in_flight, sample.in_flight_between);
        record.visible.record(now, sample.visible);
        record.in_flight.record(now, sample.in_flight);
        if now <= self.run.warm_up {
            (record.visible_total.warm_up, record.in_flight_total.warm_up) = sample.areas;
        }
        (record.visible_total.whole, record.in_flight_total.whole) = sample.areas;
        record.delayed.record(now, sample.delayed);
        record.oldest_age.record(now, sample.oldest_age.as_micros());
        record.sent.record(now, sample.sent);
        record.processed.record(now, sample.processed);
        record.dead_lettered.record(now, sample.dead_lettered);
        record.blame.observe(now, &seen);
        let at_limit = seen.stuck.node_pool_limit > 0;
        if !std::mem::replace(&mut self.at_limit[queue.index()], at_limit) && at_limit {
            self.mark(now, MarkKind::Limit, "NodePool limit reached");
        }
    }

    /// What a pod worked in all until the run ended at `end`: to be called once for each pod that consumes a queue, before
    /// [`Recorder::finish`].
    pub fn pod_work(&mut self, id: PodId, work: PodWork, end: Time, cluster: &Cluster) {
        let pod = &cluster.pods[id.index()];
        let (Some(node), Some(bound)) = (pod.node, pod.path.bound) else { return };
        let until = [pod.path.finished, pod.path.gone].into_iter().flatten().min().unwrap_or(end);
        let request = i128::from(cluster.shape_of(id).requests.cpu().milli().max(1));
        let slots = i128::from(work.slots.max(1));
        let held = i128::from(until.since(bound).max_zero().as_micros()) * slots;
        let busy = i128::from(work.busy.as_micros()).min(held);
        let redone = i128::from(work.wasted.as_micros()).min(busy);
        self.weights.resize(cluster.nodes.len(), Weights::default());
        let of_node = &mut self.weights[node.index()];
        of_node.requested += held * request / slots;
        of_node.useful += (busy - redone) * request / slots;
        of_node.redone += redone * request / slots;
    }

    /// The final counts of a queue: to be called once, before [`Recorder::finish`].
    pub fn queue_totals(
        &mut self,
        queue: QueueId,
        totals: QueueTotals,
        wait: Durations,
        sojourn: Durations,
        unfinished: Unfinished,
    ) {
        let record = &mut self.queues[queue.index()];
        (record.totals, record.wait, record.sojourn, record.unfinished) = (totals, wait, sojourn, unfinished);
    }

    /// Something that charts should mark; a limit only when it was not marked a moment ago.
    pub fn mark(&mut self, now: Time, kind: MarkKind, text: impl Into<String>) {
        let text = text.into();
        let mut recent = self.marks.iter().rev().take_while(|last| now - last.at < MARK_AGAIN_AFTER);
        if kind != MarkKind::Limit || !recent.any(|last| last.kind == kind && last.text == text) {
            self.marks.push(Mark { at: now, kind, text });
        }
    }

    /// The bills of the chosen instances as they stand.
    pub(super) fn bills<'a>(&self, cluster: &'a Cluster, chosen: impl Fn(&Instance) -> bool) -> Vec<Billed<'a>> {
        assemble::bills(self, cluster, chosen)
    }

    /// The run is over at `end`.
    #[must_use]
    pub fn finish(self, end: Time, ended: Ended, cluster: Cluster) -> Outcome {
        assemble::outcome(self, end, ended, cluster)
    }
}

/// Records the fewest and the most between two looks where they were reached, so that neither a peak nor an empty queue is missed.
fn record_between(series: &mut Series, Extremes { least, most }: Extremes) {
    let (first, second) = if least.0 <= most.0 { (least, most) } else { (most, least) };
    series.record(first.0, first.1 as i64);
    series.record(second.0, second.1 as i64);
}

/// What to mark when a decision ran into a limit.
fn limit_reached(decision: &Decision) -> Option<String> {
    match decision.controller {
        Controller::Provisioner if decision.rule == Rule::ExceededBy => Some("NodePool limit reached".to_owned()),
        Controller::Hpa if decision.rule == Rule::TooManyReplicas => {
            let counts = decision.counts();
            (counts.from != counts.to).then(|| "maxReplicaCount reached".to_owned())
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests;
