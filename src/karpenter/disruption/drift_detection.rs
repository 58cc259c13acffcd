//! Whether a NodeClaim still is what its NodePool would make (`pkg/controllers/nodeclaim/disruption/drift.go`).

use crate::api::karpenter::{NodeClassRef, NodePoolSpec};
use crate::api::meta::Labels;
use crate::api::pod::Taint;
use crate::cluster::Rule;
use crate::karpenter::scheduling::requirements::{Requirements, Undefined};
use crate::time::Duration;

/// How often a NodeClaim is looked at beside changes of itself, its pool and its pods.
pub const RECHECK: Duration = Duration::from_mins(5);

/// The part of a NodePool that its hash covers (`NodePool.Hash`): not requirements, disruption, weight or limits.
#[derive(Clone, Debug, PartialEq)]
pub struct HashedTemplate {
    labels: Labels,
    annotations: Labels,
    taints: Vec<Taint>,
    startup_taints: Vec<Taint>,
    node_class_ref: Option<NodeClassRef>,
    expire_after: Option<Duration>,
    termination_grace_period: Option<Duration>,
}

/// Why a node drifted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Drift {
    /// The hashed part of the pool's template changed since the NodeClaim was made.
    NodePoolDrifted,
    /// The NodeClaim's labels do not meet the pool's requirements any more.
    RequirementsDrifted,
}

impl Drift {
    /// Upstream's name.
    #[must_use]
    pub const fn rule(self) -> Rule {
        match self {
            Drift::NodePoolDrifted => Rule::NodePoolDrifted,
            Drift::RequirementsDrifted => Rule::RequirementsDrifted,
        }
    }
}

impl HashedTemplate {
    /// Of a pool's spec.
    #[must_use]
    pub fn of(spec: &NodePoolSpec) -> Self {
        let template = &spec.template;
        HashedTemplate {
            labels: template.metadata.labels.clone(),
            annotations: template.metadata.annotations.clone(),
            taints: template.spec.taints.clone(),
            startup_taints: template.spec.startup_taints.clone(),
            node_class_ref: template.spec.node_class_ref.clone(),
            expire_after: template.spec.expire_after.0,
            termination_grace_period: template.spec.termination_grace_period.map(|grace| grace.0),
        }
    }
}

/// The first reason that applies to a launched NodeClaim made from `made_from`, whose labels are `labels`.
#[must_use]
pub fn detect(made_from: &HashedTemplate, labels: &Labels, pool: &NodePoolSpec) -> Option<Drift> {
    if *made_from != HashedTemplate::of(pool) {
        return Some(Drift::NodePoolDrifted);
    }
    let wanted = Requirements::of_list(&pool.template.spec.requirements);
    let met = Requirements::of_labels(labels).compatible(&wanted, Undefined::Denied).is_ok();
    (!met).then_some(Drift::RequirementsDrifted)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::decode::defaults;
    use crate::api::pod::{NodeOperator, NodeRequirement};

    fn pool(change: impl FnOnce(&mut NodePoolSpec)) -> NodePoolSpec {
        let mut spec = NodePoolSpec {
            template: crate::api::karpenter::NodeClaimTemplate { metadata: defaults(), spec: defaults() },
            disruption: defaults(),
            limits: None,
            weight: None,
            replicas: None,
        };
        change(&mut spec);
        spec
    }

    fn zone_is(zone: &str) -> NodeRequirement {
        NodeRequirement {
            key: "topology.kubernetes.io/zone".to_owned(),
            operator: NodeOperator::In,
            values: vec![zone.to_owned()],
            min_values: None,
        }
    }

    #[test]
    fn template_changes_drift_but_disruption_weight_and_limits_do_not() {
        let before = HashedTemplate::of(&pool(|_| {}));
        let labels = Labels::new();
        let drift = |change: fn(&mut NodePoolSpec)| detect(&before, &labels, &pool(change));
        assert_eq!(drift(|_| {}), None);
        assert_eq!(drift(|spec| spec.weight = Some(7)), None);
        assert_eq!(drift(|spec| spec.disruption.consolidate_after.0 = None), None);
        assert_eq!(drift(|spec| spec.template.spec.expire_after.0 = None), Some(Drift::NodePoolDrifted));
        let relabel: fn(&mut NodePoolSpec) =
            |spec| drop(spec.template.metadata.labels.insert("gen".to_owned(), "two".to_owned()));
        assert_eq!(drift(relabel), Some(Drift::NodePoolDrifted));
    }

    #[test]
    fn requirements_drift_only_when_the_node_no_longer_meets_them() {
        let before = HashedTemplate::of(&pool(|_| {}));
        let labels: Labels = [("topology.kubernetes.io/zone".to_owned(), "a".to_owned())].into();
        let with = |zone| pool(|spec| spec.template.spec.requirements.push(zone_is(zone)));
        assert_eq!(detect(&before, &labels, &with("a")), None);
        assert_eq!(detect(&before, &labels, &with("b")), Some(Drift::RequirementsDrifted));
    }
}
