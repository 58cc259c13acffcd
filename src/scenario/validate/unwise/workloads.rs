//! Pods and what governs their disruption.

use super::super::context::{At, Context};
use super::{bounds, needs_karpenter, p99};
use crate::api::decode::Problems;
use crate::api::keda::ScaledJob;
use crate::api::pod::{Container, PodTemplate};
use crate::api::scalar::IntOrPercent;
use crate::scenario::lint::Rule;
use crate::units::Resource;

/// Labels that Kubernetes has renamed, with their names of today.
const RENAMED: [(&str, &str); 5] = [
    ("beta.kubernetes.io/arch", "kubernetes.io/arch"),
    ("beta.kubernetes.io/os", "kubernetes.io/os"),
    ("beta.kubernetes.io/instance-type", "node.kubernetes.io/instance-type"),
    ("failure-domain.beta.kubernetes.io/zone", "topology.kubernetes.io/zone"),
    ("failure-domain.beta.kubernetes.io/region", "topology.kubernetes.io/region"),
];

pub(super) fn check(cx: &Context<'_>, problems: &mut Problems) {
    for (deployment, at) in cx.elements("deployments", &cx.scenario.deployments) {
        let template = &deployment.spec.template;
        let at = at.into(&["spec", "template"]);
        pod(template, at, cx, problems);
        requests(template, at, cx, problems);
        let (_, max) = bounds(deployment.metadata.name.as_deref().unwrap_or_default(), cx);
        if max > 1 {
            alone(template, at, cx, problems);
        }
    }
    for (job, at) in cx.elements("scaledJobs", &cx.scenario.scaled_jobs) {
        let template = &job.spec.job_target_ref.template;
        let target = at.into(&["spec", "jobTargetRef"]);
        pod(template, target.into(&["template"]), cx, problems);
        requests(template, target.into(&["template"]), cx, problems);
        deadline(job, target, cx, problems);
    }
    for (pool, at) in cx.elements("nodePools", &cx.scenario.node_pools) {
        for (index, requirement) in pool.spec.template.spec.requirements.iter().enumerate() {
            let span = at.span(&["spec", "template", "spec", "requirements", &index.to_string(), "key"]);
            renamed(&requirement.key, span, problems);
        }
    }
    for (budget, at) in cx.elements("podDisruptionBudgets", &cx.scenario.pdbs) {
        let none = |value: Option<IntOrPercent>, all: bool| match value {
            Some(IntOrPercent::Count(count)) => count == 0 && !all,
            Some(IntOrPercent::Percent(percent)) => percent == if all { 100 } else { 0 },
            None => false,
        };
        let field = if none(budget.spec.max_unavailable, false) {
            "maxUnavailable"
        } else if none(budget.spec.min_available, true) {
            "minAvailable"
        } else {
            continue;
        };
        let help = "allow at least one: `maxUnavailable: 1`, or `10%`";
        let message = "no pod of this budget may ever be evicted";
        let span = at.span(&["spec", field]);
        Rule::BudgetBlocksDrain.report(problems, span, message, "nodes with them never drain", Some(help.to_owned()));
    }
}

fn pod(template: &PodTemplate, at: At<'_>, cx: &Context<'_>, problems: &mut Problems) {
    let grace = template.spec.termination_grace_period_seconds;
    for (index, container) in template.spec.containers.iter().enumerate() {
        let hook = container.lifecycle.as_ref().and_then(|lifecycle| lifecycle.pre_stop.as_ref()?.sleep.as_ref());
        if let Some(sleep) = hook.filter(|sleep| sleep.seconds.0 >= grace.0) {
            let span = at.span(&["spec", "containers", &index.to_string(), "lifecycle", "preStop", "sleep", "seconds"]);
            let label = format!("sleeps {}, the grace period is {}", sleep.seconds.duration(), grace.duration());
            let help = "make `terminationGracePeriodSeconds` the hook's time plus that of the longest message";
            let message = "the hook leaves no time to finish";
            Rule::PreStopEatsGrace.report(problems, span, message, label, Some(help.to_owned()));
        }
    }
    for key in template.spec.node_selector.keys() {
        renamed(key, at.key(&["spec", "nodeSelector", key]), problems);
    }
    let help = Some("karpenter.sh/do-not-disrupt: \"true\"".to_owned());
    for (key, value) in &template.metadata.annotations {
        let span = at.key(&["metadata", "annotations", key]);
        match key.as_str() {
            "cluster-autoscaler.kubernetes.io/safe-to-evict"
                if value == "false" && needs_karpenter(&template.spec, cx) =>
            {
                let message = "Karpenter does not know Cluster Autoscaler's annotation";
                Rule::AutoscalerAnnotationIgnored.report(problems, span, message, "protects nothing", help.clone());
            }
            "karpenter.sh/do-not-evict" | "karpenter.sh/do-not-consolidate" => {
                let message = format!("`{key}` is ignored since Karpenter 1.0");
                Rule::DeprecatedAnnotation.report(problems, span, message, "protects nothing", help.clone());
            }
            _ => {}
        }
    }
}

/// Containers that the schedulers take for nothing.
fn requests(template: &PodTemplate, at: At<'_>, cx: &Context<'_>, problems: &mut Problems) {
    let nothing = |container: &Container| {
        [Resource::Cpu, Resource::Memory].iter().all(|resource| container.requests().get(*resource) == 0)
    };
    if !needs_karpenter(&template.spec, cx) || template.spec.containers.is_empty() {
        return;
    }
    if template.spec.containers.iter().all(nothing) {
        let span = at.span(&["spec", "containers", "0", "name"]);
        let help = "add `resources.requests` with the CPU and memory that it uses";
        let message = "the pods request nothing";
        let label = "counts as nothing when nodes are chosen and filled";
        Rule::PodsWithoutRequests.report(problems, span, message, label, Some(help.to_owned()));
    }
}

/// Jobs that are killed before their message is done.
fn deadline(job: &ScaledJob, at: At<'_>, cx: &Context<'_>, problems: &mut Problems) {
    let Some(deadline) = job.spec.job_target_ref.active_deadline_seconds.map(|seconds| seconds.duration()) else {
        return;
    };
    let name = job.metadata.name.as_deref();
    let longest = cx.scenario.consumers.iter().filter(|consumer| consumer.job.as_deref() == name);
    let longest = longest.map(|consumer| p99(&consumer.processing)).max();
    if let Some(longest) = longest.filter(|longest| *longest > deadline) {
        let label = format!("1 message in 100 takes {longest} or more");
        let help = "make the deadline longer than the longest message, with the start of pod and node";
        let message = "Jobs are killed while they work";
        let span = at.span(&["activeDeadlineSeconds"]);
        Rule::JobDeadlineTooShort.report(problems, span, message, label, Some(help.to_owned()));
    }
}

/// Pods that refuse each other's company.
fn alone(template: &PodTemplate, at: At<'_>, cx: &Context<'_>, problems: &mut Problems) {
    const REQUIRED: &str = "requiredDuringSchedulingIgnoredDuringExecution";
    if !needs_karpenter(&template.spec, cx) {
        return;
    }
    let terms = template.spec.affinity.as_ref().and_then(|affinity| affinity.pod_anti_affinity.as_ref());
    let terms = terms.map(|terms| terms.required_during_scheduling_ignored_during_execution.as_slice());
    let labels = &template.metadata.labels;
    let own = terms.unwrap_or_default().iter().position(|term| {
        term.topology_key == "kubernetes.io/hostname"
            && term.label_selector.as_ref().is_some_and(|selector| selector.matches(labels))
    });
    if let Some(index) = own {
        let span = at.span(&["spec", "affinity", "podAntiAffinity", REQUIRED, &index.to_string(), "topologyKey"]);
        let help = "prefer it instead, or spread with `maxSkew`";
        let message = "every replica needs a node of its own";
        Rule::OnePodPerNode.report(problems, span, message, "refuses its own kind", Some(help.to_owned()));
    }
}

fn renamed(key: &str, span: crate::api::tree::Span, problems: &mut Problems) {
    if let Some((_, name)) = RENAMED.iter().find(|(old, _)| *old == key) {
        let message = format!("label `{key}` is deprecated");
        Rule::DeprecatedLabel.report(problems, span, message, "an old name", Some(format!("write `{name}`")));
    }
}
