//! Node objects.

use super::Cluster;
use super::catalogue::{CapacityType, TypeId};
use super::change::Change;
use super::ids::{InstanceId, NodeClaimId, NodeId, NodePoolId, PodId};
use crate::api::meta::Labels;
use crate::api::pod::Taint;
use crate::time::Time;
use crate::units::Resources;

/// A Node object.
#[derive(Clone, Debug)]
pub struct Node {
    /// Name; orders nodes where upstream orders them by name.
    pub name: String,
    /// Its NodeClaim, if Karpenter made it.
    pub nodeclaim: Option<NodeClaimId>,
    /// Its NodePool, if Karpenter made it.
    pub pool: Option<NodePoolId>,
    /// Its instance, if it has one.
    pub instance: Option<InstanceId>,
    /// Instance type, if known to the catalogue.
    pub instance_type: Option<TypeId>,
    /// Capacity type.
    pub capacity_type: Option<CapacityType>,
    /// Labels.
    pub labels: Labels,
    /// Annotations.
    pub annotations: Labels,
    /// Taints.
    pub taints: Vec<Taint>,
    /// Capacity.
    pub capacity: Resources,
    /// What pods may request.
    pub allocatable: Resources,
    /// Most volumes of pods attached at a time (`CSINode.spec.drivers[].allocatable`); `None` = no limit.
    pub volume_limit: Option<u32>,
    /// Sum of the requests of all bound pods whose object exists and is not terminal.
    pub requested: Resources,
    /// Bound pods whose object exists, in the order they were bound.
    pub pods: Vec<PodId>,
    /// Ready condition.
    pub ready: bool,
    /// Cordoned.
    pub unschedulable: bool,
    /// Images present, by their number in the cluster.
    pub images: Vec<u32>,
    /// Creation.
    pub created: Time,
    /// First Ready.
    pub first_ready: Option<Time>,
    /// Got the taint of Cluster Autoscaler for nodes that go, and has it still.
    pub scaling_down: Option<Time>,
    /// Got its deletionTimestamp.
    pub deleting: Option<Time>,
    /// The object was removed.
    pub gone: Option<Time>,
}

impl Node {
    /// A Node object as it is created: without labels, taints and room for pods, and not Ready.
    #[must_use]
    pub const fn new(name: String, created: Time) -> Self {
        Node {
            name,
            nodeclaim: None,
            pool: None,
            instance: None,
            instance_type: None,
            capacity_type: None,
            labels: Labels::new(),
            annotations: Labels::new(),
            taints: Vec::new(),
            capacity: Resources::ZERO,
            allocatable: Resources::ZERO,
            volume_limit: None,
            requested: Resources::ZERO,
            pods: Vec::new(),
            ready: false,
            unschedulable: false,
            images: Vec::new(),
            created,
            first_ready: None,
            scaling_down: None,
            deleting: None,
            gone: None,
        }
    }

    /// The object exists.
    #[must_use]
    pub fn exists(&self) -> bool {
        self.gone.is_none()
    }

    /// What is left for pods.
    #[must_use]
    pub fn free(&self) -> Resources {
        self.allocatable - self.requested
    }

    /// Whether it carries a taint of that key.
    #[must_use]
    pub fn has_taint(&self, key: &str) -> bool {
        self.taints.iter().any(|taint| taint.key == key)
    }
}

/// What controllers write about Nodes.
impl Cluster {
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
    pub fn set_taints(&mut self, node: NodeId, taints: Vec<Taint>) {
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
}
