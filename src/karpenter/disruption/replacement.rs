//! The node that would replace others: its instance types, what offerings it may use, and the price filters on them.

use std::collections::{BTreeMap, BTreeSet};

use crate::cluster::catalogue::{CapacityType, Catalogue, InstanceType, Offering, ReservationId, TypeId, ZoneId};

use crate::karpenter::scheduling::requirement::Requirement;
use crate::karpenter::scheduling::{NewClaim, labels};

use super::candidate::Candidate;
use super::model::PoolIndex;

/// Types a single-node spot-to-spot move needs and launches (`MinInstanceTypesForSpotToSpotConsolidation`).
pub const MIN_TYPES_FOR_SPOT_TO_SPOT: usize = 15;

/// A set of zones of a catalogue (at most 64).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ZoneSet(pub u64);

impl ZoneSet {
    /// Every zone.
    pub const ALL: ZoneSet = ZoneSet(u64::MAX);

    /// Only these zones.
    #[must_use]
    pub fn of(zones: impl IntoIterator<Item = ZoneId>) -> Self {
        ZoneSet(zones.into_iter().fold(0, |bits, zone| bits | 1 << zone.0))
    }

    /// Whether the zone is in it.
    #[must_use]
    pub const fn contains(self, zone: ZoneId) -> bool {
        self.0 >> zone.0 & 1 == 1
    }
}

/// A set of capacity types.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CapacitySet {
    /// From a reservation.
    pub reserved: bool,
    /// Spot.
    pub spot: bool,
    /// On demand.
    pub on_demand: bool,
}

impl CapacitySet {
    /// Every capacity type.
    pub const ALL: CapacitySet = CapacitySet { reserved: true, spot: true, on_demand: true };

    /// Only this one.
    #[must_use]
    pub fn only(capacity_type: CapacityType) -> Self {
        CapacitySet {
            reserved: capacity_type == CapacityType::Reserved,
            spot: capacity_type == CapacityType::Spot,
            on_demand: capacity_type == CapacityType::OnDemand,
        }
    }

    /// Whether it is in it.
    #[must_use]
    pub const fn contains(self, capacity_type: CapacityType) -> bool {
        match capacity_type {
            CapacityType::Reserved => self.reserved,
            CapacityType::Spot => self.spot,
            CapacityType::OnDemand => self.on_demand,
        }
    }
}

/// A requirement that the types of a replacement keep so many distinct values of a label.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MinValues {
    /// Label.
    pub key: String,
    /// Fewest distinct values.
    pub least: usize,
}

/// A NodeClaim that a simulation would create.
#[derive(Clone, Debug, PartialEq)]
pub struct Replacement {
    /// Its pool.
    pub pool: PoolIndex,
    /// Types it may become, cheapest first.
    pub types: Vec<TypeId>,
    /// Zones it may use.
    pub zones: ZoneSet,
    /// Capacity types it may use.
    pub capacity_types: CapacitySet,
    /// Capacity reservations that the scheduler holds for it; empty = any offering.
    pub reservations: Vec<ReservationId>,
    /// `minValues` of its requirements.
    pub min_values: Vec<MinValues>,
    /// The plan of the scheduler, whose types and capacity types the fields above narrow; `None` where only the decision counts.
    pub plan: Option<NewClaim>,
}

impl Replacement {
    /// All that a plan allows.
    #[must_use]
    pub fn unbounded(pool: PoolIndex, plan: NewClaim) -> Self {
        Replacement {
            pool,
            types: plan.options.clone(),
            zones: ZoneSet::ALL,
            capacity_types: CapacitySet::ALL,
            reservations: Vec::new(),
            min_values: Vec::new(),
            plan: Some(plan),
        }
    }

    /// The NodeClaim to create: the scheduler's plan, narrowed to the types and capacity types that the move allows.
    #[must_use]
    pub fn narrowed_plan(&self) -> Option<NewClaim> {
        let mut plan = self.plan.clone()?;
        plan.options.clone_from(&self.types);
        let allowed = [CapacityType::Reserved, CapacityType::Spot, CapacityType::OnDemand]
            .into_iter()
            .filter(|capacity_type| self.capacity_types.contains(*capacity_type));
        if self.capacity_types != CapacitySet::ALL {
            let names = allowed.map(|capacity_type| capacity_type.as_str().to_owned());
            std::sync::Arc::make_mut(&mut plan.requirements).add(labels::CAPACITY_TYPE, Requirement::one_of(names));
        }
        Some(plan)
    }

    /// Whether its requirements allow the offering.
    #[must_use]
    pub fn allows(&self, offering: &Offering) -> bool {
        self.zones.contains(offering.zone)
            && self.capacity_types.contains(offering.capacity_type)
            && (self.reservations.is_empty() || offering.reservation.is_some_and(|id| self.reservations.contains(&id)))
    }

    /// The most expensive price it may come to cost as this type: of the available, allowed offerings those of the first
    /// capacity type present (reserved, spot, on-demand) count; none = infinite (`Offerings.WorstLaunchPrice`).
    #[must_use]
    pub fn worst_launch_price(&self, instance_type: &InstanceType) -> f64 {
        for capacity_type in [CapacityType::Reserved, CapacityType::Spot, CapacityType::OnDemand] {
            let prices = instance_type.offerings.iter().filter(|offering| {
                offering.available && offering.capacity_type == capacity_type && self.allows(offering)
            });
            if let Some(worst) = prices.map(|offering| offering.price).reduce(f64::max) {
                return worst;
            }
        }
        f64::INFINITY
    }

    /// The cheapest price among its available, allowed offerings; infinite if none.
    #[must_use]
    pub fn cheapest_price(&self, instance_type: &InstanceType) -> f64 {
        let allowed = instance_type.offerings.iter().filter(|offering| offering.available && self.allows(offering));
        allowed.map(|offering| offering.price).fold(f64::INFINITY, f64::min)
    }

    /// Puts its types in order of their cheapest price, ties by name (`InstanceTypes.OrderByPrice`).
    pub fn order_by_price(&mut self, catalogue: &Catalogue) {
        let mut keyed: Vec<(f64, TypeId)> =
            self.types.iter().map(|&id| (self.cheapest_price(catalogue.get(id)), id)).collect();
        keyed.sort_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
        self.types = keyed.into_iter().map(|(_, id)| id).collect();
    }

    /// Keeps types whose worst price is strictly below `price`
    /// (`NodeClaim.RemoveInstanceTypeOptionsByPriceAndMinValues`); those without an available, allowed offering have none.
    ///
    /// # Errors
    /// The label whose `minValues` then fails; it is checked whatever the min-values policy.
    pub fn keep_cheaper_than(&mut self, price: f64, catalogue: &Catalogue) -> Result<(), String> {
        let types = std::mem::take(&mut self.types);
        let cheaper = |id: &TypeId| self.worst_launch_price(catalogue.get(*id)) < price;
        self.types = types.into_iter().filter(cheaper).collect();
        self.types_for_min_values(catalogue).map(|_| ())
    }

    /// How many of its types, in order, are needed to satisfy all `minValues` (`InstanceTypes.SatisfiesMinValues`).
    ///
    /// # Errors
    /// The first label that all types together cannot satisfy.
    pub fn types_for_min_values(&self, catalogue: &Catalogue) -> Result<usize, String> {
        let mut seen: Vec<BTreeSet<&str>> = vec![BTreeSet::new(); self.min_values.len()];
        if self.min_values.is_empty() {
            return Ok(0);
        }
        for (count, id) in self.types.iter().enumerate() {
            for (values, rule) in seen.iter_mut().zip(&self.min_values) {
                values.extend(label_values(catalogue, catalogue.get(*id), &rule.key));
            }
            if seen.iter().zip(&self.min_values).all(|(values, rule)| values.len() >= rule.least) {
                return Ok(count + 1);
            }
        }
        let failing = seen.iter().zip(&self.min_values).find(|(values, rule)| values.len() < rule.least);
        Err(failing.map_or_else(String::new, |(_, rule)| rule.key.clone()))
    }

    /// When types are offered that a removed node already has, keeps only those cheaper than the cheapest of these: else
    /// the move would equal deleting the other nodes (`filterOutSameInstanceType`).
    ///
    /// # Errors
    /// The label whose `minValues` then fails.
    pub fn filter_out_same_type(&mut self, removed: &[Candidate], catalogue: &Catalogue) -> Result<(), String> {
        let mut shared: BTreeMap<TypeId, Option<f64>> = BTreeMap::new();
        for candidate in removed {
            let Some(id) = candidate.instance_type.filter(|id| self.types.contains(id)) else { continue };
            let prices = catalogue.get(id).offerings.iter().filter(|offering| {
                Some(offering.zone) == candidate.zone && Some(offering.capacity_type) == candidate.capacity_type
            });
            let cheapest = shared.entry(id).or_default();
            *cheapest = prices.map(|offering| offering.price).chain(*cheapest).reduce(f64::min);
        }
        // A type of which no removed node's offering is known counts as free.
        let bound = shared.values().map(|price| price.unwrap_or(0.0)).fold(f64::INFINITY, f64::min);
        self.keep_cheaper_than(bound, catalogue)
    }
}

/// Values of a label over everything the type can be.
fn label_values<'a>(catalogue: &'a Catalogue, instance_type: &'a InstanceType, key: &str) -> Vec<&'a str> {
    match key {
        "node.kubernetes.io/instance-type" => vec![instance_type.name.as_str()],
        "topology.kubernetes.io/zone" => instance_type.offerings.iter().map(|o| catalogue.zone(o.zone)).collect(),
        "karpenter.sh/capacity-type" => instance_type.offerings.iter().map(|o| o.capacity_type.as_str()).collect(),
        _ => {
            let label = instance_type.labels.iter().find(|(label, _)| label == key);
            label.map_or_else(Vec::new, |(_, values)| values.iter().map(String::as_str).collect())
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::cluster::catalogue::Offering;
    use crate::units::Resources;

    fn instance_type() -> InstanceType {
        let sold = |zone: u16, capacity_type, price, available| Offering {
            zone: ZoneId(zone),
            capacity_type,
            price,
            available,
            reservation: None,
        };
        InstanceType {
            name: "m5.large".to_owned(),
            labels: [("kubernetes.io/arch".to_owned(), vec!["amd64".to_owned()])].to_vec().into(),
            capacity: Resources::ZERO,
            allocatable: Resources::ZERO,
            offerings: vec![
                sold(0, CapacityType::Spot, 0.01, false),
                sold(1, CapacityType::Spot, 0.02, true),
                sold(0, CapacityType::OnDemand, 0.10, true),
            ],
        }
    }

    fn plan() -> NewClaim {
        NewClaim {
            pool: 0,
            requirements: Arc::default(),
            options: vec![TypeId(0), TypeId(1), TypeId(2)],
            requests: Resources::ZERO,
            pods: Vec::new(),
            min_values_relaxed: false,
        }
    }

    #[test]
    fn a_zone_named_twice_is_in_the_set() {
        let zones = ZoneSet::of([0, 2, 0].map(ZoneId));
        assert_eq!([0, 1, 2].map(|zone| zones.contains(ZoneId(zone))), [true, false, true]);
    }

    #[test]
    fn the_cheapest_price_is_of_what_is_to_be_had_and_allowed() {
        let mut replacement = Replacement::unbounded(PoolIndex(0), plan());
        assert_eq!(replacement.cheapest_price(&instance_type()), 0.02);
        replacement.zones = ZoneSet::of([ZoneId(0)]);
        assert_eq!(replacement.cheapest_price(&instance_type()), 0.10);
        replacement.capacity_types = CapacitySet::only(CapacityType::Spot);
        assert_eq!(replacement.cheapest_price(&instance_type()), f64::INFINITY);
    }

    #[test]
    fn values_of_labels_are_those_of_type_and_offerings() {
        let catalogue = Catalogue { zones: vec!["a".to_owned(), "b".to_owned()], ..Catalogue::default() };
        let instance_type = instance_type();
        let values = |key: &str| label_values(&catalogue, &instance_type, key);
        assert_eq!(values("node.kubernetes.io/instance-type"), ["m5.large"]);
        assert_eq!(values("topology.kubernetes.io/zone"), ["a", "b", "a"]);
        assert_eq!(values("karpenter.sh/capacity-type"), ["spot", "spot", "on-demand"]);
        assert_eq!(values("kubernetes.io/arch"), ["amd64"]);
        assert!(values("team").is_empty());
    }

    #[test]
    fn types_come_by_their_cheapest_price_and_by_name_where_it_is_the_same() {
        let priced = |price| {
            let mut instance_type = instance_type();
            instance_type.offerings[2].price = price;
            instance_type
        };
        let types = [0.3, 0.1, 0.2, 0.1].map(priced).to_vec();
        let catalogue = Catalogue { zones: vec!["a".to_owned(), "b".to_owned()], types, ..Catalogue::default() };
        let mut replacement = Replacement::unbounded(PoolIndex(0), plan());
        replacement.types = [0, 3, 2, 1].map(TypeId).to_vec();
        replacement.zones = ZoneSet::of([ZoneId(0)]);
        replacement.order_by_price(&catalogue);
        assert_eq!(replacement.types, [1, 3, 2, 0].map(TypeId));
    }

    #[test]
    fn a_replacement_is_launched_as_what_the_move_allows() {
        let mut replacement = Replacement::unbounded(PoolIndex(0), plan());
        assert_eq!(replacement.narrowed_plan(), Some(plan()), "nothing is narrowed");
        replacement.types = vec![TypeId(1)];
        replacement.capacity_types = CapacitySet::only(CapacityType::Spot);
        let narrowed = replacement.narrowed_plan().expect("a plan");
        assert_eq!(narrowed.options, [TypeId(1)]);
        let allowed = narrowed.requirements.get(labels::CAPACITY_TYPE).expect("a capacity type");
        assert!(allowed.has("spot") && !allowed.has("on-demand") && !allowed.has("reserved"));
    }
}
