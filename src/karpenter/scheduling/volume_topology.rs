//! Where volumes of claims let a pod go (`volumetopology.go: VolumeTopology.GetRequirements`).

use super::requirements::Requirements;

/// What all volumes of a pod together ask of its node: one of these must hold; none = anything does. Each volume brings requirements
/// of which one must hold, or nothing. Combinations that contradict themselves are left out, unless all do: then the pod has no place.
#[must_use]
pub fn alternatives(volumes: &[Vec<Requirements>]) -> Vec<Requirements> {
    let mut merged: Vec<Requirements> = Vec::new();
    for own in volumes.iter().filter(|own| !own.is_empty()) {
        merged = if merged.is_empty() { own.clone() } else { combine(&merged, own) };
    }
    merged
}

/// `mergeVolumeRequirementAlternatives`.
fn combine(known: &[Requirements], own: &[Requirements]) -> Vec<Requirements> {
    let pairs = || known.iter().flat_map(|a| own.iter().map(move |b| (a, b)));
    let both = |(a, b): (&Requirements, &Requirements)| {
        let mut both = a.clone();
        both.add_all(b);
        both
    };
    let possible: Vec<Requirements> = pairs().filter(|(a, b)| a.intersect(b).is_ok()).map(both).collect();
    if possible.is_empty() { pairs().map(both).collect() } else { possible }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::karpenter::scheduling::labels::ZONE;
    use crate::karpenter::scheduling::requirement::Requirement;

    fn zones(names: &[&str]) -> Requirements {
        let mut requirements = Requirements::new();
        requirements.add(ZONE, Requirement::one_of(names.iter().map(|name| (*name).to_owned())));
        requirements
    }

    #[test]
    fn combinations_that_cannot_be_are_left_out_unless_all_are() {
        assert!(alternatives(&[]).is_empty());
        assert!(alternatives(&[Vec::new()]).is_empty());
        let either = vec![zones(&["a"]), zones(&["b"])];
        assert_eq!(alternatives(&[either.clone(), vec![zones(&["b", "c"])]]), [zones(&["b"])]);
        let none = alternatives(&[either, vec![zones(&["c"])]]);
        assert_eq!(none.len(), 2);
        assert!(none.iter().all(|alternative| alternative.get(ZONE).is_some_and(|zone| !zone.has("c"))));
    }
}
