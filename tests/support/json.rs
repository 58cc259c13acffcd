//! JSON documents as the tree that manifests are read from.

use forescale::api::tree::{Key, Node, Span, Value};

/// The same value without places.
pub fn node(json: &serde_json::Value) -> Node {
    let value = match json {
        serde_json::Value::Null => Value::Null,
        serde_json::Value::Bool(value) => Value::Bool(*value),
        serde_json::Value::Number(number) => match number.as_i64() {
            Some(value) => Value::Int(value),
            None => Value::Float(number.as_f64().unwrap_or(f64::NAN)),
        },
        serde_json::Value::String(text) => Value::Str(text.clone()),
        serde_json::Value::Array(items) => Value::List(items.iter().map(node).collect()),
        serde_json::Value::Object(fields) => {
            let entry = |(name, value): (&String, &serde_json::Value)| {
                (Key { name: name.clone(), span: Span::default() }, node(value))
            };
            Value::Map(fields.iter().map(entry).collect())
        }
    };
    Node { value, span: Span::default() }
}
