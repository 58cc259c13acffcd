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

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::api::karpenter::NodePool;
    use crate::cluster::catalogue::{CapacityType, Offering, Reservation, ReservationId, ReservationKind, TypeId};
    use crate::engine::Streams;
    use crate::karpenter::scheduling::requirements::Requirements;
    use crate::karpenter::small_cluster::{self, parse};
    use crate::time::Duration;
    use crate::units::Resources;

    const POOL: &str = r#"
        metadata = { name = "workers" }
        [spec.template.metadata]
        labels = { team = "a" }
        annotations = { note = "b" }
        [spec.template.spec]
        requirements = []
        taints = [{ key = "team", effect = "NoSchedule" }]
        startupTaints = [{ key = "network", effect = "NoExecute" }]
        expireAfter = "1h"
        terminationGracePeriod = "5m"
    "#;

    fn of(pool: &str, requirements: &[&str]) -> NodeClaim {
        let streams = Streams::new(1, 0);
        let mut cluster = small_cluster::cluster(streams, "", &[]);
        cluster.nodepools[0].object = Arc::new(parse::<NodePool>(pool));
        let catalogue = Arc::make_mut(&mut cluster.catalogues[0]);
        catalogue.zones.push("z2".to_owned());
        for id in ["cr-1", "cr-2"] {
            catalogue.reservations.push(Reservation { id: id.to_owned(), kind: ReservationKind::Default, left: 1 });
        }
        let sold = catalogue.types[1].offerings[0];
        catalogue.types[1].offerings.push(Offering { capacity_type: CapacityType::Spot, ..sold });
        let requirements: Vec<NodeRequirement> = requirements.iter().map(|text| parse(text)).collect();
        let claim = NewClaim {
            pool: 0,
            requirements: Arc::new(Requirements::of_list(&requirements)),
            options: vec![TypeId(1)],
            requests: Resources::ZERO,
            pods: Vec::new(),
            min_values_relaxed: false,
        };
        node_claim(&cluster, NodePoolId(0), &claim, Time::ZERO, &mut streams.open("names", 0))
    }

    /// `ToNodeClaim`.
    #[test]
    fn a_nodeclaim_takes_after_the_template_of_its_pool() {
        let claim = of(POOL, &[]);
        let label = |key: &str| claim.labels.get(key).map(String::as_str);
        assert_eq!((label("team"), label(labels::NODE_POOL)), (Some("a"), Some("workers")));
        assert_eq!(claim.annotations["note"], "b");
        let keys = |taints: &[crate::api::pod::Taint]| taints.iter().map(|taint| taint.key.clone()).collect::<Vec<_>>();
        assert_eq!(
            (keys(&claim.taints), keys(&claim.startup_taints)),
            (vec!["team".to_owned()], vec!["network".to_owned()])
        );
        assert_eq!(claim.expire_after, Some(Duration::from_hours(1)));
        assert_eq!(claim.termination_grace_period, Some(Duration::from_mins(5)));
    }

    #[test]
    fn a_nodeclaim_may_be_where_and_what_its_requirements_allow() {
        let anywhere = of(POOL, &[]);
        assert_eq!((anywhere.zones.len(), anywhere.reservations.len()), (2, 0));
        assert_eq!(anywhere.capacity_types, [CapacityType::Spot, CapacityType::OnDemand]);
        let held = of(
            POOL,
            &[
                "key = \"topology.kubernetes.io/zone\"\noperator = \"In\"\nvalues = [\"z2\"]",
                "key = \"karpenter.sh/capacity-type\"\noperator = \"In\"\nvalues = [\"on-demand\"]",
            ],
        );
        assert_eq!((held.zones, held.capacity_types), (vec![ZoneId(1)], vec![CapacityType::OnDemand]));
        assert!(held.requirements.is_empty(), "zones and capacity types are in fields of their own");
        let reserved = "key = \"karpenter.k8s.aws/capacity-reservation-id\"\noperator = \"In\"\nvalues = [\"cr-2\"]";
        assert_eq!(of(POOL, &[reserved]).reservations, [ReservationId(1)]);
    }

    #[test]
    fn requirements_are_written_as_the_api_has_them() {
        let told = |text: &str| {
            let written = of(POOL, &[text]).requirements;
            let one = |r: &NodeRequirement| format!("{} {} {}", r.key, r.operator.as_str(), r.values.join(","));
            written.iter().map(one).collect::<Vec<_>>().join("; ")
        };
        assert!(!of(POOL, &["key = \"a\"\noperator = \"Exists\""]).has_min_values);
        assert!(of(POOL, &["key = \"a\"\noperator = \"Exists\"\nminValues = 2"]).has_min_values);
        assert_eq!(told("key = \"a\"\noperator = \"In\"\nvalues = [\"x\", \"y\"]"), "a In x,y");
        assert_eq!(told("key = \"a\"\noperator = \"NotIn\"\nvalues = [\"x\"]"), "a NotIn x");
        assert_eq!(told("key = \"a\"\noperator = \"Exists\""), "a Exists ");
        assert_eq!(told("key = \"a\"\noperator = \"DoesNotExist\""), "a DoesNotExist ");
        assert_eq!(told("key = \"a\"\noperator = \"Gt\"\nvalues = [\"3\"]"), "a Gte 4");
        assert_eq!(told("key = \"a\"\noperator = \"Lt\"\nvalues = [\"3\"]"), "a Lte 2");
    }
}
