//! `[market]`: Spot interruptions, insufficient capacity, prices.

use crate::api::scalar::Quantity;
use crate::time::Duration;
use crate::{choice, object};

object! {
    /// What EC2 does of its own accord.
    pub struct Market {
        /// How often Spot instances are taken back.
        pub interruptions: InterruptionRate = InterruptionRate::Advisor,
        /// Interruptions per Spot node and hour, in place of `interruptions`.
        pub interruptions_per_hour: Option<f64>,
        /// Whether nodes of one type and zone are taken back together, as traces show, rather than independently.
        pub correlated: bool = true,
        /// Probability that the two-minute notice does not come.
        pub notice_lost_probability: f64 = 0.005,
        /// Probability that a Spot pool (type and zone) has no capacity at a given time; absent = by the type's interruption band.
        pub spot_unavailable: Option<f64>,
        /// Probability that an on-demand pool (type and zone) has no capacity at a given time.
        pub on_demand_unavailable: f64 = 0.002,
        /// Spot price as a share of the on-demand price; absent = the published saving of the type and region.
        pub spot_price_share: Option<f64>,
        /// Factors on Spot prices by zone, such as `{ us-east-1b = 1.03 }`.
        pub spot_zone_factors: std::collections::BTreeMap<String, f64>,
        /// Instances that may be launched at once before the account is throttled.
        pub launch_burst: u32 = 1000,
        /// Launches per second once the burst is used up.
        pub launches_per_second: f64 = 2.0,
        /// Offerings without capacity for a while.
        pub outages: Vec<Outage>,
        /// Price changes.
        pub prices: Vec<PriceChange>,
    }
}

choice! {
    /// Interruptions per Spot node and hour.
    pub enum InterruptionRate {
        /// None.
        Never = "never",
        /// From the Spot Advisor's band of the type in the region.
        Advisor = "advisor",
        /// 0.0005.
        Calm = "calm",
        /// 0.003.
        Normal = "normal",
        /// 0.02.
        Tight = "tight",
        /// 0.3, as measured in scarce pools.
        Hostile = "hostile",
    }
}

impl InterruptionRate {
    /// Per node and hour; `None` = by the type's band.
    #[must_use]
    pub const fn per_hour(self) -> Option<f64> {
        match self {
            InterruptionRate::Never => Some(0.0),
            InterruptionRate::Advisor => None,
            InterruptionRate::Calm => Some(0.0005),
            InterruptionRate::Normal => Some(0.003),
            InterruptionRate::Tight => Some(0.02),
            InterruptionRate::Hostile => Some(0.3),
        }
    }
}

object! {
    /// Which offerings: all parts must hold, an empty part means any.
    pub struct OfferingSelector {
        /// Instance types; `*` stands for any text (`m5.*`).
        pub instance_types: Vec<String>,
        /// Zones.
        pub zones: Vec<String>,
        /// `spot` or `on-demand`.
        pub capacity_type: Option<MarketCapacityType>,
    }
}

choice! {
    /// How an instance is bought.
    pub enum MarketCapacityType {
        /// Spot.
        Spot = "spot",
        /// On demand.
        OnDemand = "on-demand",
    }
}

object! {
    /// Offerings that answer "insufficient capacity" for a while.
    pub struct Outage {
        /// When it begins.
        pub at: Duration,
        /// How long it lasts; absent = to the end.
        pub duration: Option<Duration>,
        /// Which offerings; absent = all.
        pub offerings: OfferingSelector = crate::api::decode::defaults(),
    }
}

object! {
    /// A price from an instant on: one of `perHour` and `factor`.
    pub struct PriceChange {
        /// When.
        pub at: Duration = Duration::ZERO,
        /// Which offerings; absent = all.
        pub offerings: OfferingSelector = crate::api::decode::defaults(),
        /// USD per hour.
        pub per_hour: Option<Quantity>,
        /// Times the price so far.
        pub factor: Option<f64>,
    }
}

impl OfferingSelector {
    /// Whether it names this offering.
    #[must_use]
    pub fn matches(&self, instance_type: &str, zone: &str, spot: bool) -> bool {
        let fits = |patterns: &[String], name: &str| {
            patterns.is_empty() || patterns.iter().any(|pattern| super::files::name_matches(pattern, name))
        };
        fits(&self.instance_types, instance_type)
            && fits(&self.zones, zone)
            && self.capacity_type.is_none_or(|kind| (kind == MarketCapacityType::Spot) == spot)
    }
}
