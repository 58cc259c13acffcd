//! `[market]`: Spot interruptions, insufficient capacity, prices.

use std::collections::BTreeMap;

use crate::api::scalar::Quantity;
use crate::engine::Distribution;
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
        /// Mean life of the instances behind the Spot Advisor's shares: share f of a month means -ln(1 - f) / exposure reclaims per node and hour.
        pub exposure: Duration = Duration::from_hours(24),
        /// A reclaim of a pool takes each of its nodes with probability Beta(1, reclaimBeta): mean 0.62, often nearly all.
        pub reclaim_beta: f64 = 0.6,
        /// Over how long the notices of one reclaim are spread.
        pub reclaim_spread: Duration = Duration::from_secs(180),
        /// Share of the reclaims that strike a whole instance family in all zones at once.
        pub region_wide_share: f64 = 0.3,
        /// From the notice to the end of the instance.
        pub notice: Duration = Duration::from_secs(120),
        /// Probability that the rebalance recommendation comes together with the notice.
        pub rebalance_together: f64 = 0.4,
        /// Otherwise how long before it.
        pub rebalance_lead: Distribution = Distribution::Uniform { min: Duration::from_secs(480), max: Duration::from_secs(1080) },
        /// How long a pool that was reclaimed or ran dry has no capacity.
        pub dry_time: Distribution = Distribution::Weibull { scale: Duration::from_secs(3240), shape: 0.75 },
        /// Probability that the two-minute notice does not come.
        pub notice_lost_probability: f64 = 0.005,
        /// Probability that a Spot pool (type and zone) has no capacity at a given time; absent = by the type's interruption band.
        pub spot_unavailable: Option<f64>,
        /// Probability that an on-demand pool (type and zone) has no capacity at a given time.
        pub on_demand_unavailable: f64 = 0.002,
        /// The same for types with GPUs or accelerators.
        pub gpu_unavailable: f64 = 0.05,
        /// Spot price as a share of the on-demand price; absent = the published saving of the type and region.
        pub spot_price_share: Option<f64>,
        /// Factors on Spot prices by zone, such as `{ us-east-1b = 1.03 }`.
        pub spot_zone_factors: BTreeMap<String, f64>,
        /// Spread of Spot prices around that, per type and zone (sigma of a lognormal); 0 = none.
        pub spot_price_sigma: f64 = 0.1,
        /// How often Spot prices move.
        pub spot_price_step: Duration = Duration::from_hours(6),
        /// Quota of on-demand vCPUs that run at a time; absent = none.
        pub on_demand_vcpus: Option<u32>,
        /// Quota of Spot vCPUs that run at a time; absent = none.
        pub spot_vcpus: Option<u32>,
        /// Free addresses of a zone's subnet; a zone that is not listed has enough.
        pub subnet_addresses: BTreeMap<String, u32>,
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
