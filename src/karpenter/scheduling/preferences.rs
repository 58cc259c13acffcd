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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::decode::{Decode, Problems};
    use crate::scenario::toml;

    const POD: &str = "
        containers = [{ name = 'c', image = 'c:1' }]
        topologySpreadConstraints = [
            { maxSkew = 1, topologyKey = 'first', whenUnsatisfiable = 'ScheduleAnyway' },
            { maxSkew = 1, topologyKey = 'second', whenUnsatisfiable = 'DoNotSchedule' },
            { maxSkew = 1, topologyKey = 'third', whenUnsatisfiable = 'DoNotSchedule' },
        ]
        [affinity.nodeAffinity.requiredDuringSchedulingIgnoredDuringExecution]
        nodeSelectorTerms = [
            { matchExpressions = [{ key = 'first', operator = 'Exists' }] },
            { matchExpressions = [{ key = 'last', operator = 'Exists' }] },
        ]
        [[affinity.nodeAffinity.preferredDuringSchedulingIgnoredDuringExecution]]
        weight = 1
        preference = { matchExpressions = [{ key = 'team', operator = 'Exists' }] }
        [[affinity.podAffinity.preferredDuringSchedulingIgnoredDuringExecution]]
        weight = 10
        podAffinityTerm = { topologyKey = 'light' }
        [[affinity.podAffinity.preferredDuringSchedulingIgnoredDuringExecution]]
        weight = 50
        podAffinityTerm = { topologyKey = 'heavy' }
        [[affinity.podAntiAffinity.preferredDuringSchedulingIgnoredDuringExecution]]
        weight = 1
        podAffinityTerm = { topologyKey = 'zone' }
    ";

    /// What is left: required terms, preferred affinities by their keys, preferred anti-affinities, preferred node terms, constraints.
    fn left(pod: &PodSpec) -> (usize, Vec<&str>, usize, usize, Vec<&str>) {
        let affinity = pod.affinity.as_ref().expect("affinity");
        let node = affinity.node_affinity.as_ref().expect("node affinity");
        let required = node.required_during_scheduling_ignored_during_execution.as_ref().expect("required terms");
        let pods = affinity.pod_affinity.as_ref().expect("pod affinity");
        let preferred = &pods.preferred_during_scheduling_ignored_during_execution;
        let anti = affinity.pod_anti_affinity.as_ref().expect("pod anti-affinity");
        (
            required.node_selector_terms.len(),
            preferred.iter().map(|term| term.pod_affinity_term.topology_key.as_str()).collect(),
            anti.preferred_during_scheduling_ignored_during_execution.len(),
            node.preferred_during_scheduling_ignored_during_execution.len(),
            pod.topology_spread_constraints.iter().map(|constraint| constraint.topology_key.as_str()).collect(),
        )
    }

    #[test]
    fn preferences_are_given_up_one_by_one_in_the_order_of_upstream() {
        let mut problems = Problems::default();
        let node = toml::parse(POD, 0, &mut problems);
        let mut pod = PodSpec::decode(&node, &mut problems).unwrap_or_else(|| panic!("{problems:?}"));
        let spread = || vec!["first", "second", "third"];
        for expected in [
            (1, vec!["light", "heavy"], 1, 1, spread()),
            (1, vec!["light"], 1, 1, spread()),
            (1, vec![], 1, 1, spread()),
            (1, vec![], 0, 1, spread()),
            (1, vec![], 0, 0, spread()),
            // The last takes the place of the one that is dropped.
            (1, vec![], 0, 0, vec!["third", "second"]),
        ] {
            assert!(relax(&mut pod, false));
            assert_eq!(left(&pod), expected);
        }
        assert!(!relax(&mut pod, false) && pod.tolerations.is_empty());
        assert!(relax(&mut pod, true) && pod.tolerations.len() == 1);
        assert!(!relax(&mut pod, true), "it has this toleration");
        pod.tolerations[0].effect = Some(TaintEffect::NoSchedule);
        assert!(relax(&mut pod, true), "one for another effect is another one");
    }
}
