//! Limits of the account: launch rate, vCPU quotas, addresses of subnets.

use std::collections::BTreeMap;

use super::fleet::FleetErrorCode;
use crate::cluster::catalogue::CapacityType;
use crate::scenario::market::Market;
use crate::time::{Duration, Time};

/// A token bucket that never refuses but makes callers wait, as an SDK that retries does.
#[derive(Clone, Debug, PartialEq)]
pub struct TokenBucket {
    burst: f64,
    per_second: f64,
    /// Tokens at `since`; negative when callers already wait.
    tokens: f64,
    since: Time,
}

impl TokenBucket {
    /// A full bucket of `burst` tokens that regains `per_second`.
    #[must_use]
    pub fn full(burst: u32, per_second: f64) -> Self {
        TokenBucket { burst: f64::from(burst), per_second, tokens: f64::from(burst), since: Time::ZERO }
    }

    /// Takes `count` tokens; returns the instant from which they are there.
    pub fn take(&mut self, now: Time, count: usize) -> Time {
        let regained = now.since(self.since).as_secs_f64() * self.per_second;
        self.tokens = (self.tokens + regained).min(self.burst) - count as f64;
        self.since = now;
        if self.tokens >= 0.0 {
            return now;
        }
        if self.per_second > 0.0 { now + Duration::from_secs_f64(-self.tokens / self.per_second) } else { Time::MAX }
    }
}

/// What is in use of the account's quotas and subnets.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Quotas {
    on_demand_vcpus: Option<i64>,
    spot_vcpus: Option<i64>,
    addresses: BTreeMap<String, i64>,
}

impl Quotas {
    /// The quotas of a scenario, unused.
    #[must_use]
    pub fn of(market: &Market) -> Self {
        Quotas {
            on_demand_vcpus: market.on_demand_vcpus.map(i64::from),
            spot_vcpus: market.spot_vcpus.map(i64::from),
            addresses: market.subnet_addresses.iter().map(|(zone, free)| (zone.clone(), i64::from(*free))).collect(),
        }
    }

    fn vcpus_left(&mut self, capacity_type: CapacityType) -> &mut Option<i64> {
        match capacity_type {
            CapacityType::Spot => &mut self.spot_vcpus,
            CapacityType::OnDemand | CapacityType::Reserved => &mut self.on_demand_vcpus,
        }
    }

    /// Takes vCPUs of the on-demand quota, whether it has them or not.
    pub fn take_vcpus(&mut self, vcpus: i64) {
        if let Some(left) = &mut self.on_demand_vcpus {
            *left -= vcpus;
        }
    }

    /// Reserves what one instance needs. One that comes from a capacity reservation is in the quota already.
    ///
    /// # Errors
    /// EC2's error code when a quota or the subnet does not have it.
    pub fn reserve(
        &mut self,
        capacity_type: CapacityType,
        zone: &str,
        vcpus: i64,
        addresses: i64,
    ) -> Result<(), FleetErrorCode> {
        let vcpus = if capacity_type == CapacityType::Reserved { 0 } else { vcpus };
        if self.vcpus_left(capacity_type).is_some_and(|left| left < vcpus) {
            return Err(match capacity_type {
                CapacityType::Spot => FleetErrorCode::MaxSpotInstanceCountExceeded,
                CapacityType::OnDemand | CapacityType::Reserved => FleetErrorCode::VcpuLimitExceeded,
            });
        }
        if let Some(free) = self.addresses.get_mut(zone) {
            if *free < addresses {
                return Err(FleetErrorCode::InsufficientFreeAddressesInSubnet);
            }
            *free -= addresses;
        }
        if let Some(left) = self.vcpus_left(capacity_type) {
            *left -= vcpus;
        }
        Ok(())
    }

    /// Gives back the vCPUs of an instance that is shutting down.
    pub fn release_vcpus(&mut self, capacity_type: CapacityType, vcpus: i64) {
        if let Some(left) = self.vcpus_left(capacity_type) {
            *left += vcpus;
        }
    }

    /// Gives back the addresses of an instance that is terminated.
    pub fn release_addresses(&mut self, zone: &str, addresses: i64) {
        if let Some(free) = self.addresses.get_mut(zone) {
            *free += addresses;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::decode::defaults;

    #[test]
    fn beyond_the_burst_launches_arrive_at_the_refill_rate() {
        let mut bucket = TokenBucket::full(1000, 2.0);
        let at = |seconds| Time::ZERO + Duration::from_secs(seconds);
        assert_eq!(bucket.take(at(10), 1000), at(10));
        assert_eq!(bucket.take(at(10), 1), Time::ZERO + Duration::from_millis(10_500));
        assert_eq!(bucket.take(at(10), 1), at(11));
        assert_eq!(bucket.take(at(511), 500), at(511), "it fills again, but not beyond the burst");
    }

    #[test]
    fn quotas_and_subnets_refuse_with_the_code_of_ec2() {
        let mut market: Market = defaults();
        market.spot_vcpus = Some(8);
        market.subnet_addresses = BTreeMap::from([("a".to_owned(), 40)]);
        let mut quotas = Quotas::of(&market);
        let spot = CapacityType::Spot;
        assert_eq!(quotas.reserve(spot, "a", 4, 30), Ok(()));
        assert_eq!(quotas.reserve(spot, "a", 4, 30), Err(FleetErrorCode::InsufficientFreeAddressesInSubnet));
        assert_eq!(quotas.reserve(spot, "b", 4, 30), Ok(()), "a zone that is not listed has enough");
        assert_eq!(quotas.reserve(spot, "b", 4, 30), Err(FleetErrorCode::MaxSpotInstanceCountExceeded));
        assert_eq!(quotas.reserve(CapacityType::OnDemand, "b", 400, 30), Ok(()));
        quotas.release_vcpus(spot, 4);
        quotas.release_addresses("a", 30);
        assert_eq!(quotas.reserve(spot, "a", 4, 30), Ok(()));
    }
}
