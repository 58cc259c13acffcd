//! What a catalogue offers under a set of requirements: matching types, offerings and prices.

use std::cell::OnceCell;
use std::sync::Arc;

use rustc_hash::FxHashMap;

use super::arena::{Arena, SetId};
use super::go_sort::sort_slice;
use super::labels;
use super::requirement::Requirement;
use super::requirements::Requirements;
use super::type_set::TypeSet;
use crate::cluster::catalogue::{CapacityType, Catalogue, InstanceType, Offering, ReservationId, TypeId, ZoneId};
use crate::units::Resources;

/// What an instance type says of a label (`InstanceType.Requirements`); `None` = nothing.
#[must_use]
pub fn type_requirement(catalogue: &Catalogue, instance_type: &InstanceType, key: &str) -> Option<Requirement> {
    let (mut values, mut hint) = (Vec::new(), 0);
    let known = values_of(catalogue, instance_type, key, &mut hint, &mut values);
    known.then(|| Requirement::one_of(values.into_iter().map(str::to_owned)))
}

/// The value that an offering from a reservation has of a label; `None` = the label is not one of reservations.
fn reservation_label<'a>(catalogue: &'a Catalogue, id: ReservationId, key: &str) -> Option<&'a str> {
    let reservation = catalogue.reservation(id);
    match key {
        labels::RESERVATION_ID => Some(&reservation.id),
        labels::RESERVATION_TYPE => Some(reservation.kind.type_label()),
        labels::RESERVATION_INTERRUPTIBLE => Some(reservation.kind.interruptible_label()),
        _ => None,
    }
}

/// Adds the values that an instance type has of a label; false = it says nothing of it. `hint` is where the label stood in the type
/// before: it mostly stands there again.
fn values_of<'a>(
    catalogue: &'a Catalogue,
    instance_type: &'a InstanceType,
    key: &str,
    hint: &mut usize,
    into: &mut Vec<&'a str>,
) -> bool {
    let all = &instance_type.labels;
    if let Some((label, values)) = all.get(*hint)
        && label == key
    {
        into.extend(values.iter().map(String::as_str));
        return true;
    }
    match key {
        labels::ZONE => {
            let reached = instance_type.offerings.iter().filter(|o| !catalogue.without_subnet.contains(&o.zone));
            into.extend(reached.map(|o| catalogue.zone(o.zone)));
        }
        labels::CAPACITY_TYPE => into.extend(instance_type.offerings.iter().map(|o| o.capacity_type.as_str())),
        labels::RESERVATION_ID | labels::RESERVATION_TYPE | labels::RESERVATION_INTERRUPTIBLE => {
            let reserved = instance_type.offerings.iter().filter_map(|offering| offering.reservation);
            into.extend(reserved.filter_map(|id| reservation_label(catalogue, id, key)));
        }
        key => {
            // Types have almost the same labels: it stands close by, if anywhere.
            *hint = (*hint).min(all.len());
            while *hint > 0 && all[*hint - 1].0.as_str() >= key {
                *hint -= 1;
            }
            while all.get(*hint).is_some_and(|(label, _)| label.as_str() < key) {
                *hint += 1;
            }
            let Some((_, values)) = all.get(*hint).filter(|(label, _)| label == key) else { return false };
            into.extend(values.iter().map(String::as_str));
        }
    }
    true
}

/// Whether an offering satisfies the requirements (`Requirements.IsCompatible` with an offering's zone, capacity type and
/// reservation, which are well known).
#[must_use]
pub fn offering_allowed(catalogue: &Catalogue, offering: &Offering, requirements: &Requirements) -> bool {
    let has = |key: &str, value: &str| requirements.get(key).is_none_or(|requirement| requirement.has(value));
    has(labels::ZONE, catalogue.zone(offering.zone))
        && has(labels::CAPACITY_TYPE, offering.capacity_type.as_str())
        && reservation_allowed(catalogue, offering.reservation, requirements)
}

/// Whether the requirements allow offerings from the reservation, or those from none.
fn reservation_allowed(catalogue: &Catalogue, id: Option<ReservationId>, requirements: &Requirements) -> bool {
    [labels::RESERVATION_ID, labels::RESERVATION_TYPE, labels::RESERVATION_INTERRUPTIBLE].into_iter().all(|key| {
        let value = id.and_then(|id| reservation_label(catalogue, id, key));
        requirements.get(key).is_none_or(|wanted| value.map_or(wanted.allows_absence(), |value| wanted.has(value)))
    })
}

/// The reservations that a claim with these requirements must come from; empty = it need not come from any.
#[must_use]
pub fn required_reservations(catalogue: &Catalogue, requirements: &Requirements) -> Vec<ReservationId> {
    if reservation_allowed(catalogue, None, requirements) {
        return Vec::new();
    }
    let all = (0..catalogue.reservations.len()).map(|id| ReservationId(id as u16));
    all.filter(|id| reservation_allowed(catalogue, Some(*id), requirements)).collect()
}

/// Zones, capacity types and reservations that requirements allow, looked up once.
pub(super) struct Allowed {
    zones: [Vec<bool>; 3],
    unreserved: bool,
    reservations: Vec<bool>,
}

impl Allowed {
    pub(super) fn of(catalogue: &Catalogue, requirements: &Requirements) -> Self {
        let has = |key: &str, value: &str| requirements.get(key).is_none_or(|requirement| requirement.has(value));
        let zones: Vec<bool> = catalogue.zones.iter().map(|zone| has(labels::ZONE, zone)).collect();
        let reservations = (0..catalogue.reservations.len()).map(|id| Some(ReservationId(id as u16)));
        Allowed {
            zones: [CapacityType::Reserved, CapacityType::Spot, CapacityType::OnDemand].map(|capacity_type| {
                let sold = has(labels::CAPACITY_TYPE, capacity_type.as_str());
                zones.iter().map(|zone| sold && *zone).collect()
            }),
            unreserved: reservation_allowed(catalogue, None, requirements),
            reservations: reservations.map(|id| reservation_allowed(catalogue, id, requirements)).collect(),
        }
    }

    pub(super) fn allows(&self, offering: &Offering) -> bool {
        self.zones[offering.capacity_type as usize][usize::from(offering.zone.0)]
            && offering.reservation.map_or(self.unreserved, |id| self.reservations[usize::from(id.0)])
    }

    fn cheapest(&self, catalogue: &Catalogue, id: TypeId) -> Option<f64> {
        let offerings = catalogue.get(id).offerings.iter().filter(|o| o.available && self.allows(o));
        offerings.map(|o| o.price).min_by(f64::total_cmp)
    }
}

/// Orders types by the lowest price among their available offerings that the requirements allow (`InstanceTypes.OrderByPrice`); types
/// without such an offering come last.
pub fn order_by_price(catalogue: &Catalogue, ids: &mut [TypeId], requirements: &Requirements) {
    let allowed = Allowed::of(catalogue, requirements);
    let mut priced: Vec<(f64, TypeId)> =
        ids.iter().map(|id| (allowed.cheapest(catalogue, *id).unwrap_or(f64::MAX), *id)).collect();
    sort_slice(&mut priced, |a, b| a.0 < b.0);
    ids.iter_mut().zip(priced).for_each(|(slot, (_, id))| *slot = id);
}

/// Whether types, their sizes and labels, and where and how they are sold and reached are the same: prices and availability may
/// differ.
fn same_labels(a: &Catalogue, b: &Catalogue) -> bool {
    let sold = |o: &Offering| (o.zone, o.capacity_type, o.reservation);
    a.zones == b.zones
        && a.without_subnet == b.without_subnet
        && a.types.len() == b.types.len()
        && a.types.iter().zip(&b.types).all(|(a, b)| {
            Arc::ptr_eq(&a.labels, &b.labels)
                && a.allocatable == b.allocatable
                && a.capacity == b.capacity
                && a.offerings.iter().map(sold).eq(b.offerings.iter().map(sold))
        })
}

/// Types with an available offering of one kind.
struct Sold {
    zone: ZoneId,
    capacity_type: CapacityType,
    reservation: Option<ReservationId>,
    types: TypeSet,
}

/// Types with an available offering, by zone, capacity type and reservation.
fn available(catalogue: &Catalogue) -> Vec<Sold> {
    let count = catalogue.types.len();
    let mut sold: Vec<Sold> = Vec::new();
    for (i, instance_type) in catalogue.types.iter().enumerate() {
        for (place, offering) in instance_type.offerings.iter().enumerate() {
            let Offering { zone, capacity_type, reservation, .. } = *offering;
            let is_it = |known: &Sold| {
                (known.zone, known.capacity_type, known.reservation) == (zone, capacity_type, reservation)
            };
            // Types have almost the same offerings: its kind mostly has the place that it has in the type.
            let same_place = sold.get(place).is_some_and(is_it).then_some(place);
            let known = same_place.or_else(|| sold.iter().position(is_it)).unwrap_or_else(|| {
                sold.push(Sold { zone, capacity_type, reservation, types: TypeSet::select(count, |_| false) });
                sold.len() - 1
            });
            if offering.available {
                sold[known].types.insert(i);
            }
        }
    }
    sold
}

/// Claims that were finished: their requirements and, unless a `minValues` cannot be kept, their instance types.
pub(super) type Launchable = FxHashMap<(SetId, Arc<TypeSet>), (Arc<Requirements>, Option<Vec<TypeId>>)>;

/// More answers of a kind are forgotten.
const MOST_REMEMBERED: usize = 2000;

/// Which of these types have room for so much, with the DaemonSets of a pool.
#[derive(PartialEq, Eq, Hash)]
pub(super) struct Room {
    pub(super) template: usize,
    pub(super) options: Arc<TypeSet>,
    pub(super) requests: Resources,
}

/// A label with few distinct values among the types of a catalogue: which types have which.
struct LabelIndex {
    /// Types that say nothing of the label.
    silent: TypeSet,
    /// Types by what they say of it.
    groups: Vec<(Requirement, TypeSet)>,
}

/// A catalogue, indexed.
pub(super) struct Offers {
    pub(super) catalogue: Arc<Catalogue>,
    labels: FxHashMap<String, LabelIndex>,
    /// Found out when it is asked for: no pool may use the catalogue.
    available: OnceCell<Vec<Sold>>,
    meeting: FxHashMap<SetId, Arc<TypeSet>>,
    offered: FxHashMap<SetId, Arc<TypeSet>>,
    viable: FxHashMap<SetId, Arc<TypeSet>>,
    /// Claims that were finished, by requirements and options.
    pub(super) launchable: Launchable,
    /// Types with room and the least room of any, while the prepared pools stay the same.
    rooms: FxHashMap<Room, (Arc<TypeSet>, Resources)>,
    /// Per resource, the largest capacity of any type.
    largest: FxHashMap<Arc<TypeSet>, Resources>,
}

impl Offers {
    pub(super) fn new(catalogue: &Arc<Catalogue>) -> Self {
        Offers {
            catalogue: Arc::clone(catalogue),
            labels: FxHashMap::default(),
            available: OnceCell::new(),
            meeting: FxHashMap::default(),
            offered: FxHashMap::default(),
            viable: FxHashMap::default(),
            launchable: Launchable::default(),
            rooms: FxHashMap::default(),
            largest: FxHashMap::default(),
        }
    }

    /// Turns to another state of the catalogue; labels that stay the same stay indexed. Whether anything changed.
    pub(super) fn renew(&mut self, catalogue: &Arc<Catalogue>) -> bool {
        if Arc::ptr_eq(&self.catalogue, catalogue) {
            return false;
        }
        if !same_labels(&self.catalogue, catalogue) {
            *self = Offers::new(catalogue);
            return true;
        }
        self.catalogue = Arc::clone(catalogue);
        self.available = OnceCell::new();
        self.offered.clear();
        self.viable.clear();
        self.launchable.clear();
        true
    }

    /// Types with room and the least room of any, if that is remembered.
    pub(super) fn room_known(&self, asked: &Room) -> Option<(Arc<TypeSet>, Resources)> {
        self.rooms.get(asked).cloned()
    }

    /// Remembers which types have room, and the least room of any.
    pub(super) fn remember_room(&mut self, asked: Room, fitting: (Arc<TypeSet>, Resources)) {
        if self.rooms.len() >= MOST_REMEMBERED {
            self.rooms.clear();
        }
        self.rooms.insert(asked, fitting);
    }

    /// To be called when pools are prepared anew: what their DaemonSets need may have changed.
    pub(super) fn forget_rooms(&mut self) {
        self.rooms.clear();
    }

    /// Per resource, the largest capacity of any of the types; zero without types.
    pub(super) fn largest_capacity(&mut self, types: &Arc<TypeSet>) -> Resources {
        if let Some(largest) = self.largest.get(types) {
            return *largest;
        }
        let capacities = types.iter().map(|id| self.catalogue.types[id].capacity);
        let largest = capacities.reduce(Resources::max).unwrap_or(Resources::ZERO);
        if self.largest.len() >= MOST_REMEMBERED {
            self.largest.clear();
        }
        self.largest.insert(Arc::clone(types), largest);
        largest
    }

    /// Types that meet the requirements and have an offering for them.
    pub(super) fn viable(&mut self, arena: &Arena, set: SetId) -> Arc<TypeSet> {
        if let Some(types) = self.viable.get(&set) {
            return Arc::clone(types);
        }
        let types = Arc::new(self.meeting(arena, set).and(&self.offered(arena, set)));
        self.viable.insert(set, Arc::clone(&types));
        types
    }

    /// Types whose labels intersect the requirements.
    pub(super) fn meeting(&mut self, arena: &Arena, set: SetId) -> Arc<TypeSet> {
        if let Some(types) = self.meeting.get(&set) {
            return Arc::clone(types);
        }
        let mut types = TypeSet::all(self.catalogue.types.len());
        for (key, requirement) in arena.get(set).iter() {
            let index = self.label(key);
            let mut matching = index.silent.clone();
            for (has, group) in &index.groups {
                let negative = requirement.allows_absence() && has.allows_absence();
                if has.intersects(requirement) || negative {
                    matching.add(group);
                }
            }
            types = types.and(&matching);
        }
        let types = Arc::new(types);
        self.meeting.insert(set, Arc::clone(&types));
        types
    }

    /// Types with an available offering that the requirements allow.
    pub(super) fn offered(&mut self, arena: &Arena, set: SetId) -> Arc<TypeSet> {
        if let Some(types) = self.offered.get(&set) {
            return Arc::clone(types);
        }
        let requirements = arena.get(set);
        let has = |key: &str, value: &str| requirements.get(key).is_none_or(|requirement| requirement.has(value));
        let mut types = TypeSet::select(self.catalogue.types.len(), |_| false);
        for sold in self.available() {
            if has(labels::ZONE, self.catalogue.zone(sold.zone))
                && has(labels::CAPACITY_TYPE, sold.capacity_type.as_str())
                && reservation_allowed(&self.catalogue, sold.reservation, requirements)
            {
                types.add(&sold.types);
            }
        }
        let types = Arc::new(types);
        self.offered.insert(set, Arc::clone(&types));
        types
    }

    fn available(&self) -> &[Sold] {
        self.available.get_or_init(|| available(&self.catalogue))
    }

    /// Whether some type sells reserved capacity now.
    pub(super) fn has_reserved(&self) -> bool {
        self.available().iter().any(|sold| sold.capacity_type == CapacityType::Reserved && !sold.types.is_empty())
    }

    /// What the types say of a label, each distinct answer once.
    pub(super) fn answers(&mut self, key: &str) -> impl Iterator<Item = Option<&Requirement>> {
        let index = self.label(key);
        let silent = (!index.silent.is_empty()).then_some(None);
        silent.into_iter().chain(index.groups.iter().map(|(requirement, _)| Some(requirement)))
    }

    /// How many distinct values of a label the types have together.
    pub(super) fn distinct_values(&mut self, key: &str, types: &TypeSet) -> usize {
        let index = self.label(key);
        let present = index.groups.iter().filter(|(_, group)| group.meets(types));
        let mut values: Vec<&str> = present.flat_map(|(requirement, _)| requirement.values()).collect();
        values.sort_unstable();
        values.dedup();
        values.len()
    }

    fn label(&mut self, key: &str) -> &LabelIndex {
        if !self.labels.contains_key(key) {
            let index = self.index(key);
            self.labels.insert(key.to_owned(), index);
        }
        &self.labels[key]
    }

    fn index(&self, key: &str) -> LabelIndex {
        let count = self.catalogue.types.len();
        // Types are grouped by the bare values: a requirement is made once a group, not once a type.
        let mut known: FxHashMap<Vec<&str>, usize> = FxHashMap::default();
        let mut groups: Vec<(Requirement, TypeSet)> = Vec::new();
        let none = TypeSet::select(count, |_| false);
        let mut silent = none.clone();
        let (mut values, mut before, mut hint, mut group) = (Vec::new(), Vec::new(), 0, 0);
        for (i, instance_type) in self.catalogue.types.iter().enumerate() {
            values.clear();
            if !values_of(&self.catalogue, instance_type, key, &mut hint, &mut values) {
                silent.insert(i);
                continue;
            }
            // Mostly those of the type before.
            if groups.is_empty() || values != before {
                std::mem::swap(&mut before, &mut values);
                let mut distinct = before.clone();
                distinct.sort_unstable();
                distinct.dedup();
                group = *known.entry(distinct).or_insert_with_key(|distinct| {
                    let requirement = Requirement::one_of(distinct.iter().map(|value| (*value).to_owned()));
                    groups.push((requirement, none.clone()));
                    groups.len() - 1
                });
            }
            groups[group].1.insert(i);
        }
        LabelIndex { silent, groups }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cluster::catalogue::{Reservation, ReservationKind};
    use crate::units::Resources;

    fn sold(capacity_type: CapacityType, reservation: Option<ReservationId>) -> Offering {
        Offering { zone: ZoneId(0), capacity_type, price: 1.0, available: true, reservation }
    }

    fn catalogue(types: &[&[(&str, &str)]]) -> Arc<Catalogue> {
        let label = |(key, value): &(&str, &str)| ((*key).to_owned(), vec![(*value).to_owned()]);
        let instance_type = |labels: &&[(&str, &str)]| InstanceType {
            name: "type".to_owned(),
            labels: Arc::new(labels.iter().map(label).collect()),
            capacity: Resources::ZERO,
            allocatable: Resources::ZERO,
            offerings: vec![sold(CapacityType::OnDemand, None)],
        };
        Arc::new(Catalogue {
            zones: vec!["z".to_owned()],
            types: types.iter().map(instance_type).collect(),
            ..Catalogue::default()
        })
    }

    #[test]
    fn a_label_is_found_wherever_it_stands_among_those_of_a_type() {
        let many: &[(&str, &str)] = &[("arch", "amd64"), ("gpu", "none"), ("os", "linux"), ("team", "a")];
        let last: &[(&str, &str)] = &[("gpu", "none"), ("team", "b")];
        let alone: &[(&str, &str)] = &[("team", "b")];
        let without: &[(&str, &str)] = &[("arch", "arm64"), ("os", "linux")];
        for types in [[many, last, alone, without], [without, alone, last, many], [alone, many, without, last]] {
            let catalogue = catalogue(&types);
            let (mut offers, mut arena) = (Offers::new(&catalogue), Arena::default());
            for key in ["arch", "gpu", "os", "team"] {
                for value in ["amd64", "none", "linux", "a", "b"] {
                    let mut wanted = Requirements::new();
                    wanted.add(key, Requirement::is(value));
                    let wanted = arena.intern(wanted);
                    let met = offers.meeting(&arena, wanted);
                    for (i, own) in types.iter().enumerate() {
                        let says = own.iter().find(|(label, _)| *label == key).map(|(_, says)| *says);
                        assert_eq!(met.contains(i), says.is_none_or(|says| says == value), "{key}={value}: {own:?}");
                        let alone = type_requirement(&catalogue, &catalogue.types[i], key);
                        assert_eq!(alone, says.map(Requirement::is), "{key} of {own:?}");
                    }
                }
            }
        }
    }

    #[test]
    fn a_claim_must_come_from_the_reservations_that_it_asks_for() {
        let mut catalogue = Arc::unwrap_or_clone(catalogue(&[&[]]));
        for (id, kind) in [("cr-a", ReservationKind::Default), ("cr-b", ReservationKind::CapacityBlock)] {
            let number = ReservationId(catalogue.reservations.len() as u16);
            catalogue.types[0].offerings.push(sold(CapacityType::Reserved, Some(number)));
            catalogue.reservations.push(Reservation { id: id.to_owned(), kind, left: 1 });
        }
        let required = |key: &str, requirement: Requirement| {
            let mut requirements = Requirements::new();
            requirements.add(key, requirement);
            required_reservations(&catalogue, &requirements)
        };
        assert_eq!(required(labels::RESERVATION_ID, Requirement::is("cr-b")), [ReservationId(1)]);
        assert_eq!(required(labels::RESERVATION_TYPE, Requirement::is("default")), [ReservationId(0)]);
        assert_eq!(required(labels::RESERVATION_ID, Requirement::exists()), [0, 1].map(ReservationId));
        assert!(required(labels::CAPACITY_TYPE, Requirement::is("on-demand")).is_empty());
        assert!(required(labels::RESERVATION_ID, Requirement::one_of([])).is_empty(), "it must have none");
    }
}
