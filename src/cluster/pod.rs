//! Pods and the templates they share.

use std::sync::Arc;

use super::ids::{DaemonSetId, DeploymentId, JobId, NodeId, ShapeId};
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

/// The instants of a pod's path; `None` = not (yet) reached.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PodPath {
    /// First failed scheduling attempt.
    pub unschedulable: Option<Time>,
    /// Bound to a node.
    pub bound: Option<Time>,
    /// Sandbox and network were there.
    pub sandbox: Option<Time>,
    /// Images were there.
    pub image_pulled: Option<Time>,
    /// Containers ran.
    pub started: Option<Time>,
    /// Its application could work for the first time.
    pub working: Option<Time>,
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
    /// Node nominated by preemption.
    pub nominated_node: Option<NodeId>,
    /// Whether PodScheduled=False with reason Unschedulable stands.
    pub unschedulable: bool,
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
