//! Problems as a compiler shows them: file, line, column, the text underlined, and what to do.

use std::fmt::Write as _;

use annotate_snippets::{AnnotationKind, Group, Level, Origin, Renderer, Snippet};
use serde::Serialize;

use super::files::Files;
use super::lint::Rule;
use crate::api::decode::{Problem, Problems, Severity};
use crate::api::tree::Span;

/// Most problems that are shown.
pub const MAX_SHOWN: usize = 100;
/// Longest part of a line that is shown, in bytes; longer lines are cut around the place.
const MAX_LINE: usize = 300;

/// All problems, sorted by place, and a last line that counts them. Colors are ANSI escapes.
#[must_use]
pub fn render(problems: &Problems, files: &Files, color: bool) -> String {
    let sorted = sorted(problems);
    let renderer = if color { Renderer::styled() } else { Renderer::plain() };
    let mut out = String::new();
    for problem in sorted.iter().take(MAX_SHOWN) {
        let _ = writeln!(out, "{}\n", renderer.render(&[group(problem, files)]));
    }
    if sorted.len() > MAX_SHOWN {
        let _ = writeln!(out, "... and {} more\n", sorted.len() - MAX_SHOWN);
    }
    if !sorted.is_empty() {
        let _ = writeln!(out, "{}", summary(&sorted));
    }
    out
}

/// In the order of their places, each once.
fn sorted(problems: &Problems) -> Vec<&Problem> {
    let mut sorted: Vec<&Problem> = problems.list.iter().collect();
    sorted.sort_by_key(|problem| (problem.span.file, problem.span.start, problem.severity));
    sorted.dedup_by(|a, b| a.span == b.span && a.message == b.message);
    sorted
}

/// `2 errors, 1 warning`.
fn summary(problems: &[&Problem]) -> String {
    let parts: Vec<String> = [Severity::Error, Severity::Warning, Severity::Note]
        .into_iter()
        .map(|severity| (severity, severity.as_str()))
        .filter_map(|(severity, name)| match problems.iter().filter(|p| p.severity == severity).count() {
            0 => None,
            1 => Some(format!("1 {name}")),
            n => Some(format!("{n} {name}s")),
        })
        .collect();
    parts.join(", ")
}

fn group<'a>(problem: &'a Problem, files: &'a Files) -> Group<'a> {
    let level = match problem.severity {
        Severity::Error => Level::ERROR,
        Severity::Warning => Level::WARNING,
        Severity::Note => Level::NOTE,
    };
    let title = level.primary_title(problem.message.as_str());
    let mut group = Group::with_title(match problem.rule {
        Some(rule) => title.id(rule),
        None => title,
    });
    match files.get(problem.span.file) {
        None => {}
        Some(file) if problem.span.start == problem.span.end && problem.span.start == 0 => {
            group = group.element(Origin::path(file.name.as_str()));
        }
        Some(_) => {
            let related = problem.related.as_ref().map(|(span, label)| (*span, label.as_str()));
            let same_file = related.filter(|(span, _)| span.file == problem.span.file);
            group = group.element(snippet(files, problem.span, &problem.label, same_file));
            if let Some((span, label)) = related.filter(|(span, _)| span.file != problem.span.file) {
                group = group.element(context(files, span, label));
            }
        }
    }
    if let Some(help) = &problem.help {
        group = group.element(Level::HELP.message(help.as_str()));
    }
    group
}

type Annotated<'a> = Snippet<'a, annotate_snippets::Annotation<'a>>;

fn snippet<'a>(files: &'a Files, span: Span, label: &'a str, related: Option<(Span, &'a str)>) -> Annotated<'a> {
    let window = Window::around(files, span, related.map(|(span, _)| span));
    let mut annotation = AnnotationKind::Primary.span(window.range(span));
    if !label.is_empty() {
        annotation = annotation.label(label);
    }
    let mut snippet = window.snippet().annotation(annotation);
    if let Some((span, label)) = related {
        snippet = snippet.annotation(AnnotationKind::Context.span(window.range(span)).label(label));
    }
    snippet
}

fn context<'a>(files: &'a Files, span: Span, label: &'a str) -> Annotated<'a> {
    let window = Window::around(files, span, None);
    window.snippet().annotation(AnnotationKind::Context.span(window.range(span)).label(label))
}

/// The lines of a file that a message shows.
struct Window<'a> {
    name: &'a str,
    text: &'a str,
    /// Byte of the file at which `text` begins.
    offset: usize,
    line: usize,
}

impl<'a> Window<'a> {
    fn around(files: &'a Files, span: Span, also: Option<Span>) -> Self {
        let Some(file) = files.get(span.file) else { return Window { name: "", text: "", offset: 0, line: 1 } };
        let text: &str = &file.text;
        let first = (span.start.min(also.map_or(span.start, |a| a.start)) as usize).min(text.len());
        let last = (span.start.max(also.map_or(span.start, |a| a.start)) as usize).min(text.len());
        let mut start = text.get(..first).and_then(|before| before.rfind('\n')).map_or(0, |at| at + 1);
        let mut end = text.get(last..).and_then(|rest| rest.find('\n')).map_or(text.len(), |at| last + at);
        if also.is_none() && end - start > MAX_LINE {
            start = floor_boundary(text, start.max(first.saturating_sub(MAX_LINE / 2)));
            end = floor_boundary(text, end.min(last + MAX_LINE / 2));
        }
        let line = text.get(..start).map_or(0, |before| before.matches('\n').count()) + 1;
        Window { name: &file.name, text: text.get(start..end).unwrap_or_default(), offset: start, line }
    }

    /// The span within the window; a span of several lines is cut to its first.
    fn range(&self, span: Span) -> std::ops::Range<usize> {
        let clamp =
            |byte: u32| floor_boundary(self.text, (byte as usize).saturating_sub(self.offset).min(self.text.len()));
        let (start, end) = (clamp(span.start), clamp(span.end));
        let first_line = self.text.get(start..end).and_then(|text| text.find('\n')).map_or(end, |at| start + at);
        let trimmed = self.text.get(start..first_line).map_or(0, |text| text.trim_end().len());
        start..start + trimmed
    }

    fn snippet(&self) -> Annotated<'a> {
        Snippet::source(self.text).line_start(self.line).path(self.name)
    }
}

fn floor_boundary(text: &str, mut byte: usize) -> usize {
    while !text.is_char_boundary(byte) {
        byte -= 1;
    }
    byte
}

/// A problem for other programs. Lines and columns count from 1, columns in characters.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Diagnostic {
    /// `error`, `warning` or `note`.
    pub severity: &'static str,
    /// Id of the rule; absent = plainly wrong.
    pub rule: Option<&'static str>,
    /// Where the rule is explained, within the repository.
    pub explanation: Option<String>,
    /// What is wrong.
    pub message: String,
    /// Text under the place; may be empty.
    pub label: String,
    /// What to do about it.
    pub help: Option<String>,
    /// The place; absent = none in particular.
    pub place: Option<Place>,
    /// A second place that explains the first.
    pub related: Option<Related>,
}

/// A place in a file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Place {
    /// File.
    pub file: String,
    /// Line of the first character.
    pub line: usize,
    /// Its column.
    pub column: usize,
    /// Line of the character after the last.
    pub end_line: usize,
    /// Its column.
    pub end_column: usize,
}

/// A second place.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Related {
    /// What it is.
    pub label: String,
    /// Where.
    pub place: Option<Place>,
}

/// All problems in the order of their places.
#[must_use]
pub fn diagnostics(problems: &Problems, files: &Files) -> Vec<Diagnostic> {
    let one = |problem: &Problem| Diagnostic {
        severity: problem.severity.as_str(),
        rule: problem.rule,
        explanation: problem.rule.and_then(Rule::find).map(Rule::link),
        message: problem.message.clone(),
        label: problem.label.clone(),
        help: problem.help.clone(),
        place: place(problem.span, files),
        related: problem
            .related
            .as_ref()
            .map(|(span, label)| Related { label: label.clone(), place: place(*span, files) }),
    };
    sorted(problems).into_iter().map(one).collect()
}

fn place(span: Span, files: &Files) -> Option<Place> {
    let file = files.get(span.file)?;
    let position = |byte: u32| {
        let before = &file.text[..floor_boundary(&file.text, (byte as usize).min(file.text.len()))];
        let line_start = before.rfind('\n').map_or(0, |at| at + 1);
        (before.matches('\n').count() + 1, before[line_start..].chars().count() + 1)
    };
    let ((line, column), (end_line, end_column)) = (position(span.start), position(span.end));
    Some(Place { file: file.name.clone(), line, column, end_line, end_column })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    #[test]
    fn a_problem_shows_its_place_and_help() {
        let mut files = Files::in_memory(BTreeMap::new());
        let file = files
            .add("scenario.toml".to_owned(), String::new(), "[simulation]\nduraton = \"1h\"\n".to_owned())
            .unwrap_or(0);
        let mut problems = Problems::default();
        let span = Span { file, start: 13, end: 20 };
        problems.error_with_help(span, "unknown field `duraton`", "not a field here", "did you mean `duration`?");
        let text = render(&problems, &files, false);
        assert_eq!(
            text,
            "error: unknown field `duraton`
 --> scenario.toml:2:1
  |
2 | duraton = \"1h\"
  | ^^^^^^^ not a field here
  |
  = help: did you mean `duration`?

1 error
"
        );
        assert!(render(&problems, &files, true).contains("\u{1b}["));
    }

    #[test]
    fn a_finding_carries_the_id_of_its_rule_and_its_place_for_programs() {
        let mut files = Files::in_memory(BTreeMap::new());
        let file = files.add("a.yaml".to_owned(), String::new(), "é: x\nb: y\n".to_owned()).unwrap_or(0);
        let mut problems = Problems::default();
        Rule::SendsNothing.report(
            &mut problems,
            Span { file, start: 6, end: 9 },
            "this source sends nothing",
            "",
            None,
        );
        assert!(render(&problems, &files, false).starts_with("warning[sends-nothing]: this source sends nothing\n"));
        let [only] = diagnostics(&problems, &files).try_into().unwrap_or_else(|_| panic!("one problem"));
        assert_eq!((only.severity, only.rule), ("warning", Some("sends-nothing")));
        assert_eq!(only.explanation.as_deref(), Some("docs/lints.md#sends-nothing"));
        let place = Place { file: "a.yaml".to_owned(), line: 2, column: 1, end_line: 2, end_column: 4 };
        assert_eq!(only.place, Some(place));
    }

    #[test]
    fn places_outside_the_text_do_no_harm() {
        let mut files = Files::in_memory(BTreeMap::new());
        let file = files.add("é.yaml".to_owned(), String::new(), "é: “1”".to_owned()).unwrap_or(0);
        let mut problems = Problems::default();
        problems.error(Span { file, start: 1, end: 900 }, "far", "x");
        problems.error(Span { file, start: 900, end: 901 }, "farther", "x");
        problems.error(Span { file: 77, start: 0, end: 1 }, "no file", "x");
        assert!(render(&problems, &files, false).ends_with("3 errors\n"));
    }
}
