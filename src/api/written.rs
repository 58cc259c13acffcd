//! Objects whose fields count even where nothing else reads them: a change of any of them is a change.

use std::collections::BTreeMap;
use std::ops::Deref;

use super::decode::{Decode, Problems, Shape};
use super::tree::{Node, Value};

/// A value, and the text of each of its fields as written.
#[derive(Clone, Debug, PartialEq)]
pub struct Written<T> {
    value: T,
    /// By key: its content, whatever its place in the file; of a list its elements, in no order of theirs.
    pub fields: BTreeMap<String, Vec<String>>,
}

impl<T> Deref for Written<T> {
    type Target = T;
    fn deref(&self) -> &T {
        &self.value
    }
}

impl<T: Decode> Decode for Written<T> {
    fn decode(node: &Node, problems: &mut Problems) -> Option<Self> {
        let fields = node.entries().unwrap_or_default().iter().map(|(key, value)| (key.name.clone(), elements(value)));
        Some(Written { value: T::decode(node, problems)?, fields: fields.collect() })
    }
    fn absent() -> Option<Self> {
        Some(Written { value: T::absent()?, fields: BTreeMap::new() })
    }
    fn describe() -> String {
        T::describe()
    }
    fn shape() -> Shape {
        T::shape()
    }
    fn show(&self) -> String {
        self.value.show()
    }
}

/// The elements of a list, or the value itself as the only one; nothing of what is empty.
fn elements(node: &Node) -> Vec<String> {
    match &node.value {
        Value::Null => Vec::new(),
        Value::List(items) => sorted(items.iter().map(content)),
        Value::Map(entries) if entries.is_empty() => Vec::new(),
        _ => vec![content(node)],
    }
}

fn content(node: &Node) -> String {
    match &node.value {
        Value::Null => String::new(),
        Value::Bool(value) => value.to_string(),
        Value::Int(value) => value.to_string(),
        Value::Float(value) => value.to_string(),
        Value::Str(value) => format!("{value:?}"),
        Value::List(items) => format!("[{}]", sorted(items.iter().map(content)).join(",")),
        Value::Map(entries) => {
            let parts = entries.iter().map(|(key, value)| format!("{}:{}", key.name, content(value)));
            format!("{{{}}}", sorted(parts).join(","))
        }
    }
}

fn sorted(parts: impl Iterator<Item = String>) -> Vec<String> {
    let mut parts: Vec<String> = parts.collect();
    parts.sort_unstable();
    parts
}
