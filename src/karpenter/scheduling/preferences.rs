//! Giving up preferences, one at a time (`pkg/controllers/provisioning/scheduling/preferences.go: Preferences`).

use crate::api::pod::{PodSpec, TaintEffect, Toleration, TolerationOperator, WhenUnsatisfiable};

/// Gives up one preference of the pod, in upstream's order; `false` when none is left. `tolerate_prefer_no_schedule` = some
/// NodePool has a `PreferNoSchedule` taint.
pub fn relax(pod: &mut PodSpec, tolerate_prefer_no_schedule: bool) -> bool {
    drop_required_node_term(pod)
        || drop_preferred_pod_affinity(pod)
        || drop_preferred_pod_anti_affinity(pod)
        || drop_preferred_node_term(pod)
        || drop_schedule_anyway(pod)
        || (tolerate_prefer_no_schedule && self::tolerate_prefer_no_schedule(pod))
}

/// Drops the first of several alternative required node affinity terms; the last one stays.
pub fn drop_required_node_term(pod: &mut PodSpec) -> bool {
    let terms = pod
        .affinity
        .as_mut()
        .and_then(|affinity| affinity.node_affinity.as_mut())
        .and_then(|node| node.required_during_scheduling_ignored_during_execution.as_mut());
    match terms {
        Some(selector) if selector.node_selector_terms.len() > 1 => {
            selector.node_selector_terms.remove(0);
            true
        }
        _ => false,
    }
}

fn drop_preferred_pod_affinity(pod: &mut PodSpec) -> bool {
    let affinity = pod.affinity.as_mut().and_then(|affinity| affinity.pod_affinity.as_mut());
    affinity
        .is_some_and(|pods| drop_heaviest(&mut pods.preferred_during_scheduling_ignored_during_execution, |t| t.weight))
}

fn drop_preferred_pod_anti_affinity(pod: &mut PodSpec) -> bool {
    let affinity = pod.affinity.as_mut().and_then(|affinity| affinity.pod_anti_affinity.as_mut());
    affinity
        .is_some_and(|pods| drop_heaviest(&mut pods.preferred_during_scheduling_ignored_during_execution, |t| t.weight))
}

fn drop_preferred_node_term(pod: &mut PodSpec) -> bool {
    let affinity = pod.affinity.as_mut().and_then(|affinity| affinity.node_affinity.as_mut());
    affinity
        .is_some_and(|node| drop_heaviest(&mut node.preferred_during_scheduling_ignored_during_execution, |t| t.weight))
}

fn drop_heaviest<T>(terms: &mut Vec<T>, weight: impl Fn(&T) -> u32) -> bool {
    if terms.is_empty() {
        return false;
    }
    terms.sort_by_key(|term| std::cmp::Reverse(weight(term)));
    terms.remove(0);
    true
}

/// The last constraint takes the place of the dropped one.
fn drop_schedule_anyway(pod: &mut PodSpec) -> bool {
    let constraints = &mut pod.topology_spread_constraints;
    match constraints.iter().position(|c| c.when_unsatisfiable == WhenUnsatisfiable::ScheduleAnyway) {
        Some(index) => {
            constraints.swap_remove(index);
            true
        }
        None => false,
    }
}

/// Makes the pod tolerate every `PreferNoSchedule` taint; `false` when it already carries that very toleration.
pub fn tolerate_prefer_no_schedule(pod: &mut PodSpec) -> bool {
    let toleration = Toleration {
        key: None,
        operator: TolerationOperator::Exists,
        value: String::new(),
        effect: Some(TaintEffect::PreferNoSchedule),
        toleration_seconds: None,
    };
    let same = |other: &Toleration| {
        other.key.as_deref().unwrap_or_default().is_empty()
            && other.operator == toleration.operator
            && other.value.is_empty()
            && other.effect == toleration.effect
    };
    if pod.tolerations.iter().any(same) {
        return false;
    }
    pod.tolerations.push(toleration);
    true
}
