//! The capacity behind offerings, per pool (instance type and zone): when it runs dry, and when EC2 takes Spot instances back.
//!
//! Each pool has reclaims (a Poisson process; each takes a Beta-distributed part of the pool's Spot nodes) and dry spells; after
//! either the pool has no capacity for `dryTime`. Part of the reclaims strike a whole instance family in all zones. The hazard of a
//! node follows the Spot Advisor's band of its type, and so does the time without capacity.

use std::collections::BTreeMap;

use super::data::{self, InterruptionBand, TypeRow};
use crate::cluster::catalogue::CapacityType;
use crate::engine::{Distribution, Stream, Streams};
use crate::scenario::market::{InterruptionRate, Market};
use crate::time::{Duration, Time};

/// Processes begin that long before the run, so that it starts in the middle of things.
const WARM_UP: Duration = Duration::from_hours(24);

/// A pool's name.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct PoolKey {
    /// Capacity type.
    pub capacity_type: CapacityType,
    /// Instance type.
    pub instance_type: &'static str,
    /// Zone.
    pub zone: String,
}

/// EC2 wants instances of a pool back.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Reclaim {
    /// When the notices begin.
    pub at: Time,
    /// Probability that a Spot node of the pool is taken.
    pub share: f64,
}

/// How scarce a pool is.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Scarcity {
    /// Reclaims per node and hour.
    pub hazard: f64,
    /// Part of time without capacity.
    pub unavailable: f64,
    /// Whether young nodes are taken more often.
    pub tight: bool,
}

/// Middle of a band of the Spot Advisor.
const fn middle(band: InterruptionBand) -> f64 {
    match band {
        InterruptionBand::Below5 => 0.025,
        InterruptionBand::To10 => 0.075,
        InterruptionBand::To15 => 0.125,
        InterruptionBand::To20 => 0.175,
        InterruptionBand::Above20 => 0.30,
    }
}

/// Part of time in which a Spot pool of that band has no capacity.
const fn spot_unavailable(band: InterruptionBand) -> f64 {
    match band {
        InterruptionBand::Below5 => 0.02,
        InterruptionBand::To10 => 0.05,
        InterruptionBand::To15 => 0.08,
        InterruptionBand::To20 => 0.12,
        InterruptionBand::Above20 => 0.25,
    }
}

impl Scarcity {
    /// Of a type's pools in one zone.
    #[must_use]
    pub fn of(market: &Market, capacity_type: CapacityType, row: &TypeRow, band: InterruptionBand) -> Self {
        if capacity_type != CapacityType::Spot {
            let special = row.gpu_count > 0 || row.accelerator_count > 0;
            let unavailable = if special { market.gpu_unavailable } else { market.on_demand_unavailable };
            return Scarcity { hazard: 0.0, unavailable, tight: false };
        }
        let advised = -(1.0 - middle(band)).ln() / (market.exposure.as_secs_f64() / 3600.0).max(f64::MIN_POSITIVE);
        let hazard = market.interruptions_per_hour.or(market.interruptions.per_hour()).unwrap_or(advised);
        let by_band = market.interruptions_per_hour.is_none() && market.interruptions == InterruptionRate::Advisor;
        Scarcity {
            hazard,
            unavailable: market.spot_unavailable.unwrap_or(spot_unavailable(band)),
            tight: by_band && band == InterruptionBand::Above20,
        }
    }
}

/// Something that leaves pools without capacity.
#[derive(Clone, Copy, Debug)]
struct Occurrence {
    /// In process time.
    at: Time,
    share: f64,
    until: Time,
}

/// Occurrences of one kind, generated as far as anyone has looked.
#[derive(Clone, Debug)]
struct Occurrences {
    arrivals: Stream,
    details: Stream,
    per_hour: f64,
    list: Vec<Occurrence>,
}

impl Occurrences {
    fn new(streams: &Streams, label: &str, name: &str, per_hour: f64) -> Self {
        let arrivals = streams.open_named(label, name);
        let details = streams.open_named(&format!("{label} details"), name);
        Occurrences { arrivals, details, per_hour, list: Vec::new() }
    }

    /// The occurrence of that number, if its rate is not 0.
    fn get(&mut self, number: usize, market: &Market) -> Option<Occurrence> {
        while self.list.len() <= number {
            if self.per_hour <= 0.0 {
                return None;
            }
            let mean = Duration::from_secs_f64(3600.0 / self.per_hour);
            let previous = self.list.last().map_or(Time::ZERO, |last| last.at);
            let at = previous + Distribution::Exponential { mean }.sample(&mut self.arrivals);
            let share = 1.0 - (1.0 - self.details.unit()).powf(1.0 / market.reclaim_beta.max(1e-6));
            let until = at + market.dry_time.sample(&mut self.details);
            self.list.push(Occurrence { at, share, until });
        }
        Some(self.list[number])
    }

    /// Number of the first occurrence after `at` (process time).
    fn first_after(&mut self, at: Time, market: &Market) -> usize {
        let mut number = self.list.partition_point(|occurrence| occurrence.at <= at);
        while self.get(number, market).is_some_and(|occurrence| occurrence.at <= at) {
            number += 1;
        }
        number
    }
}

#[derive(Clone, Debug)]
struct Pool {
    reclaims: Occurrences,
    dry: Occurrences,
    /// Part of the family's reclaims that strike this pool; 0 on demand.
    family_part: f64,
    depth: f64,
    family: &'static str,
}

/// The capacity of a region.
#[derive(Clone, Debug)]
pub struct Pools {
    market: Market,
    streams: Streams,
    region: String,
    pools: BTreeMap<PoolKey, Pool>,
    families: BTreeMap<&'static str, Occurrences>,
}

/// Where the Spot Advisor says nothing.
const UNLISTED: InterruptionBand = InterruptionBand::To15;

impl Pools {
    /// The capacity of a scenario's region.
    #[must_use]
    pub fn new(market: &Market, region: &str, streams: Streams) -> Self {
        Pools {
            market: market.clone(),
            streams,
            region: region.to_owned(),
            pools: BTreeMap::new(),
            families: BTreeMap::new(),
        }
    }

    fn band(&self, name: &str) -> InterruptionBand {
        data::find(&self.region, name).and_then(|regional| regional.spot).map_or(UNLISTED, |advice| advice.band)
    }

    /// Highest reclaim rate of a family's pools, per hour.
    fn family_rate(&self, family: &str) -> f64 {
        let own = data::family_of(&self.region, family).iter();
        let rates = own.map(|regional| self.reclaim_rate(self.scarcity(CapacityType::Spot, regional.row)));
        rates.fold(0.0, f64::max)
    }

    /// Rate of reclaims of a pool whose nodes have that hazard: each takes a part of the nodes only.
    fn reclaim_rate(&self, scarcity: Scarcity) -> f64 {
        if self.market.correlated { scarcity.hazard * (1.0 + self.market.reclaim_beta) } else { 0.0 }
    }

    /// How scarce a pool is.
    #[must_use]
    pub fn scarcity(&self, capacity_type: CapacityType, row: &TypeRow) -> Scarcity {
        Scarcity::of(&self.market, capacity_type, row, self.band(row.name))
    }

    fn ensure(&mut self, key: &PoolKey, row: &'static TypeRow) {
        if self.pools.contains_key(key) {
            return;
        }
        let scarcity = self.scarcity(key.capacity_type, row);
        let name = format!("{}/{}/{}", key.capacity_type.as_str(), key.instance_type, key.zone);
        let rate = self.reclaim_rate(scarcity);
        let share = self.market.region_wide_share;
        let family_rate = self.ensure_family(row.family);
        let family_part = if family_rate > 0.0 { (share * rate / family_rate).min(1.0) } else { 0.0 };
        let outage_hours = self.market.dry_time.mean().as_secs_f64() / 3600.0;
        let all = if outage_hours > 0.0 { -(1.0 - scarcity.unavailable.min(0.999)).ln() / outage_hours } else { 0.0 };
        let mut depth = self.streams.open_named("pool depth", &name);
        let pool = Pool {
            reclaims: Occurrences::new(&self.streams, "reclaims", &name, rate * (1.0 - share)),
            dry: Occurrences::new(&self.streams, "dry spells", &name, (all - rate).max(0.0)),
            family_part,
            depth: (1.0 - scarcity.unavailable) * (0.7 + 0.3 * depth.unit()),
            family: row.family,
        };
        self.pools.insert(key.clone(), pool);
    }

    /// How often reclaims strike the whole family, per hour.
    fn ensure_family(&mut self, family: &'static str) -> f64 {
        if let Some(known) = self.families.get(family) {
            return known.per_hour;
        }
        let per_hour = self.market.region_wide_share * self.family_rate(family);
        self.families.insert(family, Occurrences::new(&self.streams, "family reclaims", family, per_hour));
        per_hour
    }

    /// Whether EC2 has an instance of the pool to give.
    pub fn has_capacity(&mut self, now: Time, key: &PoolKey, row: &'static TypeRow) -> bool {
        let spot = key.capacity_type == CapacityType::Spot;
        let scripted = |outage: &crate::scenario::market::Outage| {
            let begin = Time::ZERO + outage.at;
            let end = outage.duration.map_or(Time::MAX, |duration| begin + duration);
            begin <= now && now < end && outage.offerings.matches(key.instance_type, &key.zone, spot)
        };
        if self.market.outages.iter().any(scripted) {
            return false;
        }
        self.ensure(key, row);
        let at = now + WARM_UP;
        let Pools { market, streams, pools, families, .. } = self;
        let Some(pool) = pools.get_mut(key) else { return true };
        for occurrences in [&mut pool.reclaims, &mut pool.dry] {
            let past = occurrences.first_after(at, market);
            if occurrences.list[..past].iter().any(|occurrence| at < occurrence.until) {
                return false;
            }
        }
        let Some(family) = families.get_mut(pool.family) else { return true };
        let past = family.first_after(at, market);
        let struck = |(number, occurrence): (usize, &Occurrence)| {
            at < occurrence.until && strikes(streams, key, number, pool.family_part)
        };
        !family.list[..past].iter().enumerate().any(struck)
    }

    /// Spare capacity of the pool relative to others; 0 without capacity.
    pub fn depth(&mut self, now: Time, key: &PoolKey, row: &'static TypeRow) -> f64 {
        if self.has_capacity(now, key, row) { self.pools.get(key).map_or(0.0, |pool| pool.depth) } else { 0.0 }
    }

    /// The first reclaim of a Spot pool after `now`; `None` when there will be none.
    pub fn next_reclaim(&mut self, now: Time, key: &PoolKey, row: &'static TypeRow) -> Option<Reclaim> {
        self.ensure(key, row);
        let at = now + WARM_UP;
        let Pools { market, streams, pools, families, .. } = self;
        let pool = pools.get_mut(key)?;
        let number = pool.reclaims.first_after(at, market);
        let own = pool.reclaims.get(number, market);
        let family = families.get_mut(pool.family).and_then(|family| {
            let mut number = family.first_after(at, market);
            let limit = own.map_or(Time::MAX, |occurrence| occurrence.at);
            loop {
                let occurrence = family.get(number, market).filter(|occurrence| occurrence.at < limit)?;
                if pool.family_part <= 0.0 {
                    return None;
                }
                if strikes(streams, key, number, pool.family_part) {
                    return Some(occurrence);
                }
                number += 1;
            }
        });
        let occurrence = family.or(own)?;
        Some(Reclaim { at: occurrence.at - WARM_UP, share: occurrence.share })
    }

    /// Age at which a node of the pool is taken for itself, apart from the pool's reclaims: `None` = never. Nodes of tight
    /// pools face five times the hazard in their first 15 minutes and twice until one hour; without correlation this is the
    /// whole hazard.
    pub fn own_reclaim(&self, key: &PoolKey, row: &TypeRow, stream: &mut Stream) -> Option<Duration> {
        let scarcity = self.scarcity(key.capacity_type, row);
        let lasting = if self.market.correlated { 0.0 } else { 1.0 };
        let young = if scarcity.tight { [4.0, 1.0] } else { [0.0, 0.0] };
        let mut left =
            Distribution::Exponential { mean: Duration::from_hours(1) }.sample(stream).as_secs_f64() / 3600.0;
        if scarcity.hazard <= 0.0 {
            return None;
        }
        let phases = [(0.0, 0.25, young[0] + lasting), (0.25, 1.0, young[1] + lasting), (1.0, f64::INFINITY, lasting)];
        for (begin, end, factor) in phases {
            let rate = factor * scarcity.hazard;
            let needed = if rate > 0.0 { left / rate } else { f64::INFINITY };
            if begin + needed < end {
                return Some(Duration::from_secs_f64((begin + needed) * 3600.0));
            }
            if rate > 0.0 {
                left -= rate * (end - begin);
            }
        }
        None
    }
}

/// Whether a family's reclaim of that number strikes the pool.
fn strikes(streams: &Streams, key: &PoolKey, number: usize, part: f64) -> bool {
    let name = format!("{}/{}/{number}", key.instance_type, key.zone);
    streams.open_named("family reclaim strikes", &name).unit() < part
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::decode::defaults;
    use crate::ec2::data::instance_type;
    use crate::scenario::market::{OfferingSelector, Outage};

    fn key(capacity_type: CapacityType, name: &'static str) -> PoolKey {
        PoolKey { capacity_type, instance_type: name, zone: "us-east-1a".to_owned() }
    }

    fn row(name: &str) -> &'static TypeRow {
        instance_type(name).expect("a type")
    }

    fn hours(hours: f64) -> Time {
        Time::from_secs_f64(hours * 3600.0)
    }

    #[test]
    fn bands_give_the_hazards_of_the_published_table() {
        let market: Market = defaults();
        let hazard = |band| Scarcity::of(&market, CapacityType::Spot, row("m5.large"), band).hazard;
        for (band, expected) in [
            (InterruptionBand::Below5, 1.1e-3),
            (InterruptionBand::To10, 3.2e-3),
            (InterruptionBand::To15, 5.6e-3),
            (InterruptionBand::To20, 8.0e-3),
            (InterruptionBand::Above20, 1.5e-2),
        ] {
            assert!((hazard(band) / expected - 1.0).abs() < 0.05, "{band:?}: {}", hazard(band));
        }
    }

    #[test]
    fn a_nodes_hazard_is_that_of_its_band() {
        let mut market: Market = defaults();
        market.interruptions_per_hour = Some(0.02);
        let (spot, m5) = (key(CapacityType::Spot, "m5.large"), row("m5.large"));
        let (mut expected, span) = (0.0, 2000.0);
        for replication in 0..40 {
            let mut pools = Pools::new(&market, "us-east-1", Streams::new(5, replication));
            let mut now = Time::ZERO;
            while let Some(reclaim) = pools.next_reclaim(now, &spot, m5).filter(|reclaim| reclaim.at < hours(span)) {
                expected += reclaim.share;
                now = reclaim.at;
            }
        }
        let hazard = expected / (40.0 * span);
        assert!((hazard - 0.02).abs() < 0.0015, "{hazard}");
    }

    #[test]
    fn pools_are_dry_for_the_part_of_time_of_their_band() {
        let market: Market = defaults();
        for (capacity_type, name, expected) in
            [(CapacityType::Spot, "m5.large", None), (CapacityType::OnDemand, "g4dn.xlarge", Some(0.05))]
        {
            let (pool, row) = (key(capacity_type, name), row(name));
            let (mut out, mut asked) = (0, 0);
            for replication in 0..60 {
                let mut pools = Pools::new(&market, "us-east-1", Streams::new(6, replication));
                for step in 0..400 {
                    asked += 1;
                    out += i32::from(!pools.has_capacity(hours(f64::from(step)), &pool, row));
                }
            }
            let pools = Pools::new(&market, "us-east-1", Streams::new(6, 0));
            let expected = expected.unwrap_or_else(|| pools.scarcity(capacity_type, row).unavailable);
            let part = f64::from(out) / f64::from(asked);
            assert!((part / expected - 1.0).abs() < 0.15, "{name}: {part} against {expected}");
        }
    }

    #[test]
    fn a_family_is_struck_in_all_zones_at_once() {
        let mut market: Market = defaults();
        market.region_wide_share = 1.0;
        market.interruptions = InterruptionRate::Hostile;
        let mut pools = Pools::new(&market, "us-east-1", Streams::new(7, 0));
        let mut reclaims = ["us-east-1a", "us-east-1b"].map(|zone| {
            let pool = PoolKey { zone: zone.to_owned(), ..key(CapacityType::Spot, "m5.large") };
            pools.next_reclaim(Time::ZERO, &pool, row("m5.large"))
        });
        assert!(reclaims[0].is_some());
        assert_eq!(reclaims[0].take(), reclaims[1].take());
    }

    #[test]
    fn young_nodes_of_tight_pools_are_taken_more_often() {
        let market: Market = defaults();
        let pools = Pools::new(&market, "us-east-1", Streams::new(8, 0));
        let mut names = data::types_of("us-east-1").iter().map(|regional| regional.row.name);
        let tight = names.find(|name| pools.band(name) == InterruptionBand::Above20).expect("a tight type");
        let pools = Pools::new(&market, "us-east-1", Streams::new(8, 0));
        let mut stream = Streams::new(8, 0).open("own", 0);
        let ages: Vec<Duration> = (0..200_000)
            .filter_map(|_| pools.own_reclaim(&key(CapacityType::Spot, tight), row(tight), &mut stream))
            .collect();
        let early = ages.iter().filter(|age| **age < Duration::from_mins(15)).count() as f64 / 200_000.0;
        assert!(ages.iter().all(|age| *age < Duration::from_hours(1)));
        let expected = 4.0 * 0.25 * -(0.7_f64.ln()) / 24.0;
        assert!((early / expected - 1.0).abs() < 0.05, "{early} against {expected}");
    }

    #[test]
    fn scripted_outages_close_their_offerings() {
        let mut market: Market = defaults();
        market.on_demand_unavailable = 0.0;
        let offerings = OfferingSelector { instance_types: vec!["m5.*".to_owned()], ..defaults() };
        market.outages = vec![Outage { at: Duration::from_mins(1), duration: Some(Duration::from_mins(1)), offerings }];
        let mut pools = Pools::new(&market, "us-east-1", Streams::new(9, 0));
        let open = [30, 60, 90, 120].map(|seconds| {
            let now = Time::ZERO + Duration::from_secs(seconds);
            let m5 = pools.has_capacity(now, &key(CapacityType::OnDemand, "m5.large"), row("m5.large"));
            (m5, pools.has_capacity(now, &key(CapacityType::OnDemand, "c5.large"), row("c5.large")))
        });
        assert_eq!(open, [(true, true), (false, true), (false, true), (true, true)]);
    }
}
