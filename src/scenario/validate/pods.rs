//! Pod templates: what the API server refuses (`kubernetes pkg/apis/core/validation`).

use super::context::{At, Context};
use super::names::{is_label_key, is_label_value};
use super::node_pools::{known_requirement, known_selection};
use crate::api::decode::Problems;
use crate::api::pod::{
    Container, NodeOperator, NodeRequirement, PodSpec, PodTemplate, Taint, TaintEffect, TolerationOperator,
    WhenUnsatisfiable,
};
use crate::scenario::kind::Kind;
use crate::scenario::lint::Rule;
use crate::units::Resource;

const REQUIRED: &str = "requiredDuringSchedulingIgnoredDuringExecution";
const PREFERRED: &str = "preferredDuringSchedulingIgnoredDuringExecution";

/// Priority classes that always exist.
const SYSTEM_CLASSES: [&str; 2] = ["system-cluster-critical", "system-node-critical"];

pub(super) fn check(template: &PodTemplate, at: At<'_>, cx: &Context<'_>, problems: &mut Problems) {
    let spec = &template.spec;
    let at = at.into(&["spec"]);
    if spec.containers.is_empty() {
        problems.error(at.key(&["containers"]), "a pod needs a container", "`containers` is empty");
    }
    for (list, containers) in [("containers", &spec.containers), ("initContainers", &spec.init_containers)] {
        for (index, container) in containers.iter().enumerate() {
            check_container(container, at.into(&[list, &index.to_string()]), problems);
        }
    }
    if let Some(class) = &spec.priority_class_name {
        let mut names = cx.names(Kind::PriorityClass);
        if !SYSTEM_CLASSES.contains(&class.as_str()) {
            names.sort_unstable();
            cx.must_exist("PriorityClass", class, &names, at.span(&["priorityClassName"]), problems);
        }
    }
    if spec.scheduler_name.as_deref().is_some_and(|name| name != "default-scheduler") {
        let span = at.span(&["schedulerName"]);
        Rule::OtherScheduler.report(
            problems,
            span,
            "other schedulers are not simulated",
            "`default-scheduler` is used",
            None,
        );
    }
    check_placement(spec, at, cx, problems);
    super::storage::check_pod(spec, at, cx, problems);
}

fn check_container(container: &Container, at: At<'_>, problems: &mut Problems) {
    for resource in Resource::ALL {
        let (request, limit) = (container.resources.requests.get(resource), container.resources.limits.get(resource));
        if limit > 0 && request > limit {
            let name = resource.name();
            problems.error(
                at.span(&["resources", "requests", name]),
                format!("the request of {name} is above its limit"),
                "more than the limit",
            );
            problems.relate(at.span(&["resources", "limits", name]), "the limit");
        }
    }
    if let Some(policy) = &container.image_pull_policy {
        one_of(policy, &["Always", "IfNotPresent", "Never"], at, "imagePullPolicy", problems);
    }
    if let Some(policy) = &container.restart_policy {
        one_of(policy, &["Always", "OnFailure", "Never"], at, "restartPolicy", problems);
    }
    for probe in ["readinessProbe", "startupProbe"] {
        let typed = if probe == "readinessProbe" { &container.readiness_probe } else { &container.startup_probe };
        let Some(typed) = typed else { continue };
        for (field, value) in [
            ("periodSeconds", typed.period_seconds.0),
            ("successThreshold", typed.success_threshold),
            ("failureThreshold", typed.failure_threshold),
        ] {
            if value == 0 {
                problems.error(at.span(&[probe, field]), format!("`{field}` must be at least 1"), "is 0");
            }
        }
        if probe == "startupProbe" && typed.success_threshold > 1 {
            problems.error(
                at.span(&[probe, "successThreshold"]),
                "`successThreshold` of a startup probe must be 1",
                "more than 1",
            );
        }
    }
}

fn one_of(value: &str, allowed: &[&str], at: At<'_>, field: &str, problems: &mut Problems) {
    if !allowed.contains(&value) {
        let help = format!("one of {}", super::context::listed(allowed));
        problems.error_with_help(at.span(&[field]), format!("unknown `{field}` `{value}`"), "not allowed", help);
    }
}

fn check_placement(spec: &PodSpec, at: At<'_>, cx: &Context<'_>, problems: &mut Problems) {
    let of_groups = |key: &str, value: &str| {
        cx.scenario.node_groups.iter().any(|group| group.labels.get(key).is_some_and(|own| own == value))
    };
    for (key, value) in &spec.node_selector {
        check_label(key, value, at, &["nodeSelector", key], problems);
        if !of_groups(key, value) {
            known_selection(key, value, at.span(&["nodeSelector", key]), cx, problems);
        }
    }
    for (index, toleration) in spec.tolerations.iter().enumerate() {
        let at = at.into(&["tolerations", &index.to_string()]);
        if toleration.operator == TolerationOperator::Exists && !toleration.value.is_empty() {
            problems.error(at.span(&["value"]), "`Exists` takes no value", "leave it out");
        }
        if toleration.key.as_deref().unwrap_or_default().is_empty() && toleration.operator == TolerationOperator::Equal
        {
            let help = "give the `key` of the taint, or `operator: Exists` to tolerate every taint";
            problems.error_with_help(
                at.span(&["key"]),
                "a toleration without key must have operator `Exists`",
                "no key",
                help,
            );
        }
        if toleration.toleration_seconds.is_some() && toleration.effect != Some(TaintEffect::NoExecute) {
            problems.error(
                at.span(&["tolerationSeconds"]),
                "`tolerationSeconds` needs effect `NoExecute`",
                "has no meaning here",
            );
        }
    }
    for (index, spread) in spec.topology_spread_constraints.iter().enumerate() {
        let at = at.into(&["topologySpreadConstraints", &index.to_string()]);
        if spread.max_skew == 0 {
            problems.error(at.span(&["maxSkew"]), "`maxSkew` must be at least 1", "is 0");
        }
        match spread.min_domains {
            Some(0) => problems.error(at.span(&["minDomains"]), "`minDomains` must be at least 1", "is 0"),
            Some(_) if spread.when_unsatisfiable == WhenUnsatisfiable::ScheduleAnyway => {
                problems.error(
                    at.span(&["minDomains"]),
                    "`minDomains` goes with `DoNotSchedule` only",
                    "not allowed here",
                );
            }
            _ => {}
        }
    }
    check_affinity(spec, at, problems);
    check_values(spec, at, cx, problems);
}

/// Values of a required node affinity that no node of the region can have.
fn check_values(spec: &PodSpec, at: At<'_>, cx: &Context<'_>, problems: &mut Problems) {
    let node = spec.affinity.as_ref().and_then(|affinity| affinity.node_affinity.as_ref());
    let required = node.and_then(|node| node.required_during_scheduling_ignored_during_execution.as_ref());
    let at = at.into(&["affinity", "nodeAffinity", REQUIRED, "nodeSelectorTerms"]);
    let of_group = |key: &str| cx.scenario.node_groups.iter().any(|group| group.labels.contains_key(key));
    for (index, term) in required.iter().flat_map(|required| &required.node_selector_terms).enumerate() {
        for (number, requirement) in term.match_expressions.iter().enumerate().filter(|(_, own)| !of_group(&own.key)) {
            let at = at.into(&[&index.to_string(), "matchExpressions", &number.to_string()]);
            known_requirement(requirement, at, cx, problems);
        }
    }
}

fn check_affinity(spec: &PodSpec, at: At<'_>, problems: &mut Problems) {
    let Some(affinity) = &spec.affinity else { return };
    if let Some(node) = &affinity.node_affinity {
        let at = at.into(&["affinity", "nodeAffinity"]);
        if let Some(required) = &node.required_during_scheduling_ignored_during_execution {
            let at = at.into(&[REQUIRED, "nodeSelectorTerms"]);
            if required.node_selector_terms.is_empty() {
                problems.error(at.span(&[]), "a required node affinity needs a term", "no `nodeSelectorTerms`");
            }
            for (index, term) in required.node_selector_terms.iter().enumerate() {
                check_requirements(
                    &term.match_expressions,
                    at.into(&[&index.to_string(), "matchExpressions"]),
                    false,
                    problems,
                );
            }
        }
        for (index, term) in node.preferred_during_scheduling_ignored_during_execution.iter().enumerate() {
            let at = at.into(&[PREFERRED, &index.to_string()]);
            check_weight(term.weight, at, problems);
            check_requirements(
                &term.preference.match_expressions,
                at.into(&["preference", "matchExpressions"]),
                false,
                problems,
            );
        }
    }
    for (name, terms) in [("podAffinity", &affinity.pod_affinity), ("podAntiAffinity", &affinity.pod_anti_affinity)] {
        let Some(terms) = terms else { continue };
        let at = at.into(&["affinity", name]);
        for (index, term) in terms.required_during_scheduling_ignored_during_execution.iter().enumerate() {
            if term.topology_key.is_empty() {
                problems.error(
                    at.span(&[REQUIRED, &index.to_string(), "topologyKey"]),
                    "`topologyKey` must not be empty",
                    "empty",
                );
            }
        }
        for (index, term) in terms.preferred_during_scheduling_ignored_during_execution.iter().enumerate() {
            check_weight(term.weight, at.into(&[PREFERRED, &index.to_string()]), problems);
        }
    }
}

fn check_weight(weight: u32, at: At<'_>, problems: &mut Problems) {
    if !(1..=100).contains(&weight) {
        problems.error(at.span(&["weight"]), format!("weight `{weight}` is out of range"), "must be between 1 and 100");
    }
}

/// Requirements on node labels: how many values each operator takes. NodePools know `Gte`, `Lte` and `minValues` too.
pub(super) fn check_requirements(
    requirements: &[NodeRequirement],
    at: At<'_>,
    node_pool: bool,
    problems: &mut Problems,
) {
    for (index, requirement) in requirements.iter().enumerate() {
        let at = at.into(&[&index.to_string()]);
        let values = at.span(&["values"]);
        let operator = requirement.operator.as_str();
        match requirement.operator {
            // Karpenter's CRD lets `NotIn` stand without values.
            NodeOperator::NotIn if requirement.values.is_empty() && node_pool => {}
            NodeOperator::In | NodeOperator::NotIn if requirement.values.is_empty() => {
                problems.error(values, format!("`{operator}` needs values"), "no values");
            }
            NodeOperator::Exists | NodeOperator::DoesNotExist if !requirement.values.is_empty() => {
                problems.error(values, format!("`{operator}` takes no values"), "leave them out");
            }
            NodeOperator::Gt | NodeOperator::Lt | NodeOperator::Gte | NodeOperator::Lte => {
                let is_number = matches!(requirement.values.as_slice(), [only] if only.parse::<i64>().is_ok_and(|n| n >= 0 || !node_pool));
                if !is_number {
                    problems.error(
                        values,
                        format!("`{operator}` takes exactly one integer"),
                        "not one integer, in quotes",
                    );
                }
                if !node_pool && matches!(requirement.operator, NodeOperator::Gte | NodeOperator::Lte) {
                    problems.error(
                        at.span(&["operator"]),
                        format!("`{operator}` is known to NodePools only"),
                        "not in a pod",
                    );
                }
            }
            _ => {}
        }
        if !is_label_key(&requirement.key) {
            problems.error(at.span(&["key"]), format!("`{}` is not a label key", requirement.key), "not a label key");
        }
        for (position, value) in requirement.values.iter().enumerate() {
            if !is_label_value(value) {
                problems.error(
                    at.span(&["values", &position.to_string()]),
                    format!("`{value}` is not a label value"),
                    "not a label value",
                );
            }
        }
        if !node_pool && requirement.min_values.is_some() {
            problems.error(at.key(&["minValues"]), "`minValues` is known to NodePools only", "not in a pod");
        }
    }
}

pub(super) fn check_label(key: &str, value: &str, at: At<'_>, path: &[&str], problems: &mut Problems) {
    if !is_label_key(key) {
        problems.error(at.key(path), format!("`{key}` is not a label key"), "not a label key");
    } else if !is_label_value(value) {
        problems.error(at.span(path), format!("`{value}` is not a label value"), "not a label value");
    }
}

/// Taints: each key with each effect once.
pub(super) fn check_taints(taints: &[Taint], at: At<'_>, problems: &mut Problems) {
    for (index, taint) in taints.iter().enumerate() {
        let at_taint = at.into(&[&index.to_string()]);
        if !is_label_key(&taint.key) {
            problems.error(at_taint.span(&["key"]), format!("`{}` is not a taint key", taint.key), "not a key");
        }
        let first = taints[..index].iter().position(|other| other.key == taint.key && other.effect == taint.effect);
        if let Some(first) = first {
            problems.error(
                at_taint.span(&["key"]),
                format!("two taints `{}:{}`", taint.key, taint.effect.as_str()),
                "the second one",
            );
            problems.relate(at.span(&[&first.to_string(), "key"]), "the first one");
        }
    }
}
