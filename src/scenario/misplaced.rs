//! A field in the wrong place is a field all the same: says where it belongs.

use std::collections::VecDeque;

use super::Scenario;
use super::kind::Kind;
use super::path::{Step, steps_to};
use crate::api::decode::{Decode, Problem, Problems, Shape};
use crate::api::tree::Node;

/// Deepest level at which a field's place is looked for.
const DEPTH: usize = 6;

/// Paths of tables within `shape` that have a field of that name, nearest first; `""` is the object itself.
#[must_use]
pub fn places(shape: Shape, key: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut queue = VecDeque::from([(shape, String::new(), 0)]);
    while let Some((shape, path, depth)) = queue.pop_front() {
        if depth > DEPTH {
            continue;
        }
        match shape {
            Shape::Object { fields, .. } => {
                for field in fields() {
                    if field.key == key {
                        found.push(path.clone());
                    }
                    let next = if path.is_empty() { field.key.clone() } else { format!("{path}.{}", field.key) };
                    queue.push_back(((field.shape)(), next, depth + 1));
                }
            }
            Shape::List(element) => queue.push_back((element(), path, depth)),
            Shape::Scalar | Shape::Map(_) => {}
        }
    }
    found
}

/// Rewrites the advice of unknown fields that are known elsewhere in the same object.
pub fn explain(root: &Node, yaml: impl Fn(u16) -> bool, problems: &mut Problems) {
    for problem in &mut problems.list {
        let Some(key) = problem.unknown_field.clone() else { continue };
        if let Some((belongs, label, related)) = advice(root, problem, &key, yaml(problem.span.file)) {
            problem.help = Some(belongs);
            problem.label = label;
            problem.related = related;
        }
    }
}

type Advice = (String, String, Option<(crate::api::tree::Span, String)>);

fn advice(root: &Node, problem: &Problem, key: &str, yaml: bool) -> Option<Advice> {
    let steps = steps_to(root, problem.span)?;
    let (object, shape, inner) = enclosing(root, &steps)?;
    let parent: Vec<&str> = inner
        .iter()
        .filter_map(|step| match step {
            Step::Key(key) => Some(key.as_str()),
            Step::Index(_) => None,
        })
        .collect();
    let here = parent[..parent.len().saturating_sub(1)].join(".");
    let candidates: Vec<String> = places(shape, key).into_iter().filter(|place| *place != here).collect();
    // Only a place on the way to here, or just below, is meant for sure; otherwise the name must be rare.
    let is_near = |place: &&String| {
        here.is_empty()
            || place.is_empty()
            || here.starts_with(&format!("{place}."))
            || place.starts_with(&format!("{here}."))
    };
    let near: Vec<&String> = candidates.iter().filter(is_near).collect();
    let place = match (near.as_slice(), candidates.as_slice()) {
        ([first, ..], _) if near.len() <= 3 => (*first).clone(),
        (_, [only]) => only.clone(),
        _ => return None,
    };
    let name = if place.is_empty() { "the object itself".to_owned() } else { format!("`{place}`") };
    let belongs = format!("`{key}` belongs under {name}");
    let now = if here.is_empty() { "it stands beside `spec`".to_owned() } else { format!("it stands under `{here}`") };
    let sibling = object
        .at(&place.split('.').filter(|part| !part.is_empty()).collect::<Vec<_>>())
        .and_then(Node::entries)
        .and_then(|entries| {
            entries
                .iter()
                .map(|(key, _)| key)
                .find(|sibling| sibling.name != key && sibling.span.file == problem.span.file)
        });
    match sibling.filter(|_| yaml) {
        Some(sibling) => {
            let help = format!("{belongs}, but {now}: indent it like `{}`", sibling.name);
            Some((help, format!("this field belongs under {name}"), Some((sibling.span, "beside this".to_owned()))))
        }
        None => Some((format!("{belongs}, but {now}"), format!("this field belongs under {name}"), None)),
    }
}

/// The Kubernetes object (or section of the scenario) that the steps lead into, its shape, and the steps within it.
fn enclosing<'a, 'b>(root: &'a Node, steps: &'b [Step]) -> Option<(&'a Node, Shape, &'b [Step])> {
    if let [Step::Key(section), Step::Index(index), inner @ ..] = steps
        && let Some(kind) = Kind::of_section(section)
    {
        return Some((root.get(section)?.items()?.get(*index)?, kind.shape(), inner));
    }
    Some((root, Scenario::shape(), steps))
}
