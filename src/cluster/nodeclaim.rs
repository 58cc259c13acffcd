//! NodeClaims and NodePools.

use std::sync::Arc;

use super::catalogue::{CapacityType, ReservationId, TypeId, ZoneId};
use super::ids::{InstanceId, NodeClassId, NodeId, NodePoolId};
use super::node_class::LaunchedWith;
use crate::api::karpenter::{DisruptionReason, NodePool as NodePoolObject};
use crate::api::meta::Labels;
use crate::api::pod::{NodeRequirement, Taint};
use crate::time::{Duration, Time};
use crate::units::Resources;

/// A NodePool in the cluster.
#[derive(Clone, Debug)]
pub struct NodePool {
    /// Name.
    pub name: String,
    /// The object as it stands.
    pub object: Arc<NodePoolObject>,
    /// Its node class, and so its catalogue.
    pub node_class: NodeClassId,
    /// Counts spec changes.
    pub generation: u32,
    /// When it was applied; `None` = not yet.
    pub applied: Option<Time>,
    /// Deleted.
    pub deleted: bool,
}

/// Why a launch failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LaunchError {
    /// No allowed offering has capacity: the NodeClaim is deleted at once.
    InsufficientCapacity,
    /// Anything else: retried with backoff, up to the launch timeout.
    Retryable,
}

/// What the NodeClaim asks of the cloud and what came of it.
#[derive(Clone, Debug)]
pub struct NodeClaim {
    /// Name; orders claims where upstream orders nodes by name.
    pub name: String,
    /// Its NodePool.
    pub pool: NodePoolId,
    /// Generation of the pool's template it was made from (drift compares).
    pub pool_generation: u32,
    /// Requirements as written to the API (without instance type, zone and capacity type when those are in the fields below too).
    pub requirements: Vec<NodeRequirement>,
    /// Instance types it may become.
    pub options: Vec<TypeId>,
    /// Zones it may be in; empty = any.
    pub zones: Vec<ZoneId>,
    /// Capacity types it may have; empty = any.
    pub capacity_types: Vec<CapacityType>,
    /// Capacity reservations that its instance must come from; empty = any offering.
    pub reservations: Vec<ReservationId>,
    /// Whether a requirement has minValues: switches off two launch filters.
    pub has_min_values: bool,
    /// Sum of the planned pods' and daemons' requests.
    pub requests: Resources,
    /// Labels it and its Node carry (custom labels resolved).
    pub labels: Labels,
    /// Annotations it and its Node carry.
    pub annotations: Labels,
    /// Taints.
    pub taints: Vec<Taint>,
    /// Startup taints.
    pub startup_taints: Vec<Taint>,
    /// Age at which it expires.
    pub expire_after: Option<Duration>,
    /// Longest drain.
    pub termination_grace_period: Option<Duration>,
    /// Creation.
    pub created: Time,
    /// How its node class stood at its launch (the annotation `ec2nodeclass-hash`, `status.imageID`, and where the instance stands).
    pub launched_with: Option<LaunchedWith>,
    /// The cloud answered with an instance.
    pub launched: Option<Time>,
    /// Its Node joined.
    pub registered: Option<Time>,
    /// Fully usable.
    pub initialized: Option<Time>,
    /// Its instance.
    pub instance: Option<InstanceId>,
    /// Type obtained.
    pub instance_type: Option<TypeId>,
    /// Zone obtained.
    pub zone: Option<ZoneId>,
    /// Capacity type obtained.
    pub capacity_type: Option<CapacityType>,
    /// Capacity as its status tells it.
    pub capacity: Resources,
    /// Allocatable as its status tells it.
    pub allocatable: Resources,
    /// Its Node.
    pub node: Option<NodeId>,
    /// `status.lastPodEventTime`.
    pub last_pod_event: Option<Time>,
    /// Condition Consolidatable.
    pub consolidatable: bool,
    /// Condition Drifted and since when.
    pub drifted: Option<Time>,
    /// Marked for deletion in Karpenter's memory by a disruption command, and why.
    pub marked: Option<DisruptionReason>,
    /// Nominated for pods until then.
    pub nominated_until: Option<Time>,
    /// Got its deletionTimestamp.
    pub deleting: Option<Time>,
    /// Deadline of its drain (`nodeclaim-termination-timestamp`).
    pub termination_deadline: Option<Time>,
    /// Condition InstanceTerminating.
    pub instance_terminating: bool,
    /// Why it is going: `Empty`, `Underutilized`, `Drifted`, `Expired`, `Interrupted`, `InsufficientCapacity`, `Liveness`, `GarbageCollected`, `Repair`,
    /// `ReservationExpiring`,
    /// `ScaledDown` (a static pool), `Manual`.
    pub end: Option<&'static str>,
    /// The object was removed.
    pub gone: Option<Time>,
}

impl NodeClaim {
    /// A NodeClaim of the first generation of a pool that asks for nothing and that nothing has come of.
    #[must_use]
    pub const fn new(name: String, pool: NodePoolId, created: Time) -> Self {
        NodeClaim {
            name,
            pool,
            pool_generation: 1,
            requirements: Vec::new(),
            options: Vec::new(),
            zones: Vec::new(),
            capacity_types: Vec::new(),
            reservations: Vec::new(),
            has_min_values: false,
            requests: Resources::ZERO,
            labels: Labels::new(),
            annotations: Labels::new(),
            taints: Vec::new(),
            startup_taints: Vec::new(),
            expire_after: None,
            termination_grace_period: None,
            created,
            launched_with: None,
            launched: None,
            registered: None,
            initialized: None,
            instance: None,
            instance_type: None,
            zone: None,
            capacity_type: None,
            capacity: Resources::ZERO,
            allocatable: Resources::ZERO,
            node: None,
            last_pod_event: None,
            consolidatable: false,
            drifted: None,
            marked: None,
            nominated_until: None,
            deleting: None,
            termination_deadline: None,
            instance_terminating: false,
            end: None,
            gone: None,
        }
    }

    /// The object exists.
    #[must_use]
    pub fn exists(&self) -> bool {
        self.gone.is_none()
    }

    /// Marked by a command, or has a deletionTimestamp, or its instance is terminating (`statenode.go: MarkedForDeletion, Deleting`).
    #[must_use]
    pub fn leaving(&self) -> bool {
        self.marked.is_some() || self.deleting.is_some() || self.instance_terminating
    }

    /// Nominated at that time.
    #[must_use]
    pub fn nominated(&self, now: Time) -> bool {
        self.nominated_until.is_some_and(|until| now < until)
    }
}
