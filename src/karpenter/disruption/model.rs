//! What one pass of the disruption loop sees: pools, nodes and their pods, as plain values.

use crate::api::karpenter::{ConsolidationPolicy, DisruptionReason};
use crate::cluster::catalogue::{CapacityType, Catalogue, TypeId, ZoneId};
use crate::time::{Duration, Time};

use super::budget::BudgetRule;

/// Index of a node in [`Observed::nodes`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NodeIndex(pub usize);

/// Index of a pool in [`Observed::pools`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PoolIndex(pub usize);

/// What owns a pod, as far as disruption distinguishes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Owner {
    /// A ReplicaSet, a Job, or nothing at all: the pod moves elsewhere.
    #[default]
    Workload,
    /// A StatefulSet: even a terminating pod of it comes back.
    StatefulSet,
    /// A DaemonSet: the pod belongs to its node.
    DaemonSet,
    /// The Node itself (a static pod).
    Node,
}

/// Where a pod is in its life.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Phase {
    /// `Pending`.
    Pending,
    /// `Running`.
    #[default]
    Running,
    /// `Succeeded` or `Failed`.
    Terminal,
}

/// The `karpenter.sh/do-not-disrupt` annotation of a pod (`pkg/utils/pod/scheduling.go: IsDoNotDisruptActive`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum DoNotDisrupt {
    /// Absent, or a value that is neither `true` nor a positive duration.
    #[default]
    No,
    /// `true`.
    Always,
    /// For that long after the pod's start time; without a start time it holds.
    For(Duration, Option<Time>),
}

/// How PodDisruptionBudgets stand towards a pod (`pkg/utils/pdb/pdb.go`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum PdbState {
    /// None matches.
    #[default]
    None,
    /// Exactly one matches.
    One {
        /// `status.disruptionsAllowed`.
        allowed: u32,
        /// `unhealthyPodEvictionPolicy: AlwaysAllow`.
        always_allow_unhealthy: bool,
        /// Written so that it never allows a disruption: maxUnavailable 0 or `0%`, or minAvailable `100%`.
        fully_blocking: bool,
    },
    /// More than one matches, which always blocks.
    Several,
}

/// A pod bound to a node.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct PodView {
    /// What the caller knows it by.
    pub id: u32,
    /// Owner.
    pub owner: Owner,
    /// Phase.
    pub phase: Phase,
    /// Whether it has a deletionTimestamp.
    pub terminating: bool,
    /// Whether condition Ready is False or absent.
    pub unready: bool,
    /// Annotation `controller.kubernetes.io/pod-deletion-cost`; absent or unparsable = 0.
    pub deletion_cost: i32,
    /// Priority; default 0.
    pub priority: i32,
    /// `karpenter.sh/do-not-disrupt`.
    pub do_not_disrupt: DoNotDisrupt,
    /// Whether it tolerates `karpenter.sh/disrupted:NoSchedule`.
    pub tolerates_disrupted: bool,
    /// PodDisruptionBudgets.
    pub pdb: PdbState,
}

/// A node of Karpenter's cluster state.
#[derive(Clone, Debug, PartialEq)]
pub struct NodeView {
    /// What the caller knows it by.
    pub id: u32,
    /// Name: existing nodes are tried in the order of their names.
    pub name: String,
    /// Whether both a NodeClaim and a Node exist.
    pub registered: bool,
    /// Whether a NodeClaim exists.
    pub managed: bool,
    /// NodePool of label `karpenter.sh/nodepool`, if it is a known pool with instance types.
    pub pool: Option<PoolIndex>,
    /// Instance type of its label, if the provider knows it.
    pub instance_type: Option<TypeId>,
    /// Zone label.
    pub zone: Option<ZoneId>,
    /// Capacity type label.
    pub capacity_type: Option<CapacityType>,
    /// Label `karpenter.sh/initialized=true`.
    pub initialized: bool,
    /// When condition Initialized became True.
    pub initialized_at: Time,
    /// Node condition Ready.
    pub ready: bool,
    /// Marked for deletion in memory, or its NodeClaim has a deletionTimestamp.
    pub marked_for_deletion: bool,
    /// Condition InstanceTerminating.
    pub instance_terminating: bool,
    /// Part of a command that is still running.
    pub in_command: bool,
    /// End of its nomination.
    pub nominated_until: Option<Time>,
    /// Annotation `karpenter.sh/do-not-disrupt: "true"` on the Node.
    pub do_not_disrupt: bool,
    /// Whether its NodeClaim has a terminationGracePeriod.
    pub has_termination_grace_period: bool,
    /// Condition Consolidatable.
    pub consolidatable: bool,
    /// When condition Drifted became True, in whole seconds.
    pub drifted_at: Option<Time>,
    /// `status.lastPodEventTime`.
    pub last_pod_event: Option<Time>,
    /// When its NodeClaim was created; orders by age (versions before 1.14).
    pub created_at: Time,
    /// Whether virtual pods of a CapacityBuffer stand on it.
    pub has_buffer_pods: bool,
    /// Pods bound to it, terminal ones included.
    pub pods: Vec<PodView>,
}

/// A NodePool, as far as disruption looks at it.
#[derive(Clone, Debug, PartialEq)]
pub struct PoolView {
    /// Name.
    pub name: String,
    /// Policy.
    pub policy: ConsolidationPolicy,
    /// `consolidateAfter`; `None` = Never.
    pub consolidate_after: Option<Duration>,
    /// Budgets; empty = no limit.
    pub budgets: Vec<BudgetRule>,
    /// `spec.replicas`: a static pool.
    pub replicas: Option<u32>,
    /// `expireAfter`; `None` = Never.
    pub expire_after: Option<Duration>,
    /// Sum of the prices of all its NodeClaims, deleting ones included until they are gone, if tracked; else the sum over
    /// the candidates stands in.
    pub tracked_cost: Option<f64>,
}

/// Rules that differ between Karpenter versions, and gates.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rules {
    /// Candidates in order of price per unit of disruption, highest first (1.14); else lowest disruption cost first.
    pub ratio_order: bool,
    /// A node inside its consolidateAfter window takes no pods of consolidated nodes (1.14).
    pub destination_gate: bool,
    /// Policy `Balanced` is known (1.14); else it acts as `WhenEmptyOrUnderutilized`.
    pub balanced: bool,
    /// A node is empty when no pod on it has a positive eviction cost (1.14); else when no pod needs rescheduling.
    pub empty_by_cost: bool,
    /// What drift does with empty nodes.
    pub drift_of_empty: DriftOfEmpty,
    /// Feature gate `SpotToSpotConsolidation`; default false.
    pub spot_to_spot: bool,
    /// A saving is estimated with the offerings that the replacement's requirements allow (core past 1.14.0, recorded with
    /// 1.14.1); else with any available offering of its cheapest type (core 1.14.0, which AWS's 1.14.1 is built on).
    pub savings_of_allowed_offerings: bool,
}

/// What becomes of drifted nodes that are empty (`drift.go: ComputeCommand`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DriftOfEmpty {
    /// Drift comes before emptiness, and takes all of them at once as far as the budget goes (before 1.5).
    AllAtOnce,
    /// Drift leaves them to emptiness, which comes first (1.5 and 1.6).
    Never,
    /// They come before others, one by one (1.7).
    First,
}

impl DriftOfEmpty {
    /// Of a Karpenter version `1.minor`.
    #[must_use]
    pub const fn of_minor(minor: u32) -> Self {
        match minor {
            0..=4 => DriftOfEmpty::AllAtOnce,
            5 | 6 => DriftOfEmpty::Never,
            _ => DriftOfEmpty::First,
        }
    }
}

/// All that a pass looks at.
#[derive(Clone, Debug)]
pub struct Observed<'a> {
    /// Instance types and prices.
    pub catalogue: &'a Catalogue,
    /// Pools, in an order that is random upstream.
    pub pools: Vec<PoolView>,
    /// Nodes, in the order in which ties are broken (random upstream).
    pub nodes: Vec<NodeView>,
    /// Rules in force.
    pub rules: Rules,
}

/// The two classes of disruption (`pkg/controllers/disruption/types.go: DisruptionClass`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    /// Consolidation: pods that block are respected for ever.
    Graceful,
    /// Drift: with a terminationGracePeriod, pods that block do not.
    Eventual,
}

/// The methods, in the order in which a pass tries them (`pkg/controllers/disruption/controller.go: NewMethods`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Method {
    /// Deletes nodes without pods that count.
    Emptiness,
    /// Replaces drifted nodes of static pools.
    StaticDrift,
    /// Replaces drifted nodes.
    Drift,
    /// Removes several nodes for at most one.
    MultiNodeConsolidation,
    /// Removes one node for at most one cheaper.
    SingleNodeConsolidation,
}

impl Method {
    /// In the order of a pass.
    pub const ALL: [Method; 5] = [
        Method::Emptiness,
        Method::StaticDrift,
        Method::Drift,
        Method::MultiNodeConsolidation,
        Method::SingleNodeConsolidation,
    ];

    /// The reason whose budget it uses.
    #[must_use]
    pub const fn reason(self) -> DisruptionReason {
        match self {
            Method::Emptiness => DisruptionReason::Empty,
            Method::StaticDrift | Method::Drift => DisruptionReason::Drifted,
            Method::MultiNodeConsolidation | Method::SingleNodeConsolidation => DisruptionReason::Underutilized,
        }
    }

    /// Its class.
    #[must_use]
    pub const fn class(self) -> Class {
        match self {
            Method::StaticDrift | Method::Drift => Class::Eventual,
            _ => Class::Graceful,
        }
    }

    /// In the order of a pass under these rules (`controller.go: NewMethods`).
    #[must_use]
    pub const fn in_order(rules: &Rules) -> [Method; 5] {
        let [emptiness, static_drift, drift, multi_node, single_node] = Method::ALL;
        match rules.drift_of_empty {
            DriftOfEmpty::AllAtOnce => [drift, emptiness, static_drift, multi_node, single_node],
            DriftOfEmpty::Never | DriftOfEmpty::First => Method::ALL,
        }
    }

    /// Its place in [`Method::ALL`].
    #[must_use]
    pub const fn index(self) -> usize {
        self as usize
    }

    /// Name for logs and metrics.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Method::Emptiness => "emptiness",
            Method::StaticDrift => "static drift",
            Method::Drift => "drift",
            Method::MultiNodeConsolidation => "multi-node consolidation",
            Method::SingleNodeConsolidation => "single-node consolidation",
        }
    }
}

impl Rules {
    /// Rules of a Karpenter version `1.minor`.
    #[must_use]
    pub const fn of_minor(minor: u32, spot_to_spot: bool) -> Self {
        let modern = minor >= 14;
        Rules {
            ratio_order: modern,
            destination_gate: modern,
            balanced: modern,
            empty_by_cost: modern,
            drift_of_empty: DriftOfEmpty::of_minor(minor),
            spot_to_spot,
            savings_of_allowed_offerings: modern,
        }
    }
}

impl Observed<'_> {
    /// The node of that index.
    #[must_use]
    pub fn node(&self, index: NodeIndex) -> &NodeView {
        &self.nodes[index.0]
    }

    /// The pool of that index.
    #[must_use]
    pub fn pool(&self, index: PoolIndex) -> &PoolView {
        &self.pools[index.0]
    }

    /// Policy of a pool as the version understands it.
    #[must_use]
    pub fn policy(&self, index: PoolIndex) -> ConsolidationPolicy {
        match self.pool(index).policy {
            ConsolidationPolicy::Balanced if !self.rules.balanced => ConsolidationPolicy::WhenEmptyOrUnderutilized,
            policy => policy,
        }
    }
}

impl NodeView {
    /// An initialized, ready node without pods, for callers that fill in the rest.
    #[must_use]
    pub fn new(id: u32, name: &str, pool: PoolIndex) -> Self {
        NodeView {
            id,
            name: name.to_owned(),
            registered: true,
            managed: true,
            pool: Some(pool),
            instance_type: None,
            zone: None,
            capacity_type: None,
            initialized: true,
            initialized_at: Time::ZERO,
            ready: true,
            marked_for_deletion: false,
            instance_terminating: false,
            in_command: false,
            nominated_until: None,
            do_not_disrupt: false,
            has_termination_grace_period: false,
            consolidatable: false,
            drifted_at: None,
            last_pod_event: None,
            created_at: Time::ZERO,
            has_buffer_pods: false,
            pods: Vec::new(),
        }
    }

    /// Since when its consolidateAfter counts (`pkg/utils/disruption: IsUnderConsolidateAfter`).
    #[must_use]
    pub fn quiet_since(&self) -> Time {
        self.last_pod_event.unwrap_or(self.initialized_at)
    }

    /// Whether it may not receive pods of consolidated nodes: initialized, and `now` lies inside its window. With `0s` and
    /// `Never` it always may.
    #[must_use]
    pub fn is_under_consolidate_after(&self, consolidate_after: Option<Duration>, now: Time) -> bool {
        consolidate_after
            .is_some_and(|after| self.initialized && after > Duration::ZERO && now.since(self.quiet_since()) < after)
    }
}
