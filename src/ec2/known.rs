//! What a region offers, as far as checks of scenarios need it.

use super::capacity::NodeSettings;
use super::{catalogue, data, labels};
use crate::api::karpenter::AmiFamily;
use crate::scenario::validate::{Known, KnownType};

/// What is known about a region, for checks.
#[must_use]
pub fn known_in(region: &str) -> Known {
    let settings = NodeSettings::of_family(AmiFamily::Al2023);
    let known = |regional: &data::RegionalType| KnownType {
        name: regional.row.name.to_owned(),
        labels: labels::of(regional.row, region, settings.family),
        allocatable: settings.allocatable(regional.row),
    };
    Known {
        regions: data::regions().into_iter().map(str::to_owned).collect(),
        zones: catalogue::zone_names(region, &[]),
        types: data::types_of(region).iter().map(known).collect(),
    }
}
