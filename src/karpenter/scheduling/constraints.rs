//! The topology constraints that a pod template carries, in the form in which groups are told apart.

use super::input::PreferencePolicy;
use super::requirements::Requirements;
use crate::api::meta::{LabelExpression, LabelSelector, Labels, SelectorOperator};
use crate::api::pod::{
    NodeInclusionPolicy, PodAffinity, PodAffinityTerm, PodSpec, Taint, Toleration, WhenUnsatisfiable,
};

/// Kind of a constraint (`topologygroup.go: TopologyType`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Spread,
    Affinity,
    AntiAffinity,
}

/// A constraint. Constraints with equal identity share one group of counts (`TopologyGroup.Hash`).
#[derive(Clone, Debug)]
pub(super) struct Constraint {
    pub(super) identity: Identity,
    /// Not part of the identity: the first constraint of a group decides.
    pub(super) min_domains: Option<u32>,
}

/// What tells groups apart.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Identity {
    pub(super) kind: Kind,
    pub(super) key: String,
    pub(super) max_skew: u32,
    /// `None` for affinities: all nodes count.
    pub(super) filter: Option<NodeFilter>,
    /// `None` selects no pod, though all pods are counted at first.
    pub(super) selector: Option<LabelSelector>,
}

/// Which nodes count for a spread constraint (`topologynodefilter.go: TopologyNodeFilter`).
#[derive(Clone, Debug)]
pub(super) struct NodeFilter {
    /// Node selector with each alternative of the required node affinity: one must be met.
    pub(super) alternatives: Vec<Requirements>,
    pub(super) affinity: NodeInclusionPolicy,
    pub(super) taints: NodeInclusionPolicy,
    pub(super) tolerations: Vec<Toleration>,
}

/// As upstream's hash sees it: of the alternatives only the labels count, not what is required of them, and equal members of a
/// list cancel each other in pairs. So constraints of pods that select different values of one label share the first one's filter.
impl PartialEq for NodeFilter {
    fn eq(&self, other: &Self) -> bool {
        self.affinity == other.affinity
            && self.taints == other.taints
            && same_hash(&self.tolerations, &other.tolerations)
            && same_hash(&self.labels(), &other.labels())
    }
}

/// Whether lists whose members' hashes are combined by exclusive or have the same hash.
fn same_hash<T: PartialEq>(a: &[T], b: &[T]) -> bool {
    let all = || a.iter().chain(b);
    all().all(|one| all().filter(|other| *other == one).count() % 2 == 0)
}

impl NodeFilter {
    fn labels(&self) -> Vec<Vec<&str>> {
        self.alternatives.iter().map(|alternative| alternative.iter().map(|(key, _)| key).collect()).collect()
    }

    fn new(pod: &PodSpec, affinity: NodeInclusionPolicy, taints: NodeInclusionPolicy) -> Self {
        let selector = Requirements::of_labels(&pod.node_selector);
        let required = pod
            .affinity
            .as_ref()
            .and_then(|affinity| affinity.node_affinity.as_ref())
            .and_then(|node| node.required_during_scheduling_ignored_during_execution.as_ref());
        let alternatives = match required {
            None => vec![selector],
            Some(required) => required
                .node_selector_terms
                .iter()
                .map(|term| {
                    let mut alternative = selector.clone();
                    alternative.add_all(&Requirements::of_list(&term.match_expressions));
                    alternative
                })
                .collect(),
        };
        NodeFilter { alternatives, affinity, taints, tolerations: pod.tolerations.clone() }
    }

    /// Whether taints do not exclude the node.
    pub(super) fn taints_pass(&self, taints: &[&Taint]) -> bool {
        self.taints == NodeInclusionPolicy::Ignore || tolerates_all(&self.tolerations, taints)
    }
}

/// Whether every taint is tolerated (`Taints.Tolerates`).
pub(super) fn tolerates_all(tolerations: &[Toleration], taints: &[&Taint]) -> bool {
    taints.iter().all(|taint| tolerations.iter().any(|toleration| toleration.tolerates(taint)))
}

/// The constraints that hold for a pod: spread, affinity and anti-affinity, preferred ones included while they are respected
/// (`topology.go: newForTopologies, newForAffinities`).
pub(super) fn of_pod(pod: &PodSpec, labels: &Labels, policy: PreferencePolicy) -> Vec<Constraint> {
    let mut constraints = Vec::new();
    for spread in &pod.topology_spread_constraints {
        if policy == PreferencePolicy::Ignore && spread.when_unsatisfiable != WhenUnsatisfiable::DoNotSchedule {
            continue;
        }
        let identity = Identity {
            kind: Kind::Spread,
            key: spread.topology_key.clone(),
            max_skew: spread.max_skew,
            filter: Some(NodeFilter::new(pod, spread.node_affinity_policy, spread.node_taints_policy)),
            selector: canonical(spread.label_selector.as_ref(), &spread.match_label_keys, labels),
        };
        constraints.push(Constraint { identity, min_domains: spread.min_domains });
    }
    let Some(affinity) = &pod.affinity else { return constraints };
    for (kind, part) in [(Kind::Affinity, &affinity.pod_affinity), (Kind::AntiAffinity, &affinity.pod_anti_affinity)] {
        for term in part.iter().flat_map(|part| terms(part, policy)) {
            constraints.push(Constraint { identity: affinity_identity(kind, term, labels), min_domains: None });
        }
    }
    constraints
}

/// The required anti-affinity of a pod, as it repels others (`updateInverseAntiAffinity`).
pub(super) fn repelling(pod: &PodSpec, labels: &Labels) -> Vec<Identity> {
    let part = pod.affinity.as_ref().and_then(|affinity| affinity.pod_anti_affinity.as_ref());
    let required = part.map_or(&[][..], |part| &part.required_during_scheduling_ignored_during_execution[..]);
    required.iter().map(|term| affinity_identity(Kind::AntiAffinity, term, labels)).collect()
}

fn terms(part: &PodAffinity, policy: PreferencePolicy) -> impl Iterator<Item = &PodAffinityTerm> {
    let preferred = match policy {
        PreferencePolicy::Respect => &part.preferred_during_scheduling_ignored_during_execution[..],
        PreferencePolicy::Ignore => &[],
    };
    let required = part.required_during_scheduling_ignored_during_execution.iter();
    required.chain(preferred.iter().map(|weighted| &weighted.pod_affinity_term))
}

fn affinity_identity(kind: Kind, term: &PodAffinityTerm, labels: &Labels) -> Identity {
    let selector = canonical(term.label_selector.as_ref(), &term.match_label_keys, labels);
    Identity { kind, key: term.topology_key.clone(), max_skew: u32::MAX, filter: None, selector }
}

/// The selector with the pod's own values of `matchLabelKeys`, its expressions in a fixed order and without repetition.
fn canonical(selector: Option<&LabelSelector>, match_label_keys: &[String], labels: &Labels) -> Option<LabelSelector> {
    let mut selector = selector?.clone();
    for key in match_label_keys {
        if let Some(value) = labels.get(key) {
            let values = vec![value.clone()];
            selector.match_expressions.push(LabelExpression {
                key: key.clone(),
                operator: SelectorOperator::In,
                values,
            });
        }
    }
    selector.match_expressions.iter_mut().for_each(|expression| expression.values.sort_unstable());
    let order = |e: &LabelExpression| (e.key.clone(), e.operator as u8, e.values.clone());
    selector.match_expressions.sort_by_key(order);
    selector.match_expressions.dedup_by_key(|expression| order(expression));
    Some(selector)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::decode::defaults;
    use crate::api::pod::TaintEffect;

    #[test]
    fn members_that_are_equal_cancel_each_other_in_pairs() {
        assert!(same_hash(&[1, 2], &[2, 1]));
        assert!(same_hash(&[1, 1, 2], &[2]));
        assert!(same_hash::<u8>(&[], &[]));
        assert!(!same_hash(&[1], &[2]));
        assert!(!same_hash(&[1, 1], &[1]));
    }

    #[test]
    fn taints_exclude_nodes_only_where_the_policy_honors_them() {
        let taint = Taint { key: "team".to_owned(), value: "a".to_owned(), effect: TaintEffect::NoSchedule };
        let mut pod: PodSpec = defaults();
        let passes =
            |pod: &PodSpec, policy| NodeFilter::new(pod, NodeInclusionPolicy::Honor, policy).taints_pass(&[&taint]);
        assert!(passes(&pod, NodeInclusionPolicy::Ignore));
        assert!(!passes(&pod, NodeInclusionPolicy::Honor));
        pod.tolerations = vec![Toleration { key: Some("team".to_owned()), value: "a".to_owned(), ..defaults() }];
        assert!(passes(&pod, NodeInclusionPolicy::Honor) && passes(&pod, NodeInclusionPolicy::Ignore));
    }
}
