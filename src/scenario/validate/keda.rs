//! ScaledObjects and ScaledJobs: the rules of KEDA's webhook and of its reconcilers
//! (`apis/keda/v1alpha1/scaledobject_webhook.go`, `scaledobject_types.go: CheckReplicaCountBoundsAreValid`).

use std::collections::BTreeMap;

use super::context::{At, Context};
use super::{formulas, hpa, pods, triggers};
use crate::api::decode::Problems;
use crate::api::formula;
use crate::api::keda::{JobStrategy, ScaledJobSpec, ScaledObject, ScaledObjectSpec, Trigger};
use crate::api::tree::Span;
use crate::scenario::kind::Kind;
use crate::scenario::lint::Rule;
use crate::units::Resource;

/// Longest name of an HPA: it is a label value too.
const MAX_HPA_NAME: usize = 63;

pub(super) fn check(cx: &Context<'_>, problems: &mut Problems) {
    let mut targets: BTreeMap<&str, (String, Span)> = BTreeMap::new();
    for (hpa, at) in cx.elements("horizontalPodAutoscalers", &cx.scenario.hpas) {
        let place = at.span(&["spec", "scaleTargetRef", "name"]);
        claim(
            &mut targets,
            &hpa.spec.scale_target_ref.name,
            "HorizontalPodAutoscaler",
            hpa.metadata.name.as_deref(),
            place,
            problems,
        );
    }
    for (object, at) in cx.elements("scaledObjects", &cx.scenario.scaled_objects) {
        let place = at.span(&["spec", "scaleTargetRef", "name"]);
        claim(
            &mut targets,
            &object.spec.scale_target_ref.name,
            "ScaledObject",
            object.metadata.name.as_deref(),
            place,
            problems,
        );
        scaled_object(object, at, cx, problems);
    }
    for (job, at) in cx.elements("scaledJobs", &cx.scenario.scaled_jobs) {
        scaled_job(&job.spec, at.into(&["spec"]), cx, problems);
    }
}

/// Only one autoscaler may write a Deployment's replicas.
fn claim<'a>(
    targets: &mut BTreeMap<&'a str, (String, Span)>,
    target: &'a str,
    kind: &str,
    name: Option<&str>,
    span: Span,
    problems: &mut Problems,
) {
    if let Some((other, place)) = targets.get(target) {
        let help = "one of them would undo what the other does; put both sources into one ScaledObject's `triggers`";
        Rule::TwoAutoscalers.report(
            problems,
            span,
            format!("Deployment `{target}` is already scaled by {other}"),
            "scaled here too",
            Some(help.to_owned()),
        );
        problems.relate(*place, "scaled here");
        return;
    }
    targets.insert(target, (format!("{kind} `{}`", name.unwrap_or_default()), span));
}

pub(super) fn only_deployments(kind: &str, span: Span, problems: &mut Problems) {
    problems.error(span, format!("scaling a {kind} is not simulated"), "only `Deployment` is");
}

fn scaled_object(object: &ScaledObject, at: At<'_>, cx: &Context<'_>, problems: &mut Problems) {
    let spec = &object.spec;
    let name = object.metadata.name.as_deref().unwrap_or_default();
    check_annotations(object, at, problems);
    let at = at.into(&["spec"]);
    let target = &spec.scale_target_ref;
    if target.kind != "Deployment" {
        only_deployments(&target.kind, at.span(&["scaleTargetRef", "kind"]), problems);
    } else {
        let names = cx.names(Kind::Deployment);
        cx.must_exist("Deployment", &target.name, &names, at.span(&["scaleTargetRef", "name"]), problems);
    }
    check_polling(spec.polling_interval.0, at, problems);
    check_bounds(spec, at, problems);
    if spec.triggers.is_empty() {
        problems.error(at.key(&["triggers"]), "a ScaledObject needs a trigger", "no `triggers`");
    }
    triggers::check(&spec.triggers, at.into(&["triggers"]), cx, problems);
    cpu_and_memory(spec, at, cx, problems);
    check_fallback(spec, at, problems);
    let Some(advanced) = &spec.advanced else { return check_hpa_name(None, name, at, problems) };
    let config = advanced.horizontal_pod_autoscaler_config.as_ref();
    check_hpa_name(config.and_then(|config| config.name.as_deref()), name, at, problems);
    let behavior = config.and_then(|config| config.behavior.as_ref());
    hpa::check_behavior(behavior, at.into(&["advanced", "horizontalPodAutoscalerConfig", "behavior"]), problems);
    check_modifiers(spec, at, problems);
}

fn check_annotations(object: &ScaledObject, at: At<'_>, problems: &mut Problems) {
    const PAUSED_REPLICAS: &str = "autoscaling.keda.sh/paused-replicas";
    if let Some(text) = object.metadata.annotations.get(PAUSED_REPLICAS)
        && text.parse::<u32>().is_err()
    {
        let span = at.span(&["metadata", "annotations", PAUSED_REPLICAS]);
        problems.error(span, format!("`{text}` is not a number of replicas"), "not an integer >= 0");
    }
}

fn check_polling(seconds: u32, at: At<'_>, problems: &mut Problems) {
    if seconds == 0 {
        problems.error(at.span(&["pollingInterval"]), "`pollingInterval` must be at least 1", "is 0");
    }
}

fn check_bounds(spec: &ScaledObjectSpec, at: At<'_>, problems: &mut Problems) {
    // An explicit 0 counts as the HPA's minimum of 1 here, an absent one as 0.
    let min = spec.min_replica_count.map_or(0, |min| min.max(1));
    let max = spec.max_replica_count.unwrap_or(100);
    if max == 0 {
        problems.error(at.span(&["maxReplicaCount"]), "`maxReplicaCount` must be at least 1", "is 0");
    } else if min > max {
        let label = if spec.max_replica_count.is_some() {
            format!("above maxReplicaCount {max}")
        } else {
            "above the default of maxReplicaCount, 100".to_owned()
        };
        problems.error(
            at.span(&["minReplicaCount"]),
            format!("minReplicaCount {min} is above maxReplicaCount {max}"),
            label,
        );
        if at.has(&["maxReplicaCount"]) {
            problems.relate(at.span(&["maxReplicaCount"]), "the upper bound");
        }
    }
    if let Some(idle) = spec.idle_replica_count.filter(|idle| *idle >= min) {
        let help = if spec.min_replica_count.is_none() {
            "set `minReplicaCount`, or leave `idleReplicaCount` out"
        } else {
            "only 0 makes sense: any other value fights the HPA"
        };
        problems.error_with_help(
            at.span(&["idleReplicaCount"]),
            format!("idleReplicaCount {idle} must be below minReplicaCount {min}"),
            "not below it",
            help,
        );
    }
}

fn is_resource(trigger: &Trigger) -> bool {
    matches!(trigger.kind.as_str(), "cpu" | "memory")
}

fn cpu_and_memory(spec: &ScaledObjectSpec, at: At<'_>, cx: &Context<'_>, problems: &mut Problems) {
    let only_resources = !spec.triggers.is_empty() && spec.triggers.iter().all(is_resource);
    if only_resources && spec.min_replica_count.unwrap_or(0) == 0 {
        let help = "set `minReplicaCount` to 1 or more, or add a trigger that can wake it";
        Rule::CannotWake.report(
            problems,
            at.key(&["triggers"]),
            "cpu and memory cannot scale to or from zero",
            "no other trigger",
            Some(help.to_owned()),
        );
    }
    let target = &spec.scale_target_ref.name;
    let deployment =
        cx.scenario.deployments.iter().find(|deployment| deployment.metadata.name.as_ref() == Some(target));
    let Some(deployment) = deployment else { return };
    for (index, trigger) in spec.triggers.iter().enumerate().filter(|(_, trigger)| is_resource(trigger)) {
        let resource = if trigger.kind == "cpu" { Resource::Cpu } else { Resource::Memory };
        let uses_average = trigger.metric_type == Some(crate::api::keda::TriggerMetricType::AverageValue);
        let missing =
            deployment.spec.template.spec.containers.iter().any(|container| container.requests().get(resource) == 0);
        if missing && !uses_average {
            let span = at.span(&["triggers", &index.to_string(), "type"]);
            let message = format!("a container of Deployment `{target}` does not request {}", trigger.kind);
            let help = Some("add it to `resources.requests`".to_owned());
            Rule::UtilizationWithoutRequest.report(
                problems,
                span,
                message,
                "utilization is a share of the request",
                help,
            );
        }
    }
}

fn check_fallback(spec: &ScaledObjectSpec, at: At<'_>, problems: &mut Problems) {
    if spec.fallback.is_none() || spec.triggers.is_empty() {
        return;
    }
    if spec.triggers.iter().all(is_resource) {
        problems.error(
            at.key(&["fallback"]),
            "`fallback` needs a trigger other than cpu and memory",
            "would never apply",
        );
    }
}

fn check_hpa_name(own: Option<&str>, name: &str, at: At<'_>, problems: &mut Problems) {
    let (text, span) = match own {
        Some(own) => (own.to_owned(), at.span(&["advanced", "horizontalPodAutoscalerConfig", "name"])),
        None => (format!("keda-hpa-{name}"), at.span(&[])),
    };
    if text.len() > MAX_HPA_NAME {
        let message = format!("the name of the HPA has {} characters", text.len());
        let help = "set `advanced.horizontalPodAutoscalerConfig.name`, or shorten the ScaledObject's name";
        problems.error_with_help(span, message, format!("`{text}`: at most {MAX_HPA_NAME}"), help);
    }
}

fn check_modifiers(spec: &ScaledObjectSpec, at: At<'_>, problems: &mut Problems) {
    let Some(modifiers) = spec.advanced.as_ref().and_then(|advanced| advanced.scaling_modifiers.as_ref()) else {
        return;
    };
    let place = at.into(&["advanced", "scalingModifiers"]);
    if modifiers.formula.is_none() && modifiers.target.is_none() {
        return;
    }
    let text = modifiers.formula.as_deref().unwrap_or_default();
    let span = place.span(&["formula"]);
    if text.trim().is_empty() {
        problems.error(place.key(&["formula"]), "`scalingModifiers` needs a formula", "no `formula`");
    } else {
        formulas::check(text, |text| formula::scaling_modifiers(text, &spec.triggers), span, problems);
    }
    match modifiers.target.as_deref() {
        None => problems.error(place.key(&["target"]), "`scalingModifiers` needs a target", "no `target`"),
        Some(text) if !text.parse::<f64>().is_ok_and(|target| target > 0.0 && target.is_finite()) => {
            problems.error(
                place.span(&["target"]),
                format!("`{text}` is not a target"),
                "must be a number above 0, in quotes",
            );
        }
        Some(_) => {}
    }
    if let Some(text) = modifiers.activation_target.as_deref().filter(|text| text.parse::<f64>().is_err()) {
        problems.error(
            place.span(&["activationTarget"]),
            format!("`{text}` is not a number"),
            "must be a number, in quotes",
        );
    }
    for (index, trigger) in spec.triggers.iter().enumerate() {
        if trigger.name.is_none() && !is_resource(trigger) {
            let span = at.span(&["triggers", &index.to_string(), "type"]);
            let help = "formulas call triggers by their `name`";
            problems.error_with_help(
                span,
                "with `scalingModifiers` every trigger needs a name",
                "no `name` beside it",
                help,
            );
        }
    }
}

fn scaled_job(spec: &ScaledJobSpec, at: At<'_>, cx: &Context<'_>, problems: &mut Problems) {
    check_polling(spec.polling_interval.0, at, problems);
    if spec.triggers.is_empty() {
        problems.error(at.key(&["triggers"]), "a ScaledJob needs a trigger", "no `triggers`");
    }
    triggers::check(&spec.triggers, at.into(&["triggers"]), cx, problems);
    for (index, trigger) in spec.triggers.iter().enumerate() {
        let at = at.into(&["triggers", &index.to_string()]);
        if trigger.metric_type.is_some() {
            problems.error(
                at.span(&["metricType"]),
                "`metricType` must be left out in a ScaledJob",
                "not allowed here",
            );
        }
        if is_resource(trigger) {
            problems.error(
                at.span(&["type"]),
                format!("{} cannot trigger a ScaledJob", trigger.kind),
                "not allowed here",
            );
        }
    }
    if let Some(text) = spec.scaling_strategy.custom_scaling_running_job_percentage.as_deref()
        && text.parse::<f64>().is_err()
    {
        let span = at.span(&["scalingStrategy", "customScalingRunningJobPercentage"]);
        Rule::CustomStrategyWithoutPercentage.report(
            problems,
            span,
            format!("`{text}` is not a number"),
            "KEDA silently uses strategy `default`",
            None,
        );
    } else if spec.scaling_strategy.strategy == JobStrategy::Custom
        && spec.scaling_strategy.custom_scaling_running_job_percentage.is_none()
    {
        let span = at.span(&["scalingStrategy", "strategy"]);
        let label = "KEDA silently uses strategy `default`";
        Rule::CustomStrategyWithoutPercentage.report(
            problems,
            span,
            "`custom` needs `customScalingRunningJobPercentage`",
            label,
            None,
        );
    }
    pods::check(&spec.job_target_ref.template, at.into(&["jobTargetRef", "template"]), cx, problems);
}
