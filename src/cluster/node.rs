//! Node objects.

use super::catalogue::{CapacityType, TypeId};
use super::ids::{InstanceId, NodeClaimId, NodePoolId, PodId};
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
