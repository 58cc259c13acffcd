//! Kubernetes manifests: which kinds are read, which are left aside, and where each object goes.

use super::convert;
use super::kind::Kind;
use super::lint::Rule;
use super::priorities;
use crate::api::decode::{Problems, closest};
use crate::api::tree::{Key, Node, Span, Value};

/// Most objects of one scenario.
pub const MAX_OBJECTS: usize = 10_000;

/// Kinds that scale or place pods in ways that are not simulated.
const NOT_SIMULATED: [&str; 7] =
    ["StatefulSet", "ReplicaSet", "ReplicationController", "Job", "CronJob", "VerticalPodAutoscaler", "ClusterPolicy"];

/// API groups of which every kind is known here: another one is a mistake.
const OWN_GROUPS: [&str; 4] = ["keda.sh", "karpenter.sh", "karpenter.k8s.aws", "karpenter.kwok.sh"];
/// Kinds of those groups that have no effect.
const WITHOUT_EFFECT: [&str; 3] = ["TriggerAuthentication", "ClusterTriggerAuthentication", "NodeClaim"];

/// Sorts the documents of one manifest file into the lists of the scenario.
pub fn collect(documents: Vec<Node>, scenario: &mut Node, problems: &mut Problems) {
    for document in documents {
        object(document, scenario, problems);
    }
}

fn object(mut document: Node, scenario: &mut Node, problems: &mut Problems) {
    if document.entries().is_none() {
        problems.error(document.span, "expected a Kubernetes object", format!("this is {}", document.value.kind()));
        return;
    }
    let Some((kind, kind_span)) = text_of(&document, "kind", problems) else { return };
    if kind == "List" || kind.ends_with("List") && document.get("items").is_some() {
        if let Some((_, Node { value: Value::List(items), .. })) = document.remove("items") {
            collect(items, scenario, problems);
        }
        return;
    }
    let Some((api_version, version_span)) = text_of(&document, "apiVersion", problems) else { return };
    if kind == "ConfigMap" {
        return config_map(&mut document, scenario, problems);
    }
    let Some(known) = Kind::parse(&kind) else {
        unknown_kind(&kind, kind_span, &api_version, problems);
        return;
    };
    let group = |version: &str| version.rsplit_once('/').map_or(String::new(), |(group, _)| group.to_owned());
    if !known.api_versions().contains(&api_version.as_str()) {
        // Another API's kind of the same name has nothing to do with this one.
        let same_group = known.api_versions().iter().any(|version| group(version) == group(&api_version));
        let near = closest(&api_version, known.api_versions().iter().copied());
        if same_group || near.is_some() {
            let listed = known.api_versions().iter().map(|v| format!("`{v}`")).collect::<Vec<_>>().join(", ");
            problems.error_with_help(
                version_span,
                format!("unknown apiVersion `{api_version}` for {kind}"),
                "not a version of this kind",
                format!("use {listed}"),
            );
        }
        return;
    }
    document.span = kind_span;
    convert::to_current(known, &api_version, version_span, &mut document, scenario, problems);
    push(scenario, known.section(), document, problems);
}

/// Of ConfigMaps only the one of Cluster Autoscaler's expander is read.
fn config_map(document: &mut Node, scenario: &mut Node, problems: &mut Problems) {
    if document.at(&["metadata", "name"]).and_then(Node::as_str) != Some(priorities::CONFIG_MAP) {
        return;
    }
    let span = document.span;
    let data = document.get_mut("data").and_then(|data| data.remove(priorities::CONFIG_MAP_KEY));
    let Some((_, data)) = data else {
        let label = format!("needs `{}` in its data", priorities::CONFIG_MAP_KEY);
        return problems.error(span, "this ConfigMap holds no priorities", label);
    };
    if scenario.get("clusterAutoscaler").is_none() {
        scenario.insert("clusterAutoscaler", Node { span: data.span, ..Node::empty_map() });
    }
    if let Some(section) = scenario.get_mut("clusterAutoscaler") {
        match section.get(priorities::CONFIG_MAP_KEY).map(|other| other.span) {
            Some(other) => {
                problems.error(data.span, "priorities are given twice", "the second ones");
                problems.relate(other, "the first ones");
            }
            None => section.insert(priorities::CONFIG_MAP_KEY, data),
        }
    }
}

fn unknown_kind(kind: &str, span: Span, api_version: &str, problems: &mut Problems) {
    let group = api_version.split('/').next().unwrap_or_default();
    if WITHOUT_EFFECT.contains(&kind) {
        return;
    }
    if kind == "Provisioner" && group == "karpenter.sh" {
        problems.error_with_help(
            span,
            "Provisioner belongs to Karpenter before 0.32",
            "not read",
            "write it as a NodePool (`karpenter.sh/v1`) with an EC2NodeClass",
        );
    } else if let Some(near) =
        closest(kind, Kind::ALL.iter().map(|kind| kind.name())).filter(|_| OWN_GROUPS.contains(&group))
    {
        problems.error_with_help(
            span,
            format!("unknown kind `{kind}`"),
            "no such kind",
            format!("did you mean `{near}`?"),
        );
    } else if NOT_SIMULATED.contains(&kind) || OWN_GROUPS.contains(&group) {
        Rule::NotSimulated.report(
            problems,
            span,
            format!("{kind} is not simulated"),
            "this object has no effect",
            None,
        );
    }
}

fn text_of(document: &Node, key: &str, problems: &mut Problems) -> Option<(String, Span)> {
    match document.get(key) {
        Some(node) => match node.as_str() {
            Some(text) => Some((text.to_owned(), node.span)),
            None => {
                problems.error(
                    node.span,
                    format!("`{key}` must be a string"),
                    format!("this is {}", node.value.kind()),
                );
                None
            }
        },
        None => {
            problems.error_with_help(
                document.span,
                format!("missing `{key}`"),
                "every Kubernetes object has one",
                "an object has `apiVersion`, `kind`, `metadata` and usually `spec`",
            );
            None
        }
    }
}

/// Appends an object to a list of the scenario.
fn push(scenario: &mut Node, section: &str, object: Node, problems: &mut Problems) {
    let Value::Map(entries) = &mut scenario.value else { return };
    let total: usize = entries
        .iter()
        .filter(|(key, _)| Kind::of_section(&key.name).is_some())
        .filter_map(|(_, list)| list.items())
        .map(<[Node]>::len)
        .sum();
    if total >= MAX_OBJECTS {
        if total == MAX_OBJECTS {
            problems.error(object.span, "too many objects", format!("more than {MAX_OBJECTS} in one scenario"));
        }
        return;
    }
    match entries.iter_mut().find(|(key, _)| key.name == section) {
        // A section that is no list is reported when the scenario is decoded.
        Some((_, Node { value: Value::List(items), .. })) => items.push(object),
        Some(_) => {}
        None => {
            let span = object.span;
            entries.push((Key { name: section.to_owned(), span }, Node { value: Value::List(vec![object]), span }));
        }
    }
}
