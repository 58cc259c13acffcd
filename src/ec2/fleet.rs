//! Which pool EC2 takes an instance from, within one CreateFleet call of type `instant`. The strategies are AWS's published
//! ones; how it breaks ties and how deep its pools are is not published and is modelled with random numbers.

use super::launch::{FleetRequest, Override};
use crate::cluster::Rule;
use crate::cluster::catalogue::{CapacityType, ReservationId};
use crate::engine::Stream;

/// Why a pool gave no instance. Karpenter treats all of them as a lack of capacity of that offering
/// (karpenter-provider-aws `pkg/errors/errors.go: unfulfillableCapacityErrorCodes`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum FleetErrorCode {
    /// The pool is empty.
    InsufficientInstanceCapacity,
    /// The account's Spot quota is used up.
    MaxSpotInstanceCountExceeded,
    /// The account's on-demand quota is used up.
    VcpuLimitExceeded,
    /// The capacity reservation has no instance left.
    ReservationCapacityExceeded,
    /// The subnet has no address left.
    InsufficientFreeAddressesInSubnet,
}

impl FleetErrorCode {
    /// As EC2 spells it.
    #[must_use]
    pub const fn rule(self) -> Rule {
        match self {
            FleetErrorCode::InsufficientInstanceCapacity => Rule::InsufficientInstanceCapacity,
            FleetErrorCode::MaxSpotInstanceCountExceeded => Rule::MaxSpotInstanceCountExceeded,
            FleetErrorCode::VcpuLimitExceeded => Rule::VcpuLimitExceeded,
            FleetErrorCode::ReservationCapacityExceeded => Rule::ReservationCapacityExceeded,
            FleetErrorCode::InsufficientFreeAddressesInSubnet => Rule::InsufficientFreeAddresses,
        }
    }
}

/// A pool's refusal.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct FleetError {
    /// The pool.
    pub pool: Override,
    /// Why.
    pub code: FleetErrorCode,
}

/// EC2's answer.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct FleetAnswer {
    /// The pool of each instance launched; at most as many as asked for.
    pub launched: Vec<Override>,
    /// Pools that were tried and gave nothing.
    pub errors: Vec<FleetError>,
}

/// EC2's capacity as one call sees it.
pub trait CapacitySource {
    /// Takes one instance from the pool, or tells why not; the capacity reservation that it came from.
    fn take(&mut self, pool: &Override) -> Result<Option<ReservationId>, FleetErrorCode>;
    /// How much spare capacity the pool has, relative to others.
    fn depth(&mut self, pool: &Override) -> f64;
}

/// A pool whose depth is at least this part of the deepest counts as having the highest availability.
const DEEP_ENOUGH: f64 = 0.8;

/// Launches up to `count` instances.
pub fn allocate(
    request: &FleetRequest,
    count: usize,
    pools: &mut dyn CapacitySource,
    stream: &mut Stream,
) -> FleetAnswer {
    let order = match request.capacity_type {
        CapacityType::Spot => price_capacity_optimized(&request.overrides, pools, stream),
        CapacityType::OnDemand | CapacityType::Reserved => lowest_price(&request.overrides, stream),
    };
    let mut answer = FleetAnswer::default();
    for pool in order {
        while answer.launched.len() < count {
            match pools.take(&pool) {
                Ok(reservation) => answer.launched.push(Override { reservation, ..pool }),
                Err(code) => {
                    answer.errors.push(FleetError { pool, code });
                    break;
                }
            }
        }
        if answer.launched.len() == count {
            break;
        }
    }
    answer
}

/// `lowest-price`: cheapest pool first; pools of equal price, such as the zones of one type, in random order.
fn lowest_price(overrides: &[Override], stream: &mut Stream) -> Vec<Override> {
    let mut order = overrides.to_vec();
    stream.shuffle(&mut order);
    order.sort_by(|a, b| a.price.total_cmp(&b.price));
    order
}

/// `price-capacity-optimized`: among the pools with the highest availability the cheapest; the others follow by depth.
fn price_capacity_optimized(
    overrides: &[Override],
    pools: &mut dyn CapacitySource,
    stream: &mut Stream,
) -> Vec<Override> {
    let mut order: Vec<(f64, Override)> = overrides.iter().map(|pool| (pools.depth(pool), *pool)).collect();
    stream.shuffle(&mut order);
    let deepest = order.iter().map(|(depth, _)| *depth).fold(0.0, f64::max);
    let (mut deep, mut shallow): (Vec<_>, Vec<_>) =
        order.into_iter().partition(|(depth, _)| *depth >= DEEP_ENOUGH * deepest);
    deep.sort_by(|(_, a), (_, b)| a.price.total_cmp(&b.price));
    shallow.sort_by(|(a, _), (b, _)| b.total_cmp(a));
    deep.into_iter().chain(shallow).map(|(_, pool)| pool).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cluster::catalogue::{TypeId, ZoneId};
    use crate::engine::Streams;

    struct Stock(Vec<(u32, u16, usize, f64)>);

    impl Stock {
        fn find(&mut self, pool: &Override) -> &mut (u32, u16, usize, f64) {
            let key = (pool.instance_type.0, pool.zone.0);
            self.0.iter_mut().find(|(id, zone, _, _)| (*id, *zone) == key).expect("a stocked pool")
        }
    }

    impl CapacitySource for Stock {
        fn take(&mut self, pool: &Override) -> Result<Option<ReservationId>, FleetErrorCode> {
            let stock = &mut self.find(pool).2;
            if *stock == 0 {
                return Err(FleetErrorCode::InsufficientInstanceCapacity);
            }
            *stock -= 1;
            Ok(None)
        }
        fn depth(&mut self, pool: &Override) -> f64 {
            self.find(pool).3
        }
    }

    fn fleet(capacity_type: CapacityType, pools: &[(u32, u16, f64)]) -> FleetRequest {
        let pool = |(id, zone, price): &(u32, u16, f64)| Override {
            instance_type: TypeId(*id),
            zone: ZoneId(*zone),
            price: *price,
            reservation: None,
        };
        FleetRequest { capacity_type, overrides: pools.iter().map(pool).collect() }
    }

    fn stream() -> Stream {
        Streams::new(3, 0).open("fleet", 0)
    }

    #[test]
    fn on_demand_takes_the_cheapest_pool_that_has_capacity() {
        let request = fleet(CapacityType::OnDemand, &[(0, 0, 1.0), (1, 0, 2.0), (2, 0, 3.0)]);
        let mut stock = Stock(vec![(0, 0, 0, 1.0), (1, 0, 2, 1.0), (2, 0, 9, 1.0)]);
        let answer = allocate(&request, 3, &mut stock, &mut stream());
        let launched: Vec<u32> = answer.launched.iter().map(|pool| pool.instance_type.0).collect();
        assert_eq!(launched, [1, 1, 2]);
        let refused: Vec<u32> = answer.errors.iter().map(|error| error.pool.instance_type.0).collect();
        assert_eq!(refused, [0, 1], "a pool that gave some and then ran out is refused too");
    }

    #[test]
    fn equal_prices_are_a_toss_between_zones() {
        let request = fleet(CapacityType::OnDemand, &[(0, 0, 1.0), (0, 1, 1.0), (0, 2, 1.0)]);
        let mut stream = stream();
        let mut seen = [0; 3];
        for _ in 0..300 {
            let mut stock = Stock((0..3).map(|zone| (0, zone, 1, 1.0)).collect());
            seen[usize::from(allocate(&request, 1, &mut stock, &mut stream).launched[0].zone.0)] += 1;
        }
        assert!(seen.into_iter().all(|count| count > 60), "{seen:?}");
    }

    #[test]
    fn spot_prefers_deep_pools_and_then_the_price() {
        let request = fleet(CapacityType::Spot, &[(0, 0, 1.0), (1, 0, 2.0), (2, 0, 1.5)]);
        let mut stock = Stock(vec![(0, 0, 9, 0.1), (1, 0, 9, 1.0), (2, 0, 9, 0.9)]);
        let answer = allocate(&request, 1, &mut stock, &mut stream());
        assert_eq!(answer.launched[0].instance_type, TypeId(2));
        assert!(answer.errors.is_empty());
    }

    #[test]
    fn when_every_pool_is_empty_all_of_them_are_reported() {
        let request = fleet(CapacityType::Spot, &[(0, 0, 1.0), (1, 0, 2.0)]);
        let mut stock = Stock(vec![(0, 0, 0, 0.0), (1, 0, 0, 0.0)]);
        let answer = allocate(&request, 1, &mut stock, &mut stream());
        assert_eq!((answer.launched.len(), answer.errors.len()), (0, 2));
    }
}
