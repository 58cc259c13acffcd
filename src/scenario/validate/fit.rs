//! Pods that can run nowhere: no node group and no NodePool would ever take them. Each pool's reason is told.

use super::context::{At, Context, listed};
use super::{KnownType, fargate};
use crate::api::decode::Problems;
use crate::api::karpenter::NodePool;
use crate::api::pod::{NodeOperator, NodeRequirement, PodSpec, PodTemplate, Taint, TaintEffect};
use crate::scenario::lint::Rule;
use crate::scenario::node_groups::NodeGroup;
use crate::units::{Resource, Resources};

pub(super) fn check(cx: &Context<'_>, problems: &mut Problems) {
    let scenario = cx.scenario;
    if scenario.node_pools.is_empty() && scenario.node_groups.is_empty() {
        let mut deployments = cx.elements("deployments", &scenario.deployments).into_iter();
        let on_nodes = deployments.find(|(own, _)| !fargate::takes(cx, &own.metadata, &own.spec.template));
        if let Some((first, at)) = on_nodes {
            let name = first.metadata.name.as_deref().unwrap_or_default();
            let help = "add a NodePool to the manifests, or [[nodeGroups]] to the scenario";
            problems.error_with_help(
                at.span(&["metadata", "name"]),
                format!("pods of Deployment `{name}` have no nodes to run on"),
                "no NodePool and no node group",
                help,
            );
        }
        return;
    }
    for (deployment, at) in cx.elements("deployments", &scenario.deployments) {
        if !fargate::takes(cx, &deployment.metadata, &deployment.spec.template) {
            let name = deployment.metadata.name.as_deref();
            check_template("Deployment", name, &deployment.spec.template, at, cx, problems);
        }
    }
    for (job, at) in cx.elements("scaledJobs", &scenario.scaled_jobs) {
        let template = &job.spec.job_target_ref.template;
        if !fargate::takes(cx, &job.metadata, template) {
            check_template("ScaledJob", job.metadata.name.as_deref(), template, at, cx, problems);
        }
    }
}

fn check_template(
    kind: &str,
    name: Option<&str>,
    template: &PodTemplate,
    at: At<'_>,
    cx: &Context<'_>,
    problems: &mut Problems,
) {
    let pod = &template.spec;
    let mut reasons = Vec::new();
    for group in &cx.scenario.node_groups {
        match group_refuses(group, pod, cx) {
            None => return,
            Some(reason) => reasons.push(format!("node group `{}`: {reason}", group.name)),
        }
    }
    for pool in &cx.scenario.node_pools {
        match pool_refuses(pool, pod, cx) {
            None => return,
            Some(reason) => {
                reasons.push(format!("NodePool `{}`: {reason}", pool.metadata.name.as_deref().unwrap_or_default()))
            }
        }
    }
    let message = format!("no node can ever run the pods of {kind} `{}`", name.unwrap_or_default());
    Rule::UnschedulablePods.report(
        problems,
        at.span(&["metadata", "name"]),
        message,
        "they would stay pending",
        Some(reasons.join("\n")),
    );
}

fn untolerated<'a>(taints: &'a [Taint], pod: &PodSpec) -> Option<&'a Taint> {
    taints.iter().find(|taint| taint.effect != TaintEffect::PreferNoSchedule && !pod.tolerates(taint))
}

fn taint_reason(taint: &Taint) -> String {
    format!("its taint `{}={}:{}` is not tolerated", taint.key, taint.value, taint.effect.as_str())
}

fn group_refuses(group: &NodeGroup, pod: &PodSpec, cx: &Context<'_>) -> Option<String> {
    if let Some(taint) = untolerated(&group.taints, pod) {
        return Some(taint_reason(taint));
    }
    let known = group.instance_type.as_ref().and_then(|name| known_type(cx, name));
    // Labels that nodes get from elsewhere are only known with their type.
    let label = |key: &str| -> Option<Vec<String>> {
        let own = group.labels.get(key).map(|value| vec![value.clone()]);
        own.or_else(|| known?.labels.iter().find(|(label, _)| label == key).map(|(_, values)| values.clone()))
    };
    let mut wanted = wanted(pod).into_iter().filter(|want| !group.labels.contains_key(&want.key));
    if let Some(nowhere) = wanted.find(|want| no_zone_is(want, cx)) {
        return Some(not_in_region(&nowhere, cx));
    }
    for (key, value) in &pod.node_selector {
        let found = label(key);
        let is_topology = key.starts_with("topology.kubernetes.io/")
            || key == "kubernetes.io/hostname"
            || (known.is_none() && is_well_known(key));
        if !is_topology && !found.is_some_and(|values| values.contains(value)) {
            return Some(format!("has no label `{key}={value}`"));
        }
    }
    let capacity =
        if group.capacity == Resources::ZERO { known.map(|known| known.allocatable) } else { Some(group.capacity) };
    too_large(pod, &capacity?).map(|what| format!("a pod requests more {what} than a node has"))
}

fn pool_refuses(pool: &NodePool, pod: &PodSpec, cx: &Context<'_>) -> Option<String> {
    let template = &pool.spec.template;
    if let Some(taint) = untolerated(&template.spec.taints, pod) {
        return Some(taint_reason(taint));
    }
    let wanted = wanted(pod);
    if let Some(want) = wanted.iter().find(|want| !allows(pool, want)) {
        return Some(format!("does not allow `{} {} {}`", want.key, want.operator.as_str(), want.values.join(",")));
    }
    if let Some(resource) = over_limit(pool, pod) {
        return Some(format!("a pod requests more {resource} than `limits` allow in all"));
    }
    let known = cx.known.filter(|known| !known.types.is_empty())?;
    let all = template.spec.requirements.iter().chain(&wanted).collect::<Vec<_>>();
    if let Some(nowhere) = all.iter().find(|requirement| no_zone_is(requirement, cx)) {
        return Some(not_in_region(nowhere, cx));
    }
    let fitting: Vec<&KnownType> =
        known.types.iter().filter(|known| all.iter().all(|requirement| carries(known, requirement))).collect();
    if fitting.is_empty() {
        return Some("no instance type satisfies its requirements".to_owned());
    }
    if fitting.iter().all(|known| too_large(pod, &known.allocatable).is_some()) {
        let names: Vec<&str> = fitting.iter().map(|known| known.name.as_str()).collect();
        let what = too_large(pod, &fitting[0].allocatable).unwrap_or("capacity");
        return Some(format!("a pod requests more {what} than any of {} has", listed(&names)));
    }
    let limit = pool.spec.limits.as_ref()?.get("cpu")?.milli;
    let vcpus = |known: &KnownType| {
        let (_, values) = known.labels.iter().find(|(key, _)| key == "karpenter.k8s.aws/instance-cpu")?;
        values.first()?.parse::<i64>().ok()
    };
    let smallest = fitting.iter().filter(|known| too_large(pod, &known.allocatable).is_none());
    let smallest = smallest.filter_map(|known| vcpus(known)).min()?;
    (smallest.saturating_mul(1000) > limit)
        .then(|| format!("its instance types have {smallest} vCPUs or more, `limits` allow fewer"))
}

/// What a node must be for the pod.
fn wanted(pod: &PodSpec) -> Vec<NodeRequirement> {
    let selected = pod.node_selector.iter().map(|(key, value)| NodeRequirement {
        key: key.clone(),
        operator: NodeOperator::In,
        values: vec![value.clone()],
        min_values: None,
    });
    let mut wanted: Vec<NodeRequirement> = selected.collect();
    let required = pod.affinity.as_ref().and_then(|affinity| {
        affinity.node_affinity.as_ref()?.required_during_scheduling_ignored_during_execution.as_ref()
    });
    // With several terms one is enough: only a single one is sure to hold.
    if let Some([only]) = required.map(|required| required.node_selector_terms.as_slice()) {
        wanted.extend(only.match_expressions.iter().cloned());
    }
    wanted
}

fn not_in_region(requirement: &NodeRequirement, cx: &Context<'_>) -> String {
    format!("no zone of {} is in `{}`", cx.scenario.simulation.region, requirement.values.join(","))
}

/// Whether the requirement asks for a zone that the region does not have.
fn no_zone_is(requirement: &NodeRequirement, cx: &Context<'_>) -> bool {
    let zones = cx.known.map_or(&[][..], |known| &known.zones);
    let is_of_zones = ["topology.kubernetes.io/zone", "failure-domain.beta.kubernetes.io/zone"];
    is_of_zones.contains(&requirement.key.as_str())
        && requirement.operator == NodeOperator::In
        && !zones.is_empty()
        && !zones.iter().any(|zone| admits(requirement, zone))
}

fn known_type<'a>(cx: &Context<'a>, name: &str) -> Option<&'a KnownType> {
    cx.known?.types.iter().find(|known| known.name == name)
}

fn too_large(pod: &PodSpec, capacity: &Resources) -> Option<&'static str> {
    let requests = pod.requests();
    [Resource::Cpu, Resource::Memory]
        .into_iter()
        .find(|resource| requests.get(*resource) > capacity.get(*resource))
        .map(Resource::name)
}

fn over_limit(pool: &NodePool, pod: &PodSpec) -> Option<&'static str> {
    let requests = pod.requests();
    [Resource::Cpu, Resource::Memory].into_iter().find_map(|resource| {
        let limit = pool.spec.limits.as_ref()?.get(resource.name())?.milli;
        let wanted = if resource == Resource::Cpu {
            requests.get(resource)
        } else {
            requests.get(resource).saturating_mul(1000)
        };
        (wanted > limit).then_some(resource.name())
    })
}

fn is_well_known(key: &str) -> bool {
    let domains = [
        "karpenter.k8s.aws",
        "kubernetes.io",
        "node.kubernetes.io",
        "topology.kubernetes.io",
        "topology.k8s.aws",
        "beta.kubernetes.io",
        "failure-domain.beta.kubernetes.io",
    ];
    key == "karpenter.sh/capacity-type"
        || key == "karpenter.sh/nodepool"
        || domains.contains(&key.split('/').next().unwrap_or_default())
}

/// Whether some node of the pool may satisfy the requirement, as far as the pool's own requirements and labels tell.
fn allows(pool: &NodePool, want: &NodeRequirement) -> bool {
    let template = &pool.spec.template;
    if want.key == "karpenter.sh/nodepool" {
        return want.operator != NodeOperator::In
            || want.values.iter().any(|value| Some(value) == pool.metadata.name.as_ref());
    }
    let own: Vec<&NodeRequirement> = template.spec.requirements.iter().filter(|own| own.key == want.key).collect();
    let label = template.metadata.labels.get(&want.key);
    let is_defined = label.is_some() || own.iter().any(|own| own.operator != NodeOperator::DoesNotExist);
    match want.operator {
        NodeOperator::DoesNotExist => !is_defined || own.iter().any(|own| own.operator == NodeOperator::DoesNotExist),
        NodeOperator::NotIn => label.is_none_or(|value| !want.values.contains(value)),
        NodeOperator::In => {
            let open =
                |value: &String| own.iter().all(|own| admits(own, value)) && label.is_none_or(|label| label == value);
            (is_defined || is_well_known(&want.key)) && want.values.iter().any(open)
        }
        _ => is_defined || is_well_known(&want.key),
    }
}

/// Whether a requirement admits a value of its key.
fn admits(requirement: &NodeRequirement, value: &str) -> bool {
    let bound = requirement.values.first().and_then(|bound| bound.parse::<i64>().ok());
    let compare = |test: fn(i64, i64) -> bool| match (value.parse::<i64>(), bound) {
        (Ok(value), Some(bound)) => test(value, bound),
        _ => false,
    };
    match requirement.operator {
        NodeOperator::In => requirement.values.iter().any(|allowed| allowed == value),
        NodeOperator::NotIn => !requirement.values.iter().any(|refused| refused == value),
        NodeOperator::Exists => true,
        NodeOperator::DoesNotExist => false,
        NodeOperator::Gt => compare(|value, bound| value > bound),
        NodeOperator::Lt => compare(|value, bound| value < bound),
        NodeOperator::Gte => compare(|value, bound| value >= bound),
        NodeOperator::Lte => compare(|value, bound| value <= bound),
    }
}

/// Whether nodes of a type can satisfy a requirement; labels that types do not carry (zones, own labels) are no obstacle.
pub(super) fn carries(known: &KnownType, requirement: &NodeRequirement) -> bool {
    match known.labels.iter().find(|(key, _)| *key == requirement.key) {
        Some((_, values)) => values.iter().any(|value| admits(requirement, value)),
        None if requirement.key.starts_with("karpenter.k8s.aws/instance-") => {
            matches!(requirement.operator, NodeOperator::NotIn | NodeOperator::DoesNotExist)
        }
        None => true,
    }
}
