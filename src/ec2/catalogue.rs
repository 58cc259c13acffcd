//! The catalogue that a node class of Karpenter's AWS provider sees (karpenter-provider-aws
//! `pkg/providers/instancetype/instancetype.go: List`, `pkg/providers/instancetype/offering`).

use super::capacity::NodeSettings;
use super::data::{self, RegionalType};
use super::labels;
use crate::api::karpenter::AmiFamily;
use crate::cluster::catalogue::{CapacityType, Catalogue, InstanceType, Offering, ZoneId};

/// What decides a catalogue besides the published facts.
#[derive(Clone, Debug, PartialEq)]
pub struct Market {
    /// Region, `us-east-1`.
    pub region: String,
    /// Names of the zones with subnets; empty = the region's `a`, `b` and `c`.
    pub zones: Vec<String>,
    /// Spot saving in percent for types that the Spot Advisor does not list; `None` = no spot for them.
    pub unlisted_savings_percent: Option<f64>,
}

/// A region without prices.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no prices are known for region `{region}`; known: {known}")]
pub struct UnknownRegion {
    /// As given.
    pub region: String,
    /// The regions with prices.
    pub known: String,
}

impl Market {
    /// A region with three zones where only types listed by the Spot Advisor have spot.
    #[must_use]
    pub fn of_region(region: &str) -> Self {
        Market { region: region.to_owned(), zones: Vec::new(), unlisted_savings_percent: None }
    }

    /// The zones, in alphabetical order.
    #[must_use]
    pub fn zone_names(&self) -> Vec<String> {
        let mut zones = self.zones.clone();
        if zones.is_empty() {
            zones = ["a", "b", "c"].map(|zone| format!("{}{zone}", self.region)).to_vec();
        }
        zones.sort_unstable();
        zones.dedup();
        zones
    }

    /// The mean spot price of a type, USD per hour: on-demand less the advised saving. `None` = no spot.
    #[must_use]
    pub fn spot_price(&self, regional: &RegionalType) -> Option<f64> {
        let savings = regional.spot.map(|advice| advice.savings_percent).or(self.unlisted_savings_percent)?;
        Some(regional.on_demand * (100.0 - savings) / 100.0)
    }
}

/// Builds the catalogue of a node class: every type with a price in the region, in each zone on demand and, where there is a
/// spot price, as spot. All offerings are available.
///
/// # Errors
/// When no prices are known for the region.
pub fn build(market: &Market, settings: &NodeSettings) -> Result<Catalogue, UnknownRegion> {
    let regional = data::types_of(&market.region);
    if regional.is_empty() {
        return Err(UnknownRegion { region: market.region.clone(), known: data::regions().join(", ") });
    }
    let zones = market.zone_names();
    let types = regional
        .iter()
        .filter(|regional| can_boot(settings.family, regional.row.family))
        .map(|regional| InstanceType {
            name: regional.row.name.to_owned(),
            labels: labels::of(regional.row, &market.region, settings.family),
            capacity: settings.capacity(regional.row),
            allocatable: settings.allocatable(regional.row),
            offerings: offerings(zones.len(), regional.on_demand, market.spot_price(regional)),
        })
        .collect();
    Ok(Catalogue { zones, types })
}

/// Whether the AMI family runs on the instance family (`compatibility.IsCompatibleWithNodeClass`).
fn can_boot(family: AmiFamily, instance_family: &str) -> bool {
    !(family == AmiFamily::Al2023 && instance_family == "a1")
}

fn offerings(zones: usize, on_demand: f64, spot: Option<f64>) -> Vec<Offering> {
    (0..zones)
        .flat_map(|zone| {
            let offering = move |capacity_type, price| Offering {
                zone: ZoneId(zone as u16),
                capacity_type,
                price,
                available: true,
            };
            let spot = spot.map(|price| offering(CapacityType::Spot, price));
            [Some(offering(CapacityType::OnDemand, on_demand)), spot]
        })
        .flatten()
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn label<'a>(catalogue: &'a Catalogue, name: &str, key: &str) -> &'a [String] {
        let id = catalogue.find(name).expect("a type of the catalogue");
        &catalogue.get(id).labels.iter().find(|(k, _)| k == key).expect("a listed label").1
    }

    fn virginia(family: AmiFamily) -> Catalogue {
        build(&Market::of_region("us-east-1"), &NodeSettings::of_family(family)).expect("a priced region")
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
    fn offerings_are_zones_times_capacity_types() {
        let catalogue = virginia(AmiFamily::Al2023);
        assert_eq!(catalogue.zones, ["us-east-1a", "us-east-1b", "us-east-1c"]);
        assert_eq!(catalogue.find("a1.large"), None, "AL2023 does not run on a1");
        let m5 = catalogue.get(catalogue.find("m5.large").expect("m5.large"));
        assert_eq!(m5.offerings.len(), 6);
        let spot: Vec<f64> =
            m5.offerings.iter().filter(|o| o.capacity_type == CapacityType::Spot).map(|o| o.price).collect();
        assert!(spot.iter().all(|price| *price > 0.0 && *price < 0.096), "{spot:?}");
        assert!(build(&Market::of_region("moon-1"), &NodeSettings::of_family(AmiFamily::Al2)).is_err());
    }
}
