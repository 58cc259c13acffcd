//! What a pod's node selector and node affinity require of a node (`pkg/scheduling/requirements.go: newPodRequirements`).

use super::go_sort::sort_slice;
use super::input::PreferencePolicy;
use super::requirements::Requirements;
use crate::api::pod::PodSpec;

/// Required ones only: the node selector and the first required affinity term.
#[must_use]
pub fn strict(pod: &PodSpec) -> Requirements {
    let mut requirements = Requirements::of_labels(&pod.node_selector);
    let required = pod
        .affinity
        .as_ref()
        .and_then(|affinity| affinity.node_affinity.as_ref())
        .and_then(|node| node.required_during_scheduling_ignored_during_execution.as_ref());
    if let Some(term) = required.and_then(|selector| selector.node_selector_terms.first()) {
        requirements.add_all(&Requirements::of_list(&term.match_expressions));
    }
    requirements
}

/// With the heaviest preferred affinity term, unless preferences are ignored.
#[must_use]
pub fn with_preferences(pod: &PodSpec, policy: PreferencePolicy) -> Requirements {
    let mut requirements = strict(pod);
    if policy == PreferencePolicy::Ignore {
        return requirements;
    }
    let node = pod.affinity.as_ref().and_then(|affinity| affinity.node_affinity.as_ref());
    let preferred = node.map_or(&[][..], |node| &node.preferred_during_scheduling_ignored_during_execution[..]);
    let mut heaviest: Vec<usize> = (0..preferred.len()).collect();
    sort_slice(&mut heaviest, |a, b| preferred[*a].weight > preferred[*b].weight);
    if let Some(first) = heaviest.first() {
        requirements.add_all(&Requirements::of_list(&preferred[*first].preference.match_expressions));
    }
    requirements
}
