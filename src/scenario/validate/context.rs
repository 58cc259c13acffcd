//! What every check needs: the scenario, the places of its parts, and what the cloud offers.

use std::collections::BTreeSet;

use super::Known;
use crate::api::decode::{Problems, closest};
use crate::api::tree::{Node, Span};
use crate::scenario::Scenario;
use crate::scenario::kind::Kind;

/// The scenario and its surroundings.
pub(super) struct Context<'a> {
    pub scenario: &'a Scenario,
    pub root: &'a Node,
    pub known: Option<&'a Known>,
    /// Places of problems found before.
    pub wrong: &'a BTreeSet<Span>,
    /// Places of names of files that could not be read.
    pub unreadable: &'a [Span],
}

/// A part of the tree whose places can be asked for.
#[derive(Clone, Copy)]
pub(super) struct At<'a>(pub &'a Node);

impl<'a> At<'a> {
    /// Place of the value at the end of a path; a number is a position in a list. Where the path ends early, the last value
    /// that exists stands in.
    pub fn span(self, path: &[&str]) -> Span {
        let mut node = self.0;
        for step in path {
            match child(node, step) {
                Some(next) => node = next,
                None => break,
            }
        }
        node.span
    }

    /// Place of a key, or of what stands in for it.
    pub fn key(self, path: &[&str]) -> Span {
        let Some((last, parents)) = path.split_last() else { return self.0.span };
        let parent = parents.iter().try_fold(self.0, |node, step| child(node, step));
        let entries = parent.and_then(Node::entries).unwrap_or_default();
        entries.iter().find(|(key, _)| key.name == *last).map_or_else(|| self.span(path), |(key, _)| key.span)
    }

    /// The part at the end of a path, or the last part of it that exists.
    pub fn into(self, path: &[&str]) -> At<'a> {
        let mut node = self.0;
        for step in path {
            match child(node, step) {
                Some(next) => node = next,
                None => break,
            }
        }
        At(node)
    }

    /// Whether something is written at the end of a path.
    pub fn has(self, path: &[&str]) -> bool {
        path.iter().try_fold(self.0, |node, step| child(node, step)).is_some()
    }
}

fn child<'a>(node: &'a Node, step: &str) -> Option<&'a Node> {
    match node.items() {
        Some(items) => items.get(step.parse::<usize>().ok()?),
        None => node.get(step),
    }
}

impl<'a> Context<'a> {
    /// The parts of a section that is a list, by position; those with problems of their own are left out.
    pub fn elements<'b, T>(&'b self, section: &str, typed: &'b [T]) -> Vec<(&'b T, At<'a>)> {
        let items = self.root.get(section).and_then(Node::items).unwrap_or_default();
        typed
            .iter()
            .zip(items)
            .filter(|(_, node)| !touched(node, self.wrong))
            .map(|(object, node)| (object, At(node)))
            .collect()
    }

    /// A section that is a table; `None` when it is not written.
    pub fn section(&self, section: &str) -> Option<At<'a>> {
        self.root.get(section).map(At)
    }

    /// Names of the objects of a kind.
    pub fn names(&self, kind: Kind) -> Vec<&'a str> {
        let items = self.root.get(kind.section()).and_then(Node::items).unwrap_or_default();
        items.iter().filter_map(|item| item.at(&["metadata", "name"])?.as_str()).collect()
    }

    /// Reports a name that is not among those that exist.
    pub fn must_exist(&self, what: &str, name: &str, names: &[&str], span: Span, problems: &mut Problems) -> bool {
        if names.contains(&name) {
            return true;
        }
        let help = match closest(name, names.iter().copied()) {
            Some(near) => format!("did you mean `{near}`?"),
            None if names.is_empty() => format!("the scenario has no {what}"),
            None => format!("there is {}", listed(names)),
        };
        problems.error_with_help(span, format!("no {what} named `{name}`"), "not found", help);
        false
    }
}

/// `a`, `b`, ... in quotes, the first ten.
pub(super) fn listed(names: &[&str]) -> String {
    let shown = names.iter().take(10).map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ");
    if names.len() > 10 { format!("{shown}, ...") } else { shown }
}

/// Whether a problem was found anywhere in this part.
fn touched(node: &Node, wrong: &BTreeSet<Span>) -> bool {
    wrong.contains(&node.span)
        || node.items().is_some_and(|items| items.iter().any(|item| touched(item, wrong)))
        || node.entries().is_some_and(|entries| {
            entries.iter().any(|(key, value)| wrong.contains(&key.span) || touched(value, wrong))
        })
}
