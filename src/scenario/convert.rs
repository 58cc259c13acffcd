//! Older API versions, rewritten into the current ones. Each rewriting leaves a note.

use super::kind::Kind;
use super::lint::Rule;
use crate::api::decode::Problems;
use crate::api::tree::{Key, Node, Span, Value};

/// Rewrites an object of an older API version in place.
pub fn to_current(
    kind: Kind,
    api_version: &str,
    span: Span,
    object: &mut Node,
    scenario: &mut Node,
    problems: &mut Problems,
) {
    match (kind, api_version) {
        (Kind::NodePool, "karpenter.sh/v1beta1") => node_pool(span, object, scenario, problems),
        (Kind::Ec2NodeClass, "karpenter.k8s.aws/v1beta1") => {
            note(span, "read as `karpenter.k8s.aws/v1`", "v1beta1 ended with Karpenter 1.1", problems);
        }
        (Kind::HorizontalPodAutoscaler, "autoscaling/v1") => horizontal_pod_autoscaler(span, object, problems),
        (Kind::HorizontalPodAutoscaler, "autoscaling/v2beta2") => {
            note(span, "read as `autoscaling/v2`", "v2beta2 ended with Kubernetes 1.26", problems);
        }
        (Kind::PodDisruptionBudget, "policy/v1beta1") => {
            note(span, "read as `policy/v1`", "v1beta1 ended with Kubernetes 1.25", problems);
        }
        _ => {}
    }
}

fn note(span: Span, message: &str, label: &str, problems: &mut Problems) {
    Rule::DeprecatedApi.report(problems, span, message, label, None);
}

/// `karpenter.sh/v1beta1` (`pkg/apis/v1beta1/nodepool_conversion.go`): the policy's name, `expireAfter` and `kubelet` moved,
/// `nodeClassRef.apiVersion` became `group`.
fn node_pool(span: Span, object: &mut Node, scenario: &mut Node, problems: &mut Problems) {
    let mut moved = Vec::new();
    let disruption = object.get_mut("spec").and_then(|spec| spec.get_mut("disruption"));
    let mut expire_after = None;
    if let Some(disruption) = disruption {
        policy_rules(disruption, problems);
        if let Some(policy) = disruption.get_mut("consolidationPolicy")
            && policy.as_str() == Some("WhenUnderutilized")
        {
            policy.value = Value::Str("WhenEmptyOrUnderutilized".to_owned());
            moved.push("`WhenUnderutilized` is `WhenEmptyOrUnderutilized`");
        }
        expire_after = disruption.remove("expireAfter");
    }
    let class = node_class_name(object);
    let template_spec =
        object.get_mut("spec").and_then(|spec| spec.get_mut("template")).and_then(|template| template.get_mut("spec"));
    if let Some(template_spec) = template_spec {
        if let Some((_, value)) = expire_after {
            template_spec.insert("expireAfter", value);
            moved.push("`expireAfter` stands in `spec.template.spec`");
        }
        template_spec.remove("resources");
        if let Some((key, kubelet)) = template_spec.remove("kubelet") {
            move_kubelet(key, kubelet, class.as_deref(), scenario, problems);
            moved.push("`kubelet` stands in the EC2NodeClass");
        }
        if let Some(class_ref) = template_spec.get_mut("nodeClassRef")
            && let Some((key, version)) = class_ref.remove("apiVersion")
        {
            let group = version.as_str().and_then(|text| text.split('/').next()).unwrap_or_default().to_owned();
            class_ref.insert("group", Node { value: Value::Str(group), span: key.span });
        }
    }
    let help = (!moved.is_empty()).then(|| format!("in v1 {}", moved.join(", ")));
    Rule::DeprecatedApi.report(problems, span, "read as `karpenter.sh/v1`", "v1beta1 ended with Karpenter 1.1", help);
}

/// What the v1beta1 webhook refuses.
fn policy_rules(disruption: &Node, problems: &mut Problems) {
    let policy = disruption.get("consolidationPolicy").and_then(Node::as_str).unwrap_or("WhenUnderutilized");
    let after = disruption.get("consolidateAfter");
    match (policy, after) {
        ("WhenUnderutilized", Some(after)) if after.as_str() != Some("Never") => problems.error_with_help(
            after.span,
            "`consolidateAfter` cannot be combined with `WhenUnderutilized` in v1beta1",
            "not allowed here",
            "leave it out, or write the NodePool in `karpenter.sh/v1`, where both go together",
        ),
        ("WhenEmpty", None) => problems.error(
            disruption.span,
            "`consolidateAfter` must be given with `WhenEmpty` in v1beta1",
            "needs `consolidateAfter`",
        ),
        _ => {}
    }
}

fn node_class_name(object: &Node) -> Option<String> {
    object.at(&["spec", "template", "spec", "nodeClassRef", "name"]).and_then(Node::as_str).map(str::to_owned)
}

/// The kubelet settings belong to the node class in v1; they wait in a table by class until all files are read.
fn move_kubelet(key: Key, kubelet: Node, class: Option<&str>, scenario: &mut Node, problems: &mut Problems) {
    let Some(class) = class else { return };
    let span = kubelet.span;
    let Value::Map(entries) = &mut scenario.value else { return };
    if !entries.iter().any(|(key, _)| key.name == KUBELETS) {
        entries.push((Key { name: KUBELETS.to_owned(), span }, Node { value: Value::Map(Vec::new()), span }));
    }
    let Some(waiting) = scenario.get_mut(KUBELETS) else { return };
    if waiting.get(class).is_some_and(|other| !same(other, &kubelet)) {
        problems.error_with_help(
            key.span,
            format!("two NodePools give the node class `{class}` different kubelet settings"),
            "differs from those of another NodePool",
            "give each NodePool a node class of its own",
        );
    }
    waiting.insert(class, kubelet);
}

/// Key of the waiting kubelet settings; it cannot be written in a file because it is taken out before decoding.
const KUBELETS: &str = "\u{0}kubelets";

/// What can be done only when all files are read: node classes get the kubelet settings of v1beta1 NodePools, triggers the queue
/// URLs that stand in their target's environment.
pub fn finish(scenario: &mut Node) {
    node_classes(scenario);
    queue_urls(scenario);
}

fn queue_urls(scenario: &mut Node) {
    let deployments = scenario.get(Kind::Deployment.section()).cloned();
    let deployments = deployments.as_ref().and_then(Node::items).unwrap_or_default();
    let environment_of = |name: &str| {
        let own = |object: &&Node| object.at(&["metadata", "name"]).and_then(Node::as_str) == Some(name);
        deployments.iter().find(own).and_then(|object| object.at(&["spec", "template", "spec", "containers"]))
    };
    for kind in [Kind::ScaledObject, Kind::ScaledJob] {
        let Some(Node { value: Value::List(objects), .. }) = scenario.get_mut(kind.section()) else { continue };
        for object in objects {
            let containers = match kind {
                Kind::ScaledJob => object.at(&["spec", "jobTargetRef", "template", "spec", "containers"]),
                _ => object.at(&["spec", "scaleTargetRef", "name"]).and_then(Node::as_str).and_then(environment_of),
            };
            let containers = containers.cloned();
            let Some(triggers) = object.get_mut("spec").and_then(|spec| spec.get_mut("triggers")) else { continue };
            let Value::List(triggers) = &mut triggers.value else { continue };
            for trigger in triggers {
                let Some(metadata) = trigger.get_mut("metadata") else { continue };
                let variable = metadata.get("queueURLFromEnv").and_then(Node::as_str).unwrap_or_default().to_owned();
                let value = containers.as_ref().and_then(|containers| variable_value(containers, &variable));
                if let Some(value) = value.filter(|_| metadata.get("queueURL").is_none()) {
                    metadata.insert("queueURL", value);
                }
            }
        }
    }
}

/// The plain value of an environment variable of the first container, where KEDA looks.
fn variable_value(containers: &Node, variable: &str) -> Option<Node> {
    let variables = containers.items()?.first()?.get("env")?.items()?;
    let own = |entry: &&Node| entry.get("name").and_then(Node::as_str) == Some(variable);
    variables.iter().find(own)?.get("value").filter(|value| value.as_str().is_some()).cloned()
}

fn node_classes(scenario: &mut Node) {
    let Some((_, Node { value: Value::Map(kubelets), .. })) = scenario.remove(KUBELETS) else { return };
    let Some(Node { value: Value::List(classes), .. }) = scenario.get_mut(Kind::Ec2NodeClass.section()) else { return };
    for class in classes {
        let name = class.at(&["metadata", "name"]).and_then(Node::as_str).map(str::to_owned);
        let kubelet = kubelets.iter().find(|(key, _)| Some(&key.name) == name.as_ref());
        if let (Some((_, kubelet)), Some(spec)) = (kubelet, class.get_mut("spec"))
            && spec.get("kubelet").is_none()
        {
            spec.insert("kubelet", kubelet.clone());
        }
    }
}

fn same(a: &Node, b: &Node) -> bool {
    match (&a.value, &b.value) {
        (Value::Map(a), Value::Map(b)) => {
            a.len() == b.len()
                && a.iter().all(|(key, value)| b.iter().any(|(k, v)| k.name == key.name && same(value, v)))
        }
        (Value::List(a), Value::List(b)) => a.len() == b.len() && a.iter().zip(b).all(|(a, b)| same(a, b)),
        (a, b) => a == b,
    }
}

/// `autoscaling/v1`: one CPU target instead of `metrics`.
fn horizontal_pod_autoscaler(span: Span, object: &mut Node, problems: &mut Problems) {
    let Some(spec) = object.get_mut("spec") else { return };
    if let Some((key, target)) = spec.remove("targetCPUUtilizationPercentage") {
        let place = key.span;
        let text = |text: &str| Node { value: Value::Str(text.to_owned()), span: place };
        let map = |entries: Vec<(&str, Node)>| Node {
            value: Value::Map(entries.into_iter().map(|(k, v)| (Key { name: k.to_owned(), span: place }, v)).collect()),
            span: place,
        };
        let target = map(vec![("type", text("Utilization")), ("averageUtilization", target)]);
        let resource = map(vec![("name", text("cpu")), ("target", target)]);
        let metric = map(vec![("type", text("Resource")), ("resource", resource)]);
        spec.insert("metrics", Node { value: Value::List(vec![metric]), span: place });
    }
    note(span, "read as `autoscaling/v2`", "`targetCPUUtilizationPercentage` is one of its metrics", problems);
}
