//! HorizontalPodAutoscalers and `behavior` (`kubernetes pkg/apis/autoscaling/validation`).

use super::context::{At, Context};
use crate::api::decode::Problems;
use crate::api::hpa::{Behavior, HpaSpec, MetricKind, MetricSpec, MetricTarget, MetricTargetType, ScalingRules};
use crate::scenario::kind::Kind;

/// Longest stabilization window, in seconds.
const MAX_WINDOW: u32 = 3600;
/// Longest period of a policy, in seconds.
const MAX_PERIOD: u32 = 1800;

pub(super) fn check(cx: &Context<'_>, problems: &mut Problems) {
    for (hpa, at) in cx.elements("horizontalPodAutoscalers", &cx.scenario.hpas) {
        check_spec(&hpa.spec, at.into(&["spec"]), cx, problems);
    }
}

fn check_spec(spec: &HpaSpec, at: At<'_>, cx: &Context<'_>, problems: &mut Problems) {
    let target = &spec.scale_target_ref;
    let kind = target.kind.as_deref().unwrap_or("Deployment");
    if kind != "Deployment" {
        super::keda::only_deployments(kind, at.span(&["scaleTargetRef", "kind"]), problems);
    } else {
        let names = cx.names(Kind::Deployment);
        cx.must_exist("Deployment", &target.name, &names, at.span(&["scaleTargetRef", "name"]), problems);
    }
    if spec.max_replicas == 0 {
        problems.error(at.span(&["maxReplicas"]), "`maxReplicas` must be at least 1", "is 0");
    } else if spec.min_replicas > spec.max_replicas {
        let label = format!("above `maxReplicas`, which is {}", spec.max_replicas);
        problems.error(at.span(&["minReplicas"]), "`minReplicas` is above `maxReplicas`", label);
    }
    let scales_to_zero = cx.scenario.versions.hpa_scale_to_zero()
        && spec.metrics.iter().any(|metric| matches!(metric.kind, MetricKind::Object | MetricKind::External));
    if spec.min_replicas == 0 && !scales_to_zero {
        let help =
            "0 needs Kubernetes 1.37 and an Object or External metric; KEDA scales to zero with `minReplicaCount: 0`";
        problems.error_with_help(at.span(&["minReplicas"]), "`minReplicas` must be at least 1", "is 0", help);
    }
    for (index, metric) in spec.metrics.iter().enumerate() {
        check_metric(metric, at.into(&["metrics", &index.to_string()]), problems);
    }
    check_behavior(spec.behavior.as_ref(), at.into(&["behavior"]), problems);
}

fn check_metric(metric: &MetricSpec, at: At<'_>, problems: &mut Problems) {
    use MetricTargetType::{AverageValue, Utilization, Value};
    let (part, target, allowed): (&str, Option<&MetricTarget>, &[MetricTargetType]) = match metric.kind {
        MetricKind::Resource => ("resource", metric.resource.as_ref().map(|m| &m.target), &[Utilization, AverageValue]),
        MetricKind::ContainerResource => {
            ("containerResource", metric.container_resource.as_ref().map(|m| &m.target), &[Utilization, AverageValue])
        }
        MetricKind::Pods => ("pods", metric.pods.as_ref().map(|m| &m.target), &[AverageValue]),
        MetricKind::Object => ("object", metric.object.as_ref().map(|m| &m.target), &[Value, AverageValue]),
        MetricKind::External => ("external", metric.external.as_ref().map(|m| &m.target), &[Value, AverageValue]),
    };
    let Some(target) = target else {
        let message = format!("a metric of type `{}` needs `{part}`", metric.kind.as_str());
        problems.error(at.span(&["type"]), message, format!("no `{part}` beside it"));
        return;
    };
    let at = at.into(&[part, "target"]);
    if !allowed.contains(&target.kind) {
        let names: Vec<&str> = allowed.iter().map(|kind| kind.as_str()).collect();
        let message =
            format!("target `{}` does not go with a metric of type `{}`", target.kind.as_str(), metric.kind.as_str());
        problems.error_with_help(
            at.span(&["type"]),
            message,
            "not allowed here",
            format!("use {}", super::context::listed(&names)),
        );
        return;
    }
    let (field, value) = match target.kind {
        Utilization => ("averageUtilization", target.average_utilization.map(i64::from)),
        Value => ("value", target.value.map(|quantity| quantity.milli)),
        AverageValue => ("averageValue", target.average_value.map(|quantity| quantity.milli)),
    };
    match value {
        None => problems.error(
            at.span(&["type"]),
            format!("a target of type `{}` needs `{field}`", target.kind.as_str()),
            format!("no `{field}` beside it"),
        ),
        Some(value) if value <= 0 => {
            problems.error(at.span(&[field]), format!("`{field}` must be above 0"), "not above 0")
        }
        Some(_) => {}
    }
}

/// `behavior` of an HPA, or of `horizontalPodAutoscalerConfig`.
pub(super) fn check_behavior(behavior: Option<&Behavior>, at: At<'_>, problems: &mut Problems) {
    let Some(behavior) = behavior else { return };
    for (name, rules) in [("scaleUp", &behavior.scale_up), ("scaleDown", &behavior.scale_down)] {
        if let Some(rules) = rules {
            check_rules(rules, name, at.into(&[name]), problems);
        }
    }
}

fn check_rules(rules: &ScalingRules, name: &str, at: At<'_>, problems: &mut Problems) {
    if let Some(window) = rules.stabilization_window_seconds.filter(|window| window.0 > MAX_WINDOW) {
        let message = format!("stabilization window of {} seconds is too long", window.0);
        problems.error(at.span(&["stabilizationWindowSeconds"]), message, format!("must be at most {MAX_WINDOW}"));
    }
    if rules.tolerance.is_some_and(|tolerance| tolerance.milli < 0) {
        problems.error(at.span(&["tolerance"]), "`tolerance` must not be negative", "negative");
    }
    let Some(policies) = &rules.policies else { return };
    if policies.is_empty() {
        let help = format!(
            "leave `policies` out for the defaults of {name}, or set `selectPolicy: Disabled` to forbid this direction"
        );
        problems.error_with_help(at.key(&["policies"]), "`policies` needs at least one policy", "an empty list", help);
    }
    for (index, policy) in policies.iter().enumerate() {
        let at = at.into(&["policies", &index.to_string()]);
        if policy.value == 0 {
            problems.error(at.span(&["value"]), "the value of a policy must be above 0", "is 0");
        }
        if !(1..=MAX_PERIOD).contains(&policy.period_seconds.0) {
            let message = format!("periodSeconds {} is out of range", policy.period_seconds.0);
            problems.error(at.span(&["periodSeconds"]), message, format!("must be between 1 and {MAX_PERIOD}"));
        }
    }
}
