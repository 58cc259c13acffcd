//! Pods and the templates they share.

use std::sync::Arc;

use super::Cluster;
use super::change::Change;
use super::ids::{DaemonSetId, DeploymentId, JobId, NodeId, PodId, ShapeId};
use crate::api::meta::Labels;
use crate::api::pod::PodSpec;
use crate::time::{Duration, Time};
use crate::units::Resources;

/// What all pods of one template have in common. Schedulers work per shape, not per pod.
#[derive(Clone, Debug)]
pub struct PodShape {
    /// Spec.
    pub spec: Arc<PodSpec>,
    /// Labels.
    pub labels: Arc<Labels>,
    /// Annotations.
    pub annotations: Arc<Labels>,
    /// Effective requests, `pods: 1` included.
    pub requests: Resources,
    /// Priority.
    pub priority: i32,
    /// Whether its pods may preempt others.
    pub may_preempt: bool,
    /// Grace period.
    pub grace: Duration,
    /// Whether a Fargate profile selects its pods: kube-scheduler leaves them alone.
    pub fargate: bool,
}

/// Who owns a pod.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Owner {
    /// The ReplicaSet of a Deployment.
    Deployment(DeploymentId),
    /// A Job.
    Job(JobId),
    /// A DaemonSet.
    DaemonSet(DaemonSetId),
    /// Nobody.
    None,
}

/// `status.phase`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Phase {
    /// Not all containers have started.
    Pending,
    /// Started.
    Running,
    /// Ended well.
    Succeeded,
    /// Ended badly.
    Failed,
}

/// Why a pod ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum EndReason {
    /// Its owner has too many.
    ScaledDown,
    /// Evicted (drain, budget permitting).
    Evicted,
    /// Preempted by a more important pod.
    Preempted,
    /// Its node vanished.
    NodeLost,
    /// Its work was done.
    Completed,
    /// Its container failed for good.
    Failed,
    /// Its owner was removed.
    OwnerGone,
}

impl EndReason {
    /// The name in files.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            EndReason::ScaledDown => "ScaledDown",
            EndReason::Evicted => "Evicted",
            EndReason::Preempted => "Preempted",
            EndReason::NodeLost => "NodeLost",
            EndReason::Completed => "Completed",
            EndReason::Failed => "Failed",
            EndReason::OwnerGone => "OwnerGone",
        }
    }
}

/// The instants of a pod's path; `None` = not (yet) reached.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PodPath {
    /// Bound to a node.
    pub bound: Option<Time>,
    /// Images were there.
    pub image_pulled: Option<Time>,
    /// Containers ran.
    pub started: Option<Time>,
    /// Became ready for the first time.
    pub ready: Option<Time>,
    /// Succeeded or failed.
    pub finished: Option<Time>,
    /// Got its deletionTimestamp.
    pub deleting: Option<Time>,
    /// The object was removed.
    pub gone: Option<Time>,
}

/// A pod.
#[derive(Clone, Debug)]
pub struct Pod {
    /// Template.
    pub shape: ShapeId,
    /// Owner.
    pub owner: Owner,
    /// Creation.
    pub created: Time,
    /// Stands for the random UID: breaks ties where upstream compares UIDs.
    pub uid: u64,
    /// Phase.
    pub phase: Phase,
    /// Ready condition.
    pub ready: bool,
    /// Last change of the Ready condition.
    pub ready_changed: Option<Time>,
    /// Node it is bound to.
    pub node: Option<NodeId>,
    /// Whether preemption nominated a node for it.
    pub nominated: bool,
    /// Whether PodScheduled=False with reason Unschedulable stands.
    pub unschedulable: bool,
    /// Whether its sandbox and network are there (condition PodReadyToStartContainers).
    pub sandbox: bool,
    /// Whether its application could ever work.
    pub worked: bool,
    /// Instants of its path.
    pub path: PodPath,
    /// Grace of its deletion: the object's deletionTimestamp is `path.deleting + grace`.
    pub deletion_grace: Duration,
    /// Container restarts.
    pub restarts: u32,
    /// Why it ended.
    pub end: Option<EndReason>,
}

impl Pod {
    /// The object exists.
    #[must_use]
    pub fn exists(&self) -> bool {
        self.path.gone.is_none()
    }

    /// Succeeded or Failed.
    #[must_use]
    pub fn terminal(&self) -> bool {
        matches!(self.phase, Phase::Succeeded | Phase::Failed)
    }

    /// Has a deletionTimestamp.
    #[must_use]
    pub fn terminating(&self) -> bool {
        self.path.deleting.is_some()
    }

    /// Exists, neither terminal nor terminating.
    #[must_use]
    pub fn active(&self) -> bool {
        self.exists() && !self.terminal() && !self.terminating()
    }
}

/// What controllers write about pods.
impl Cluster {
    /// Creates a pod.
    pub fn create_pod(&mut self, now: Time, shape: ShapeId, owner: Owner) -> PodId {
        let id = PodId(self.pods.len() as u32);
        self.pods.push(Pod {
            shape,
            owner,
            created: now,
            uid: self.uids.bits(),
            phase: Phase::Pending,
            ready: false,
            ready_changed: None,
            node: None,
            nominated: false,
            unschedulable: false,
            sandbox: false,
            worked: false,
            path: PodPath::default(),
            deletion_grace: Duration::ZERO,
            restarts: 0,
            end: None,
        });
        match owner {
            Owner::Deployment(deployment) => self.deployments[deployment.index()].pods.push(id),
            Owner::Job(job) => self.jobs[job.index()].pods.push(id),
            Owner::DaemonSet(_) | Owner::None => {}
        }
        self.unbound.insert(id);
        self.create_claims(id);
        self.changes.push(Change::PodCreated(id));
        id
    }

    /// Writes condition PodScheduled=False, reason Unschedulable.
    pub fn mark_unschedulable(&mut self, pod: PodId) {
        self.pods[pod.index()].unschedulable = true;
        self.changes.push(Change::PodUnschedulable(pod));
    }

    /// Nominates a node for a pod that preempts others, or clears the nomination.
    pub fn nominate(&mut self, pod: PodId, node: Option<NodeId>) {
        self.pods[pod.index()].nominated = node.is_some();
        self.changes.push(Change::PodNominated(pod));
    }

    /// Binds a pod to a node.
    pub fn bind(&mut self, now: Time, pod: PodId, node: NodeId) {
        let requests = self.shape_of(pod).requests;
        let record = &mut self.pods[pod.index()];
        debug_assert!(record.node.is_none() && record.exists(), "pod {pod:?} bound twice or after its end");
        record.node = Some(node);
        record.nominated = false;
        record.unschedulable = false;
        record.path.bound = Some(now);
        let shape = record.shape;
        self.unbound.remove(&pod);
        self.forget_waiting(shape, self.nodes[node.index()].nodeclaim);
        let target = &mut self.nodes[node.index()];
        target.pods.push(pod);
        target.requested += requests;
        self.bind_claims(pod, node);
        self.changes.push(Change::PodBound(pod));
    }

    /// Sets phase Running.
    pub fn start_pod(&mut self, now: Time, pod: PodId) {
        let record = &mut self.pods[pod.index()];
        record.phase = Phase::Running;
        record.path.started.get_or_insert(now);
    }

    /// Notes that sandbox and network of a pod are there.
    pub fn note_sandbox(&mut self, pod: PodId) {
        self.pods[pod.index()].sandbox = true;
    }

    /// Notes that the images of a pod are there.
    pub fn note_images(&mut self, now: Time, pod: PodId) {
        self.pods[pod.index()].path.image_pulled.get_or_insert(now);
    }

    /// Notes that the application of a pod can work.
    pub fn note_working(&mut self, pod: PodId) {
        self.pods[pod.index()].worked = true;
        self.changes.push(Change::PodWorking(pod));
    }

    /// Counts a restart of a pod's container.
    pub fn restart_pod(&mut self, pod: PodId) {
        self.pods[pod.index()].restarts += 1;
    }

    /// Sets the Ready condition.
    pub fn set_pod_ready(&mut self, now: Time, pod: PodId, ready: bool) {
        let record = &mut self.pods[pod.index()];
        if record.ready == ready {
            return;
        }
        record.ready = ready;
        record.ready_changed = Some(now);
        if ready {
            record.path.ready.get_or_insert(now);
        }
        self.changes.push(if ready { Change::PodReady(pod) } else { Change::PodNotReady(pod) });
    }

    /// Sets phase Succeeded or Failed; the pod's room on its node is free at once.
    pub fn finish_pod(&mut self, now: Time, pod: PodId, phase: Phase, end: EndReason) {
        if self.pods[pod.index()].terminal() {
            return;
        }
        let requests = self.shape_of(pod).requests;
        let record = &mut self.pods[pod.index()];
        record.phase = phase;
        record.ready = false;
        record.path.finished = Some(now);
        record.end.get_or_insert(end);
        if let Some(node) = record.node {
            self.nodes[node.index()].requested -= requests;
        }
        self.changes.push(Change::PodFinished(pod));
    }

    /// Gives a pod its deletionTimestamp; unbound and terminal pods vanish at once. A second call can only shorten the grace.
    pub fn delete_pod(&mut self, now: Time, pod: PodId, grace: Duration, end: EndReason) {
        let record = &mut self.pods[pod.index()];
        if !record.exists() {
            return;
        }
        record.end.get_or_insert(end);
        if record.terminating() {
            let deadline = record.path.deleting.unwrap_or(now) + record.deletion_grace;
            let shortened = (now + grace).min(deadline);
            record.deletion_grace = shortened.since(record.path.deleting.unwrap_or(now));
            self.changes.push(Change::PodDeleting(pod));
            return;
        }
        record.path.deleting = Some(now);
        record.deletion_grace = grace;
        let vanishes = record.node.is_none() || record.terminal();
        self.changes.push(Change::PodDeleting(pod));
        if vanishes {
            self.remove_pod(now, pod);
        }
    }

    /// Removes the pod object and frees its room.
    pub fn remove_pod(&mut self, now: Time, pod: PodId) {
        let requests = self.shape_of(pod).requests;
        let record = &mut self.pods[pod.index()];
        if !record.exists() {
            return;
        }
        record.path.gone = Some(now);
        record.ready = false;
        let (owner, node, shape, terminal) = (record.owner, record.node, record.shape, record.terminal());
        if node.is_none() {
            self.forget_waiting(shape, None);
        }
        if let Some(node) = node {
            let target = &mut self.nodes[node.index()];
            target.pods.retain(|other| *other != pod);
            if !terminal {
                target.requested -= requests;
            }
        }
        self.unbound.remove(&pod);
        self.remove_claims(pod);
        match owner {
            Owner::Deployment(deployment) => self.deployments[deployment.index()].pods.retain(|other| *other != pod),
            Owner::Job(job) => self.jobs[job.index()].pods.retain(|other| *other != pod),
            Owner::DaemonSet(_) | Owner::None => {}
        }
        self.changes.push(Change::PodGone(pod));
    }
}

#[cfg(test)]
mod tests {
    use super::Pod;

    #[test]
    fn a_pod_is_small_for_a_run_keeps_all_of_them() {
        assert!(size_of::<Pod>() <= 120, "{} bytes", size_of::<Pod>());
    }
}
