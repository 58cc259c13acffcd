//! Offerings that lately had no capacity (karpenter-provider-aws `pkg/cache/unavailableofferings.go`).

use std::collections::BTreeMap;

use crate::cluster::catalogue::CapacityType;
use crate::time::{Duration, Time};

/// How long an offering is left alone after it was refused (`cache.UnavailableOfferingsTTL`).
pub const TTL: Duration = Duration::from_mins(3);
/// How often expired entries are removed; only then the offering is offered again (`cache.UnavailableOfferingsCleanupInterval`).
pub const SWEEP: Duration = Duration::from_secs(10);

/// Capacity type, instance type, zone.
pub type OfferingKey = (CapacityType, String, String);

/// The memory of refused offerings.
#[derive(Clone, Debug, Default)]
pub struct UnavailableOfferings {
    until: BTreeMap<OfferingKey, Time>,
}

impl UnavailableOfferings {
    /// Remembers a refusal; a repetition restarts its time. Whether the offering was available before.
    pub fn mark(&mut self, now: Time, key: OfferingKey) -> bool {
        self.until.insert(key, now + TTL).is_none()
    }

    /// Forgets what has expired and returns it, in order.
    pub fn sweep(&mut self, now: Time) -> Vec<OfferingKey> {
        let expired: Vec<OfferingKey> =
            self.until.iter().filter(|(_, until)| **until <= now).map(|(key, _)| key.clone()).collect();
        expired.iter().for_each(|key| {
            self.until.remove(key);
        });
        expired
    }

    /// Forgets everything and returns it, in order.
    pub fn clear(&mut self) -> Vec<OfferingKey> {
        std::mem::take(&mut self.until).into_keys().collect()
    }

    /// Whether the offering is left alone.
    #[must_use]
    pub fn contains(&self, key: &OfferingKey) -> bool {
        self.until.contains_key(key)
    }

    /// Whether nothing is remembered.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.until.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_offering_comes_back_with_the_first_sweep_after_three_minutes() {
        let key = (CapacityType::Spot, "m5.large".to_owned(), "a".to_owned());
        let at = |seconds| Time::ZERO + Duration::from_secs(seconds);
        let mut offerings = UnavailableOfferings::default();
        assert!(offerings.mark(at(5), key.clone()));
        assert!(offerings.sweep(at(180)).is_empty());
        assert!(!offerings.mark(at(60), key.clone()), "refused again");
        assert!(offerings.sweep(at(230)).is_empty());
        assert!(offerings.contains(&key));
        assert_eq!(offerings.sweep(at(240)), [key]);
        assert!(offerings.is_empty());
    }
}
