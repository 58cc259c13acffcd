//! Every object has a name, no two of one kind have the same.

use std::collections::BTreeMap;

use super::context::{At, Context};
use crate::api::decode::Problems;
use crate::api::tree::{Node, Span};
use crate::scenario::kind::Kind;

/// Longest name of most objects.
const MAX_NAME: usize = 253;

pub(super) fn check(cx: &Context<'_>, problems: &mut Problems) {
    for kind in Kind::ALL {
        unique(cx.root.get(kind.section()), kind.name(), &["metadata", "name"], true, problems);
    }
    unique(cx.root.get("queues"), "queue", &["name"], false, problems);
    unique(cx.root.get("capacityReservations"), "capacity reservation", &["id"], false, problems);
    unique(cx.root.get("fargateProfiles"), "Fargate profile", &["name"], false, problems);
    unique(cx.root.get("nodeGroups"), "node group", &["name"], true, problems);
}

fn unique(list: Option<&Node>, what: &str, path: &[&str], dns: bool, problems: &mut Problems) {
    let mut seen: BTreeMap<&str, Span> = BTreeMap::new();
    for item in list.and_then(Node::items).unwrap_or_default() {
        let Some(name) = item.at(path) else {
            if item.entries().is_some() && path[0] == "metadata" {
                let help = "metadata: { name: ... }";
                problems.error_with_help(
                    At(item).span(path),
                    format!("this {what} has no name"),
                    "needs `metadata.name`",
                    help,
                );
            }
            continue;
        };
        let Some(text) = name.as_str() else { continue };
        if dns && !is_dns_name(text) {
            problems.error_with_help(
                name.span,
                format!("`{text}` is not a name"),
                "not allowed by Kubernetes",
                "lower case letters, digits, `-` and `.`, beginning and ending with a letter or digit, at most 253 characters",
            );
        } else if text.is_empty() || text.len() > MAX_NAME {
            problems.error(name.span, format!("`{text}` is not a name"), "needs 1 to 253 characters");
        }
        if let Some(first) = seen.get(text) {
            problems.error(name.span, format!("two {} are named `{text}`", plural(what)), "the second one");
            problems.relate(*first, "the first one");
        } else {
            seen.insert(text, name.span);
        }
    }
}

/// RFC 1123 subdomain.
pub(super) fn is_dns_name(text: &str) -> bool {
    let inner = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    let edge = |c: Option<char>| c.is_some_and(|c| c.is_ascii_lowercase() || c.is_ascii_digit());
    text.len() <= MAX_NAME
        && text.split('.').all(|part| edge(part.chars().next()) && edge(part.chars().last()) && part.chars().all(inner))
}

/// Label key: an optional DNS prefix and a name of at most 63 characters.
pub(super) fn is_label_key(key: &str) -> bool {
    let (prefix, name) = match key.split_once('/') {
        Some((prefix, name)) => (Some(prefix), name),
        None => (None, key),
    };
    prefix.is_none_or(is_dns_name) && !name.is_empty() && is_label_value(name)
}

/// Label value: at most 63 characters of letters, digits, `-`, `_` and `.`, ends alphanumeric.
pub(super) fn is_label_value(value: &str) -> bool {
    let edge = |c: Option<char>| c.is_none_or(|c| c.is_ascii_alphanumeric());
    value.len() <= 63
        && edge(value.chars().next())
        && edge(value.chars().last())
        && value.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.'))
}

fn plural(what: &str) -> String {
    if what.ends_with('s') { format!("{what}es") } else { format!("{what}s") }
}
