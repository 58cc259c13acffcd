//! From the claims of a pass to what is launched (`nodeclaim.go: FinalizeScheduling`, `scheduler.go: TruncateInstanceTypes`,
//! `nodeclaimtemplate.go: ToNodeClaim`).

use std::collections::BTreeSet;
use std::sync::Arc;

use super::arena::Arena;
use super::claim::Claim;
use super::input::{MinValuesPolicy, Options};
use super::labels;
use super::min_values;
use super::offers::{Allowed, Offers, order_by_price};
use super::requirement::{Effect, Requirement};
use super::requirements::Requirements;
use super::results::{NewClaim, Results, SchedulingError};
use super::solver::Solver;
use super::tie;
use super::type_set::TypeSet;
use crate::api::meta::Labels;
use crate::cluster::catalogue::{CapacityType, Catalogue, TypeId};
use crate::engine::Stream;

/// More finished claims than this are forgotten.
const MOST_FINISHED: usize = 2000;

/// Turns a finished pass into its results.
pub(super) fn finish(
    solver: Solver<'_, '_>,
    mut errors: Vec<Option<Arc<SchedulingError>>>,
    skipped_pools: Vec<usize>,
) -> Results {
    let mut claims = Vec::new();
    for (_, index) in &solver.order.items {
        let claim = solver.claims[*index as usize].clone();
        let template = &solver.templates[claim.template];
        let offers = &mut solver.offers[template.catalogue];
        let (requirements, options) = finished(&claim, solver.arena, offers, &solver.input.options);
        let Some(options) = options else {
            for pod in &claim.pods {
                errors[*pod] = Some(Arc::new(SchedulingError::MinValuesAfterTruncation));
            }
            continue;
        };
        claims.push(NewClaim {
            pool: template.pool,
            requirements,
            options,
            requests: claim.requests + template.least_overhead(&claim.options),
            pods: claim.pods,
            min_values_relaxed: claim.min_values_relaxed,
        });
    }
    let filled = solver.existing.into_iter().filter(|node| !node.pods.is_empty());
    let errors = errors.into_iter().enumerate().filter_map(|(pod, error)| Some((pod, error?.as_ref().clone())));
    Results {
        existing: filled.map(|node| (node.node, node.pods)).collect(),
        claims,
        errors: errors.collect(),
        skipped_pools,
    }
}

/// Claims of equal requirements and options become the same.
fn finished(
    claim: &Claim,
    arena: &Arena,
    offers: &mut Offers,
    options: &Options,
) -> (Arc<Requirements>, Option<Vec<TypeId>>) {
    if !claim.reserved.is_empty() {
        return launchable(claim, arena, offers, options);
    }
    let key = (claim.set, Arc::clone(&claim.options));
    if let Some(known) = offers.launchable.get(&key) {
        return known.clone();
    }
    let result = launchable(claim, arena, offers, options);
    if offers.launchable.len() >= MOST_FINISHED {
        offers.launchable.clear();
    }
    offers.launchable.insert(key, result.clone());
    result
}

/// Requirements and instance types of a claim; no types when the cut to the allowed number breaks a `minValues`.
fn launchable(
    claim: &Claim,
    arena: &Arena,
    offers: &mut Offers,
    options: &Options,
) -> (Arc<Requirements>, Option<Vec<TypeId>>) {
    let mut requirements = arena.get(claim.set).as_ref().clone();
    requirements.remove(labels::REGISTERED);
    requirements.remove(labels::INITIALIZED);
    if !claim.reserved.is_empty() {
        requirements.set(labels::CAPACITY_TYPE, Requirement::is("reserved"));
        let names = claim.reserved.iter().map(|id| offers.catalogue.reservation(*id).id.clone());
        requirements.add(labels::RESERVATION_ID, Requirement::one_of(names));
    }
    let mut ids: Vec<TypeId> = claim.options.ids().collect();
    order_by_price(&offers.catalogue, &mut ids, &requirements);
    ids.truncate(options.max_instance_types);
    if options.min_values == MinValuesPolicy::Strict && requirements.has_min_values() {
        let mut kept = vec![false; offers.catalogue.types.len()];
        ids.iter().for_each(|id| kept[id.0 as usize] = true);
        let kept = TypeSet::select(kept.len(), |id| kept[id]);
        if !min_values::unmet(&requirements, offers, &kept).is_empty() {
            return (Arc::new(requirements), None);
        }
    }
    (Arc::new(requirements), Some(ids))
}

/// Capacity types that a NodeClaim of these types asks for: those in which some of them are offered under the requirements; if none
/// is, whatever the requirements allow (`ToNodeClaim`).
#[must_use]
pub fn capacity_types(catalogue: &Catalogue, ids: &[TypeId], requirements: &Requirements) -> Vec<CapacityType> {
    let all = ids.iter().flat_map(|id| &catalogue.get(*id).offerings).filter(|offering| offering.available);
    let allowed = Allowed::of(catalogue, requirements);
    let offered: BTreeSet<CapacityType> = all.filter(|o| allowed.allows(o)).map(|o| o.capacity_type).collect();
    let permitted = |capacity_type: &CapacityType| {
        requirements.get(labels::CAPACITY_TYPE).is_none_or(|requirement| requirement.has(capacity_type.as_str()))
    };
    let every = [CapacityType::Reserved, CapacityType::Spot, CapacityType::OnDemand];
    every.into_iter().filter(|one| permitted(one) && (offered.is_empty() || offered.contains(one))).collect()
}

/// Labels of the NodeClaim for requirements that no instance type answers: one value of each custom label, at random
/// (`resolveCustomLabelsFromRequirements`, `Requirement.Any`).
pub fn resolve_labels(requirements: &Requirements, stream: &mut Stream) -> Labels {
    let custom = requirements.iter().filter(|(key, _)| !labels::is_well_known(key) && *key != labels::HOSTNAME);
    custom.filter_map(|(key, requirement)| Some((key.to_owned(), any_value(requirement, stream)?))).collect()
}

fn any_value(requirement: &Requirement, stream: &mut Stream) -> Option<String> {
    match requirement.effect() {
        Effect::DoesNotExist => None,
        Effect::In => {
            let place = tie::first(requirement.values().len(), stream);
            requirement.values().nth(place).map(str::to_owned)
        }
        Effect::NotIn | Effect::Exists => {
            let (at_least, at_most) = requirement.bounds();
            let low = i128::from(at_least.unwrap_or(0));
            let high = at_most.map_or(i128::from(i64::MAX), |bound| i128::from(bound) + 1);
            let span = (high - low).max(1) as u64 as usize;
            Some((low + stream.below(span) as i128).to_string())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::pod::NodeOperator;
    use crate::cluster::catalogue::{InstanceType, Offering, ZoneId};
    use crate::engine::Streams;
    use crate::units::Resources;

    #[test]
    fn a_label_within_bounds_gets_any_integer_between_them() {
        let bound = |operator, value: &str| Requirement::new(operator, &[value.to_owned()], None);
        let mut stream = Streams::new(1, 0).open("labels", 0);
        let mut drawn = |above: &str, below: &str| -> Vec<String> {
            let mut requirements = Requirements::new();
            requirements.add("size", bound(NodeOperator::Gt, above).intersection(&bound(NodeOperator::Lt, below)));
            let all = (0..100).map(|_| resolve_labels(&requirements, &mut stream)["size"].clone());
            all.collect::<BTreeSet<String>>().into_iter().collect()
        };
        assert_eq!(drawn("1", "4"), ["2", "3"]);
        assert_eq!(drawn("4", "9"), ["5", "6", "7", "8"]);
    }

    #[test]
    fn only_labels_that_neither_types_nor_karpenter_define_are_resolved() {
        let mut requirements = Requirements::new();
        for key in [labels::ZONE, labels::CAPACITY_TYPE, labels::HOSTNAME, "team"] {
            requirements.add(key, Requirement::is("a"));
        }
        let resolved = resolve_labels(&requirements, &mut Streams::new(1, 0).open("labels", 0));
        assert_eq!(resolved, [("team".to_owned(), "a".to_owned())].into());
    }

    #[test]
    fn a_nodeclaim_asks_for_the_capacity_types_that_are_to_be_had() {
        let sold = |capacity_type, available| Offering {
            zone: ZoneId(0),
            capacity_type,
            price: 1.0,
            available,
            reservation: None,
        };
        let asked = |spot: bool, on_demand: bool, allowed: &[&str]| {
            let only = InstanceType {
                name: "only".to_owned(),
                labels: Arc::default(),
                capacity: Resources::ZERO,
                allocatable: Resources::ZERO,
                offerings: vec![sold(CapacityType::Spot, spot), sold(CapacityType::OnDemand, on_demand)],
            };
            let catalogue = Catalogue { zones: vec!["z".to_owned()], types: vec![only], ..Catalogue::default() };
            let mut requirements = Requirements::new();
            if !allowed.is_empty() {
                let allowed = allowed.iter().map(|name| (*name).to_owned());
                requirements.add(labels::CAPACITY_TYPE, Requirement::one_of(allowed));
            }
            capacity_types(&catalogue, &[TypeId(0)], &requirements)
        };
        assert_eq!(asked(false, true, &[]), [CapacityType::OnDemand]);
        assert_eq!(asked(true, true, &["spot"]), [CapacityType::Spot]);
        assert_eq!(asked(true, true, &["spot", "on-demand"]), [CapacityType::Spot, CapacityType::OnDemand]);
        // Of nothing that is to be had it asks for all that is allowed.
        assert_eq!(asked(false, true, &["spot"]), [CapacityType::Spot]);
        assert_eq!(asked(false, false, &["spot", "on-demand"]), [CapacityType::Spot, CapacityType::OnDemand]);
    }
}
