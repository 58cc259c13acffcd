//! The rules of `forescale check`: settings that are valid but hardly what was meant, and a few that the API server takes and a
//! controller then refuses. Each has a stable id, which diagnostics carry, and a minimal scenario in `tests/data/lints` whose runs
//! show that what it says is true.

mod rules;

pub use rules::Rule;

use crate::api::decode::{Problems, Severity};
use crate::api::tree::Span;

/// What is known of a rule beside its place in a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Info {
    /// Stable name, in kebab-case.
    pub id: &'static str,
    /// How bad a violation is.
    pub severity: Severity,
    /// What is wrong, in one line.
    pub summary: &'static str,
    /// Why, and what to do instead.
    pub reason: &'static str,
    /// Where upstream's code or documentation says so.
    pub source: &'static str,
}

/// Page that explains the rules, one heading a rule.
pub const PAGE: &str = "docs/lints.md";

impl Rule {
    /// Stable name, in kebab-case.
    #[must_use]
    pub const fn id(self) -> &'static str {
        self.info().id
    }

    /// The rule of that id.
    #[must_use]
    pub fn find(id: &str) -> Option<Rule> {
        Rule::ALL.iter().copied().find(|rule| rule.id() == id)
    }

    /// Where its explanation stands, as a path within the repository.
    #[must_use]
    pub fn link(self) -> String {
        format!("{PAGE}#{}", self.id())
    }

    /// Adds a problem that this rule found.
    pub fn report(
        self,
        problems: &mut Problems,
        span: Span,
        message: impl Into<String>,
        label: impl Into<String>,
        help: Option<String>,
    ) {
        problems.add(self.info().severity, span, message, label, help);
        if let Some(problem) = problems.list.last_mut() {
            problem.rule = Some(self.id());
        }
    }
}

/// The explanation of one rule, in Markdown without its heading.
#[must_use]
pub fn explanation(rule: Rule) -> String {
    let Info { severity, summary, reason, source, .. } = rule.info();
    let kind = severity.as_str();
    format!("*{kind}* - {summary}.\n\n{reason}\n\nSource: {source}\n")
}

/// The page of all rules, in Markdown.
#[must_use]
pub fn markdown() -> String {
    let mut out = INTRODUCTION.to_owned();
    for rule in Rule::ALL {
        let Info { id, severity, summary, .. } = rule.info();
        out.push_str(&format!("| [`{id}`](#{id}) | {} | {} |\n", severity.as_str(), summary.replace('|', "\\|")));
    }
    for rule in Rule::ALL {
        let id = rule.id();
        out.push_str(&format!(
            "\n## {id}\n\n{}\nShown by: [`tests/data/lints/{id}`](../tests/data/lints/{id}/case.toml)\n",
            explanation(*rule)
        ));
    }
    out
}

const INTRODUCTION: &str = "# Lints

What `forescale check` says about settings that are valid but unwise. Made from the table in `src/scenario/lint/rules.rs`
(`UPDATE=1 cargo test --lib scenario::lint` writes it).

`check` shows each finding with its place and its id, `warning[cooldown-without-effect]: ...`; `check --explain ID` prints what stands
here; `check --json` prints all findings as JSON ([output](output.md)); `check --strict` exits with 1 when there is a warning. An error
keeps the scenario from running, a warning means that the result is hardly what was meant, a note is worth knowing.

Every rule has a folder in `tests/data/lints`. Its `case.toml` names a base scenario, the settings that make it unwise, the same with
the advice followed (`wise`), and claims about the runs of both, such as `unwise.dead_lettered > 0`. `cargo test --test lints` checks that
the finding is made in the first and not in the second, runs them, and evaluates the claims.

| Rule | Severity | What is wrong |
|---|---|---|
";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_committed_page_is_what_the_table_says() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/lints.md");
        let made = markdown();
        if std::env::var_os("UPDATE").is_some() {
            assert!(std::fs::write(path, &made).is_ok(), "cannot write {path}");
        }
        let committed = std::fs::read_to_string(path).unwrap_or_default();
        assert!(committed == made, "docs/lints.md is not up to date (UPDATE=1 writes it)");
    }

    #[test]
    fn ids_are_in_kebab_case_and_stand_for_one_rule() {
        for rule in Rule::ALL {
            assert!(rule.id().bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'-'), "{}", rule.id());
            assert_eq!(Rule::find(rule.id()), Some(*rule));
        }
    }
}
