//! `[[capacityReservations]]`: what the account has reserved at EC2.

use std::collections::BTreeMap;

use super::account::has_tags;
use crate::api::karpenter::{CapacityReservationSelectorTerm, InstanceMatchCriteria};
use crate::api::scalar::Quantity;
use crate::time::{Duration, Time};
use crate::{choice, object};

/// Time between notice and end of the instances of an interruptible reservation (EC2 user guide, interruptible Capacity Reservations).
pub const INTERRUPTIBLE_NOTICE: Duration = Duration::from_mins(2);

object! {
    /// Instances of one type in one zone that EC2 keeps for the account (an On-Demand Capacity Reservation or a capacity block). They are paid for
    /// from its beginning to its end, used or not. Karpenter uses those that an EC2NodeClass selects by `capacityReservationSelectorTerms`.
    pub struct CapacityReservation {
        /// Id: `cr-` and lower-case letters or digits; unique.
        pub id: String,
        /// EC2 instance type, one of the region's.
        pub instance_type: String,
        /// Zone, one of the simulation's.
        pub zone: String,
        /// Instances reserved (1 to 10000).
        pub instance_count: u32 = 1,
        /// Kind.
        pub reservation_type: ReservationType = ReservationType::Default,
        /// Whether its owner may take it back: at `until`, two minutes after notice, its instances are gone. Such a reservation takes only instances that name it.
        pub interruptible: bool = false,
        /// Which instances of the account may use it.
        pub instance_match_criteria: InstanceMatchCriteria = InstanceMatchCriteria::Open,
        /// Account that owns it, for selector terms with `ownerID`.
        @"ownerID" pub owner_id: Option<String>,
        /// Tags, for selector terms.
        pub tags: BTreeMap<String, String>,
        /// When it becomes active.
        pub from: Duration = Duration::ZERO,
        /// When it ends; absent = after the run. Needed for a capacity block.
        pub until: Option<Duration>,
        /// USD per instance and hour; absent = the on-demand price of the type.
        pub per_hour: Option<Quantity>,
    }
}

choice! {
    /// Kind of a capacity reservation.
    pub enum ReservationType {
        /// On-Demand Capacity Reservation.
        Default = "default",
        /// Capacity block: its instances are taken back half an hour before its end.
        CapacityBlock = "capacity-block",
    }
}

impl CapacityReservation {
    /// When it becomes active.
    #[must_use]
    pub fn begins(&self) -> Time {
        Time::ZERO + self.from
    }

    /// When it ends; [`Time::MAX`] = never.
    #[must_use]
    pub fn ends(&self) -> Time {
        self.until.map_or(Time::MAX, |until| Time::ZERO + until)
    }

    /// Whether it is active.
    #[must_use]
    pub fn is_active(&self, now: Time) -> bool {
        self.begins() <= now && now < self.ends()
    }

    /// Two instances from minute 10 to minute 60.
    #[cfg(test)]
    pub(crate) fn example() -> Self {
        CapacityReservation {
            id: "cr-1".to_owned(),
            instance_type: "m5.large".to_owned(),
            zone: "us-east-1a".to_owned(),
            instance_count: 2,
            reservation_type: ReservationType::Default,
            interruptible: false,
            instance_match_criteria: InstanceMatchCriteria::Open,
            owner_id: Some("012345678901".to_owned()),
            tags: [("team".to_owned(), "shop".to_owned())].into(),
            from: Duration::from_mins(10),
            until: Some(Duration::from_mins(60)),
            per_hour: None,
        }
    }

    /// When its instances get notice that its owner takes it back; `None` = never.
    #[must_use]
    pub fn notice(&self) -> Option<Time> {
        let ends = self.until.filter(|_| self.interruptible && !self.is_block())?;
        Some(Time::ZERO + (ends - INTERRUPTIBLE_NOTICE).max(self.from))
    }

    /// Whether it is a capacity block.
    #[must_use]
    pub fn is_block(&self) -> bool {
        self.reservation_type == ReservationType::CapacityBlock
    }
}

/// Whether one of the terms selects the reservation (`QueriesFromSelectorTerms`, `DescribeCapacityReservationsInput`).
#[must_use]
pub fn is_selected(terms: &[CapacityReservationSelectorTerm], reservation: &CapacityReservation) -> bool {
    terms.iter().any(|term| {
        let asks = !term.tags.is_empty() || term.instance_match_criteria.is_some();
        term.id.as_ref().is_some_and(|id| *id == reservation.id) || (asks && matches(term, reservation))
    })
}

fn matches(term: &CapacityReservationSelectorTerm, reservation: &CapacityReservation) -> bool {
    has_tags(&term.tags, &reservation.tags)
        && term.owner_id.as_ref().is_none_or(|owner| reservation.owner_id.as_ref() == Some(owner))
        && term.instance_match_criteria.is_none_or(|criteria| criteria == reservation.instance_match_criteria)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::decode::defaults;

    #[test]
    fn terms_select_by_id_or_by_all_of_tags_owner_and_criteria() {
        let term = |change: fn(&mut CapacityReservationSelectorTerm)| {
            let mut term: CapacityReservationSelectorTerm = defaults();
            change(&mut term);
            is_selected(&[term], &CapacityReservation::example())
        };
        assert!(term(|term| term.id = Some("cr-1".to_owned())));
        assert!(!term(|term| term.id = Some("cr-2".to_owned())));
        assert!(term(|term| drop(term.tags.insert("team".to_owned(), "shop".to_owned()))));
        assert!(term(|term| drop(term.tags.insert("team".to_owned(), "*".to_owned()))));
        assert!(!term(|term| drop(term.tags.insert("team".to_owned(), "other".to_owned()))));
        assert!(!term(|term| drop(term.tags.insert("stage".to_owned(), "*".to_owned()))));
        assert!(term(|term| term.instance_match_criteria = Some(InstanceMatchCriteria::Open)));
        assert!(!term(|term| term.instance_match_criteria = Some(InstanceMatchCriteria::Targeted)));
        assert!(!term(|term| {
            term.instance_match_criteria = Some(InstanceMatchCriteria::Open);
            term.owner_id = Some("999999999999".to_owned());
        }));
        assert!(!term(|term| term.owner_id = Some("012345678901".to_owned())), "an owner alone asks for nothing");
        assert!(!is_selected(&[], &CapacityReservation::example()));
    }
}
