//! Changed objects as patches: one YAML text an object, with nothing but its name and what changes.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use crate::api::tree::{Key, Node, Span, Value};
use crate::scenario::document::Document;
use crate::scenario::edit::yaml_text;
use crate::scenario::kind::Kind;
use crate::scenario::path::{self, Step};

/// The patches of changed settings, by file name: `ScaledObject-orders.yaml`. Each is a merge patch (RFC 7396), as `kubectl patch
/// --type merge` takes it: tables are merged, lists are replaced as a whole. Settings that belong to no object are left out.
#[must_use]
pub fn patches(document: &Document, settings: &[(String, Node)]) -> BTreeMap<String, String> {
    let mut changed = document.clone();
    let mut touched: BTreeMap<(Kind, usize), Vec<Vec<Step>>> = BTreeMap::new();
    for (setting, value) in settings {
        let Ok(steps) = path::resolve(document.root(), setting) else { continue };
        let [Step::Key(section), Step::Index(index), rest @ ..] = steps.as_slice() else { continue };
        let Some(kind) = Kind::of_section(section) else { continue };
        if changed.set(setting, value.clone()).is_ok() {
            touched.entry((kind, *index)).or_default().push(rest.to_vec());
        }
    }
    let mut texts = BTreeMap::new();
    for ((kind, index), paths) in touched {
        let items = changed.root().get(kind.section()).and_then(Node::items).unwrap_or_default();
        let Some(object) = items.get(index) else { continue };
        let text_at = |path: &[&str]| object.at(path).and_then(Node::as_str).map(str::to_owned);
        let name = text_at(&["metadata", "name"]).unwrap_or_default();
        let version = text_at(&["apiVersion"]).unwrap_or_else(|| kind.api_versions()[0].to_owned());
        let namespace = text_at(&["metadata", "namespace"]);
        let mut patch = Node::empty_map();
        for path in paths {
            keep(object, &path, &mut patch);
        }
        let file = format!("{}-{name}.yaml", kind.name());
        let in_namespace = namespace.as_ref().map_or(String::new(), |namespace| format!("-n {namespace} "));
        let mut text = format!(
            "# kubectl patch {in_namespace}{} {name} --type merge --patch-file {file}\napiVersion: {version}\nkind: {}\nmetadata:\n  name: {name}\n",
            kind.name().to_lowercase(),
            kind.name()
        );
        if let Some(namespace) = namespace {
            let _ = writeln!(text, "  namespace: {namespace}");
        }
        if let Value::Map(entries) = &patch.value {
            write_map(entries, 0, &mut text);
        }
        texts.insert(file, text);
    }
    texts
}

/// Copies what a path leads to, up to the first list on its way.
fn keep(from: &Node, steps: &[Step], into: &mut Node) {
    let Some((Step::Key(key), rest)) = steps.split_first() else { return };
    let Some(value) = from.get(key) else { return };
    if rest.is_empty() || matches!(rest[0], Step::Index(_)) {
        into.insert(key, value.clone());
        return;
    }
    if into.get(key).is_none() {
        into.insert(key, Node { value: Value::Map(Vec::new()), span: Span::default() });
    }
    if let Some(inner) = into.get_mut(key) {
        keep(value, rest, inner);
    }
}

fn write_map(entries: &[(Key, Node)], depth: usize, text: &mut String) {
    let indent = "  ".repeat(depth);
    for (key, value) in entries {
        let key = yaml_text(&key.name, None);
        match &value.value {
            Value::Map(inner) if !inner.is_empty() => {
                let _ = writeln!(text, "{indent}{key}:");
                write_map(inner, depth + 1, text);
            }
            Value::List(items) if items.iter().any(|item| matches!(item.value, Value::Map(_))) => {
                let _ = writeln!(text, "{indent}{key}:");
                for item in items {
                    let mut block = String::new();
                    write_map(item.entries().unwrap_or_default(), depth + 2, &mut block);
                    let own = "  ".repeat(depth + 2);
                    let block = block.strip_prefix(&own).unwrap_or(&block);
                    let _ = write!(text, "{indent}  - {block}");
                }
            }
            _ => {
                let _ = writeln!(text, "{indent}{key}: {}", flow(value));
            }
        }
    }
}

/// A value on one line.
fn flow(node: &Node) -> String {
    match &node.value {
        Value::Null => "null".to_owned(),
        Value::Bool(value) => value.to_string(),
        Value::Int(value) => value.to_string(),
        Value::Float(value) => value.to_string(),
        Value::Str(text) => yaml_text(text, None),
        Value::List(items) => {
            let quoted = |item: &Node| match &item.value {
                Value::Str(text) => yaml_text(text, Some('"')),
                _ => flow(item),
            };
            format!("[{}]", items.iter().map(quoted).collect::<Vec<_>>().join(", "))
        }
        Value::Map(entries) => {
            let fields: Vec<String> =
                entries.iter().map(|(key, value)| format!("{}: {}", key.name, flow(value))).collect();
            format!("{{{}}}", fields.join(", "))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::decode::Problems;
    use crate::scenario::axes::parse_axis;
    use crate::scenario::files::Files;

    #[test]
    fn a_patch_holds_what_changes_and_whole_lists() {
        let yaml = "apiVersion: keda.sh/v1alpha1\nkind: ScaledObject\nmetadata:\n  name: orders\n  namespace: shop\nspec:\n  maxReplicaCount: 100\n  pollingInterval: 15\n  triggers:\n    - type: aws-sqs-queue\n      metadata: { queueLength: \"10\" }\n";
        let texts = [("s.toml", "[simulation]\nmanifests = [\"k.yaml\"]\n"), ("k.yaml", yaml)];
        let mut files =
            Files::in_memory(texts.map(|(path, text)| (path.to_owned(), text.to_owned())).into_iter().collect());
        let scenario = files.read("s.toml").expect("it is there");
        let document = Document::read(files, scenario, &mut Problems::default());
        let settings: Vec<(String, Node)> =
            ["ScaledObject/orders.pollingInterval=5", "ScaledObject/orders.triggers[0].metadata.queueLength=20"]
                .map(|text| parse_axis(text).expect("an axis"))
                .into_iter()
                .map(|axis| (axis.path, axis.values[0].clone()))
                .collect();
        let patches = patches(&document, &settings);
        let text = &patches["ScaledObject-orders.yaml"];
        assert!(text.starts_with("# kubectl patch -n shop scaledobject orders --type merge"), "{text}");
        assert!(
            text.ends_with(
                "spec:\n  pollingInterval: 5\n  triggers:\n    - type: aws-sqs-queue\n      metadata:\n        queueLength: \"20\"\n"
            ),
            "{text}"
        );
        assert!(!text.contains("maxReplicaCount"));
        let mut problems = Problems::default();
        assert_eq!((crate::scenario::yaml::parse(text, 0, &mut problems).len(), problems.list.len()), (1, 0));
    }
}
