//! Deployments, DaemonSets, PriorityClasses, PodDisruptionBudgets.

use super::context::{At, Context};
use super::pods;
use crate::api::decode::Problems;
use crate::api::meta::LabelSelector;
use crate::api::pod::PodTemplate;
use crate::scenario::lint::Rule;

/// Largest value of a user's PriorityClass.
const MAX_PRIORITY: i32 = 1_000_000_000;

pub(super) fn check(cx: &Context<'_>, problems: &mut Problems) {
    for (deployment, at) in cx.elements("deployments", &cx.scenario.deployments) {
        let spec = &deployment.spec;
        check_selector(spec.selector.as_ref(), &spec.template, at.into(&["spec"]), problems);
        pods::check(&spec.template, at.into(&["spec", "template"]), cx, problems);
        if let Some(policy) = spec.template.spec.restart_policy.as_deref().filter(|policy| *policy != "Always") {
            let span = at.span(&["spec", "template", "spec", "restartPolicy"]);
            problems.error(
                span,
                format!("restartPolicy `{policy}` is not allowed in a Deployment"),
                "must be `Always`",
            );
        }
        if spec.replicas.is_some_and(|replicas| replicas > cx.scenario.simulation.max_pods) {
            let span = at.span(&["spec", "replicas"]);
            problems.error(
                span,
                "more replicas than `simulation.maxPods`",
                format!("at most {}", cx.scenario.simulation.max_pods),
            );
        }
    }
    for (daemon_set, at) in cx.elements("daemonSets", &cx.scenario.daemon_sets) {
        check_selector(daemon_set.spec.selector.as_ref(), &daemon_set.spec.template, at.into(&["spec"]), problems);
        pods::check(&daemon_set.spec.template, at.into(&["spec", "template"]), cx, problems);
    }
    priority_classes(cx, problems);
    disruption_budgets(cx, problems);
}

fn check_selector(selector: Option<&LabelSelector>, template: &PodTemplate, at: At<'_>, problems: &mut Problems) {
    let Some(selector) = selector else {
        let help = "selector: { matchLabels: ... } with labels of the template";
        let span = at.span(&[]);
        return Rule::DeploymentWithoutSelector.report(
            problems,
            span,
            "missing field `selector`",
            "the API server refuses this",
            Some(help.to_owned()),
        );
    };
    if selector.match_labels.is_empty() && selector.match_expressions.is_empty() {
        problems.error(at.span(&["selector"]), "an empty selector would select every pod", "needs `matchLabels`");
    } else if !selector.matches(&template.metadata.labels) {
        problems.error(
            at.key(&["selector"]),
            "the selector does not match the template's labels",
            "selects other pods",
        );
        problems.relate(at.key(&["template", "metadata", "labels"]), "the labels of the pods");
    }
}

fn priority_classes(cx: &Context<'_>, problems: &mut Problems) {
    let mut default: Option<At<'_>> = None;
    for (class, at) in cx.elements("priorityClasses", &cx.scenario.priority_classes) {
        if class.value > MAX_PRIORITY {
            let label = format!("must be at most {MAX_PRIORITY}");
            problems.error(at.span(&["value"]), format!("priority {} is reserved for the system", class.value), label);
        }
        if class.metadata.name.as_deref().is_some_and(|name| name.starts_with("system-")) {
            problems.error(at.span(&["metadata", "name"]), "names with `system-` are reserved", "choose another name");
        }
        if class.global_default {
            if let Some(first) = default {
                problems.error(
                    at.key(&["globalDefault"]),
                    "two PriorityClasses are the global default",
                    "the second one",
                );
                problems.relate(first.key(&["globalDefault"]), "the first one");
            }
            default = default.or(Some(at));
        }
    }
}

fn disruption_budgets(cx: &Context<'_>, problems: &mut Problems) {
    for (budget, at) in cx.elements("podDisruptionBudgets", &cx.scenario.pdbs) {
        match (&budget.spec.min_available, &budget.spec.max_unavailable) {
            (Some(_), Some(_)) => {
                let message = "`minAvailable` and `maxUnavailable` cannot be given together";
                problems.error(at.key(&["spec", "maxUnavailable"]), message, "leave one out");
                problems.relate(at.key(&["spec", "minAvailable"]), "the other one");
            }
            (None, None) => {
                let help = "Kubernetes takes this as `minAvailable: 0`, which limits nothing";
                Rule::BudgetLimitsNothing.report(
                    problems,
                    at.span(&["spec"]),
                    "this budget limits nothing",
                    "neither `minAvailable` nor `maxUnavailable`",
                    Some(help.to_owned()),
                );
            }
            _ => {}
        }
        let selected = budget.spec.selector.as_ref().is_some_and(|selector| {
            let templates = cx.scenario.deployments.iter().map(|d| &d.spec.template);
            let jobs = cx.scenario.scaled_jobs.iter().map(|job| &job.spec.job_target_ref.template);
            templates.chain(jobs).any(|template| selector.matches(&template.metadata.labels))
        });
        if !selected {
            Rule::BudgetSelectsNothing.report(
                problems,
                at.key(&["spec", "selector"]),
                "this budget selects no pod of the scenario",
                "matches no template",
                None,
            );
        }
    }
}
