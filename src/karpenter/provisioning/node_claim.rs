//! From a plan to the NodeClaim that is created.

use crate::api::meta::Labels;
use crate::api::pod::{NodeOperator, NodeRequirement};
use crate::cluster::catalogue::ZoneId;
use crate::cluster::nodeclaim::NodeClaim;
use crate::cluster::{Cluster, NodePoolId};
use crate::engine::Stream;
use crate::karpenter::scheduling::requirement::{Effect, Requirement};
use crate::karpenter::scheduling::{NewClaim, capacity_types, labels, required_reservations, resolve_labels};
use crate::time::Time;

/// The NodeClaim of a plan (`nodeclaimtemplate.go: ToNodeClaim`). `random` decides its name and the values of custom labels.
#[must_use]
pub fn node_claim(cluster: &Cluster, pool: NodePoolId, claim: &NewClaim, now: Time, random: &mut Stream) -> NodeClaim {
    let record = &cluster.nodepools[pool.index()];
    let template = &record.object.spec.template;
    let catalogue = cluster.catalogue_of(pool);
    let allowed = |key: &str, value: &str| claim.requirements.get(key).is_none_or(|requirement| requirement.has(value));
    let zones = (0..catalogue.zones.len()).map(|zone| ZoneId(zone as u16));
    let mut all: Labels = template.metadata.labels.clone();
    all.insert(labels::NODE_POOL.to_owned(), record.name.clone());
    all.extend(resolve_labels(&claim.requirements, random));
    NodeClaim {
        pool_generation: record.generation,
        requirements: claim
            .requirements
            .iter()
            .filter(|(key, _)| ![labels::INSTANCE_TYPE, labels::ZONE, labels::CAPACITY_TYPE].contains(key))
            .flat_map(|(key, requirement)| written(key, requirement))
            .collect(),
        options: claim.options.clone(),
        zones: zones.filter(|zone| allowed(labels::ZONE, catalogue.zone(*zone))).collect(),
        capacity_types: capacity_types(catalogue, &claim.options, &claim.requirements),
        reservations: required_reservations(catalogue, &claim.requirements),
        has_min_values: claim.requirements.has_min_values(),
        requests: claim.requests,
        labels: all,
        annotations: template.metadata.annotations.clone(),
        taints: template.spec.taints.clone(),
        startup_taints: template.spec.startup_taints.clone(),
        expire_after: template.spec.expire_after.0,
        termination_grace_period: template.spec.termination_grace_period.map(|grace| grace.0),
        ..NodeClaim::new(format!("{}-{}", record.name, random_suffix(random)), pool, now)
    }
}

/// Five characters as Kubernetes appends to generated names.
fn random_suffix(random: &mut Stream) -> String {
    const ALPHABET: &[u8; 27] = b"bcdfghjklmnpqrstvwxz2456789";
    (0..5).map(|_| char::from(ALPHABET[random.below(ALPHABET.len())])).collect()
}

/// A requirement as the API holds it (`NodeSelectorRequirement`, `BoundedNodeSelectorRequirements`).
fn written(key: &str, requirement: &Requirement) -> Vec<NodeRequirement> {
    let one = |operator: NodeOperator, values: Vec<String>| NodeRequirement {
        key: key.to_owned(),
        operator,
        values,
        min_values: requirement.min_values,
    };
    let bounds = requirement.bounds();
    if bounds != (None, None) {
        let low = bounds.0.map(|bound| one(NodeOperator::Gte, vec![bound.to_string()]));
        let high = bounds.1.map(|bound| one(NodeOperator::Lte, vec![bound.to_string()]));
        return low.into_iter().chain(high).collect();
    }
    let operator = match requirement.effect() {
        Effect::In => NodeOperator::In,
        Effect::NotIn => NodeOperator::NotIn,
        Effect::Exists => NodeOperator::Exists,
        Effect::DoesNotExist => NodeOperator::DoesNotExist,
    };
    vec![one(operator, requirement.values().map(str::to_owned).collect())]
}
