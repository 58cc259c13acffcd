//! `minValues`: how many distinct values of a label a claim must keep (`pkg/cloudprovider/types.go: SatisfiesMinValues`).

use super::offers::Offers;
use super::requirements::Requirements;
use super::type_set::TypeSet;

/// Labels of which the types have fewer distinct values than required, with how many they have. None of no types.
pub(super) fn unmet(requirements: &Requirements, offers: &mut Offers, types: &TypeSet) -> Vec<(String, u32)> {
    if !requirements.has_min_values() || types.is_empty() {
        return Vec::new();
    }
    let floors = requirements.iter().filter_map(|(key, requirement)| Some((key, requirement.min_values?)));
    floors
        .filter_map(|(key, wanted)| {
            let present = offers.distinct_values(key, types) as u32;
            (present < wanted).then(|| (key.to_owned(), present))
        })
        .collect()
}
