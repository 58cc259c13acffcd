//! Capacity reservations: how many of their instances are in use, and when they end (karpenter-provider-aws
//! `pkg/providers/capacityreservation`, `pkg/apis/v1/ec2nodeclass_status.go: CapacityReservationFromEC2`).

use crate::api::karpenter::InstanceMatchCriteria;
use crate::cluster::catalogue::ReservationId;
use crate::scenario::capacity_reservations::CapacityReservation;
use crate::time::{Duration, Time};

/// How long before its end Karpenter leaves a capacity block (`capacityReservationExpirationPeriod`).
pub const EXPIRATION_PERIOD: Duration = Duration::from_mins(40);
/// How long before its end EC2 takes back the instances of a capacity block.
pub const BLOCK_RECLAIM: Duration = Duration::from_mins(30);
/// How often Karpenter asks EC2 for the reservations (`capacityReservationPollPeriod`).
pub const POLL: Duration = Duration::from_mins(1);
/// What Karpenter divides the on-demand price by: it takes a reservation for free, and still prefers the cheaper type
/// (`reserved_capacity_resolver.go`).
pub const PRICE_DIVISOR: f64 = 10_000_000.0;

/// Whether it is a capacity block that ends soon: nothing is launched into it any more, and its NodeClaims go.
#[must_use]
pub fn is_expiring(reservation: &CapacityReservation, now: Time) -> bool {
    reservation.is_block() && now >= reservation.ends() - EXPIRATION_PERIOD
}

/// The slots of all reservations of a scenario, as EC2 counts them.
#[derive(Clone, Debug, Default)]
pub struct Slots {
    reservations: Vec<CapacityReservation>,
    used: Vec<u32>,
}

impl Slots {
    /// All free.
    #[must_use]
    pub fn of(reservations: &[CapacityReservation]) -> Self {
        Slots { reservations: reservations.to_vec(), used: vec![0; reservations.len()] }
    }

    /// Instances that can still be launched into it.
    #[must_use]
    pub fn free(&self, id: ReservationId, now: Time) -> u32 {
        let (reservation, used) = (&self.reservations[usize::from(id.0)], self.used[usize::from(id.0)]);
        let wanted_back = reservation.notice().is_some_and(|notice| notice <= now);
        if reservation.is_active(now) && !wanted_back { reservation.instance_count - used } else { 0 }
    }

    /// Takes one; whether there was one.
    pub fn take(&mut self, id: ReservationId, now: Time) -> bool {
        let free = self.free(id, now) > 0;
        self.used[usize::from(id.0)] += u32::from(free);
        free
    }

    /// Gives one back.
    pub fn give_back(&mut self, id: ReservationId) {
        self.used[usize::from(id.0)] -= 1;
    }

    /// The open reservation that an instance falls into which names none.
    #[must_use]
    pub fn open_to(&self, instance_type: &str, zone: &str, now: Time) -> Option<ReservationId> {
        let fits = |(index, reservation): &(usize, &CapacityReservation)| {
            reservation.instance_match_criteria == InstanceMatchCriteria::Open
                && !reservation.is_block()
                && !reservation.interruptible
                && reservation.instance_type == instance_type
                && reservation.zone == zone
                && self.free(ReservationId(*index as u16), now) > 0
        };
        self.reservations.iter().enumerate().find(fits).map(|(index, _)| ReservationId(index as u16))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scenario::capacity_reservations::ReservationType;

    #[test]
    fn slots_are_there_while_the_reservation_is_active() {
        let (id, at) = (ReservationId(0), |minutes| Time::ZERO + Duration::from_mins(minutes));
        let mut slots = Slots::of(&[CapacityReservation::example()]);
        assert!(!slots.take(id, at(9)));
        assert!(slots.take(id, at(10)) && slots.take(id, at(10)) && !slots.take(id, at(10)));
        assert_eq!(slots.open_to("m5.large", "us-east-1a", at(20)), None, "both are in use");
        slots.give_back(id);
        assert_eq!((slots.free(id, at(59)), slots.free(id, at(60))), (1, 0));
        assert_eq!(slots.open_to("m5.large", "us-east-1a", at(20)), Some(id));
        assert_eq!(slots.open_to("m5.large", "us-east-1b", at(20)), None);
    }

    #[test]
    fn an_interruptible_reservation_is_closed_two_minutes_before_its_end_and_never_open() {
        let (id, at) = (ReservationId(0), |minutes| Time::ZERO + Duration::from_mins(minutes));
        let mut slots = Slots::of(&[CapacityReservation { interruptible: true, ..CapacityReservation::example() }]);
        assert_eq!(slots.open_to("m5.large", "us-east-1a", at(20)), None);
        assert_eq!((slots.free(id, at(57)), slots.free(id, at(58))), (2, 0));
        assert!(slots.take(id, at(57)) && !slots.take(id, at(58)));
    }

    #[test]
    fn a_capacity_block_expires_forty_minutes_before_its_end() {
        let at = |minutes| Time::ZERO + Duration::from_mins(minutes);
        let block =
            CapacityReservation { reservation_type: ReservationType::CapacityBlock, ..CapacityReservation::example() };
        assert!(!is_expiring(&block, at(19)) && is_expiring(&block, at(20)));
        assert!(!is_expiring(&CapacityReservation::example(), at(59)));
    }
}
