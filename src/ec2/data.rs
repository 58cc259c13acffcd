//! The published facts about EC2, embedded: instance types, on-demand prices, Spot Advisor (`data/ec2/PROVENANCE.md`).

use std::sync::OnceLock;

const INSTANCE_TYPES: &str = include_str!("../../data/ec2/instance_types.csv");
const ON_DEMAND_PRICES: &str = include_str!("../../data/ec2/on_demand_prices.csv");
const SPOT_ADVISOR: &str = include_str!("../../data/ec2/spot_advisor.csv");

/// An instance type as DescribeInstanceTypes gives it, with the label values Karpenter derives from it.
#[derive(Clone, Debug, PartialEq)]
pub struct TypeRow {
    /// `m5.large`.
    pub name: &'static str,
    /// `m5`.
    pub family: &'static str,
    /// `large`.
    pub size: &'static str,
    /// `m`.
    pub category: &'static str,
    /// `5`.
    pub generation: &'static str,
    /// `amd64` or `arm64`.
    pub arch: &'static str,
    /// vCPUs.
    pub vcpu: i64,
    /// Memory in MiB, before any overhead.
    pub memory_mib: i64,
    /// `nitro`, `xen`, or empty on bare metal.
    pub hypervisor: &'static str,
    /// Whether it is a whole machine.
    pub bare_metal: bool,
    /// GPUs; 0 = none.
    pub gpu_count: i64,
    /// GPU name; empty = none.
    pub gpu_name: &'static str,
    /// GPU manufacturer; empty = none.
    pub gpu_manufacturer: &'static str,
    /// Memory per GPU in MiB.
    pub gpu_memory_mib: i64,
    /// Accelerators; 0 = none.
    pub accelerator_count: i64,
    /// Accelerator name; empty = none.
    pub accelerator_name: &'static str,
    /// Baseline network bandwidth in Mbit/s; 0 = unknown.
    pub network_bandwidth_mbps: i64,
    /// Maximum EBS bandwidth in Mbit/s; 0 = unknown.
    pub ebs_bandwidth_mbps: i64,
    /// Network interfaces of the default network card.
    pub max_enis: i64,
    /// IPv4 addresses per interface.
    pub ipv4_per_eni: i64,
    /// Local NVMe storage in decimal GB; 0 = none.
    pub local_nvme_gb: i64,
    /// `intel`, `amd` or `aws`.
    pub cpu_manufacturer: &'static str,
    /// Branch interfaces (`vpc.amazonaws.com/pod-eni`).
    pub pod_eni: i64,
    /// Most EFA interfaces.
    pub efa_count: i64,
    /// Whether it is a `flex` type.
    pub flex: bool,
}

/// How often Spot took back instances of a type in the trailing month, by the Spot Advisor's bands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum InterruptionBand {
    /// Below 5 %.
    Below5,
    /// 5 to 10 %.
    To10,
    /// 10 to 15 %.
    To15,
    /// 15 to 20 %.
    To20,
    /// Above 20 %.
    Above20,
}

/// What the Spot Advisor says about a type in a region.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct SpotAdvice {
    /// Saving against on-demand in percent; negative when spot is dearer.
    pub savings_percent: f64,
    /// Interruption band.
    pub band: InterruptionBand,
}

/// What is known about the prices of one type in one region.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RegionalType {
    /// Its place in [`types_of`] its region.
    pub index: usize,
    /// The type.
    pub row: &'static TypeRow,
    /// On-demand price, USD per hour.
    pub on_demand: f64,
    /// Spot Advisor's row; `None` = none published (no spot, or newer than the data).
    pub spot: Option<SpotAdvice>,
}

/// All instance types in alphabetical order.
pub fn instance_types() -> &'static [TypeRow] {
    static ROWS: OnceLock<Vec<TypeRow>> = OnceLock::new();
    ROWS.get_or_init(|| INSTANCE_TYPES.lines().skip(1).filter_map(parse_type).collect())
}

/// The type of that name.
#[must_use]
pub fn instance_type(name: &str) -> Option<&'static TypeRow> {
    let rows = instance_types();
    rows.binary_search_by(|row| row.name.cmp(name)).ok().map(|i| &rows[i])
}

/// A region and its types.
struct Region {
    name: &'static str,
    types: Vec<RegionalType>,
}

/// All regions in alphabetical order; both files are sorted by region and type.
fn all_regions() -> &'static [Region] {
    static REGIONS: OnceLock<Vec<Region>> = OnceLock::new();
    REGIONS.get_or_init(|| {
        let mut advice = SPOT_ADVISOR.lines().skip(1).filter_map(parse_advice).peekable();
        let mut regions: Vec<Region> = Vec::new();
        for (region, name, on_demand) in ON_DEMAND_PRICES.lines().skip(1).filter_map(parse_price) {
            while advice.next_if(|(key, _)| *key < (region, name)).is_some() {}
            let spot = advice.next_if(|(key, _)| *key == (region, name)).map(|(_, advice)| advice);
            let Some(row) = instance_type(name) else { continue };
            if regions.last().is_none_or(|last| last.name != region) {
                regions.push(Region { name: region, types: Vec::new() });
            }
            if let Some(last) = regions.last_mut() {
                last.types.push(RegionalType { index: last.types.len(), row, on_demand, spot });
            }
        }
        regions
    })
}

/// Regions with on-demand prices, in alphabetical order.
#[must_use]
pub fn regions() -> Vec<&'static str> {
    all_regions().iter().map(|region| region.name).collect()
}

/// The types that have an on-demand price in `region`, in alphabetical order; empty for an unknown region.
#[must_use]
pub fn types_of(region: &str) -> &'static [RegionalType] {
    let regions = all_regions();
    regions.binary_search_by(|other| other.name.cmp(region)).map_or(&[], |i| &regions[i].types)
}

/// The types of a family in `region`. They stand together, because their names are the family's, a dot and the size.
#[must_use]
pub fn family_of(region: &str, family: &str) -> &'static [RegionalType] {
    let types = types_of(region);
    let first = types.partition_point(|other| other.row.name.bytes().lt(family.bytes().chain(*b".")));
    let own = types[first..].iter().take_while(|other| other.row.family == family).count();
    &types[first..first + own]
}

/// What `region` says about the type of that name.
#[must_use]
pub fn find(region: &str, name: &str) -> Option<&'static RegionalType> {
    let types = types_of(region);
    types.binary_search_by(|other| other.row.name.cmp(name)).ok().map(|i| &types[i])
}

fn parse_price(line: &'static str) -> Option<(&'static str, &'static str, f64)> {
    let mut fields = line.split(',');
    Some((fields.next()?, fields.next()?, fields.next()?.parse().ok()?))
}

fn parse_advice(line: &'static str) -> Option<((&'static str, &'static str), SpotAdvice)> {
    let mut fields = line.split(',');
    let (region, name, _os) = (fields.next()?, fields.next()?, fields.next()?);
    let (savings, band) = (fields.next()?, fields.next()?);
    let band = match band {
        "0" => InterruptionBand::Below5,
        "1" => InterruptionBand::To10,
        "2" => InterruptionBand::To15,
        "3" => InterruptionBand::To20,
        _ => InterruptionBand::Above20,
    };
    Some(((region, name), SpotAdvice { savings_percent: savings.parse().ok()?, band }))
}

/// Reads one line of the table of instance types.
#[must_use]
pub fn parse_type(line: &'static str) -> Option<TypeRow> {
    let fields: Vec<&'static str> = line.split(',').collect();
    let number = |i: usize| fields.get(i)?.parse::<i64>().ok();
    let text = |i: usize| fields.get(i).map(|field| if *field == "none" { "" } else { field });
    Some(TypeRow {
        name: text(0)?,
        family: text(1)?,
        size: text(2)?,
        category: text(3)?,
        generation: text(4)?,
        arch: text(5)?,
        vcpu: number(6)?,
        memory_mib: number(7)?,
        hypervisor: text(8)?,
        bare_metal: text(9)? == "true",
        gpu_count: number(10)?,
        gpu_name: text(11)?,
        accelerator_count: number(12)?,
        network_bandwidth_mbps: number(13)?,
        max_enis: number(14)?,
        ipv4_per_eni: number(15)?,
        local_nvme_gb: number(17)?,
        cpu_manufacturer: text(18)?,
        accelerator_name: text(19)?,
        gpu_manufacturer: text(20)?,
        gpu_memory_mib: number(21)?,
        ebs_bandwidth_mbps: number(22)?,
        pod_eni: number(23)?,
        efa_count: number(24)?,
        flex: text(25)? == "true",
    })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_line_of_the_embedded_files_is_read() {
        assert_eq!(instance_types().len(), 1361);
        let regions = regions();
        assert_eq!(regions.len(), 15);
        let priced: usize = regions.iter().map(|region| types_of(region).len()).sum();
        assert_eq!(priced, 12_707);
        assert!(types_of("moon-1").is_empty());
    }

    #[test]
    fn the_types_of_a_family_stand_together() {
        for region in regions() {
            let types = types_of(region);
            for family in types.iter().map(|regional| regional.row.family).collect::<BTreeSet<_>>() {
                let own = types.iter().filter(|regional| regional.row.family == family).map(|regional| regional.index);
                assert!(own.eq(family_of(region, family).iter().map(|regional| regional.index)), "{region} {family}");
            }
        }
        assert!(family_of("us-east-1", "m5x").is_empty() && family_of("us-east-1", "zzz").is_empty());
    }

    #[test]
    fn prices_and_advice_belong_to_their_type() {
        let virginia = types_of("us-east-1");
        let of = |name: &str| find("us-east-1", name).expect("a priced type");
        let m5 = of("m5.xlarge");
        assert_eq!((m5.on_demand, m5.row.vcpu, m5.row.memory_mib), (0.192, 4, 16_384));
        let advised = virginia.iter().filter(|t| t.spot.is_some()).count();
        assert_eq!(virginia.len() - advised, 462);
        let advice = of("c5.12xlarge").spot.expect("an advised type");
        assert_eq!((advice.savings_percent, advice.band), (67.0, InterruptionBand::To10));
    }
}
