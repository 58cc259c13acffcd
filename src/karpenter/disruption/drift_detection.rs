//! Whether a NodeClaim still is what its NodePool would make (`pkg/controllers/nodeclaim/disruption/drift.go`), and what the cloud
//! would launch (karpenter-provider-aws `pkg/cloudprovider/drift.go`).

use crate::api::karpenter::{NodeClassRef, NodePoolSpec};
use crate::api::meta::Labels;
use crate::api::pod::Taint;
use crate::cluster::Rule;
use crate::cluster::catalogue::{CapacityType, Catalogue, ReservationId};
use crate::cluster::node_class::{LaunchedWith, NodeClassVersion};
use crate::karpenter::scheduling::labels;
use crate::karpenter::scheduling::requirement::Requirement;
use crate::karpenter::scheduling::requirements::{Requirements, Undefined};
use crate::time::{Duration, Time};

/// How often a NodeClaim is looked at beside changes of itself, its pool and its pods.
pub const RECHECK: Duration = Duration::from_mins(5);
/// Age from which on it is asked whether a NodeClaim's instance type is still sold.
pub const TYPE_CHECK_AGE: Duration = Duration::from_hours(1);
/// How long that is taken for granted after it was found (`instanceTypeNotFoundCheckCache`).
pub const TYPE_CHECK_HOLDS: Duration = Duration::from_mins(30);

/// Fields of an EC2NodeClass that its hash leaves out (`hash:"ignore"`). The AMI family is hashed as it is resolved.
const NOT_HASHED: [&str; 6] = [
    "subnetSelectorTerms",
    "securityGroupSelectorTerms",
    "capacityReservationSelectorTerms",
    "ipPrefixCount",
    "amiSelectorTerms",
    "amiFamily",
];

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
    /// The provider has no offering of its instance type for its labels.
    InstanceTypeNotFound,
    /// The hashed part of the EC2NodeClass changed since the launch.
    NodeClassDrift,
    /// The EC2NodeClass finds another AMI.
    AmiDrift,
    /// The EC2NodeClass finds other security groups.
    SecurityGroupDrift,
    /// The EC2NodeClass does not find the subnet.
    SubnetDrift,
    /// The EC2NodeClass does not select the capacity reservation.
    CapacityReservationDrift,
}

impl Drift {
    /// Upstream's name.
    #[must_use]
    pub const fn rule(self) -> Rule {
        match self {
            Drift::NodePoolDrifted => Rule::NodePoolDrifted,
            Drift::RequirementsDrifted => Rule::RequirementsDrifted,
            Drift::InstanceTypeNotFound => Rule::InstanceTypeNotFound,
            Drift::NodeClassDrift => Rule::NodeClassDrift,
            Drift::AmiDrift => Rule::AmiDrift,
            Drift::SecurityGroupDrift => Rule::SecurityGroupDrift,
            Drift::SubnetDrift => Rule::SubnetDrift,
            Drift::CapacityReservationDrift => Rule::CapacityReservationDrift,
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

/// The first reason of its NodePool for a launched NodeClaim made from `made_from`, whose labels are `labels`
/// (`areStaticFieldsDrifted`, `areRequirementsDrifted`).
#[must_use]
pub fn of_pool(made_from: &HashedTemplate, labels: &Labels, pool: &NodePoolSpec) -> Option<Drift> {
    if *made_from != HashedTemplate::of(pool) {
        return Some(Drift::NodePoolDrifted);
    }
    let wanted = Requirements::of_list(&pool.template.spec.requirements);
    let mut own = Requirements::new();
    // Labels of which nothing is wanted make no difference.
    for (key, value) in labels.iter().filter(|(key, _)| wanted.get(labels::normalized(key)).is_some()) {
        own.add(key, Requirement::is(value));
    }
    let met = own.compatible(&wanted, Undefined::Denied).is_ok();
    (!met).then_some(Drift::RequirementsDrifted)
}

/// Whether it is time to ask whether the instance type of a NodeClaim is still sold.
#[must_use]
pub fn asks_for_type(created: Time, last_found: Option<Time>, now: Time) -> bool {
    now.since(created) > TYPE_CHECK_AGE && last_found.is_none_or(|found| now.since(found) >= TYPE_CHECK_HOLDS)
}

/// The provider has no offering, available or not, for the labels of a NodeClaim. One from a reservation may turn on-demand.
#[must_use]
pub fn instance_type_not_found(catalogue: &Catalogue, labels: &Labels) -> bool {
    let label = |key| labels.get(key).map(String::as_str);
    let Some(id) = label(labels::INSTANCE_TYPE).and_then(|name| catalogue.find(name)) else { return true };
    let wanted = label(labels::CAPACITY_TYPE);
    let fits = |capacity_type: CapacityType| match wanted.and_then(CapacityType::parse) {
        Some(CapacityType::Reserved) => capacity_type != CapacityType::Spot,
        Some(own) => capacity_type == own,
        None => wanted.is_none(),
    };
    let in_zone = |zone| label(labels::ZONE).is_none_or(|own| own == catalogue.zone(zone));
    !catalogue.get(id).offerings.iter().any(|offering| fits(offering.capacity_type) && in_zone(offering.zone))
}

/// The EC2NodeClass finds nothing of a kind, so that drift cannot be told: what is known of it stays.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NothingFound;

/// The first reason of its EC2NodeClass for a NodeClaim that was launched with `then`, when the class stands as `now`
/// (`isNodeClassDrifted`). `architecture` is that of its instance type.
///
/// Where the scenario does not say what there is to find, other terms for AMIs or security groups find others, and a subnet is no
/// longer found when one of the terms of then is gone.
///
/// # Errors
/// When drift cannot be told.
pub fn of_class(
    then: &LaunchedWith,
    now: &NodeClassVersion,
    architecture: &str,
) -> Result<Option<Drift>, NothingFound> {
    let class = &then.class;
    let hashed = |class: &NodeClassVersion| -> Vec<(String, Vec<String>)> {
        let fields =
            class.fields.iter().filter(|(key, value)| !value.is_empty() && !NOT_HASHED.contains(&key.as_str()));
        fields.map(|(key, value)| (key.clone(), value.clone())).collect()
    };
    if class.family != now.family || hashed(class) != hashed(now) {
        return Ok(Some(Drift::NodeClassDrift));
    }
    Ok(if class.new_amis != now.new_amis || is_ami_drifted(class, now, architecture)? {
        Some(Drift::AmiDrift)
    } else if are_security_groups_drifted(class, now)? {
        Some(Drift::SecurityGroupDrift)
    } else if is_subnet_drifted(then, now)? {
        Some(Drift::SubnetDrift)
    } else {
        None
    })
}

fn terms(class: &NodeClassVersion, key: &str) -> Vec<String> {
    class.fields.get(key).cloned().unwrap_or_default()
}

fn is_ami_drifted(then: &NodeClassVersion, now: &NodeClassVersion, architecture: &str) -> Result<bool, NothingFound> {
    let (Some(_), Some(amis)) = (&then.found.amis, &now.found.amis) else {
        return Ok(terms(then, "amiSelectorTerms") != terms(now, "amiSelectorTerms"));
    };
    if amis.is_empty() {
        return Err(NothingFound);
    }
    Ok(then.found.ami_of(architecture) != now.found.ami_of(architecture))
}

fn are_security_groups_drifted(then: &NodeClassVersion, now: &NodeClassVersion) -> Result<bool, NothingFound> {
    match (&then.found.security_groups, &now.found.security_groups) {
        (Some(_), Some(groups)) if groups.is_empty() => Err(NothingFound),
        (Some(own), Some(groups)) => Ok(own != groups),
        _ => Ok(terms(then, "securityGroupSelectorTerms") != terms(now, "securityGroupSelectorTerms")),
    }
}

fn is_subnet_drifted(then: &LaunchedWith, now: &NodeClassVersion) -> Result<bool, NothingFound> {
    match (&then.subnet, &now.found.subnets) {
        (Some(_), Some(subnets)) if subnets.is_empty() => Err(NothingFound),
        (Some(own), Some(subnets)) => Ok(subnets.iter().all(|subnet| subnet.id != *own)),
        _ => {
            let subnets = terms(now, "subnetSelectorTerms");
            Ok(terms(&then.class, "subnetSelectorTerms").iter().any(|term| !subnets.contains(term)))
        }
    }
}

/// Whether the EC2NodeClass no longer selects the reservation that an instance is in (`isCapacityReservationDrifted`). One that is
/// over holds no instance.
#[must_use]
pub fn of_reservation(reservation: ReservationId, catalogue: &Catalogue) -> Option<Drift> {
    let mut offerings = catalogue.types.iter().flat_map(|instance_type| &instance_type.offerings);
    let selected = offerings.any(|offering| offering.reservation == Some(reservation));
    (!selected).then_some(Drift::CapacityReservationDrift)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::decode::defaults;
    use crate::api::pod::{NodeOperator, NodeRequirement};
    use crate::cluster::catalogue::{InstanceType, Offering, ZoneId};
    use crate::units::Resources;

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
        let drift = |change: fn(&mut NodePoolSpec)| of_pool(&before, &labels, &pool(change));
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
        assert_eq!(of_pool(&before, &labels, &with("a")), None);
        assert_eq!(of_pool(&before, &labels, &with("b")), Some(Drift::RequirementsDrifted));
    }

    /// Spot in zone a, on demand in zone b, and a reservation there.
    fn catalogue() -> Catalogue {
        let sold = |zone: u16, capacity_type, reservation| Offering {
            zone: ZoneId(zone),
            capacity_type,
            price: 1.0,
            available: false,
            reservation,
        };
        let m5 = InstanceType {
            name: "m5.large".to_owned(),
            labels: Vec::new().into(),
            capacity: Resources::ZERO,
            allocatable: Resources::ZERO,
            offerings: vec![
                sold(0, CapacityType::Spot, None),
                sold(1, CapacityType::OnDemand, None),
                sold(1, CapacityType::Reserved, Some(ReservationId(0))),
            ],
        };
        Catalogue { zones: vec!["a".to_owned(), "b".to_owned()], types: vec![m5], ..Catalogue::default() }
    }

    #[test]
    fn an_instance_type_is_not_found_where_nothing_is_sold_under_the_labels_of_the_node() {
        let gone = |name: &str, zone: Option<&str>, capacity_type: Option<&str>| {
            let mut own: Labels = [(labels::INSTANCE_TYPE.to_owned(), name.to_owned())].into();
            own.extend(zone.map(|zone| (labels::ZONE.to_owned(), zone.to_owned())));
            own.extend(capacity_type.map(|kind| (labels::CAPACITY_TYPE.to_owned(), kind.to_owned())));
            instance_type_not_found(&catalogue(), &own)
        };
        assert!(!gone("m5.large", Some("a"), Some("spot")) && gone("m5.large", Some("b"), Some("spot")));
        assert!(!gone("m5.large", Some("b"), Some("on-demand")) && gone("m5.large", Some("a"), Some("on-demand")));
        // May turn on-demand, but not Spot.
        assert!(!gone("m5.large", Some("b"), Some("reserved")) && gone("m5.large", Some("a"), Some("reserved")));
        assert!(!gone("m5.large", None, None) && !gone("m5.large", Some("a"), None));
        assert!(gone("m5.large", Some("c"), None) && gone("m5.large", Some("a"), Some("borrowed")));
        assert!(gone("m6.large", Some("a"), Some("spot")));
    }

    #[test]
    fn an_instance_drifts_from_a_reservation_that_is_no_longer_selected() {
        assert_eq!(of_reservation(ReservationId(0), &catalogue()), None);
        assert_eq!(of_reservation(ReservationId(1), &catalogue()), Some(Drift::CapacityReservationDrift));
    }
}
