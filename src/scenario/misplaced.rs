//! A field in the wrong place is a field all the same: says where it belongs.

use std::collections::VecDeque;

use super::Scenario;
use super::files::Files;
use super::kind::Kind;
use super::path::{self, Step, steps_to};
use crate::api::decode::{Decode, Problem, Problems, Shape};
use crate::api::tree::{Node, Span, Value};

/// Deepest level at which a field's place is looked for.
const DEPTH: usize = 6;

/// Paths of tables within `shape` that have a field of that name, nearest first, with the field's shape; `""` is the object
/// itself, `[]` stands for an element of a list.
#[must_use]
pub fn places(shape: Shape, key: &str) -> Vec<(String, Shape)> {
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
                        found.push((path.clone(), (field.shape)()));
                    }
                    let next = if path.is_empty() { field.key.clone() } else { format!("{path}.{}", field.key) };
                    queue.push_back(((field.shape)(), next, depth + 1));
                }
            }
            Shape::List(element) => queue.push_back((element(), format!("{path}[]"), depth)),
            Shape::Scalar | Shape::Map(_) => {}
        }
    }
    found
}

/// Whether a value could stand where something of that shape is expected.
fn fits(value: Option<&Node>, shape: Shape) -> bool {
    match (value.map(|node| &node.value), shape) {
        (Some(Value::Map(entries)), Shape::Object { fields, .. }) => {
            let fields = fields();
            entries.is_empty() || entries.iter().any(|(key, _)| fields.iter().any(|field| field.key == key.name))
        }
        (Some(Value::Map(_)), Shape::Map(_)) | (Some(Value::List(_)), Shape::List(_)) | (None, _) => true,
        (Some(Value::Map(_) | Value::List(_)), _) => false,
        (Some(_), shape) => matches!(shape, Shape::Scalar),
    }
}

/// Rewrites what is said about unknown fields and unquoted texts, now that files and surroundings are known.
pub fn explain(root: &Node, files: &Files, problems: &mut Problems) {
    for problem in &mut problems.list {
        if problem.help.as_deref().is_some_and(|help| help.starts_with("quote it: ")) {
            quote_as_written(files, problem);
        }
        let Some(key) = problem.unknown_field.clone() else { continue };
        let Some(steps) = steps_to(root, problem.span) else { continue };
        let yaml = files.get(problem.span.file).is_some_and(|file| !file.path.ends_with(".toml"));
        match advice(root, problem, &steps, &key, yaml) {
            Some((belongs, label, related)) => {
                problem.help = Some(belongs);
                problem.label = label;
                problem.related = related;
            }
            None if !yaml => in_sections(&steps, &key, problem),
            None => {}
        }
    }
}

/// `yes` was read as true, `1.20` as 1.2: the advice must show what is written.
fn quote_as_written(files: &Files, problem: &mut Problem) {
    let text = files.get(problem.span.file).map(|file| file.text.clone()).unwrap_or_default();
    if let Some(written) =
        text.get(problem.span.start as usize..problem.span.end as usize).filter(|text| !text.is_empty())
    {
        problem.help = Some(format!("quote it: \"{written}\""));
    }
}

/// Sections of the scenario are known by their headers, not by their types.
fn in_sections(steps: &[Step], key: &str, problem: &mut Problem) {
    let parents = &steps[..steps.len().saturating_sub(1)];
    if parents.is_empty() {
        problem.message = format!("unknown section `{key}`");
        "no such section".clone_into(&mut problem.label);
    } else {
        let is_list = matches!(parents.last(), Some(Step::Index(_)));
        let path = parents.iter().filter_map(|step| if let Step::Key(key) = step { Some(key.as_str()) } else { None });
        let path = path.collect::<Vec<_>>().join(".");
        problem.message = if is_list {
            format!("unknown field `{key}` in `[[{path}]]`")
        } else {
            format!("unknown field `{key}` in `[{path}]`")
        };
    }
    if let Some((_, listed)) = problem.help.as_deref().and_then(|help| help.strip_prefix('`')?.split_once("` has ")) {
        problem.help = Some(format!("there is {listed}"));
    }
}

type Advice = (String, String, Option<(Span, String)>);

fn advice(root: &Node, problem: &Problem, steps: &[Step], key: &str, yaml: bool) -> Option<Advice> {
    let (object, shape, inner) = enclosing(root, steps)?;
    let value = path::get(root, steps);
    let here = join(&inner[..inner.len().saturating_sub(1)]);
    let mut candidates: Vec<String> = places(shape, key)
        .into_iter()
        .filter(|(place, shape)| *place != here && !place.contains("initContainers") && fits(value, *shape))
        .map(|(place, _)| place)
        .collect();
    candidates.sort_by_key(|place| !place.contains("containers[]"));
    // Only a place on the way to here, or just below, is meant for sure; otherwise the name must be rare.
    let below = |outer: &str, inner: &str| {
        outer.is_empty() || inner.strip_prefix(outer).is_some_and(|rest| rest.starts_with('.') || rest.starts_with('['))
    };
    let near: Vec<&String> = candidates.iter().filter(|place| below(&here, place) || below(place, &here)).collect();
    let chosen: Vec<&String> = match (near.len(), candidates.len()) {
        (1..=3, _) => near,
        (0, 1) => candidates.iter().collect(),
        _ => return None,
    };
    let shown: Vec<String> = chosen
        .iter()
        .map(|place| if place.is_empty() { "the object itself".to_owned() } else { format!("`{place}`") })
        .collect();
    let belongs = format!("`{key}` belongs under {}", shown.join(" or "));
    let now = if here.is_empty() { "it stands beside `spec`".to_owned() } else { format!("it stands under `{here}`") };
    let label = format!("this field belongs under {}", shown[0]);
    let sibling = object
        .at(&chosen[0].split('.').filter(|part| !part.is_empty()).collect::<Vec<_>>())
        .and_then(Node::entries)
        .and_then(|entries| {
            entries.iter().map(|(key, _)| key).find(|other| other.name != key && other.span.file == problem.span.file)
        });
    match sibling.filter(|_| yaml) {
        Some(sibling) => {
            let help = format!("{belongs}, but {now}: indent it like `{}`", sibling.name);
            Some((help, label, Some((sibling.span, "beside this".to_owned()))))
        }
        None => Some((format!("{belongs}, but {now}"), label, None)),
    }
}

/// `a.b[].c`.
fn join(steps: &[Step]) -> String {
    steps.iter().fold(String::new(), |path, step| match step {
        Step::Index(_) => format!("{path}[]"),
        Step::Key(key) if path.is_empty() => key.clone(),
        Step::Key(key) => format!("{path}.{key}"),
    })
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
