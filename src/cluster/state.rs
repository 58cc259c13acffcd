//! The cluster state and the only ways to change it.

use std::sync::Arc;

use super::catalogue::Catalogue;
use super::change::Change;
use super::decision::Decision;
use super::ids::{
    DaemonSetId, DeploymentId, HpaId, InstanceId, NodeClaimId, NodeClassId, NodeId, NodePoolId, PodId, ScaledJobId,
    ScaledObjectId, ShapeId,
};
use super::instance::{Instance, InstanceState};
use super::node::Node;
use super::node_class::{NodeClass, NodeClassVersion};
use super::nodeclaim::{NodeClaim, NodePool};
use super::outlook::Outlooks;
use super::pod::{Pod, PodShape};
use super::reservation::CapacityReservation;
use super::storage::Storage;
use super::workload::{CapacityBuffer, DaemonSet, Deployment, Hpa, Job, ScaledJob, ScaledObject};
use crate::api::workload::{PodDisruptionBudget, PriorityClass};
use crate::engine::Stream;
use crate::time::Time;

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
    /// Claims of storage, volumes and their classes.
    pub storage: Storage,
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
    pub(super) changes: Vec<Change>,
    changes_taken: u64,
    decisions: Vec<Decision>,
    pub(super) uids: Stream,
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
            storage: Storage::default(),
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

    /// Whether there is anything to take: changes, decisions, or the wish that the queues be looked at.
    #[must_use]
    pub fn has_news(&self) -> bool {
        self.noted || !self.changes.is_empty() || !self.decisions.is_empty()
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
