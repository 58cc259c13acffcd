//! What all selector terms of EC2NodeClasses have in common (`pkg/apis/v1/ec2nodeclass.go`).

use super::context::At;
use crate::api::decode::Problems;
use crate::scenario::lint::Rule;

/// Most terms of a kind.
const MAX_TERMS: usize = 30;

/// Checks the terms that a node class has in `field` of its spec, if they are not too many.
pub(super) fn each_term<'a, T>(
    terms: &[T],
    field: &str,
    class: At<'a>,
    problems: &mut Problems,
    mut check: impl FnMut(&T, At<'a>, &mut Problems),
) {
    let at = class.into(&["spec"]);
    if terms.len() > MAX_TERMS {
        let message = format!("{} terms are more than {MAX_TERMS}", terms.len());
        return problems.error(at.key(&[field]), message, "too many");
    }
    for (index, term) in terms.iter().enumerate() {
        check(term, at.into(&[field, &index.to_string()]), problems);
    }
}

/// Reports a term that asks for nothing, or gives one of the fields `alone` with others. `asks` are the fields that select, and
/// whether they are written; `more` is whether others are. False = something was reported.
pub(super) fn is_term(asks: &[(&str, bool)], alone: &[&str], more: bool, at: At<'_>, problems: &mut Problems) -> bool {
    let given: Vec<&str> = asks.iter().filter(|(_, given)| *given).map(|(field, _)| *field).collect();
    if given.is_empty() {
        let names: Vec<String> = asks.iter().map(|(field, _)| format!("`{field}`")).collect();
        let label = match names.split_last() {
            Some((last, first)) if !first.is_empty() => format!("needs {} or {last}", first.join(", ")),
            _ => format!("needs {}", names.concat()),
        };
        problems.error(at.span(&[]), "this term selects nothing", label);
        return false;
    }
    let lonely = given.iter().find(|field| alone.contains(field)).filter(|_| given.len() > 1 || more);
    if let Some(field) = lonely {
        let message = format!("`{field}` cannot be given with other fields");
        problems.error(at.span(&[field]), message, "leave the others out");
    }
    lonely.is_none()
}

/// Reports an id that has another form than `prefix` and lower-case letters or digits.
pub(super) fn check_id(prefix: &str, id: &str, what: &str, at: At<'_>, problems: &mut Problems) {
    let allowed = |text: &str| !text.is_empty() && text.chars().all(|c| c.is_ascii_digit() || c.is_ascii_lowercase());
    if !id.strip_prefix(prefix).is_some_and(allowed) {
        let message = format!("`{id}` is no id of {what}");
        problems.error(at.span(&["id"]), message, format!("`{prefix}` and lower-case letters or digits"));
    }
}

/// Reports a term that nothing of the scenario ever matches.
pub(super) fn selects_nothing(what: &str, help: &str, at: At<'_>, problems: &mut Problems) {
    let message = format!("no {what} of the scenario matches this term");
    Rule::SelectsNothing.report(problems, at.span(&[]), message, "selects nothing", Some(help.to_owned()));
}
