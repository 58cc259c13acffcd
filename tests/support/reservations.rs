//! Capacity reservations of the catalogues of tests.

use forescale::cluster::catalogue::{CapacityType, Catalogue, Reservation, ReservationId, ReservationKind};

/// Puts a reservation behind every reserved offering; `left` tells how many instances it has for a type.
pub fn reserve(catalogue: &mut Catalogue, mut left: impl FnMut(&str) -> u32) {
    for instance_type in &mut catalogue.types {
        for offering in instance_type.offerings.iter_mut().filter(|o| o.capacity_type == CapacityType::Reserved) {
            offering.reservation = Some(ReservationId(catalogue.reservations.len() as u16));
            catalogue.reservations.push(Reservation {
                id: format!("cr-{}", catalogue.reservations.len()),
                kind: ReservationKind::Default,
                left: left(&instance_type.name),
            });
        }
    }
}
