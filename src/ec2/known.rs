//! What a region offers, as far as checks of scenarios need it.

use std::sync::Arc;

use super::capacity::NodeSettings;
use super::{catalogue, data, labels};
use crate::api::karpenter::AmiFamily;
use crate::cluster::catalogue::TypeLabels;
use crate::scenario::validate::{Known, KnownType};

/// What is known about a region, for checks.
#[must_use]
pub fn known_in(region: &str) -> Known {
    let settings = NodeSettings::of_family(AmiFamily::Al2023);
    let labels = labels::of_region(region, settings.family);
    let types = data::types_of(region).iter().zip(labels.iter());
    let known = |(regional, labels): (&data::RegionalType, &Arc<TypeLabels>)| KnownType {
        name: regional.row.name.to_owned(),
        labels: labels.clone(),
        allocatable: settings.allocatable(regional.row),
    };
    Known {
        regions: data::regions().into_iter().map(str::to_owned).collect(),
        zones: catalogue::zone_names(region, &[]),
        types: types.map(known).collect(),
    }
}
