//! What a backlog waits for, read from the cluster: which pods are stuck where, what holds the HPA back.

use crate::api::keda::Trigger;
use crate::cluster::pod::Pod;
use crate::cluster::{Cluster, Controller, Decision, HpaId, PodId, QueueId, Rule, Subject};
use crate::telemetry::blame::{HpaBrake, Snapshot, Stuck};
use crate::telemetry::outcome::{QueueSample, WorkloadKey};

use super::Recorder;

/// Where a pod is on its way to work.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    /// The scheduler has not tried it.
    Untried,
    /// The scheduler found no node.
    Unschedulable,
    /// The NodePool's limits forbid a node for it.
    PoolLimit,
    /// On a node, not ready.
    Starting,
    /// At work, or on its way out: no longer stuck.
    Past,
}

const STAGES: usize = 5;

/// Pods of each workload by stage.
#[derive(Clone, Debug, Default)]
pub(super) struct Stages {
    pods: Vec<Option<(WorkloadKey, Stage)>>,
    counts: Vec<[i64; STAGES]>,
    /// Whether the last launch failed for lack of capacity.
    no_capacity: bool,
}

impl Stages {
    pub(super) fn new(workloads: usize) -> Stages {
        Stages { pods: Vec::new(), counts: vec![[0; STAGES]; workloads], no_capacity: false }
    }

    /// The pod changed.
    pub(super) fn update(&mut self, id: PodId, pod: &Pod, workload: Option<WorkloadKey>) {
        if let Some(workload) = workload {
            let stage = if !pod.active() || pod.path.ready.is_some() {
                Stage::Past
            } else if pod.node.is_some() {
                Stage::Starting
            } else if !pod.unschedulable {
                Stage::Untried
            } else {
                match self.pods.get(id.index()) {
                    Some(Some((_, Stage::PoolLimit))) => Stage::PoolLimit,
                    _ => Stage::Unschedulable,
                }
            };
            self.set(id, workload, stage);
        }
    }

    fn set(&mut self, id: PodId, workload: WorkloadKey, stage: Stage) {
        if self.pods.len() <= id.index() {
            self.pods.resize(id.index() + 1, None);
        }
        let counts = &mut self.counts[workload.0 as usize];
        if let Some((_, before)) = self.pods[id.index()].replace((workload, stage)) {
            counts[before as usize] -= 1;
        }
        counts[stage as usize] += 1;
    }

    pub(super) fn launch_failed(&mut self) {
        self.no_capacity = true;
    }

    pub(super) fn launch_succeeded(&mut self) {
        self.no_capacity = false;
    }

    /// The provisioner says why it makes no node for a pod, or that it makes one.
    pub(super) fn decided(&mut self, decision: &Decision) {
        let Subject::Pod(id) = decision.subject else { return };
        if decision.controller != Controller::Provisioner {
            return;
        }
        if let Some(Some((workload, Stage::Unschedulable | Stage::PoolLimit | Stage::Untried))) =
            self.pods.get(id.index())
        {
            let stage = if is_pool_limit(decision) { Stage::PoolLimit } else { Stage::Unschedulable };
            self.set(id, *workload, stage);
        }
    }

    fn count(&self, workload: usize, stage: Stage) -> i64 {
        self.counts[workload][stage as usize]
    }
}

/// Whether Karpenter says that a NodePool's limits stop it.
pub(super) fn is_pool_limit(decision: &Decision) -> bool {
    decision.rule == Rule::ExceededBy
}

/// What holds each HPA back.
#[derive(Clone, Debug, Default)]
pub(super) struct Brakes(Vec<HpaBrake>);

impl Brakes {
    pub(super) fn new(hpas: usize) -> Brakes {
        Brakes(vec![HpaBrake::None; hpas])
    }

    /// The HPA's last sync is what counts.
    pub(super) fn decided(&mut self, decision: &Decision) {
        if let (Controller::Hpa, Subject::Hpa(id)) = (decision.controller, decision.subject) {
            if self.0.len() <= id.index() {
                self.0.resize(id.index() + 1, HpaBrake::None);
            }
            let held = [Rule::ScaleUpLimit, Rule::ScaleUpStabilized].contains(&decision.rule);
            self.0[id.index()] = if held { HpaBrake::Policy } else { HpaBrake::None };
        }
    }

    fn of(&self, id: HpaId) -> HpaBrake {
        self.0.get(id.index()).copied().unwrap_or_default()
    }
}

impl Recorder {
    /// What the classifier is shown of a queue and all workloads which consume it.
    pub(super) fn snapshot(&self, queue: QueueId, sample: &QueueSample, cluster: &Cluster) -> Snapshot {
        let mut seen = Snapshot {
            receivable: sample.visible - sample.group_blocked,
            group_blocked: sample.group_blocked,
            lost_in_flight: sample.lost_in_flight,
            ..Snapshot::default()
        };
        if sample.visible + sample.lost_in_flight == 0 {
            return seen;
        }
        for (index, record) in self.workloads.iter().enumerate() {
            if record.queue == Some(queue) {
                self.add_scaling(index, sample, cluster, &mut seen);
                self.add_stuck(index, cluster, &mut seen.stuck);
            }
        }
        seen
    }

    fn add_scaling(&self, index: usize, sample: &QueueSample, cluster: &Cluster, seen: &mut Snapshot) {
        let desired = self.workloads[index].desired.last();
        let (mut needed, mut max) = (desired, desired);
        if index >= self.deployments {
            let spec = &cluster.scaled_jobs[index - self.deployments].spec;
            needed = needed_replicas(&spec.triggers, sample).unwrap_or(desired);
            max = spec.max_replica_count.map_or(100, i64::from);
            // Jobs are created by polls only.
            seen.inactive = true;
        } else if let Some((id, object)) = cluster.scaled_objects.iter().enumerate().find(|(_, object)| {
            object.target.is_some_and(|target| target.index() == index) && !object.deleted && object.applied.is_some()
        }) {
            needed = needed_replicas(&object.spec.triggers, sample).unwrap_or(desired);
            max = object.spec.max_replica_count.map_or(100, i64::from);
            seen.inactive |=
                desired == 0 || object.spec.idle_replica_count.is_some_and(|idle| desired == i64::from(idle));
            let owner = |hpa: &&crate::cluster::workload::Hpa| hpa.exists && hpa.owner.is_some_and(|o| o.index() == id);
            if let Some(position) = cluster.hpas.iter().position(|hpa| owner(&hpa)) {
                seen.brake = self.brakes.of(HpaId(position as u32));
            }
        }
        seen.needed += needed;
        seen.desired += desired;
        seen.max += max;
    }

    fn add_stuck(&self, index: usize, cluster: &Cluster, stuck: &mut Stuck) {
        let count = |stage| self.stages.count(index, stage);
        stuck.pod_start += count(Stage::Starting);
        stuck.node_pool_limit += count(Stage::PoolLimit);
        let waiting = count(Stage::Untried) + count(Stage::Unschedulable);
        if waiting == 0 {
            return;
        }
        // Pods for which a NodeClaim is on its way count as waiting for it, whatever the scheduler knows.
        let claims = cluster.live_nodeclaims.iter().map(|id| &cluster.nodeclaims[id.index()]);
        let coming = claims.filter(|claim| claim.initialized.is_none() && !claim.leaving());
        let room: i64 = coming.map(|claim| claim.requests.pods()).sum();
        let booting = waiting.min(room);
        let rest = waiting - booting;
        let untried = rest.min(count(Stage::Untried));
        let unschedulable = rest - untried;
        stuck.node_boot += booting;
        stuck.scheduler += untried;
        match (self.stages.no_capacity, cluster.nodepools.is_empty()) {
            (true, _) => stuck.no_capacity += unschedulable,
            (false, true) => stuck.scheduler += unschedulable,
            (false, false) => stuck.karpenter_batch += unschedulable,
        }
    }
}

/// Replicas which the queue's own trigger asks for; `None` without such a trigger.
fn needed_replicas(triggers: &[Trigger], sample: &QueueSample) -> Option<i64> {
    let trigger = triggers.iter().find(|trigger| trigger.kind == "aws-sqs-queue")?;
    let setting = |key: &str| trigger.metadata.get(key).map(String::as_str);
    let target = setting("queueLength").and_then(|text| text.parse::<f64>().ok()).filter(|target| *target > 0.0);
    let mut messages = sample.visible;
    if setting("scaleOnInFlight") != Some("false") {
        messages += sample.in_flight;
    }
    if setting("scaleOnDelayed") == Some("true") {
        messages += sample.delayed;
    }
    Some((messages as f64 / target.unwrap_or(5.0)).ceil() as i64)
}
