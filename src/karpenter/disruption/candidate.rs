//! Which nodes may be disrupted, and in which order (`pkg/controllers/disruption/types.go: NewCandidate`,
//! `pkg/controllers/state/statenode.go: ValidateNodeDisruptable, ValidatePodsDisruptable`).

use std::cmp::Ordering;
use std::fmt;

use crate::api::karpenter::ConsolidationPolicy;
use crate::cluster::catalogue::{CapacityType, TypeId, ZoneId};
use crate::time::Time;

use super::cost;
use super::model::{Class, DriftOfEmpty, Method, NodeIndex, NodeView, Observed, PoolIndex};

/// A node that may be disrupted, with what its order depends on.
#[derive(Clone, Debug, PartialEq)]
pub struct Candidate {
    /// The node in the state that was looked at.
    pub node: NodeIndex,
    /// What the caller knows the node by.
    pub id: u32,
    /// Its pool.
    pub pool: PoolIndex,
    /// Type, if the provider knows it.
    pub instance_type: Option<TypeId>,
    /// Zone label.
    pub zone: Option<ZoneId>,
    /// Capacity type label.
    pub capacity_type: Option<CapacityType>,
    /// `P(n)`, USD per hour.
    pub price: f64,
    /// `R(n)`.
    pub rescheduling_cost: f64,
    /// What orders candidates before 1.14.
    pub lifetime_weighted_cost: f64,
    /// How many pods must move.
    pub reschedulable_pods: usize,
}

/// Why a node is no candidate, in the order of the checks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rejection {
    /// Part of a running command.
    InCommand,
    /// No NodeClaim.
    NotManaged,
    /// A NodeClaim without a Node.
    NoNode,
    /// Not initialized.
    NotInitialized,
    /// Marked for deletion, deleting, or its instance is terminating.
    MarkedForDeletion,
    /// Pods are planned onto it.
    Nominated,
    /// The Node is annotated `karpenter.sh/do-not-disrupt: "true"`.
    NodeDoNotDisrupt,
    /// No NodePool label, or a pool that is unknown or has no instance types.
    NoPool,
    /// The pod of that id is annotated `karpenter.sh/do-not-disrupt`.
    PodDoNotDisrupt(u32),
    /// A PodDisruptionBudget forbids evicting the pod of that id.
    PodDisruptionBudget(u32),
}

/// Why a candidate is none for one method.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MethodRejection {
    /// The pool is static, or dynamic for static drift.
    PoolKind,
    /// `consolidateAfter: Never`.
    ConsolidationDisabled,
    /// Virtual pods of a CapacityBuffer stand on it.
    BufferPods,
    /// It has pods whose eviction costs something.
    NotEmpty,
    /// It is empty: the empty-node method sees to it.
    Empty,
    /// Its type is unknown to the provider.
    UnknownInstanceType,
    /// No capacity-type or zone label.
    MissingLabels,
    /// `consolidationPolicy: WhenEmpty`.
    Policy,
    /// Condition Consolidatable is not True.
    NotConsolidatable,
    /// Condition Drifted is not True.
    NotDrifted,
}

impl fmt::Display for Rejection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Rejection::InCommand => "already part of a running disruption",
            Rejection::NotManaged => "not managed by Karpenter",
            Rejection::NoNode => "Nodeclaim does not have an associated node",
            Rejection::NotInitialized => "not initialized",
            Rejection::MarkedForDeletion => "Node is deleting or marked for deletion",
            Rejection::Nominated => "Node is nominated for a pending pod",
            Rejection::NodeDoNotDisrupt => "the node is annotated karpenter.sh/do-not-disrupt",
            Rejection::NoPool => "its NodePool is unknown",
            Rejection::PodDoNotDisrupt(_) => "a pod is annotated karpenter.sh/do-not-disrupt",
            Rejection::PodDisruptionBudget(_) => "a PodDisruptionBudget prevents pod evictions",
        })
    }
}

impl Candidate {
    /// Whether nothing on it costs anything to evict (1.14), or nothing on it needs rescheduling (before).
    #[must_use]
    pub fn is_empty(&self, empty_by_cost: bool) -> bool {
        if empty_by_cost { self.rescheduling_cost <= cost::BASE_DISRUPTION_COST } else { self.reschedulable_pods == 0 }
    }

    /// Price per unit of disruption.
    #[must_use]
    pub fn ratio(&self) -> f64 {
        self.price / self.rescheduling_cost
    }
}

/// Checks that the node itself can be disrupted (`ValidateNodeDisruptable` and what precedes it).
fn validate_node(node: &NodeView, now: Time) -> Result<PoolIndex, Rejection> {
    if node.in_command {
        return Err(Rejection::InCommand);
    }
    if !node.managed {
        return Err(Rejection::NotManaged);
    }
    if !node.registered {
        return Err(Rejection::NoNode);
    }
    if !node.initialized {
        return Err(Rejection::NotInitialized);
    }
    if node.marked_for_deletion || node.instance_terminating {
        return Err(Rejection::MarkedForDeletion);
    }
    if node.nominated_until.is_some_and(|until| now < until) {
        return Err(Rejection::Nominated);
    }
    if node.do_not_disrupt {
        return Err(Rejection::NodeDoNotDisrupt);
    }
    node.pool.ok_or(Rejection::NoPool)
}

/// Checks that its pods can be disrupted (`ValidatePodsDisruptable`). All pods with the annotation block, DaemonSet and static
/// ones included.
fn validate_pods(node: &NodeView, now: Time) -> Result<(), Rejection> {
    if let Some(pod) = node.pods.iter().find(|pod| pod.is_active() && pod.is_do_not_disrupt(now)) {
        return Err(Rejection::PodDoNotDisrupt(pod.id));
    }
    match node.pods.iter().find(|pod| pod.is_pdb_blocked(now)) {
        Some(pod) => Err(Rejection::PodDisruptionBudget(pod.id)),
        None => Ok(()),
    }
}

/// The node as a candidate of a class (`NewCandidate`).
///
/// # Errors
/// The first check that fails.
pub fn candidate(observed: &Observed<'_>, index: NodeIndex, class: Class, now: Time) -> Result<Candidate, Rejection> {
    let node = observed.node(index);
    let pool = validate_node(node, now)?;
    if !(class == Class::Eventual && node.has_termination_grace_period) {
        validate_pods(node, now)?;
    }
    let expire_after = observed.pool(pool).expire_after;
    Ok(Candidate {
        node: index,
        id: node.id,
        pool,
        instance_type: node.instance_type,
        zone: node.zone,
        capacity_type: node.capacity_type,
        price: cost::node_price(node, observed.catalogue),
        rescheduling_cost: cost::rescheduling_cost(&node.pods),
        lifetime_weighted_cost: cost::lifetime_weighted_cost(node, expire_after, now),
        reschedulable_pods: node.pods.iter().filter(|pod| pod.is_reschedulable()).count(),
    })
}

/// Whether a method takes the candidate (`ShouldDisrupt` of the methods).
///
/// # Errors
/// The first condition that does not hold.
pub fn accepts(observed: &Observed<'_>, candidate: &Candidate, method: Method) -> Result<(), MethodRejection> {
    let node = observed.node(candidate.node);
    let pool = observed.pool(candidate.pool);
    let ensure = |holds: bool, reason| if holds { Ok(()) } else { Err(reason) };
    ensure(pool.replicas.is_some() == (method == Method::StaticDrift), MethodRejection::PoolKind)?;
    let empty = candidate.is_empty(observed.rules.empty_by_cost);
    match method {
        Method::Emptiness => {
            ensure(pool.consolidate_after.is_some(), MethodRejection::ConsolidationDisabled)?;
            ensure(!node.has_buffer_pods, MethodRejection::BufferPods)?;
            ensure(empty, MethodRejection::NotEmpty)?;
            ensure(node.consolidatable, MethodRejection::NotConsolidatable)
        }
        Method::StaticDrift | Method::Drift => ensure(node.drifted_at.is_some(), MethodRejection::NotDrifted),
        Method::MultiNodeConsolidation | Method::SingleNodeConsolidation => {
            ensure(node.instance_type.is_some(), MethodRejection::UnknownInstanceType)?;
            ensure(node.capacity_type.is_some() && node.zone.is_some(), MethodRejection::MissingLabels)?;
            ensure(pool.consolidate_after.is_some(), MethodRejection::ConsolidationDisabled)?;
            ensure(!(empty && observed.rules.empty_by_cost), MethodRejection::Empty)?;
            ensure(observed.policy(candidate.pool) != ConsolidationPolicy::WhenEmpty, MethodRejection::Policy)?;
            ensure(node.consolidatable, MethodRejection::NotConsolidatable)
        }
    }
}

/// The candidates of both classes, in the order of the nodes, for whatever method.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Candidates {
    graceful: Vec<Candidate>,
    eventual: Vec<Candidate>,
    /// The nodes that are no graceful candidates, by the ids that the caller knows them by, and why.
    pub rejections: Vec<(u32, Rejection)>,
}

impl Candidates {
    /// Looks at every node once.
    #[must_use]
    pub fn of(observed: &Observed<'_>, now: Time) -> Self {
        let mut found = Candidates::default();
        for (index, node) in observed.nodes.iter().enumerate() {
            match candidate(observed, NodeIndex(index), Class::Graceful, now) {
                Ok(candidate) => {
                    found.eventual.push(candidate.clone());
                    found.graceful.push(candidate);
                }
                Err(rejection) => {
                    found.rejections.push((node.id, rejection));
                    if node.has_termination_grace_period {
                        found.eventual.extend(candidate(observed, NodeIndex(index), Class::Eventual, now).ok());
                    }
                }
            }
        }
        found
    }

    fn of_class(&self, class: Class) -> &[Candidate] {
        match class {
            Class::Graceful => &self.graceful,
            Class::Eventual => &self.eventual,
        }
    }

    /// Those of a method (`GetCandidates`).
    #[must_use]
    pub fn of_method(&self, observed: &Observed<'_>, method: Method) -> Vec<Candidate> {
        let all = self.of_class(method.class()).iter();
        all.filter(|candidate| accepts(observed, candidate, method).is_ok()).cloned().collect()
    }

    /// The methods that have candidates.
    #[must_use]
    pub fn methods(&self, observed: &Observed<'_>) -> Vec<Method> {
        let any = |method: &Method| {
            self.of_class(method.class()).iter().any(|candidate| accepts(observed, candidate, *method).is_ok())
        };
        Method::ALL.into_iter().filter(any).collect()
    }
}

/// All candidates of a method, in the order of the nodes (`GetCandidates`).
#[must_use]
pub fn candidates(observed: &Observed<'_>, method: Method, now: Time) -> Vec<Candidate> {
    Candidates::of(observed, now).of_method(observed, method)
}

/// Orders consolidation candidates: highest price per unit of disruption first, or lowest disruption cost first before 1.14
/// (`consolidation.go: sortCandidates`). Ties keep their order.
pub fn sort(candidates: &mut [Candidate], ratio_order: bool) {
    candidates.sort_by(|a, b| if ratio_order { descending(a.ratio(), b.ratio()) } else { by_lifetime(a, b) });
}

fn descending(a: f64, b: f64) -> Ordering {
    b.partial_cmp(&a).unwrap_or(Ordering::Equal)
}

fn by_lifetime(a: &Candidate, b: &Candidate) -> Ordering {
    a.lifetime_weighted_cost.partial_cmp(&b.lifetime_weighted_cost).unwrap_or(Ordering::Equal)
}

/// Orders drifted nodes: since 1.7 those without pods to move first, then the one that drifted first (`drift.go: ComputeCommands`).
pub fn sort_drifted(candidates: &mut [Candidate], observed: &Observed<'_>) {
    let empty_first = observed.rules.drift_of_empty == DriftOfEmpty::First;
    candidates.sort_by_key(|c| (empty_first && c.reschedulable_pods > 0, observed.node(c.node).drifted_at));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::karpenter::disruption::model::{DoNotDisrupt, PdbState, PodView, PoolView, Rules};
    use crate::karpenter::small_cluster;
    use crate::time::Duration;

    const NOW: Time = Time::from_micros(60_000_000);

    fn pool() -> PoolView {
        PoolView {
            name: "workers".to_owned(),
            policy: ConsolidationPolicy::WhenEmpty,
            consolidate_after: None,
            budgets: Vec::new(),
            replicas: None,
            expire_after: None,
            tracked_cost: None,
        }
    }

    /// What is said of a node as `change` leaves it; nothing of a candidate.
    fn told(class: Class, change: impl FnOnce(&mut NodeView)) -> String {
        let catalogue = small_cluster::catalogue();
        let mut node = NodeView { pods: vec![PodView::default()], ..NodeView::new(0, "n", PoolIndex(0)) };
        change(&mut node);
        let rules = Rules::of_minor(14, false);
        let observed = Observed { catalogue: &catalogue, pools: vec![pool()], nodes: vec![node], rules };
        candidate(&observed, NodeIndex(0), class, NOW).map_or_else(|rejection| rejection.to_string(), |_| String::new())
    }

    #[test]
    fn the_first_check_that_fails_is_told() {
        let graceful = |change: &dyn Fn(&mut NodeView)| told(Class::Graceful, change);
        assert_eq!(graceful(&|_| {}), "");
        type Check = (fn(&mut NodeView), &'static str);
        let checks: [Check; 8] = [
            (|node| node.in_command = true, "already part of a running disruption"),
            (|node| node.managed = false, "not managed by Karpenter"),
            (|node| node.registered = false, "Nodeclaim does not have an associated node"),
            (|node| node.initialized = false, "not initialized"),
            (|node| node.instance_terminating = true, "Node is deleting or marked for deletion"),
            (|node| node.nominated_until = Some(NOW + Duration::from_secs(1)), "Node is nominated for a pending pod"),
            (|node| node.do_not_disrupt = true, "the node is annotated karpenter.sh/do-not-disrupt"),
            (|node| node.pool = None, "its NodePool is unknown"),
        ];
        for (i, (_, text)) in checks.iter().enumerate() {
            let this_and_all_after = |node: &mut NodeView| checks[i..].iter().for_each(|(change, _)| change(node));
            assert_eq!(graceful(&this_and_all_after), *text);
        }
        assert_eq!(graceful(&|node| node.marked_for_deletion = true), "Node is deleting or marked for deletion");
        assert_eq!(graceful(&|node| node.nominated_until = Some(NOW)), "", "the nomination has ended");
    }

    #[test]
    fn pods_hold_a_node_unless_it_drifts_and_has_a_deadline() {
        let annotated = |node: &mut NodeView| node.pods[0].do_not_disrupt = DoNotDisrupt::Always;
        let guarded = |node: &mut NodeView| node.pods[0].pdb = PdbState::Several;
        for (change, text) in [
            (&annotated as &dyn Fn(&mut NodeView), "a pod is annotated karpenter.sh/do-not-disrupt"),
            (&guarded, "a PodDisruptionBudget prevents pod evictions"),
        ] {
            for class in [Class::Graceful, Class::Eventual] {
                assert_eq!(told(class, change), text);
                let with_deadline = |node: &mut NodeView| {
                    change(node);
                    node.has_termination_grace_period = true;
                };
                assert_eq!(told(class, with_deadline), if class == Class::Eventual { "" } else { text });
            }
        }
    }

    /// Without its labels upstream cannot tell what a node costs (`consolidation.go: ShouldDisrupt`).
    #[test]
    fn consolidation_leaves_nodes_whose_type_zone_or_capacity_type_is_unknown() {
        let catalogue = small_cluster::catalogue();
        let accepted = |change: fn(&mut NodeView)| {
            let mut node = NodeView {
                instance_type: Some(TypeId(0)),
                zone: Some(ZoneId(0)),
                capacity_type: Some(CapacityType::OnDemand),
                consolidatable: true,
                pods: vec![PodView::default()],
                ..NodeView::new(0, "n", PoolIndex(0))
            };
            change(&mut node);
            let policy = ConsolidationPolicy::WhenEmptyOrUnderutilized;
            let pools = vec![PoolView { policy, consolidate_after: Some(Duration::ZERO), ..pool() }];
            let observed =
                Observed { catalogue: &catalogue, pools, nodes: vec![node], rules: Rules::of_minor(14, false) };
            candidates(&observed, Method::SingleNodeConsolidation, NOW).len() == 1
        };
        assert!(accepted(|_| {}));
        assert!(!accepted(|node| node.instance_type = None));
        assert!(!accepted(|node| node.zone = None));
        assert!(!accepted(|node| node.capacity_type = None));
    }
}
