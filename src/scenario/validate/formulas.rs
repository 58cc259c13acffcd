//! Formulas: how much one may hold, and whether it has a value.

use crate::api::decode::Problems;
use crate::api::tree::Span;

/// Longest formula, in bytes.
const MAX_FORMULA_BYTES: usize = 5000;
/// Most words, numbers and signs of a formula: it is read and evaluated by recursion.
const MAX_FORMULA_PARTS: usize = 200;

/// Reports what is wrong with a formula; `try_it` reads it and evaluates it once.
pub(super) fn check<T>(
    text: &str,
    try_it: impl FnOnce(&str) -> Result<T, String>,
    span: Span,
    problems: &mut Problems,
) {
    if let Some((message, label)) = excess(text) {
        problems.error(span, message, label);
    } else if let Err(error) = try_it(text) {
        problems.error(span, "this formula has no value", error);
    }
}

/// What makes a formula too much to read or to evaluate, which is by recursion and may make lists: message and label.
fn excess(text: &str) -> Option<(&'static str, String)> {
    let is_word = |c: char| c.is_alphanumeric() || matches!(c, '_' | '#' | '$');
    let mut parts = 0;
    let mut in_word = false;
    for c in text.chars().filter(|c| !c.is_whitespace()) {
        parts += usize::from(!is_word(c) || !in_word);
        in_word = is_word(c);
    }
    if text.len() > MAX_FORMULA_BYTES || parts > MAX_FORMULA_PARTS {
        let label = format!(
            "{} bytes in {parts} words, numbers and signs: at most {MAX_FORMULA_BYTES} and {MAX_FORMULA_PARTS}",
            text.len()
        );
        Some(("this formula is too long", label))
    } else if text.contains("..") {
        Some(("this formula makes a list of numbers", "ranges (`..`) are not simulated".to_owned()))
    } else if text.match_indices('{').any(|(at, _)| begins_map(&text[at + 1..])) {
        Some(("this formula makes a map", "maps (`{key: value}`) are not simulated".to_owned()))
    } else {
        None
    }
}

/// Whether what follows a brace is a key with its colon, rather than a condition on list entries.
fn begins_map(after: &str) -> bool {
    let after = skip_blank(after);
    let rest = match after.strip_prefix(['"', '\'']) {
        Some(string) => string.split_once(&after[..1]).map_or("", |(_, rest)| rest),
        None => after.trim_start_matches(|c: char| c.is_alphanumeric() || matches!(c, '_' | '#' | '$')),
    };
    skip_blank(rest).starts_with(':')
}

/// A formula's text from its next sign on that is neither space nor comment.
fn skip_blank(text: &str) -> &str {
    let text = text.trim_start();
    let comment = |open, close| text.strip_prefix(open).map(|rest| rest.split_once(close).map_or("", |(_, rest)| rest));
    comment("/*", "*/").or_else(|| comment("//", "\n")).map_or(text, skip_blank)
}
