//! Prices as EC2 charges them: on-demand as published, Spot around its mean, both with the scenario's changes.
//!
//! A Spot price is on-demand less the advised saving, times the zone's factor, times a slow noise of its own per type and
//! zone: the logarithm moves every `spotPriceStep` towards 0 and is normal with `spotPriceSigma` at all times.

use super::data::RegionalType;
use crate::cluster::catalogue::CapacityType;
use crate::engine::stream::fnv1a;
use crate::engine::{Distribution, Stream, Streams};
use crate::scenario::market::Market;
use crate::time::{Duration, Time};

/// Time in which most of a Spot price's deviation is forgotten.
const MEMORY: Duration = Duration::from_hours(48);

/// The price list of a run.
#[derive(Clone, Debug)]
pub struct Prices {
    market: Market,
    streams: Streams,
    /// The share of a deviation that is left after a step.
    kept: f64,
    /// The size of what a step adds to it, in standard deviations.
    fresh: f64,
    /// By zone that was asked for: of each type of the region, by its place.
    noise: Vec<(String, Vec<Option<Noise>>)>,
}

/// The deviation of one pool's price, one value a step.
#[derive(Clone, Debug)]
struct Noise {
    stream: Stream,
    step: u64,
    log: f64,
    /// `exp(log)`.
    factor: f64,
}

impl Prices {
    /// The prices of a scenario.
    #[must_use]
    pub fn new(market: &Market, streams: Streams) -> Self {
        let kept = (-(market.spot_price_step.as_micros().max(1) as f64) / MEMORY.as_micros() as f64).exp();
        let fresh = (1.0 - kept * kept).sqrt();
        Prices { market: market.clone(), streams, kept, fresh, noise: Vec::new() }
    }

    /// Price in USD per hour at `now`; `None` when the type has no Spot. Asked in the order of time.
    pub fn at(&mut self, now: Time, regional: &RegionalType, zone: &str, capacity_type: CapacityType) -> Option<f64> {
        let spot = capacity_type == CapacityType::Spot;
        let mut price =
            if spot { self.spot_mean(regional, zone)? * self.factor(now, regional, zone) } else { regional.on_demand };
        for change in &self.market.prices {
            if Time::ZERO + change.at <= now && change.offerings.matches(regional.row.name, zone, spot) {
                price = change.per_hour.map_or(price, |quantity| quantity.milli as f64 / 1000.0);
                price *= change.factor.unwrap_or(1.0);
            }
        }
        Some(if spot { round(price) } else { price })
    }

    /// The mean Spot price (karpenter-provider-aws takes it from DescribeSpotPriceHistory).
    fn spot_mean(&self, regional: &RegionalType, zone: &str) -> Option<f64> {
        let advised = regional.spot.map(|advice| (100.0 - advice.savings_percent) / 100.0);
        let share = self.market.spot_price_share.or(advised)?;
        let factor = self.market.spot_zone_factors.get(zone).copied().unwrap_or(1.0);
        Some(regional.on_demand * share * factor)
    }

    fn factor(&mut self, now: Time, regional: &RegionalType, zone: &str) -> f64 {
        let sigma = self.market.spot_price_sigma;
        let length = self.market.spot_price_step.as_micros().max(1) as u64;
        if sigma <= 0.0 {
            return 1.0;
        }
        let known = self.noise.iter().position(|(known, _)| known == zone).unwrap_or_else(|| {
            self.noise.push((zone.to_owned(), Vec::new()));
            self.noise.len() - 1
        });
        let types = &mut self.noise[known].1;
        if types.len() <= regional.index {
            types.resize(regional.index + 1, None);
        }
        let noise = types[regional.index].get_or_insert_with(|| {
            let mut stream = self.streams.open("spot price", fnv1a([regional.row.name, "/", zone]));
            let log = sigma * Distribution::standard_normal(&mut stream);
            Noise { stream, step: 0, log, factor: log.exp() }
        });
        let step = now.as_micros() / length;
        if noise.step < step {
            while noise.step < step {
                let fresh = sigma * Distribution::standard_normal(&mut noise.stream);
                noise.log = self.kept * noise.log + self.fresh * fresh;
                noise.step += 1;
            }
            noise.factor = noise.log.exp();
        }
        noise.factor
    }
}

/// To the four decimals in which Spot prices are published.
fn round(price: f64) -> f64 {
    (price * 1e4).round() / 1e4
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::api::decode::defaults;
    use crate::ec2::data::find;
    use crate::scenario::market::{OfferingSelector, PriceChange};

    fn virginia(name: &str) -> &'static RegionalType {
        find("us-east-1", name).expect("a priced type")
    }

    fn hours(hours: i64) -> Time {
        Time::ZERO + Duration::from_hours(hours)
    }

    #[test]
    fn spot_moves_slowly_around_its_mean() {
        let m5 = virginia("m5.large");
        let savings = m5.spot.expect("advice").savings_percent;
        let mean = 0.096 * (100.0 - savings) / 100.0;
        let mut prices = Prices::new(&defaults(), Streams::new(1, 0));
        let logs: Vec<f64> = (0..4000)
            .map(|step| {
                let price = prices.at(hours(step * 6), m5, "us-east-1a", CapacityType::Spot).expect("spot");
                (price / mean).ln()
            })
            .collect();
        let n = logs.len() as f64;
        let average = logs.iter().sum::<f64>() / n;
        let sigma = (logs.iter().map(|log| log * log).sum::<f64>() / n).sqrt();
        let largest_move = logs.windows(2).map(|pair| (pair[1] - pair[0]).abs()).fold(0.0, f64::max);
        assert!(average.abs() < 0.03, "{average}");
        assert!((sigma - 0.1).abs() < 0.02, "{sigma}");
        assert!(largest_move < 0.25, "{largest_move}");
    }

    #[test]
    fn scripted_changes_apply_from_their_instant() {
        let m5 = virginia("m5.large");
        let mut market: Market = defaults();
        market.spot_price_sigma = 0.0;
        market.spot_price_share = Some(0.5);
        market.spot_zone_factors = BTreeMap::from([("us-east-1b".to_owned(), 1.25)]);
        let only_m5 = OfferingSelector { instance_types: vec!["m5.*".to_owned()], ..defaults() };
        market.prices =
            vec![PriceChange { at: Duration::from_hours(1), offerings: only_m5, per_hour: None, factor: Some(2.0) }];
        let mut prices = Prices::new(&market, Streams::new(1, 0));
        let spot = CapacityType::Spot;
        assert_eq!(prices.at(hours(0), m5, "us-east-1a", spot), Some(0.048));
        assert_eq!(prices.at(hours(0), m5, "us-east-1b", spot), Some(0.06));
        assert_eq!(prices.at(hours(1), m5, "us-east-1b", spot), Some(0.12));
        assert_eq!(prices.at(hours(1), m5, "us-east-1a", CapacityType::OnDemand), Some(0.192));
        assert_eq!(prices.at(hours(1), virginia("c5.large"), "us-east-1a", CapacityType::OnDemand), Some(0.085));
    }
}
