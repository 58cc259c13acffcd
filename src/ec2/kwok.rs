//! Karpenter's KWOK provider: a fixed catalogue and instances made of nothing (karpenter `kwok/cloudprovider`).

use std::sync::Arc;

use serde::Deserialize;

use crate::cluster::catalogue::{CapacityType, Catalogue, InstanceType, Offering, TypeId, ZoneId};
use crate::engine::Stream;
use crate::units::{Cpu, Memory, Resource, Resources, parse_quantity, parse_quantity_milli};

/// What is wrong with a catalogue file.
#[derive(Debug, thiserror::Error)]
pub enum CatalogueError {
    /// Not JSON, or not of the form of the provider's `instance_types.json`.
    #[error("not a list of instance types: {0}")]
    Form(#[from] serde_json::Error),
    /// A quantity or requirement of a type cannot be used.
    #[error("instance type `{name}`: {reason}")]
    Type {
        /// The type.
        name: String,
        /// Why.
        reason: String,
    },
}

/// One entry of the file (`helpers.go: InstanceTypeOptions`).
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct TypeOptions {
    name: String,
    offerings: Vec<OfferingOptions>,
    architecture: String,
    operating_systems: Vec<String>,
    resources: std::collections::BTreeMap<String, String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct OfferingOptions {
    price: f64,
    requirements: Vec<Requirement>,
}

#[derive(Deserialize)]
struct Requirement {
    key: String,
    values: Vec<String>,
}

impl OfferingOptions {
    fn value(&self, key: &str) -> Option<&str> {
        self.requirements.iter().find(|requirement| requirement.key == key)?.values.first().map(String::as_str)
    }
}

const ZONE: &str = "topology.kubernetes.io/zone";
const CAPACITY_TYPE: &str = "karpenter.sh/capacity-type";

/// Reads a catalogue file: a list of instance types with their offerings (`helpers.go: ConstructInstanceTypes`). Every offering
/// is available, whatever the file says, as in the provider.
///
/// # Errors
/// When the text is not such a list.
pub fn parse_catalogue(text: &str) -> Result<Catalogue, CatalogueError> {
    let mut options: Vec<TypeOptions> = serde_json::from_str(text)?;
    options.sort_by(|a, b| a.name.cmp(&b.name));
    let mut zones: Vec<String> =
        options.iter().flat_map(|t| &t.offerings).filter_map(|o| o.value(ZONE)).map(str::to_owned).collect();
    zones.sort_unstable();
    zones.dedup();
    let types = options.into_iter().map(|options| instance_type(options, &zones)).collect::<Result<_, _>>()?;
    Ok(Catalogue { zones, types, ..Catalogue::default() })
}

fn instance_type(options: TypeOptions, zones: &[String]) -> Result<InstanceType, CatalogueError> {
    let bad = |reason: String| CatalogueError::Type { name: options.name.clone(), reason };
    let mut capacity = Resources::ZERO.with(Resource::Pods, 110);
    for (name, text) in &options.resources {
        let Some(resource) = Resource::parse(name) else { continue };
        let parse = if resource == Resource::Cpu { parse_quantity_milli } else { parse_quantity };
        let amount = parse(text).map_err(|error| bad(format!("`{name}: {text}`: {error}")))?;
        capacity = capacity.with(resource, amount);
    }
    let offerings = options
        .offerings
        .iter()
        .map(|offering| {
            let zone = offering.value(ZONE).and_then(|zone| zones.iter().position(|z| z == zone));
            let capacity_type = offering.value(CAPACITY_TYPE).and_then(CapacityType::parse);
            match (zone, capacity_type) {
                (Some(zone), Some(capacity_type)) => Ok(Offering {
                    zone: ZoneId(zone as u16),
                    capacity_type,
                    price: offering.price,
                    available: true,
                    reservation: None,
                }),
                _ => Err(bad("an offering has no zone or no capacity type".to_owned())),
            }
        })
        .collect::<Result<_, _>>()?;
    Ok(InstanceType {
        labels: Arc::new(labels(&options)),
        capacity,
        allocatable: capacity - Resources::new(Cpu::from_milli(100), Memory::from_mib(10)),
        offerings,
        name: options.name,
    })
}

/// Labels (`helpers.go: newInstanceType`): CPU and memory are the quantities as written.
fn labels(options: &TypeOptions) -> Vec<(String, Vec<String>)> {
    let written = |name: &str| options.resources.get(name).cloned().unwrap_or_default();
    let size = size(&options.name).map_or_else(|| written("cpu"), str::to_owned);
    let kwok = |name: &str, value: String| (format!("karpenter.kwok.sh/instance-{name}"), vec![value]);
    let mut labels = vec![
        ("kubernetes.io/arch".to_owned(), vec![options.architecture.clone()]),
        ("kubernetes.io/os".to_owned(), options.operating_systems.clone()),
        ("node.kubernetes.io/instance-type".to_owned(), vec![options.name.clone()]),
        kwok("size", size),
        kwok("family", family(&options.name).to_owned()),
        kwok("cpu", written("cpu")),
        kwok("memory", written("memory")),
    ];
    labels.sort_unstable();
    labels
}

/// Family: up to the first `.` or `-`, else the first character (`parseFamilyFromType`).
fn family(name: &str) -> &str {
    name.split_once(['.', '-']).map_or_else(|| name.get(..1).unwrap_or_default(), |(family, _)| family)
}

/// Size of a name of AWS's plain form; `None` for others, such as `c7i-flex.large` or `m7i.metal-24xl`
/// (`parseSizeFromType`).
fn size(name: &str) -> Option<&str> {
    let (family, size) = name.split_once('.')?;
    let word = !family.is_empty() && family.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
    let digits = size.strip_suffix("xlarge");
    let known = matches!(size, "nano" | "micro" | "small" | "medium" | "large" | "metal")
        || digits.is_some_and(|digits| digits.bytes().all(|b| b.is_ascii_digit()));
    (word && known).then_some(size)
}

/// The instance that the provider makes for a NodeClaim (`cloudprovider.go: toNode`): of its instance types, in alphabetical
/// order, the first with the lowest price among its offerings in `zones` and `capacity_types`; among that type's offerings of
/// equal price one at random. `None` when no type has such an offering.
pub fn choose(
    catalogue: &Catalogue,
    options: &[TypeId],
    zones: &[ZoneId],
    capacity_types: &[CapacityType],
    stream: &mut Stream,
) -> Option<(TypeId, Offering)> {
    let allowed = |offering: &&Offering| {
        offering.available && zones.contains(&offering.zone) && capacity_types.contains(&offering.capacity_type)
    };
    let cheapest = |id: TypeId| {
        catalogue.get(id).offerings.iter().filter(allowed).map(|offering| offering.price).min_by(f64::total_cmp)
    };
    let (price, id) = options
        .iter()
        .filter_map(|id| Some((cheapest(*id)?, *id)))
        .min_by(|(a, first), (b, second)| a.total_cmp(b).then_with(|| first.cmp(second)))?;
    let equal: Vec<Offering> = catalogue
        .get(id)
        .offerings
        .iter()
        .filter(allowed)
        .filter(|offering| offering.price == price)
        .copied()
        .collect();
    Some((id, equal[stream.below(equal.len())]))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::Streams;

    const FILE: &str = r#"[
        {"name": "m5.large", "architecture": "amd64", "operatingSystems": ["linux"], "resources": {"cpu": "2", "memory": "8Gi"},
         "offerings": [
            {"Price": 0.1, "Requirements": [{"key": "topology.kubernetes.io/zone", "operator": "In", "values": ["z2"]}, {"key": "karpenter.sh/capacity-type", "operator": "In", "values": ["on-demand"]}]},
            {"Price": 0.1, "Requirements": [{"key": "topology.kubernetes.io/zone", "operator": "In", "values": ["z1"]}, {"key": "karpenter.sh/capacity-type", "operator": "In", "values": ["on-demand"]}]}]},
        {"name": "c7i-flex.large", "architecture": "amd64", "operatingSystems": ["linux"], "resources": {"cpu": "2010m", "memory": "4Gi", "pods": "29"},
         "offerings": [
            {"Price": 0.1, "Requirements": [{"key": "topology.kubernetes.io/zone", "operator": "In", "values": ["z1"]}, {"key": "karpenter.sh/capacity-type", "operator": "In", "values": ["on-demand"]}]},
            {"Price": 0.2, "Requirements": [{"key": "topology.kubernetes.io/zone", "operator": "In", "values": ["z2"]}, {"key": "karpenter.sh/capacity-type", "operator": "In", "values": ["spot"]}]}]}
    ]"#;

    fn label<'a>(instance_type: &'a InstanceType, name: &str) -> &'a str {
        let key = format!("karpenter.kwok.sh/instance-{name}");
        &instance_type.labels.iter().find(|(k, _)| *k == key).expect("a label").1[0]
    }

    #[test]
    fn a_catalogue_file_is_read_as_the_provider_reads_it() {
        let catalogue = parse_catalogue(FILE).expect("a catalogue");
        assert_eq!(catalogue.zones, ["z1", "z2"]);
        let (flex, plain) = (&catalogue.types[0], &catalogue.types[1]);
        assert_eq!([flex, plain].map(|t| label(t, "family")), ["c7i", "m5"]);
        assert_eq!([flex, plain].map(|t| label(t, "size")), ["2010m", "large"]);
        assert_eq!((flex.capacity.pods(), plain.capacity.pods()), (29, 110));
        assert_eq!(flex.allocatable.cpu(), Cpu::from_milli(1910));
        assert_eq!(plain.allocatable.memory(), Memory::from_mib(8182));
        assert!(parse_catalogue("{}").is_err());
        assert!(parse_catalogue(&FILE.replace("8Gi", "8Gx")).is_err());
    }

    #[test]
    fn the_cheapest_offering_is_taken_and_equal_prices_go_to_the_first_name() {
        let catalogue = parse_catalogue(FILE).expect("a catalogue");
        let mut stream = Streams::new(1, 0).open("kwok", 0);
        let zones = [ZoneId(0), ZoneId(1)];
        let on_demand = [CapacityType::OnDemand];
        let (id, offering) =
            choose(&catalogue, &[TypeId(1), TypeId(0)], &zones, &on_demand, &mut stream).expect("an offering");
        assert_eq!((id, offering.zone), (TypeId(0), ZoneId(0)));
        let mut zones_seen: Vec<u16> = (0..50)
            .filter_map(|_| choose(&catalogue, &[TypeId(1)], &zones, &on_demand, &mut stream))
            .map(|(_, offering)| offering.zone.0)
            .collect();
        zones_seen.sort_unstable();
        zones_seen.dedup();
        assert_eq!(zones_seen, [0, 1]);
        assert_eq!(choose(&catalogue, &[TypeId(1)], &zones, &[CapacityType::Spot], &mut stream), None);
    }
}
