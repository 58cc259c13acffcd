//! Capacity reservations within a pass (`reservationmanager.go: ReservationManager`, `nodeclaim.go: offeringsToReserve`).

use std::collections::{BTreeMap, BTreeSet};

use super::arena::{Arena, SetId};
use super::input::Input;
use super::offers::{Offers, offering_allowed};
use super::topology_group::Domain;
use super::type_set::TypeSet;
use crate::cluster::catalogue::{CapacityType, ReservationId};

/// What is left of each reservation, and who holds a slot.
pub(super) struct Reservations {
    enabled: bool,
    strict: bool,
    left: BTreeMap<ReservationId, u32>,
    held: BTreeSet<(Domain, ReservationId)>,
}

impl Reservations {
    /// Those that the catalogues of the pools sell from. Of a reservation that several know, the least left counts.
    pub(super) fn new(input: &Input<'_>) -> Self {
        let mut left: BTreeMap<ReservationId, u32> = BTreeMap::new();
        for number in input.pools.iter().filter_map(|pool| pool.catalogue) {
            for (index, reservation) in input.catalogues[number].reservations.iter().enumerate() {
                let known = left.entry(ReservationId(index as u16)).or_insert(reservation.left);
                *known = reservation.left.min(*known);
            }
        }
        Reservations {
            enabled: input.options.reserved_capacity,
            strict: input.options.reserved_strict,
            left,
            held: BTreeSet::new(),
        }
    }

    /// The reservations that a claim would hold with these options; `None` when it would have to do without reserved capacity
    /// that exists.
    pub(super) fn to_reserve(
        &self,
        host: Domain,
        current: &[ReservationId],
        set: SetId,
        options: &TypeSet,
        offers: &Offers,
        arena: &Arena,
    ) -> Option<Vec<ReservationId>> {
        if !self.enabled || !offers.has_reserved() {
            return Some(Vec::new());
        }
        let mut compatible = false;
        let mut reserved = Vec::new();
        for id in options.ids() {
            for offering in &offers.catalogue.get(id).offerings {
                let sold = offering.capacity_type == CapacityType::Reserved && offering.available;
                if !sold || !offering_allowed(&offers.catalogue, offering, arena.get(set)) {
                    continue;
                }
                compatible = true;
                let Some(reservation) = offering.reservation else { continue };
                if self.held.contains(&(host, reservation)) || self.left.get(&reservation).is_some_and(|left| *left > 0)
                {
                    reserved.push(reservation);
                }
            }
        }
        let lost = reserved.is_empty() && (compatible || !current.is_empty());
        (!(self.strict && lost)).then_some(reserved)
    }

    /// Replaces the slots that a claim holds.
    pub(super) fn hold(&mut self, host: Domain, current: &[ReservationId], next: &[ReservationId]) {
        for reservation in next {
            if self.held.insert((host, *reservation)) {
                self.left.entry(*reservation).and_modify(|left| *left -= 1);
            }
        }
        for reservation in current.iter().filter(|reservation| !next.contains(reservation)) {
            if self.held.remove(&(host, *reservation)) {
                self.left.entry(*reservation).and_modify(|left| *left += 1);
            }
        }
    }
}
