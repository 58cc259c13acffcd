//! Workloads and autoscalers in the cluster.

use std::sync::Arc;

use super::Cluster;
use super::change::Change;
use super::ids::{DeploymentId, HpaId, JobId, PodId, ScaledJobId, ScaledObjectId, ShapeId};
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

/// What controllers write about workloads and autoscalers.
impl Cluster {
    /// Writes a Deployment's `spec.replicas`. Returns the value before.
    pub fn scale_deployment(&mut self, id: DeploymentId, replicas: u32) -> u32 {
        let before = std::mem::replace(&mut self.deployments[id.index()].replicas, replicas);
        if before != replicas {
            self.changes.push(Change::DeploymentSpec(id));
        }
        before
    }

    /// Writes the counts of a Deployment's status.
    pub fn set_deployment_status(&mut self, id: DeploymentId, replicas: u32, ready: u32) {
        let record = &mut self.deployments[id.index()];
        (record.status_replicas, record.ready_replicas) = (replicas, ready);
    }

    /// Counts a failed pod of a Job.
    pub fn count_job_failure(&mut self, id: JobId) {
        self.jobs[id.index()].failures += 1;
    }

    /// Creates a Job.
    pub fn create_job(&mut self, job: Job) -> JobId {
        let id = JobId(self.jobs.len() as u32);
        self.jobs.push(job);
        self.changes.push(Change::JobCreated(id));
        id
    }

    /// Completes or fails a Job.
    pub fn finish_job(&mut self, now: Time, id: JobId, succeeded: bool) {
        let record = &mut self.jobs[id.index()];
        if record.finished.is_none() {
            record.finished = Some(now);
            record.succeeded = succeeded;
            self.changes.push(Change::JobFinished(id));
        }
    }

    /// Removes a Job object.
    pub fn remove_job(&mut self, now: Time, id: JobId) {
        let record = &mut self.jobs[id.index()];
        if record.gone.is_none() {
            record.gone = Some(now);
            self.changes.push(Change::JobGone(id));
        }
    }

    /// Creates an HPA.
    pub fn create_hpa(&mut self, hpa: Hpa) -> HpaId {
        let id = HpaId(self.hpas.len() as u32);
        self.hpas.push(hpa);
        self.changes.push(Change::HpaCreated(id));
        id
    }

    /// Writes what an HPA's controller found.
    pub fn set_hpa_status(&mut self, id: HpaId, status: HpaStatus) {
        let record = &mut self.hpas[id.index()];
        let before = std::mem::replace(&mut record.status, status);
        if (before.held, before.unmet()) != (status.held, status.unmet()) {
            self.note();
        }
    }

    /// Deletes an HPA.
    pub fn delete_hpa(&mut self, id: HpaId) {
        if std::mem::replace(&mut self.hpas[id.index()].exists, false) {
            self.changes.push(Change::HpaDeleted(id));
        }
    }

    /// The Deployment of that name.
    #[must_use]
    pub fn find_deployment(&self, name: &str) -> Option<DeploymentId> {
        self.deployments.iter().position(|d| d.name == name).map(|i| DeploymentId(i as u32))
    }
}
