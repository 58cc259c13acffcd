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
    use crate::api::pod::{Taint, TaintEffect};
    use crate::api::scalar::GoDuration;
    use crate::cluster::catalogue::{CapacityType, Offering, Reservation, ReservationId, ReservationKind, TypeId};
    use crate::engine::Streams;
    use crate::karpenter::scheduling::requirements::Requirements;
    use crate::karpenter::small_cluster;
    use crate::time::Duration;
    use crate::units::{Resource, Resources};

    const NOW: Time = Time::from_micros(5_000_000);

    /// The small cluster with a second zone, and `large` sold from a reservation too.
    fn cluster() -> Cluster {
        let mut cluster = small_cluster::cluster(Streams::new(1, 0), "", &[]);
        let catalogue = Arc::make_mut(&mut cluster.catalogues[0]);
        catalogue.zones.push("z2".to_owned());
        let kept = Reservation { id: "cr-a".to_owned(), kind: ReservationKind::Default, left: 1 };
        catalogue.reservations.push(kept);
        let on_demand = catalogue.types[0].offerings[0];
        let reservation = Some(ReservationId(0));
        catalogue.types[0].offerings.push(Offering { capacity_type: CapacityType::Reserved, reservation, ..on_demand });
        cluster
    }

    fn created(cluster: &Cluster, requirements: Requirements) -> NodeClaim {
        created_as(cluster, requirements, &mut Streams::new(1, 0).open("names", 0))
    }

    fn created_as(cluster: &Cluster, requirements: Requirements, names: &mut Stream) -> NodeClaim {
        let plan = NewClaim {
            pool: 0,
            requirements: Arc::new(requirements),
            options: vec![TypeId(0), TypeId(1)],
            requests: Resources::ZERO.with(Resource::Pods, 3),
            pods: Vec::new(),
            min_values_relaxed: false,
        };
        node_claim(cluster, NodePoolId(0), &plan, NOW, names)
    }

    #[test]
    fn a_nodeclaim_carries_what_the_template_of_its_pool_says_of_its_nodes() {
        let mut cluster = cluster();
        let taint = |key: &str| Taint { key: key.to_owned(), value: String::new(), effect: TaintEffect::NoSchedule };
        cluster.nodepools[0].generation = 7;
        let template = &mut Arc::make_mut(&mut cluster.nodepools[0].object).spec.template;
        template.spec.taints = vec![taint("team")];
        template.spec.startup_taints = vec![taint("booting")];
        template.spec.expire_after.0 = Some(Duration::from_hours(3));
        template.spec.termination_grace_period = Some(GoDuration(Duration::from_mins(5)));
        template.metadata.annotations.insert("note".to_owned(), "a".to_owned());
        let claim = created(&cluster, Requirements::new());
        assert_eq!((claim.taints, claim.startup_taints), (vec![taint("team")], vec![taint("booting")]));
        assert_eq!(claim.expire_after, Some(Duration::from_hours(3)));
        assert_eq!(claim.termination_grace_period, Some(Duration::from_mins(5)));
        assert_eq!(claim.annotations, [("note".to_owned(), "a".to_owned())].into());
        assert_eq!((claim.created, claim.pool, claim.pool_generation), (NOW, NodePoolId(0), 7));
        assert_eq!(claim.labels.get(labels::NODE_POOL).map(String::as_str), Some("workers"));
    }

    #[test]
    fn a_nodeclaim_asks_for_what_its_plan_allows() {
        let cluster = cluster();
        let any = created(&cluster, Requirements::new());
        assert_eq!((any.zones, any.reservations), (vec![ZoneId(0), ZoneId(1)], Vec::new()));
        assert_eq!(any.capacity_types, [CapacityType::Reserved, CapacityType::OnDemand], "spot is not sold");
        assert!(!any.has_min_values);
        assert_eq!((any.requests.pods(), any.options), (3, vec![TypeId(0), TypeId(1)]));

        let mut requirements = Requirements::new();
        requirements.add(labels::ZONE, Requirement::is("z1"));
        requirements.add(labels::CAPACITY_TYPE, Requirement::is("reserved"));
        requirements.add(labels::RESERVATION_ID, Requirement::is("cr-a"));
        requirements.add(labels::INSTANCE_TYPE, Requirement::exists().with_min_values(Some(2)));
        let held = created(&cluster, requirements);
        assert_eq!((held.zones, held.reservations), (vec![ZoneId(0)], vec![ReservationId(0)]));
        assert_eq!((held.capacity_types, held.has_min_values), (vec![CapacityType::Reserved], true));
    }

    #[test]
    fn requirements_are_written_as_the_api_has_them() {
        let cluster = cluster();
        let of = |operator, values: &[&str]| NodeRequirement {
            key: "size".to_owned(),
            operator,
            values: values.iter().map(|value| (*value).to_owned()).collect(),
            min_values: None,
        };
        let written = |list: &[NodeRequirement]| created(&cluster, Requirements::of_list(list)).requirements;
        for same in [
            of(NodeOperator::In, &["1", "2"]),
            of(NodeOperator::NotIn, &["1"]),
            of(NodeOperator::Exists, &[]),
            of(NodeOperator::DoesNotExist, &[]),
            of(NodeOperator::Gte, &["3"]),
            of(NodeOperator::Lte, &["9"]),
        ] {
            assert_eq!(written(std::slice::from_ref(&same)), [same]);
        }
        let between = [of(NodeOperator::Gt, &["2"]), of(NodeOperator::Lt, &["10"])];
        assert_eq!(written(&between), [of(NodeOperator::Gte, &["3"]), of(NodeOperator::Lte, &["9"])]);
    }

    #[test]
    fn nodeclaims_are_named_after_their_pool_and_each_in_its_own_way() {
        let (cluster, mut names) = (cluster(), Streams::new(1, 0).open("names", 0));
        let named = [(); 2].map(|()| created_as(&cluster, Requirements::new(), &mut names).name);
        assert_ne!(named[0], named[1]);
        for name in named {
            assert_eq!(name.strip_prefix("workers-").map(str::len), Some(5), "{name}");
        }
    }
}
