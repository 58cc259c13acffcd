//! The catalogue that a node class of Karpenter's AWS provider sees (karpenter-provider-aws
//! `pkg/providers/instancetype/instancetype.go: List`, `pkg/providers/instancetype/offering`).

use super::capacity::NodeSettings;
use super::data::{self, RegionalType};
use super::labels;
use super::overlay::Overlays;
use super::prices::Prices;
use super::reservations::PRICE_DIVISOR;
use crate::api::karpenter::AmiFamily;
use crate::cluster::catalogue::{CapacityType, Catalogue, InstanceType, Offering, ZoneId};
use crate::time::Time;

/// A region without prices.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no prices are known for region `{region}`; known: {known}")]
pub struct UnknownRegion {
    /// As given.
    pub region: String,
    /// The regions with prices.
    pub known: String,
}

/// The zones of a scenario, in alphabetical order: those written, else the region's `a`, `b` and `c`.
#[must_use]
pub fn zone_names(region: &str, written: &[String]) -> Vec<String> {
    let mut zones = written.to_vec();
    if zones.is_empty() {
        zones = ["a", "b", "c"].map(|zone| format!("{region}{zone}")).to_vec();
    }
    zones.sort_unstable();
    zones.dedup();
    zones
}

/// Builds the catalogue of a node class: every type with a price in the region, in each zone on demand and, where there is a
/// Spot price, as Spot. Prices are those of `now`; all offerings are available. A type that the AMI family does not run on has
/// none, so that an index means the same type in every catalogue of a region.
///
/// # Errors
/// When no prices are known for the region.
pub fn build(
    region: &str,
    zones: &[String],
    settings: &NodeSettings,
    prices: &mut Prices,
    now: Time,
) -> Result<Catalogue, UnknownRegion> {
    let regional = data::types_of(region);
    if regional.is_empty() {
        return Err(UnknownRegion { region: region.to_owned(), known: data::regions().join(", ") });
    }
    let zones = zone_names(region, zones);
    let labels = labels::of_region(region, settings.family);
    let types = regional
        .iter()
        .zip(labels.iter())
        .map(|(regional, labels)| InstanceType {
            name: regional.row.name.to_owned(),
            labels: labels.clone(),
            capacity: settings.capacity(regional.row),
            allocatable: settings.allocatable(regional.row),
            offerings: if can_boot(settings.family, regional.row.family) {
                offerings(&zones, regional, prices, now)
            } else {
                Vec::new()
            },
        })
        .collect();
    Ok(Catalogue { zones, types, ..Catalogue::default() })
}

/// Gives the types of a catalogue the sizes and labels that a changed node class has. Offerings stay, but for those of types that
/// a changed AMI family does not run on.
pub fn resettle(catalogue: &mut Catalogue, region: &str, settings: &NodeSettings) {
    let labels = labels::of_region(region, settings.family);
    for ((instance_type, regional), labels) in catalogue.types.iter_mut().zip(data::types_of(region)).zip(labels.iter())
    {
        instance_type.labels = labels.clone();
        instance_type.capacity = settings.capacity(regional.row);
        instance_type.allocatable = settings.allocatable(regional.row);
        if !can_boot(settings.family, regional.row.family) {
            instance_type.offerings.clear();
        }
    }
}

/// Brings the prices of a catalogue up to date, as Karpenter does every 12 hours (`controllers/providers/pricing`). Whether any
/// changed.
pub fn refresh_prices(
    catalogue: &mut Catalogue,
    region: &str,
    prices: &mut Prices,
    overlays: &Overlays,
    now: Time,
) -> bool {
    let mut changed = false;
    for (instance_type, regional) in catalogue.types.iter_mut().zip(data::types_of(region)) {
        for offering in &mut instance_type.offerings {
            let zone = &catalogue.zones[usize::from(offering.zone.0)];
            let price = prices.at(now, regional, zone, offering.capacity_type);
            let price = if offering.reservation.is_some() { price.map(|price| price / PRICE_DIVISOR) } else { price };
            let price = price.map(|price| overlays.price(&instance_type.labels, zone, offering.capacity_type, price));
            if let Some(price) = price.filter(|price| *price != offering.price) {
                offering.price = price;
                changed = true;
            }
        }
    }
    changed
}

/// Whether the AMI family runs on the instance family (`compatibility.IsCompatibleWithNodeClass`).
pub fn can_boot(family: AmiFamily, instance_family: &str) -> bool {
    !(family == AmiFamily::Al2023 && instance_family == "a1")
}

fn offerings(zones: &[String], regional: &RegionalType, prices: &mut Prices, now: Time) -> Vec<Offering> {
    let mut offerings = Vec::with_capacity(2 * zones.len());
    for (number, zone) in zones.iter().enumerate() {
        for capacity_type in [CapacityType::OnDemand, CapacityType::Spot] {
            if let Some(price) = prices.at(now, regional, zone, capacity_type) {
                offerings.push(Offering {
                    zone: ZoneId(number as u16),
                    capacity_type,
                    price,
                    available: true,
                    reservation: None,
                });
            }
        }
    }
    offerings
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::decode::defaults;
    use crate::engine::Streams;
    use crate::time::Duration;

    fn prices() -> Prices {
        Prices::new(&defaults(), Streams::new(1, 0))
    }

    fn label<'a>(catalogue: &'a Catalogue, name: &str, key: &str) -> &'a [String] {
        let id = catalogue.find(name).expect("a type of the catalogue");
        &catalogue.get(id).labels.iter().find(|(k, _)| k == key).expect("a listed label").1
    }

    fn virginia(family: AmiFamily) -> Catalogue {
        build("us-east-1", &[], &NodeSettings::of_family(family), &mut prices(), Time::ZERO).expect("a priced region")
    }

    #[test]
    fn types_carry_the_labels_of_the_aws_provider() {
        let catalogue = virginia(AmiFamily::Bottlerocket);
        for (name, key, values) in [
            ("m5.xlarge", "karpenter.k8s.aws/instance-category", &["m"][..]),
            ("m5.xlarge", "karpenter.k8s.aws/instance-memory", &["16384"]),
            ("m5.xlarge", "karpenter.k8s.aws/instance-gpu-count", &[]),
            ("m5.metal", "karpenter.k8s.aws/instance-hypervisor", &[""]),
            ("c7i-flex.large", "karpenter.k8s.aws/instance-capability-flex", &["true"]),
            ("g4dn.xlarge", "karpenter.k8s.aws/instance-gpu-name", &["t4"]),
            ("a1.large", "kubernetes.io/arch", &["arm64"]),
        ] {
            assert_eq!(label(&catalogue, name, key), values, "{name} {key}");
        }
        assert!(catalogue.types.iter().all(|t| t.labels.is_sorted()));
        assert!(catalogue.types.is_sorted_by(|a, b| a.name < b.name));
    }

    #[test]
    fn a_refresh_changes_spot_prices_alone() {
        let before = virginia(AmiFamily::Al2023);
        let mut after = before.clone();
        let later = Time::ZERO + Duration::from_hours(12);
        assert!(!refresh_prices(&mut after, "us-east-1", &mut prices(), &Overlays::default(), Time::ZERO));
        assert!(refresh_prices(&mut after, "us-east-1", &mut prices(), &Overlays::default(), later));
        let offerings = before.types.iter().zip(&after.types).flat_map(|(a, b)| a.offerings.iter().zip(&b.offerings));
        assert!(offerings.filter(|(a, b)| a.price != b.price).all(|(a, _)| a.capacity_type == CapacityType::Spot));
    }

    #[test]
    fn offerings_are_zones_times_capacity_types() {
        let catalogue = virginia(AmiFamily::Al2023);
        assert_eq!(catalogue.zones, ["us-east-1a", "us-east-1b", "us-east-1c"]);
        let a1 = catalogue.get(catalogue.find("a1.large").expect("a1.large"));
        assert!(a1.offerings.is_empty(), "AL2023 does not run on a1");
        let m5 = catalogue.get(catalogue.find("m5.large").expect("m5.large"));
        assert_eq!(m5.offerings.len(), 6);
        let spot: Vec<f64> =
            m5.offerings.iter().filter(|o| o.capacity_type == CapacityType::Spot).map(|o| o.price).collect();
        assert!(spot.iter().all(|price| *price > 0.0 && *price < 0.096), "{spot:?}");
        let settings = NodeSettings::of_family(AmiFamily::Al2);
        assert!(build("moon-1", &[], &settings, &mut prices(), Time::ZERO).is_err());
    }
}
