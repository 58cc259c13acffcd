//! Paths of settings: `ScaledObject/orders.pollingInterval`, `queues.orders.visibilityTimeout`, `clocks.hpaSyncPeriod`.
//!
//! A path goes from a section of the scenario, or from an object by kind and name, down through fields. An element of a list is
//! named by its name (or type, key, deployment, pattern) or its position: `triggers[0]`. `spec` may be left out.

use super::Scenario;
use super::kind::Kind;
use crate::api::decode::{Decode, Shape, closest};
use crate::api::tree::{Key, Node, Span, Value};

/// A step from a value into it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// To the value of a key.
    Key(String),
    /// To an element of a list.
    Index(usize),
}

/// Why a path leads nowhere.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PathError {
    /// What is wrong.
    pub message: String,
    /// What to write instead, if known.
    pub help: Option<String>,
}

/// Fields by which elements of lists are named, in the order in which they are tried.
const NAMES: [&str; 6] = ["name", "deployment", "job", "type", "key", "pattern"];
/// Keys of maps whose values are all texts: numbers given for them are written as texts.
const TEXT_MAPS: [&str; 4] = ["metadata", "labels", "annotations", "nodeSelector"];

/// The steps from the root of a scenario to a setting, which need not exist yet.
///
/// # Errors
/// When there can be no such setting.
pub fn resolve(root: &Node, path: &str) -> Result<Vec<Step>, PathError> {
    let (mut walk, rest) = Walk::begin(root, path)?;
    let mut segments = split(&rest, path)?;
    if segments.is_empty() && walk.steps.is_empty() {
        return Err(PathError { message: "an empty path".to_owned(), help: None });
    }
    segments.reverse();
    while let Some(segment) = segments.pop() {
        walk.step(segment, &mut segments, path)?;
    }
    Ok(walk.steps)
}

/// The value at the end of a path, if it is written.
#[must_use]
pub fn get<'a>(root: &'a Node, steps: &[Step]) -> Option<&'a Node> {
    steps.iter().try_fold(root, |node, step| match step {
        Step::Key(key) => node.get(key),
        Step::Index(index) => node.items()?.get(*index),
    })
}

/// Sets the value at the end of a path; tables on the way are made.
pub fn set(root: &mut Node, steps: &[Step], value: Node) {
    let Some((step, rest)) = steps.split_first() else {
        *root = value;
        return;
    };
    match step {
        Step::Key(key) => {
            if root.value == Value::Null {
                root.value = Value::Map(Vec::new());
            }
            if root.get(key).is_none() {
                let span = value.span;
                root.insert(key, Node { value: Value::Map(Vec::new()), span });
            }
            if let Some(node) = root.get_mut(key) {
                let is_text_map = TEXT_MAPS.contains(&key.as_str()) && rest.len() == 1;
                set(node, rest, if is_text_map { as_text(value) } else { value });
            }
        }
        Step::Index(index) => {
            if let Value::List(items) = &mut root.value
                && let Some(node) = items.get_mut(*index)
            {
                set(node, rest, value);
            }
        }
    }
}

fn as_text(node: Node) -> Node {
    let value = match node.value {
        Value::Int(number) => Value::Str(number.to_string()),
        Value::Float(number) => Value::Str(number.to_string()),
        Value::Bool(flag) => Value::Str(flag.to_string()),
        other => other,
    };
    Node { value, span: node.span }
}

/// A name, with whether it was a position in brackets.
#[derive(Clone, Debug)]
enum Segment {
    Name(String),
    Position(usize),
}

/// Cuts `a.b[0]."c.d"` into its parts.
fn split(text: &str, path: &str) -> Result<Vec<Segment>, PathError> {
    let malformed = |what: &str| PathError { message: format!("`{path}` is not a path: {what}"), help: None };
    let mut segments = Vec::new();
    let mut rest = text;
    while !rest.is_empty() {
        if let Some(after) = rest.strip_prefix('[') {
            let (number, after) = after.split_once(']').ok_or_else(|| malformed("`[` without `]`"))?;
            segments.push(Segment::Position(number.parse().map_err(|_| malformed("`[` takes a position"))?));
            rest = after;
        } else if let Some(after) = rest.strip_prefix('"') {
            let (name, after) = after.split_once('"').ok_or_else(|| malformed("a quote without its end"))?;
            segments.push(Segment::Name(name.to_owned()));
            rest = after;
        } else {
            let end = rest.find(['.', '[']).unwrap_or(rest.len());
            if end == 0 {
                return Err(malformed("two dots without a name between them"));
            }
            segments.push(Segment::Name(rest[..end].to_owned()));
            rest = &rest[end..];
        }
        if let Some(after) = rest.strip_prefix('.') {
            if after.is_empty() {
                return Err(malformed("it ends with a dot"));
            }
            rest = after;
        }
    }
    Ok(segments)
}

struct Walk<'a> {
    node: Option<&'a Node>,
    shape: Shape,
    steps: Vec<Step>,
}

impl<'a> Walk<'a> {
    /// Starts at the root or, for `Kind/name`, at the object; gives the rest of the path.
    fn begin(root: &'a Node, path: &str) -> Result<(Self, String), PathError> {
        let scenario = Walk { node: Some(root), shape: Scenario::shape(), steps: Vec::new() };
        let Some((kind_name, rest)) = path.split_once('/').filter(|(head, _)| !head.contains(['.', '[', '"'])) else {
            return Ok((scenario, path.to_owned()));
        };
        let kind = Kind::parse(kind_name).ok_or_else(|| {
            let near = closest(kind_name, Kind::ALL.iter().map(|kind| kind.name()));
            PathError {
                message: format!("unknown kind `{kind_name}`"),
                help: near.map(|near| format!("did you mean `{near}/...`?")),
            }
        })?;
        let objects = root.get(kind.section()).and_then(Node::items).unwrap_or_default();
        let names: Vec<&str> = objects
            .iter()
            .map(|object| object.at(&["metadata", "name"]).and_then(Node::as_str).unwrap_or_default())
            .collect();
        let found = names
            .iter()
            .enumerate()
            .filter(|(_, name)| !name.is_empty())
            .filter_map(|(index, name)| Some((index, name.len(), rest.strip_prefix(name)?)))
            .filter(|(_, _, after)| after.is_empty() || after.starts_with(['.', '[']))
            .max_by_key(|(_, length, _)| *length);
        let Some((index, _, after)) = found else {
            let wanted = rest.split('.').next().unwrap_or_default();
            let help = match closest(wanted, names.iter().copied()) {
                Some(near) => Some(format!("did you mean `{kind_name}/{near}`?")),
                None if names.is_empty() => None,
                None => Some(format!("there is {}", listed(names.iter().map(|name| format!("{kind_name}/{name}"))))),
            };
            return Err(PathError { message: format!("no {kind_name} named `{wanted}`"), help });
        };
        let node = objects.get(index);
        let mut steps = vec![Step::Key(kind.section().to_owned()), Step::Index(index)];
        let mut walk = Walk { node, shape: kind.shape(), steps: Vec::new() };
        let after = after.strip_prefix('.').unwrap_or(after).to_owned();
        walk.skip_spec(&after);
        steps.append(&mut walk.steps);
        walk.steps = steps;
        Ok((walk, after))
    }

    /// `spec` may be left out: a first field that the object itself does not have is looked up there.
    fn skip_spec(&mut self, rest: &str) {
        let first = rest.split(['.', '[']).next().unwrap_or_default();
        let Shape::Object { fields, .. } = self.shape else { return };
        let fields = fields();
        if first.is_empty() || fields.iter().any(|field| field.key == first) {
            return;
        }
        if let Some(spec) = fields.iter().find(|field| field.key == "spec") {
            self.shape = (spec.shape)();
            self.node = self.node.and_then(|node| node.get("spec"));
            self.steps.push(Step::Key("spec".to_owned()));
        }
    }

    fn step(&mut self, segment: Segment, rest: &mut Vec<Segment>, path: &str) -> Result<(), PathError> {
        match self.shape {
            Shape::Object { name, fields, .. } => self.enter_field(segment, name, fields(), path),
            Shape::List(element) => self.enter_element(&segment, element, rest, path),
            Shape::Map(value) => {
                self.enter_entry(segment, rest);
                self.shape = value();
                Ok(())
            }
            Shape::Scalar => match self.node.map(|node| &node.value) {
                Some(Value::Map(_)) => {
                    self.enter_entry(segment, rest);
                    Ok(())
                }
                Some(Value::List(_)) => self.enter_element(&segment, || Shape::Scalar, rest, path),
                _ => Err(PathError { message: format!("`{path}` goes into a plain value"), help: None }),
            },
        }
    }

    fn enter_field(
        &mut self,
        segment: Segment,
        type_name: &str,
        fields: Vec<crate::api::decode::FieldDoc>,
        path: &str,
    ) -> Result<(), PathError> {
        let Segment::Name(key) = segment else {
            return Err(PathError { message: format!("`{path}` has a position where a field is due"), help: None });
        };
        let Some(field) = fields.iter().find(|field| field.key == key) else {
            let help = match closest(&key, fields.iter().map(|field| field.key.as_str())) {
                Some(near) => format!("did you mean `{near}`?"),
                None => match super::misplaced::places(self.shape, &key).first() {
                    Some((place, _)) => format!("`{key}` belongs to `{place}`"),
                    None => format!("`{type_name}` has {}", listed(fields.iter().map(|field| field.key.clone()))),
                },
            };
            return Err(PathError {
                message: format!("`{path}`: no field `{key}` in `{type_name}`"),
                help: Some(help),
            });
        };
        self.shape = (field.shape)();
        self.node = self.node.and_then(|node| node.get(&key));
        self.steps.push(Step::Key(key));
        Ok(())
    }

    fn enter_element(
        &mut self,
        segment: &Segment,
        element: fn() -> Shape,
        rest: &mut Vec<Segment>,
        path: &str,
    ) -> Result<(), PathError> {
        let items = self.node.and_then(Node::items).unwrap_or_default();
        let index = match segment {
            Segment::Position(index) => Some(*index).filter(|index| *index < items.len()),
            Segment::Name(name) => {
                element_named(items, name, rest).or_else(|| name.parse().ok().filter(|index| *index < items.len()))
            }
        };
        let Some(index) = index else {
            let wanted = match segment {
                Segment::Position(index) => format!("[{index}]"),
                Segment::Name(name) => name.clone(),
            };
            let names: Vec<&str> = items.iter().filter_map(|item| element_names(item).next()).collect();
            let help = match closest(&wanted, names.iter().copied()) {
                Some(near) => Some(format!("did you mean `{near}`?")),
                None if names.is_empty() => None,
                None => Some(format!("there is {}", listed(names.iter().map(|name| (*name).to_owned())))),
            };
            return Err(PathError { message: format!("`{path}`: no element `{wanted}`"), help });
        };
        self.shape = element();
        self.node = items.get(index);
        self.steps.push(Step::Index(index));
        Ok(())
    }

    /// Into a map of free keys, which may hold dots: the longest key that is written wins, else the rest is one key when no
    /// quotes say otherwise.
    fn enter_entry(&mut self, segment: Segment, rest: &mut Vec<Segment>) {
        let mut key = match segment {
            Segment::Name(name) => name,
            Segment::Position(index) => format!("[{index}]"),
        };
        let written = |key: &str| self.node.is_some_and(|node| node.get(key).is_some());
        if !written(&key) {
            let mut joined = key.clone();
            for (taken, segment) in rest.iter().rev().enumerate() {
                let Segment::Name(name) = segment else { break };
                joined = format!("{joined}.{name}");
                if written(&joined) || (taken + 1 == rest.len() && matches!(self.shape, Shape::Map(_))) {
                    rest.truncate(rest.len() - taken - 1);
                    key = joined;
                    break;
                }
            }
        }
        self.node = self.node.and_then(|node| node.get(&key));
        self.steps.push(Step::Key(key));
    }
}

/// The element of a name, which may hold dots: then it takes more than one segment, the longest such name wins.
fn element_named(items: &[Node], name: &str, rest: &mut Vec<Segment>) -> Option<usize> {
    let position = |name: &str| items.iter().position(|item| element_names(item).any(|own| own == name));
    let mut found = position(name).map(|index| (index, 0));
    let mut joined = name.to_owned();
    for (taken, segment) in rest.iter().rev().enumerate() {
        let Segment::Name(next) = segment else { break };
        joined = format!("{joined}.{next}");
        found = position(&joined).map(|index| (index, taken + 1)).or(found);
    }
    let (index, taken) = found?;
    rest.truncate(rest.len() - taken);
    Some(index)
}

/// Names by which an element of a list can be called.
fn element_names(item: &Node) -> impl Iterator<Item = &str> {
    let own = NAMES.iter().filter_map(|key| item.get(key)?.as_str());
    item.at(&["metadata", "name"]).and_then(Node::as_str).into_iter().chain(own)
}

fn listed(names: impl Iterator<Item = String>) -> String {
    let all: Vec<String> = names.map(|name| format!("`{name}`")).collect();
    let more = if all.len() > 12 { ", ..." } else { "" };
    format!("{}{more}", all[..all.len().min(12)].join(", "))
}

/// The steps that lead to a key or value at a place, with the key's own name last.
#[must_use]
pub fn steps_to(node: &Node, span: Span) -> Option<Vec<Step>> {
    match &node.value {
        Value::Map(entries) => entries.iter().find_map(|(Key { name, span: key_span }, value)| {
            if *key_span == span {
                return Some(vec![Step::Key(name.clone())]);
            }
            let mut steps = steps_to(value, span)?;
            steps.insert(0, Step::Key(name.clone()));
            Some(steps)
        }),
        Value::List(items) => items.iter().enumerate().find_map(|(index, item)| {
            let mut steps = steps_to(item, span)?;
            steps.insert(0, Step::Index(index));
            Some(steps)
        }),
        _ => None,
    }
}

/// The part of a scenario that the steps lead into: its section only, so that reading it again is cheap.
#[must_use]
pub fn skeleton(root: &Node, steps: &[Step]) -> Node {
    let Some(Step::Key(section)) = steps.first() else { return root.clone() };
    let kept = root.entries().unwrap_or_default().iter().filter(|(key, _)| key.name == *section).cloned().collect();
    Node { value: Value::Map(kept), span: root.span }
}
