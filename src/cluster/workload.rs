//! Workloads and autoscalers in the cluster.

use std::sync::Arc;

use super::ids::{DeploymentId, PodId, ScaledJobId, ScaledObjectId, ShapeId};
use crate::api::capacity_buffer::CapacityBufferSpec;
use crate::api::hpa::HpaSpec;
use crate::api::keda::{ScaledJobSpec, ScaledObjectSpec};
use crate::api::meta::{LabelSelector, Labels};
use crate::time::{Duration, Time};

/// A Deployment with its one active ReplicaSet.
#[derive(Clone, Debug)]
pub struct Deployment {
    /// Name.
    pub name: String,
    /// When it was applied; `None` = not yet.
    pub applied: Option<Time>,
    /// `spec.replicas`.
    pub replicas: u32,
    /// Template of its pods.
    pub shape: ShapeId,
    /// Selector of its pods.
    pub selector: Arc<LabelSelector>,
    /// Pods whose object exists, in the order of creation.
    pub pods: Vec<PodId>,
    /// `status.replicas`: active pods as its controller last counted them.
    pub status_replicas: u32,
    /// `status.readyReplicas`.
    pub ready_replicas: u32,
}

/// A Job.
#[derive(Clone, Debug)]
pub struct Job {
    /// Name.
    pub name: String,
    /// ScaledJob that made it.
    pub owner: Option<ScaledJobId>,
    /// Generation of the ScaledJob's spec it was made from.
    pub generation: u32,
    /// Template of its pods.
    pub shape: ShapeId,
    /// Retries before it fails.
    pub backoff_limit: u32,
    /// Time after which it is failed.
    pub active_deadline: Option<Duration>,
    /// Its pods whose object exists.
    pub pods: Vec<PodId>,
    /// Failed pods so far.
    pub failures: u32,
    /// Creation.
    pub created: Time,
    /// Completed or failed.
    pub finished: Option<Time>,
    /// Whether it completed.
    pub succeeded: bool,
    /// The object was removed.
    pub gone: Option<Time>,
}

/// A DaemonSet.
#[derive(Clone, Debug)]
pub struct DaemonSet {
    /// Name.
    pub name: String,
    /// When it was applied; `None` = not yet.
    pub applied: Option<Time>,
    /// Template of its pods.
    pub shape: ShapeId,
}

/// A CapacityBuffer.
#[derive(Clone, Debug)]
pub struct CapacityBuffer {
    /// Spec.
    pub spec: Arc<CapacityBufferSpec>,
    /// Template of its pods.
    pub shape: ShapeId,
    /// The Deployment that it names.
    pub target: Option<DeploymentId>,
    /// `status.replicas`: for how many pods it keeps room.
    pub replicas: u32,
    /// Creation.
    pub created: Time,
    /// UID of its first pod; the others follow.
    pub uid: u64,
}

/// A ScaledObject.
#[derive(Clone, Debug)]
pub struct ScaledObject {
    /// Name.
    pub name: String,
    /// When it was applied; `None` = not yet.
    pub applied: Option<Time>,
    /// Spec.
    pub spec: Arc<ScaledObjectSpec>,
    /// Annotations.
    pub annotations: Arc<Labels>,
    /// Counts spec changes.
    pub generation: u32,
    /// Its target, if there is one of that name.
    pub target: Option<DeploymentId>,
    /// Deleted.
    pub deleted: bool,
}

/// A ScaledJob.
#[derive(Clone, Debug)]
pub struct ScaledJob {
    /// Name.
    pub name: String,
    /// When it was applied; `None` = not yet.
    pub applied: Option<Time>,
    /// Spec.
    pub spec: Arc<ScaledJobSpec>,
    /// Annotations.
    pub annotations: Arc<Labels>,
    /// Counts spec changes.
    pub generation: u32,
    /// Template of its Jobs' pods.
    pub shape: ShapeId,
    /// Deleted.
    pub deleted: bool,
}

/// A HorizontalPodAutoscaler.
#[derive(Clone, Debug)]
pub struct Hpa {
    /// Name.
    pub name: String,
    /// Spec.
    pub spec: Arc<HpaSpec>,
    /// ScaledObject that made it, if any.
    pub owner: Option<ScaledObjectId>,
    /// Its target, if there is one of that name.
    pub target: Option<DeploymentId>,
    /// Creation.
    pub created: Time,
    /// Whether the object exists.
    pub exists: bool,
    /// What its controller found in its last pass.
    pub status: HpaStatus,
}

/// What the last pass over an HPA found.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct HpaStatus {
    /// Replicas that its metrics propose, before stabilization and limits; `None` = no pass yet, or they cannot be read.
    pub proposed: Option<i64>,
    /// Replicas that it decided on.
    pub desired: i64,
    /// Whether stabilization or a policy keeps the count below what the metrics propose.
    pub held: bool,
    /// Share by which a metric may exceed its target without effect.
    pub tolerance: f64,
}

impl HpaStatus {
    /// Whether the metrics propose more than was decided.
    #[must_use]
    pub fn unmet(&self) -> bool {
        self.proposed.is_some_and(|proposed| proposed > self.desired)
    }
}
