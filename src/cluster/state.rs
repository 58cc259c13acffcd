//! The cluster state and the only ways to change it.

use std::sync::Arc;

use super::catalogue::Catalogue;
use super::change::Change;
use super::decision::{Controller, Decision, Subject};
use super::ids::{
    DaemonSetId, DeploymentId, HpaId, InstanceId, JobId, NodeClaimId, NodeClassId, NodeId, NodePoolId, PodId,
    ScaledJobId, ScaledObjectId, ShapeId,
};
use super::instance::{Instance, InstanceState};
use super::node::Node;
use super::node_class::{NodeClass, NodeClassVersion};
use super::nodeclaim::{NodeClaim, NodePool};
use super::outlook::Outlooks;
use super::pod::{EndReason, Owner, Phase, Pod, PodPath, PodShape};
use super::reservation::CapacityReservation;
use super::rule::Rule;
use super::workload::{CapacityBuffer, DaemonSet, Deployment, Hpa, HpaStatus, Job, ScaledJob, ScaledObject};
use crate::api::workload::{PodDisruptionBudget, PriorityClass};
use crate::engine::Stream;
use crate::time::{Duration, Time};

/// Everything in the API server, and what changed since the simulation last asked.
pub struct Cluster {
    /// Pod templates.
    pub shapes: Vec<PodShape>,
    /// All pods ever, by id.
    pub pods: Vec<Pod>,
    /// All Nodes ever, by id.
    pub nodes: Vec<Node>,
    /// All NodeClaims ever, by id.
    pub nodeclaims: Vec<NodeClaim>,
    /// NodePools.
    pub nodepools: Vec<NodePool>,
    /// Node classes, by id.
    pub node_classes: Vec<NodeClass>,
    /// Catalogue of each node class.
    pub catalogues: Vec<Arc<Catalogue>>,
    /// All instances ever, by id.
    pub instances: Vec<Instance>,
    /// Capacity reservations, by id.
    pub reservations: Vec<CapacityReservation>,
    /// Deployments.
    pub deployments: Vec<Deployment>,
    /// All Jobs ever, by id.
    pub jobs: Vec<Job>,
    /// DaemonSets.
    pub daemonsets: Vec<DaemonSet>,
    /// ScaledObjects.
    pub scaled_objects: Vec<ScaledObject>,
    /// ScaledJobs.
    pub scaled_jobs: Vec<ScaledJob>,
    /// HPAs.
    pub hpas: Vec<Hpa>,
    /// CapacityBuffers.
    pub buffers: Vec<CapacityBuffer>,
    /// NodeClaims on whose nodes the last pass of Karpenter's provisioner put pods of buffers.
    pub buffer_nodes: std::collections::BTreeSet<NodeClaimId>,
    /// PodDisruptionBudgets.
    pub pdbs: Vec<PodDisruptionBudget>,
    /// PriorityClasses.
    pub priority_classes: Vec<PriorityClass>,
    /// Image references, by the number that nodes list them with.
    pub images: Vec<String>,
    /// Pods that exist without a node, in the order of creation.
    pub unbound: std::collections::BTreeSet<PodId>,
    /// Nodes that exist.
    pub live_nodes: std::collections::BTreeSet<NodeId>,
    /// NodeClaims that exist.
    pub live_nodeclaims: std::collections::BTreeSet<NodeClaimId>,
    /// Pods whose volumes are attached to a node, with that node; some are gone.
    pub attached: std::collections::BTreeSet<(NodeId, PodId)>,
    /// What is known of nodes for pods without one.
    pub outlooks: Outlooks,
    /// Whether something changed that no controller watches.
    noted: bool,
    changes: Vec<Change>,
    changes_taken: u64,
    decisions: Vec<Decision>,
    uids: Stream,
}

impl Cluster {
    /// An empty cluster whose UIDs come from `uids`.
    #[must_use]
    pub fn new(uids: Stream) -> Self {
        Cluster {
            shapes: Vec::new(),
            pods: Vec::new(),
            nodes: Vec::new(),
            nodeclaims: Vec::new(),
            nodepools: Vec::new(),
            node_classes: Vec::new(),
            catalogues: Vec::new(),
            instances: Vec::new(),
            reservations: Vec::new(),
            deployments: Vec::new(),
            jobs: Vec::new(),
            daemonsets: Vec::new(),
            scaled_objects: Vec::new(),
            buffers: Vec::new(),
            buffer_nodes: std::collections::BTreeSet::new(),
            scaled_jobs: Vec::new(),
            hpas: Vec::new(),
            pdbs: Vec::new(),
            priority_classes: Vec::new(),
            images: Vec::new(),
            unbound: std::collections::BTreeSet::new(),
            live_nodes: std::collections::BTreeSet::new(),
            live_nodeclaims: std::collections::BTreeSet::new(),
            attached: std::collections::BTreeSet::new(),
            outlooks: Outlooks::default(),
            noted: false,
            changes: Vec::new(),
            changes_taken: 0,
            decisions: Vec::new(),
            uids,
        }
    }

    /// Takes the changes since the last call, in order.
    pub fn take_changes(&mut self, into: &mut Vec<Change>) {
        self.changes_taken += self.changes.len() as u64;
        into.append(&mut self.changes);
    }

    /// Grows with every change.
    #[must_use]
    pub fn version(&self) -> u64 {
        self.changes_taken + self.changes.len() as u64
    }

    /// Notes that something changed that no controller watches.
    pub(super) fn note(&mut self) {
        self.noted = true;
    }

    /// Whether something changed since the last call that no controller watches: outlooks of pods, statuses of HPAs.
    pub fn take_noted(&mut self) -> bool {
        std::mem::take(&mut self.noted)
    }

    /// Takes the decisions since the last call, in order.
    pub fn take_decisions(&mut self) -> std::vec::Drain<'_, Decision> {
        self.decisions.drain(..)
    }

    /// Records a change that needs no more than that.
    pub fn announce(&mut self, change: Change) {
        self.changes.push(change);
    }

    /// Adds to the decision log.
    pub fn decide(&mut self, decision: Decision) {
        self.decisions.push(decision);
    }

    /// Adds to the decision log a change of a count.
    pub fn decide_count(
        &mut self,
        at: Time,
        controller: Controller,
        subject: Subject,
        action: &'static str,
        rule: Rule,
        from_to: (i64, i64),
        detail: String,
    ) {
        let (from, to) = (Some(from_to.0), Some(from_to.1));
        self.decide(Decision { at, controller, subject, action, rule, from, to, wanted: None, detail });
    }

    // ---- shapes ----

    /// Adds a pod template.
    pub fn add_shape(&mut self, shape: PodShape) -> ShapeId {
        self.shapes.push(shape);
        ShapeId(self.shapes.len() as u32 - 1)
    }

    /// The template of a pod.
    #[must_use]
    pub fn shape_of(&self, pod: PodId) -> &PodShape {
        &self.shapes[self.pods[pod.index()].shape.index()]
    }

    // ---- pods ----

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
            nominated_node: None,
            unschedulable: false,
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
        self.changes.push(Change::PodCreated(id));
        id
    }

    /// Writes condition PodScheduled=False, reason Unschedulable.
    pub fn mark_unschedulable(&mut self, now: Time, pod: PodId) {
        let record = &mut self.pods[pod.index()];
        record.unschedulable = true;
        record.path.unschedulable.get_or_insert(now);
        self.changes.push(Change::PodUnschedulable(pod));
    }

    /// Nominates a node for a pod that preempts others, or clears the nomination.
    pub fn nominate(&mut self, pod: PodId, node: Option<NodeId>) {
        self.pods[pod.index()].nominated_node = node;
        self.changes.push(Change::PodNominated(pod));
    }

    /// Binds a pod to a node.
    pub fn bind(&mut self, now: Time, pod: PodId, node: NodeId) {
        let requests = self.shape_of(pod).requests;
        let record = &mut self.pods[pod.index()];
        debug_assert!(record.node.is_none() && record.exists(), "pod {pod:?} bound twice or after its end");
        record.node = Some(node);
        record.nominated_node = None;
        record.unschedulable = false;
        record.path.bound = Some(now);
        let shape = record.shape;
        self.unbound.remove(&pod);
        self.forget_waiting(shape, self.nodes[node.index()].nodeclaim);
        let target = &mut self.nodes[node.index()];
        target.pods.push(pod);
        target.requested += requests;
        self.changes.push(Change::PodBound(pod));
    }

    /// Sets phase Running.
    pub fn start_pod(&mut self, now: Time, pod: PodId) {
        let record = &mut self.pods[pod.index()];
        record.phase = Phase::Running;
        record.path.started.get_or_insert(now);
    }

    /// Notes that sandbox and network of a pod are there.
    pub fn note_sandbox(&mut self, now: Time, pod: PodId) {
        self.pods[pod.index()].path.sandbox.get_or_insert(now);
    }

    /// Notes that the images of a pod are there.
    pub fn note_images(&mut self, now: Time, pod: PodId) {
        self.pods[pod.index()].path.image_pulled.get_or_insert(now);
    }

    /// Notes that the application of a pod can work.
    pub fn note_working(&mut self, now: Time, pod: PodId) {
        self.pods[pod.index()].path.working.get_or_insert(now);
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
        match owner {
            Owner::Deployment(deployment) => self.deployments[deployment.index()].pods.retain(|other| *other != pod),
            Owner::Job(job) => self.jobs[job.index()].pods.retain(|other| *other != pod),
            Owner::DaemonSet(_) | Owner::None => {}
        }
        self.changes.push(Change::PodGone(pod));
    }

    // ---- nodes ----

    /// Creates a Node object.
    pub fn create_node(&mut self, node: Node) -> NodeId {
        let id = NodeId(self.nodes.len() as u32);
        if let Some(claim) = node.nodeclaim {
            self.nodeclaims[claim.index()].node = Some(id);
        }
        self.nodes.push(node);
        self.live_nodes.insert(id);
        self.changes.push(Change::NodeCreated(id));
        id
    }

    /// Number of an image by its reference.
    pub fn image_number(&mut self, image: &str) -> u32 {
        let known = self.images.iter().position(|known| known == image);
        known.unwrap_or_else(|| {
            self.images.push(image.to_owned());
            self.images.len() - 1
        }) as u32
    }

    /// Notes that a Node has an image.
    pub fn note_image(&mut self, node: NodeId, image: u32) {
        let images = &mut self.nodes[node.index()].images;
        if !images.contains(&image) {
            images.push(image);
        }
    }

    /// Sets a Node's Ready condition.
    pub fn set_node_ready(&mut self, now: Time, node: NodeId, ready: bool) {
        let record = &mut self.nodes[node.index()];
        if record.ready == ready {
            return;
        }
        record.ready = ready;
        if ready {
            record.first_ready.get_or_insert(now);
        }
        self.changes.push(if ready { Change::NodeReady(node) } else { Change::NodeNotReady(node) });
    }

    /// Replaces a Node's taints.
    pub fn set_taints(&mut self, node: NodeId, taints: Vec<crate::api::pod::Taint>) {
        let record = &mut self.nodes[node.index()];
        if record.taints != taints {
            record.taints = taints;
            self.changes.push(Change::NodeTaints(node));
        }
    }

    /// Gives a Node its deletionTimestamp.
    pub fn delete_node(&mut self, now: Time, node: NodeId) {
        let record = &mut self.nodes[node.index()];
        if record.exists() && record.deleting.is_none() {
            record.deleting = Some(now);
            self.changes.push(Change::NodeDeleting(node));
        }
    }

    /// Removes a Node object. Pods on it stay, bound to nothing, until they are collected.
    pub fn remove_node(&mut self, now: Time, node: NodeId) {
        let record = &mut self.nodes[node.index()];
        if !record.exists() {
            return;
        }
        record.gone = Some(now);
        record.ready = false;
        self.live_nodes.remove(&node);
        self.changes.push(Change::NodeGone(node));
    }

    // ---- NodeClaims ----

    /// Creates a NodeClaim.
    pub fn create_nodeclaim(&mut self, claim: NodeClaim) -> NodeClaimId {
        let id = NodeClaimId(self.nodeclaims.len() as u32);
        self.nodeclaims.push(claim);
        self.live_nodeclaims.insert(id);
        self.changes.push(Change::NodeClaimCreated(id));
        id
    }

    /// Gives a NodeClaim its deletionTimestamp.
    pub fn delete_nodeclaim(&mut self, now: Time, claim: NodeClaimId, end: &'static str) {
        let record = &mut self.nodeclaims[claim.index()];
        if record.exists() && record.deleting.is_none() {
            record.deleting = Some(now);
            record.end.get_or_insert(end);
            self.changes.push(Change::NodeClaimDeleting(claim));
        }
    }

    /// Removes a NodeClaim object.
    pub fn remove_nodeclaim(&mut self, now: Time, claim: NodeClaimId) {
        let record = &mut self.nodeclaims[claim.index()];
        if record.exists() {
            record.gone = Some(now);
            self.live_nodeclaims.remove(&claim);
            self.changes.push(Change::NodeClaimGone(claim));
        }
    }

    /// The catalogue of a NodePool.
    #[must_use]
    pub fn catalogue_of(&self, pool: NodePoolId) -> &Arc<Catalogue> {
        let class: NodeClassId = self.nodepools[pool.index()].node_class;
        &self.catalogues[class.index()]
    }

    /// Adds a node class; its catalogue has the same place.
    pub fn add_node_class(&mut self, class: NodeClass, catalogue: Arc<Catalogue>) -> NodeClassId {
        let id = NodeClassId(self.catalogues.len() as u32);
        self.node_classes.push(class);
        self.catalogues.push(catalogue);
        id
    }

    /// Changes how a node class stands.
    pub fn set_node_class(&mut self, id: NodeClassId, version: NodeClassVersion) {
        let class = &mut self.node_classes[id.index()];
        if class.version.as_deref() != Some(&version) {
            class.version = Some(Arc::new(version));
            self.changes.push(Change::NodeClassSpec(id));
        }
    }

    // ---- instances ----

    /// Adds an instance.
    pub fn add_instance(&mut self, instance: Instance) -> InstanceId {
        let id = InstanceId(self.instances.len() as u32);
        self.instances.push(instance);
        self.changes.push(Change::InstanceState(id));
        id
    }

    /// Moves an instance to a later state.
    pub fn set_instance_state(&mut self, now: Time, id: InstanceId, state: InstanceState) {
        let record = &mut self.instances[id.index()];
        if record.state >= state {
            return;
        }
        record.state = state;
        match state {
            InstanceState::Pending => {}
            InstanceState::Running => record.running = Some(now),
            InstanceState::ShuttingDown => record.shutting_down = Some(now),
            InstanceState::Terminated => {
                record.shutting_down.get_or_insert(now);
                record.terminated = Some(now);
            }
        }
        self.changes.push(Change::InstanceState(id));
    }

    // ---- workloads and autoscalers ----

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
            self.noted = true;
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

    /// Applies objects that exist from now on: sets their time and tells the watchers.
    pub fn apply(&mut self, now: Time, object: Applied) {
        match object {
            Applied::NodePool(id) => {
                self.nodepools[id.index()].applied = Some(now);
                self.changes.push(Change::NodePoolSpec(id));
            }
            Applied::Deployment(id) => {
                self.deployments[id.index()].applied = Some(now);
                self.changes.push(Change::DeploymentSpec(id));
            }
            Applied::DaemonSet(id) => {
                self.daemonsets[id.index()].applied = Some(now);
                self.changes.push(Change::DaemonSetCreated(id));
            }
            Applied::ScaledObject(id) => {
                self.scaled_objects[id.index()].applied = Some(now);
                self.changes.push(Change::ScaledObjectSpec(id));
            }
            Applied::Hpa(id) => {
                let hpa = &mut self.hpas[id.index()];
                (hpa.created, hpa.exists) = (now, true);
                self.changes.push(Change::HpaCreated(id));
            }
            Applied::ScaledJob(id) => {
                self.scaled_jobs[id.index()].applied = Some(now);
                self.changes.push(Change::ScaledJobSpec(id));
            }
        }
    }
}

/// An object that a user applies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Applied {
    /// A NodePool.
    NodePool(NodePoolId),
    /// A Deployment.
    Deployment(DeploymentId),
    /// A DaemonSet.
    DaemonSet(DaemonSetId),
    /// A ScaledObject.
    ScaledObject(ScaledObjectId),
    /// A ScaledJob.
    ScaledJob(ScaledJobId),
    /// A HorizontalPodAutoscaler that is nobody's but the user's.
    Hpa(HpaId),
}
