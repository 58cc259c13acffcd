//! What EC2 charges for an instance: every second in state `running`, at least 60 s. Pending and shutting down are free.

use crate::cluster::instance::Instance;
use crate::time::{Duration, Time};
use crate::units::Usd;

/// Shortest time that is charged for a start.
pub const MINIMUM: Duration = Duration::from_secs(60);

/// The charge up to `now`: from running to shutting down (or now), each span at the price in force. The minimum is charged
/// once the instance ends.
#[must_use]
pub fn charge(instance: &Instance, now: Time) -> Usd {
    let Some(start) = instance.running else { return Usd::ZERO };
    let end = match instance.shutting_down {
        Some(end) if end <= now => end.max(start + MINIMUM),
        _ => now,
    };
    charge_between(&instance.prices, start, end)
}

/// Integral of the price between two instants.
#[must_use]
pub fn charge_between(prices: &[(Time, Usd)], from: Time, until: Time) -> Usd {
    let span = |i: usize| {
        let begin = if i == 0 { from } else { prices[i].0.max(from) };
        let end = prices.get(i + 1).map_or(until, |(next, _)| (*next).min(until));
        if end > begin { prices[i].1.per_hour_for(end - begin) } else { Usd::ZERO }
    };
    (0..prices.len()).map(span).sum()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cluster::catalogue::{CapacityType, TypeId, ZoneId};
    use crate::cluster::ids::NodeClassId;
    use crate::cluster::instance::InstanceState;

    fn at(seconds: i64) -> Time {
        Time::ZERO + Duration::from_secs(seconds)
    }

    fn instance() -> Instance {
        Instance {
            state: InstanceState::Running,
            prices: vec![(at(0), Usd::from_f64(3.6)), (at(100), Usd::from_f64(7.2))],
            ..Instance::new(at(0), NodeClassId(0), TypeId(0), (ZoneId(0), CapacityType::Spot), Usd::ZERO)
        }
    }

    #[test]
    fn only_running_seconds_count_and_each_at_its_price() {
        let mut instance = instance();
        assert_eq!(charge(&instance, at(50)), Usd::ZERO, "pending is free");
        instance.running = Some(at(10));
        assert_eq!(charge(&instance, at(20)), Usd::from_f64(0.010));
        assert_eq!(charge(&instance, at(110)), Usd::from_f64(0.090 + 0.020));
        instance.shutting_down = Some(at(110));
        assert_eq!(charge(&instance, at(9999)), Usd::from_f64(0.110), "shutting down is free");
    }

    #[test]
    fn a_short_life_costs_a_minute() {
        let mut instance = instance();
        instance.running = Some(at(10));
        instance.shutting_down = Some(at(30));
        assert_eq!(charge(&instance, at(20)), Usd::from_f64(0.010));
        assert_eq!(charge(&instance, at(30)), Usd::from_f64(0.060));
    }
}
