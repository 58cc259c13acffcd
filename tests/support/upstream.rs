//! Reads what the real scheduler and the real methods of disruption decided (`tests/data/upstream`).

use forescale::api::meta::Labels;
use forescale::api::pod::PodSpec;
use forescale::cluster::catalogue::Catalogue;
use forescale::karpenter::scheduling::requirement::{Effect, Requirement};
use forescale::karpenter::scheduling::{NewClaim, capacity_types, labels};
use serde_json::{Value, json};

use super::json::node;

/// The items of a list; none if there is none.
pub fn list(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], |list| &list[..])
}

/// A text; empty if there is none.
pub fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

/// Labels of an object.
pub fn labels_of(value: &Value) -> Labels {
    value.as_object().into_iter().flatten().map(|(key, value)| (key.clone(), text(value).to_owned())).collect()
}

/// Decodes an object; panics with the problems if it is not valid.
pub fn decode<T: forescale::api::decode::Decode>(value: &Value) -> T {
    let mut problems = forescale::api::decode::Problems::default();
    let decoded = T::decode(&node(value), &mut problems);
    decoded.filter(|_| !problems.has_errors()).unwrap_or_else(|| panic!("{value}: {:?}", problems.list))
}

/// Name, labels and spec of the pods of a shape: its parts of a pod spec, and one container with its requests.
pub fn shape_of(shape: &Value) -> (String, Labels, PodSpec) {
    let mut spec = shape["spec"].as_object().cloned().unwrap_or_default();
    let ports = match spec.remove("hostPort") {
        Some(port) => json!([{"containerPort": port, "hostPort": port}]),
        None => json!([]),
    };
    let requests = json!({"cpu": format!("{}m", shape["cpu_m"]), "memory": format!("{}Mi", shape["mem_mi"])});
    spec.insert(
        "containers".to_owned(),
        json!([{"name": "main", "ports": ports, "resources": {"requests": requests}}]),
    );
    (text(&shape["name"]).to_owned(), labels_of(&shape["labels"]), decode(&Value::Object(spec)))
}

/// Spec of a pool; all have one node class.
pub fn pool_spec(pool: &Value) -> Value {
    let mut spec = pool["spec"].clone();
    spec["template"]["spec"]["nodeClassRef"] =
        json!({"group": "karpenter.kwok.sh", "kind": "KWOKNodeClass", "name": "instant"});
    spec
}

/// The requirements of the NodeClaim, instance types aside, as the API shows them (`NodeSelectorRequirements`).
pub fn requirements(catalogue: &Catalogue, claim: &NewClaim) -> Vec<String> {
    let mut all = claim.requirements.as_ref().clone();
    let offered = capacity_types(catalogue, &claim.options, &claim.requirements);
    all.add(labels::CAPACITY_TYPE, Requirement::one_of(offered.iter().map(|one| one.as_str().to_owned())));
    let shown = all.iter().filter(|(key, _)| *key != labels::INSTANCE_TYPE);
    let mut written: Vec<String> = shown.flat_map(|(key, requirement)| written(key, requirement)).collect();
    written.sort_unstable();
    written
}

fn written(key: &str, requirement: &Requirement) -> Vec<String> {
    let least = requirement.min_values.map_or_else(String::new, |least| format!(" min {least}"));
    let (low, high) = requirement.bounds();
    if (low, high) != (None, None) {
        let low = low.map(|bound| format!("{key} Gte [{bound}]{least}"));
        let high = high.map(|bound| format!("{key} Lte [{bound}]{least}"));
        return low.into_iter().chain(high).collect();
    }
    let operator = match requirement.effect() {
        Effect::In => "In",
        Effect::NotIn => "NotIn",
        Effect::Exists => "Exists",
        Effect::DoesNotExist => "DoesNotExist",
    };
    let values: Vec<&str> = requirement.values().collect();
    vec![format!("{key} {operator} [{}]{least}", values.join(" "))]
}

/// Names of instance types, sorted.
pub fn type_names(catalogue: &Catalogue, ids: &[forescale::cluster::catalogue::TypeId]) -> Vec<String> {
    let mut names: Vec<String> = ids.iter().map(|id| catalogue.get(*id).name.clone()).collect();
    names.sort_unstable();
    names
}
