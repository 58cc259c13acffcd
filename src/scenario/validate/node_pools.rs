//! NodePools and node classes: the rules of Karpenter's CRDs (`pkg/apis/v1/nodepool.go`, `nodeclaim_validation.go`, `labels.go`).

use jiff::tz::TimeZone;

use super::context::{At, Context, listed};
use super::pods::{check_label, check_requirements, check_taints};
use crate::api::capacity_buffer::CapacityBufferSpec;
use crate::api::decode::{Problems, closest};
use crate::api::karpenter::{Budget, ConsolidationPolicy, NodeOverlaySpec, NodePool, NodePoolSpec};
use crate::api::pod::{NodeOperator, NodeRequirement};
use crate::api::tree::Span;
use crate::engine::cron::Schedule;
use crate::scenario::kind::Kind;
use crate::scenario::lint::Rule;
use crate::units::Resource;

/// Most requirements of a pool.
const MAX_REQUIREMENTS: usize = 100;
/// Most budgets of a pool.
const MAX_BUDGETS: usize = 50;

pub(super) fn check(cx: &Context<'_>, problems: &mut Problems) {
    for (pool, at) in cx.elements("nodePools", &cx.scenario.node_pools) {
        check_pool(pool, at.into(&["spec"]), cx, problems);
    }
    for (overlay, at) in cx.elements("nodeOverlays", &cx.scenario.node_overlays) {
        check_overlay(&overlay.spec, at.into(&["spec"]), cx, problems);
    }
    for (buffer, at) in cx.elements("capacityBuffers", &cx.scenario.capacity_buffers) {
        check_buffer(&buffer.spec, at.into(&["spec"]), cx, problems);
    }
    for (class, at) in cx.elements("ec2NodeClasses", &cx.scenario.node_classes) {
        let Some(kubelet) = &class.spec.kubelet else { continue };
        let at = at.into(&["spec", "kubelet"]);
        for (field, table) in [("kubeReserved", &kubelet.kube_reserved), ("systemReserved", &kubelet.system_reserved)] {
            for (key, value) in table {
                known_key(key, &["cpu", "memory", "ephemeral-storage", "pid"], at, &[field, key], problems);
                if crate::units::parse_quantity_milli(value).is_err() {
                    problems.error(
                        at.span(&[field, key]),
                        format!("`{value}` is not a quantity"),
                        "such as \"100m\" or \"255Mi\"",
                    );
                }
            }
        }
        let signals = [
            "memory.available",
            "nodefs.available",
            "nodefs.inodesFree",
            "imagefs.available",
            "imagefs.inodesFree",
            "pid.available",
        ];
        for (key, value) in &kubelet.eviction_hard {
            known_key(key, &signals, at, &["evictionHard", key], problems);
            let is_percent = value
                .strip_suffix('%')
                .is_some_and(|number| number.parse::<f64>().is_ok_and(|n| (0.0..=100.0).contains(&n)));
            if !is_percent && crate::units::parse_quantity(value).is_err() {
                problems.error(
                    at.span(&["evictionHard", key]),
                    format!("`{value}` is not a threshold"),
                    "a quantity such as \"100Mi\", or a percentage",
                );
            }
        }
    }
}

fn known_key(key: &str, known: &[&str], at: At<'_>, path: &[&str], problems: &mut Problems) {
    if known.contains(&key) {
        return;
    }
    let help = closest(key, known.iter().copied())
        .map_or_else(|| format!("known: {}", listed(known)), |near| format!("did you mean `{near}`?"));
    problems.error_with_help(at.key(path), format!("unknown key `{key}`"), "not allowed here", help);
}

fn check_pool(pool: &NodePool, at: At<'_>, cx: &Context<'_>, problems: &mut Problems) {
    let spec = &pool.spec;
    if let Some(weight) = spec.weight.filter(|weight| !(1..=100).contains(weight)) {
        problems.error(at.span(&["weight"]), format!("weight {weight} is out of range"), "must be between 1 and 100");
    }
    check_static(spec, at, cx, problems);
    check_limits(spec, at.into(&["limits"]), problems);
    check_template(spec, at.into(&["template"]), cx, problems);
    let disruption = at.into(&["disruption"]);
    if spec.disruption.consolidation_policy == ConsolidationPolicy::Balanced
        && !cx.scenario.versions.karpenter_cost_ratio_order()
    {
        problems.error(
            disruption.span(&["consolidationPolicy"]),
            "`Balanced` needs Karpenter 1.14",
            "unknown to the version that runs",
        );
    }
    let budgets = spec.disruption.budgets.as_deref().unwrap_or_default();
    if budgets.len() > MAX_BUDGETS {
        problems.error(disruption.key(&["budgets"]), "too many budgets", format!("at most {MAX_BUDGETS}"));
    }
    for (index, budget) in budgets.iter().enumerate() {
        check_budget(budget, disruption.into(&["budgets", &index.to_string()]), problems);
    }
}

/// The rules of the CRD (`pkg/apis/crds/karpenter.sh_nodeoverlays.yaml`).
fn check_overlay(spec: &NodeOverlaySpec, at: At<'_>, cx: &Context<'_>, problems: &mut Problems) {
    if !cx.scenario.karpenter.node_overlay {
        let help = Some("set `[karpenter] nodeOverlay = true`".to_owned());
        Rule::GateOff.report(
            problems,
            at.span(&[]),
            "a NodeOverlay without effect",
            "the gate `NodeOverlay` is off",
            help,
        );
    }
    if spec.price.is_some() && spec.price_adjustment.is_some() {
        problems.error(at.key(&["priceAdjustment"]), "cannot set both `price` and `priceAdjustment`", "one of them");
    }
    for (field, value) in [("price", &spec.price), ("priceAdjustment", &spec.price_adjustment)] {
        if value.is_some() && spec.price_overlay().is_none() {
            let label = "such as \"0.12\" for a price, \"+0.02\" or \"-15%\" for an adjustment";
            problems.error(at.span(&[field]), "not a price", label);
        }
    }
    if let Some(weight) = spec.weight.filter(|weight| !(1..=10_000).contains(weight)) {
        problems.error(at.span(&["weight"]), format!("weight {weight} is out of range"), "must be between 1 and 10000");
    }
    let own = [Resource::Cpu, Resource::Memory, Resource::EphemeralStorage, Resource::Pods];
    if own.into_iter().any(|resource| spec.capacity.get(resource) != 0) {
        problems.error(at.span(&["capacity"]), "an overlay cannot change what a type has", "extended resources only");
    }
    let pool = spec.requirements.iter().any(|requirement| requirement.key == "karpenter.sh/nodepool");
    if pool {
        problems.error(
            at.span(&["requirements"]),
            "overlays of single NodePools are not modelled",
            "remove `karpenter.sh/nodepool`",
        );
    }
    check_requirements(&spec.requirements, at.into(&["requirements"]), true, problems);
}

/// `pkg/apis/crds/autoscaling.x-k8s.io_capacitybuffers.yaml`, and that what it names exists.
fn check_buffer(spec: &CapacityBufferSpec, at: At<'_>, cx: &Context<'_>, problems: &mut Problems) {
    if !cx.scenario.karpenter.capacity_buffer {
        let help = Some("set `[karpenter] capacityBuffer = true`".to_owned());
        Rule::GateOff.report(
            problems,
            at.span(&[]),
            "a CapacityBuffer without effect",
            "the gate `CapacityBuffer` is off",
            help,
        );
    }
    match (&spec.pod_template_ref, &spec.scalable_ref) {
        (Some(template), None) => {
            let at = at.span(&["podTemplateRef", "name"]);
            cx.must_exist("PodTemplate", &template.name, &cx.names(Kind::PodTemplate), at, problems);
        }
        (None, Some(target)) if target.kind == "Deployment" => {
            let at = at.span(&["scalableRef", "name"]);
            cx.must_exist("Deployment", &target.name, &cx.names(Kind::Deployment), at, problems);
        }
        (None, Some(_)) => {
            problems.error(at.span(&["scalableRef", "kind"]), "not simulated", "only Deployments");
        }
        _ => problems.error(
            at.span(&[]),
            "whose pods is there to be room for?",
            "one of `podTemplateRef` and `scalableRef` is needed",
        ),
    }
    if spec.replicas.is_none() && spec.percentage.is_none() && spec.limits.is_none() {
        problems.error(
            at.span(&[]),
            "a CapacityBuffer of no size",
            "one of `replicas`, `percentage`, `limits` is needed",
        );
    }
}

fn check_static(spec: &NodePoolSpec, at: At<'_>, cx: &Context<'_>, problems: &mut Problems) {
    if spec.replicas.is_none() {
        return;
    }
    if !cx.scenario.karpenter.static_capacity {
        let help = "set `[karpenter] staticCapacity = true`";
        problems.error_with_help(
            at.key(&["replicas"]),
            "`replicas` needs the gate `StaticCapacity`",
            "the gate is off",
            help,
        );
    }
    if spec.weight.is_some() {
        problems.error(at.key(&["weight"]), "a NodePool with `replicas` takes no `weight`", "not allowed here");
    }
    if spec.limits.as_ref().is_some_and(|limits| limits.keys().any(|key| key != "nodes")) {
        problems.error(
            at.key(&["limits"]),
            "a NodePool with `replicas` takes `limits.nodes` only",
            "other limits are not allowed",
        );
    }
}

fn check_limits(spec: &NodePoolSpec, at: At<'_>, problems: &mut Problems) {
    for (key, quantity) in spec.limits.iter().flatten() {
        if Resource::parse(key).is_none() {
            let near = closest(key, Resource::ALL.iter().map(|resource| resource.name()));
            let help = near.map_or_else(
                || "known: `cpu`, `memory`, `nodes`, `pods`, `ephemeral-storage` and GPUs".to_owned(),
                |near| format!("did you mean `{near}`?"),
            );
            problems.error_with_help(at.key(&[key]), format!("unknown resource `{key}`"), "limits nothing", help);
        } else if quantity.milli < 0 {
            problems.error(at.span(&[key]), "negative limit", "must not be negative");
        }
    }
}

fn check_template(spec: &NodePoolSpec, at: At<'_>, cx: &Context<'_>, problems: &mut Problems) {
    for (key, value) in &spec.template.metadata.labels {
        check_label(key, value, at, &["metadata", "labels", key], problems);
        restricted(key, at.key(&["metadata", "labels", key]), false, problems);
    }
    let template = &spec.template.spec;
    let at = at.into(&["spec"]);
    if template.requirements.len() > MAX_REQUIREMENTS {
        problems.error(at.key(&["requirements"]), "too many requirements", format!("at most {MAX_REQUIREMENTS}"));
    }
    check_requirements(&template.requirements, at.into(&["requirements"]), true, problems);
    for (index, requirement) in template.requirements.iter().enumerate() {
        check_requirement(requirement, at.into(&["requirements", &index.to_string()]), cx, problems);
    }
    for (field, taints) in [("taints", &template.taints), ("startupTaints", &template.startup_taints)] {
        check_taints(taints, at.into(&[field]), problems);
    }
    match &template.node_class_ref {
        None => {
            let help = "nodeClassRef: { group: karpenter.k8s.aws, kind: EC2NodeClass, name: default }";
            problems.error_with_help(at.span(&[]), "missing field `nodeClassRef`", "names no node class", help);
        }
        Some(class) => {
            let kind =
                if class.kind.as_deref() == Some("KWOKNodeClass") { Kind::KwokNodeClass } else { Kind::Ec2NodeClass };
            if class.kind.as_deref().is_some_and(|name| Kind::parse(name) != Some(kind)) {
                problems.error(
                    at.span(&["nodeClassRef", "kind"]),
                    "unknown kind of node class",
                    "`EC2NodeClass` or `KWOKNodeClass`",
                );
            }
            let names = cx.names(kind);
            let span = at.span(&["nodeClassRef", "name"]);
            if names.is_empty() {
                let label = format!("an {} with defaults stands in", kind.name());
                Rule::NoNodeClass.report(problems, span, format!("the scenario has no {}", kind.name()), label, None);
            } else {
                cx.must_exist(kind.name(), &class.name, &names, span, problems);
            }
        }
    }
}

/// Domains whose labels Karpenter or the kubelet set themselves.
fn restricted(key: &str, span: Span, requirement: bool, problems: &mut Problems) {
    const WELL_KNOWN: [&str; 12] = [
        "karpenter.sh/capacity-type",
        "topology.kubernetes.io/zone",
        "topology.kubernetes.io/region",
        "node.kubernetes.io/instance-type",
        "kubernetes.io/arch",
        "kubernetes.io/os",
        "node.kubernetes.io/windows-build",
        "beta.kubernetes.io/arch",
        "beta.kubernetes.io/os",
        "beta.kubernetes.io/instance-type",
        "failure-domain.beta.kubernetes.io/zone",
        "failure-domain.beta.kubernetes.io/region",
    ];
    if WELL_KNOWN.contains(&key) {
        return;
    }
    let domain = key.split_once('/').map_or("", |(domain, _)| domain);
    let is_karpenter = domain == "karpenter.sh" || domain.ends_with(".karpenter.sh") || key == "kubernetes.io/hostname";
    if is_karpenter {
        let near = closest(key, WELL_KNOWN.into_iter()).map(|near| format!("did you mean `{near}`?"));
        let help = near.unwrap_or_else(|| "use a label of your own domain".to_owned());
        problems.error_with_help(span, format!("label `{key}` is restricted"), "set by Karpenter itself", help);
        return;
    }
    if domain == "karpenter.k8s.aws" && !requirement {
        problems.error(span, format!("label `{key}` is restricted"), "comes from the instance type");
        return;
    }
    let excepted = ["node.kubernetes.io", "node-restriction.kubernetes.io", "kops.k8s.io"];
    let is_kubernetes = domain.ends_with("kubernetes.io") || domain.ends_with("k8s.io");
    if is_kubernetes && !excepted.iter().any(|exception| domain.ends_with(exception)) {
        let near = closest(key, WELL_KNOWN.into_iter()).map(|near| format!("did you mean `{near}`?"));
        Rule::RestrictedLabel.report(
            problems,
            span,
            format!("label domain `{domain}` is restricted in most versions of Karpenter"),
            "refused by its CRD there",
            near,
        );
    }
}

fn check_requirement(requirement: &NodeRequirement, at: At<'_>, cx: &Context<'_>, problems: &mut Problems) {
    if let Some(min) = requirement.min_values {
        if !(1..=50).contains(&min) {
            problems.error(
                at.span(&["minValues"]),
                format!("minValues {min} is out of range"),
                "must be between 1 and 50",
            );
        } else if requirement.operator == NodeOperator::In && requirement.values.len() < min as usize {
            let label = format!("number of listed values: {}", requirement.values.len());
            problems.error(at.span(&["minValues"]), format!("minValues {min} cannot be met"), label);
            problems.relate(at.span(&["values"]), "the values");
        }
    }
    let key = requirement.key.as_str();
    if is_own_domain(key) {
        known_label(requirement, at, cx, problems);
    } else {
        restricted(key, at.span(&["key"]), true, problems);
        known_requirement(requirement, at, cx, problems);
    }
}

fn is_own_domain(key: &str) -> bool {
    key.starts_with("karpenter.k8s.aws/")
}

/// A label of the AWS provider must be one that instance types carry.
fn known_label(requirement: &NodeRequirement, at: At<'_>, cx: &Context<'_>, problems: &mut Problems) {
    const OTHER: [&str; 6] = [
        "capacity-reservation-id",
        "capacity-reservation-type",
        "capacity-reservation-interruptible",
        "placement-group-id",
        "placement-group-partition",
        "ec2nodeclass",
    ];
    let Some(known) = cx.known.filter(|known| !known.types.is_empty()) else { return };
    let mut keys: Vec<&str> = known
        .types
        .iter()
        .flat_map(|t| t.labels.iter().map(|(key, _)| key.as_str()))
        .filter(|key| is_own_domain(key))
        .collect();
    keys.sort_unstable();
    keys.dedup();
    let key = requirement.key.as_str();
    let name = key.trim_start_matches("karpenter.k8s.aws/");
    if !keys.contains(&key)
        && !OTHER.contains(&name)
        && !name.starts_with("instance-gpu")
        && !name.starts_with("instance-accelerator")
    {
        if let Some(near) = closest(key, keys.iter().copied()) {
            problems.error_with_help(
                at.span(&["key"]),
                format!("no instance type has the label `{key}`"),
                "restricted, or misspelt",
                format!("did you mean `{near}`?"),
            );
        }
        return;
    }
    known_requirement(requirement, at, cx, problems);
}

/// Values of `In` and `NotIn` that no instance type and no zone has.
pub(super) fn known_requirement(requirement: &NodeRequirement, at: At<'_>, cx: &Context<'_>, problems: &mut Problems) {
    if matches!(requirement.operator, NodeOperator::In | NodeOperator::NotIn) {
        known_values(&requirement.key, &requirement.values, at, cx, problems);
    }
}

/// Values of a node label that no instance type and no zone has.
pub(super) fn known_values(key: &str, written: &[String], at: At<'_>, cx: &Context<'_>, problems: &mut Problems) {
    let Some((key, what, values)) = values_there_are(key, cx) else { return };
    for (index, value) in written.iter().enumerate() {
        known_value(key, what, value, &values, at.span(&["values", &index.to_string()]), cx, problems);
    }
}

/// The same for an entry of a pod's `nodeSelector`; `at` is its value.
pub(super) fn known_selection(key: &str, value: &str, at: Span, cx: &Context<'_>, problems: &mut Problems) {
    if let Some((key, what, values)) = values_there_are(key, cx) {
        known_value(key, what, value, &values, at, cx, problems);
    }
}

/// The key that a label stands for, what its values are, and which of them there are in the region; `None` = anything may be.
fn values_there_are<'a>(key: &'a str, cx: &Context<'a>) -> Option<(&'a str, &'static str, Vec<&'a str>)> {
    let known = cx.known.filter(|known| !known.types.is_empty())?;
    let key = match key {
        "beta.kubernetes.io/instance-type" => "node.kubernetes.io/instance-type",
        "failure-domain.beta.kubernetes.io/zone" | "topology.ebs.csi.aws.com/zone" => "topology.kubernetes.io/zone",
        "beta.kubernetes.io/arch" => "kubernetes.io/arch",
        key => key,
    };
    let (what, mut values): (&str, Vec<&str>) = match key {
        "topology.kubernetes.io/zone" => ("zone", known.zones.iter().map(String::as_str).collect()),
        "karpenter.sh/capacity-type" => ("capacity type", vec!["spot", "on-demand", "reserved"]),
        _ => {
            let labels = known.types.iter().flat_map(|t| t.labels.iter()).filter(|(label, _)| label == key);
            let what = if key == "node.kubernetes.io/instance-type" { "instance type" } else { "value" };
            (what, labels.flat_map(|(_, values)| values.iter().map(String::as_str)).collect())
        }
    };
    values.sort_unstable();
    values.dedup();
    (!values.is_empty()).then_some((key, what, values))
}

fn known_value(
    key: &str,
    what: &str,
    value: &str,
    values: &[&str],
    at: Span,
    cx: &Context<'_>,
    problems: &mut Problems,
) {
    if values.contains(&value) {
        return;
    }
    let help = match closest(value, values.iter().copied()) {
        Some(near) => Some(format!("did you mean `{near}`?")),
        None if values.len() <= 20 => Some(format!("there is {}", listed(values))),
        None => None,
    };
    let message = if what == "value" {
        format!("no instance type has `{key}` = `{value}`")
    } else {
        format!("unknown {what} `{value}`")
    };
    Rule::UnknownValue.report(problems, at, message, format!("not in {}", cx.scenario.simulation.region), help);
}

fn check_budget(budget: &Budget, at: At<'_>, problems: &mut Problems) {
    let text = budget.nodes.as_str();
    let digits = text.strip_suffix('%').unwrap_or(text);
    let is_number = !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit());
    let is_percent = text.ends_with('%');
    if !is_number || (is_percent && digits.parse::<u32>().map_or(true, |percent| percent > 100)) {
        let label = "a count such as \"3\", or \"0%\" to \"100%\"";
        problems.error(at.span(&["nodes"]), format!("`{text}` is not a number of nodes"), label);
    }
    match (&budget.schedule, &budget.duration) {
        (Some(_), None) => problems.error(at.key(&["schedule"]), "`schedule` needs `duration`", "for how long?"),
        (None, Some(_)) => problems.error(at.key(&["duration"]), "`duration` needs `schedule`", "from when?"),
        _ => {}
    }
    if let Some(schedule) = &budget.schedule
        && let Err(error) = Schedule::parse(schedule, TimeZone::UTC)
    {
        let help = "minute hour day-of-month month day-of-week in UTC, such as `0 9 * * mon-fri`, or `@daily`";
        problems.error_with_help(
            at.span(&["schedule"]),
            format!("`{schedule}` is not a schedule"),
            error.to_string(),
            help,
        );
    }
    if let Some(duration) = &budget.duration
        && (duration.0.as_micros() == 0 || duration.0.as_micros() % 60_000_000 != 0)
    {
        problems.error(
            at.span(&["duration"]),
            "the duration of a budget must be whole minutes",
            "only hours and minutes are accepted",
        );
    }
}
