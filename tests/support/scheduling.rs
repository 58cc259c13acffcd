//! Objects for scheduling tests, from JSON with the field names of manifests.

use forescale::api::decode::{Decode, Problems};
use forescale::api::pod::PodSpec;
use forescale::units::Resources;
use serde_json::{Value, json};

use super::json::node;

/// Decodes an object; panics with the problems if it is not valid.
pub fn decode<T: Decode>(value: &Value) -> T {
    let mut problems = Problems::default();
    let decoded = T::decode(&node(value), &mut problems);
    let messages: Vec<&str> = problems.list.iter().map(|problem| problem.message.as_str()).collect();
    decoded.filter(|_| !problems.has_errors()).unwrap_or_else(|| panic!("{value}: {messages:?}"))
}

/// A pod spec: the given parts, and one container with these requests.
pub fn pod_spec(parts: &Value, requests: &Value) -> PodSpec {
    let mut spec = parts.as_object().cloned().unwrap_or_default();
    spec.entry("containers").or_insert_with(|| json!([{"name": "main", "resources": {"requests": requests}}]));
    decode(&Value::Object(spec))
}

/// Amounts of resources.
pub fn resources(value: &Value) -> Resources {
    if value.is_null() { Resources::ZERO } else { decode(value) }
}
