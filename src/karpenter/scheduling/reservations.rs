//! Capacity reservations within a pass (`reservationmanager.go: ReservationManager`, `nodeclaim.go: offeringsToReserve`).

use std::collections::{BTreeMap, BTreeSet};

use super::arena::{Arena, SetId};
use super::input::Options;
use super::offers::{Offers, offering_allowed};
use super::topology_group::Domain;
use super::type_set::TypeSet;
use crate::cluster::catalogue::{CapacityType, TypeId, ZoneId};

/// A reservation is known by the offering that sells it.
pub(super) type Reservation = (TypeId, ZoneId);

/// What is left of each reservation, and who holds a slot.
pub(super) struct Reservations {
    enabled: bool,
    strict: bool,
    left: BTreeMap<Reservation, u32>,
    held: BTreeSet<(Domain, Reservation)>,
}

impl Reservations {
    pub(super) fn new(options: &Options) -> Self {
        Reservations {
            enabled: options.reserved_capacity,
            strict: options.reserved_strict,
            left: options.reservations.clone(),
            held: BTreeSet::new(),
        }
    }

    /// The reservations that a claim would hold with these options; `None` when it would have to do without reserved capacity
    /// that exists.
    pub(super) fn to_reserve(
        &self,
        host: Domain,
        current: &[Reservation],
        set: SetId,
        options: &TypeSet,
        offers: &Offers,
        arena: &Arena,
    ) -> Option<Vec<Reservation>> {
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
                let reservation = (id, offering.zone);
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
    pub(super) fn hold(&mut self, host: Domain, current: &[Reservation], next: &[Reservation]) {
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
