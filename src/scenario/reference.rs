//! The reference of everything a scenario may hold, made from the types themselves.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use super::Scenario;
use super::arrivals;
use super::kind::Kind;
use crate::api::decode::{Documented, FieldDoc, Shape};

const INTRODUCTION: &str = "\
# Scenario reference

<!-- Made from the types in src/scenario and src/api; `UPDATE=1 cargo test --lib scenario::reference` writes it anew. -->

A scenario is one TOML file, with the Kubernetes manifests it names in `simulation.manifests`. Objects may stand in either: in the
TOML file they are lists (`[[deployments]]`, `[[scaledObjects]]`, `[[nodePools]]`, ...) of tables with the very field names of the
manifests. Unknown fields are errors. Fields of Kubernetes objects that have no effect on scaling, placement or cost are accepted and
not listed here.

## Values

| Value | How it is written |
|---|---|
| duration | `\"500ms\"`, `\"30s\"`, `\"1h30m\"`; scenario settings also take days, `\"7d\"`. KEDA's and the HPA's fields count whole seconds: `30` |
| rate | `\"10/s\"`, `\"600/m\"`, `\"2.5k/h\"`, `\"1M/d\"` |
| quantity | `\"250m\"`, `2`, `\"512Mi\"`, `\"1.5G\"`, as in Kubernetes |
| distribution | a duration (constant), or one of `{ exponential = { mean = \"2s\" } }`, `{ uniform = { min = \"1s\", max = \"3s\" } }`, `{ lognormal = { p50 = \"150ms\", p99 = \"900ms\" } }`, `{ lognormal = { median = \"1s\", sigma = 0.5 } }`, `{ gamma = { mean = \"2s\", shape = 2.0 } }`, `{ weibull = { scale = \"2s\", shape = 1.5 } }`, `{ empirical = [\"1s\", \"2s\"] }`, `{ empirical = \"durations.csv\" }`; `offset` and `max` beside the family shift and cut it |

## Paths of settings

Sweeps, tuning, `[[changes]]` and `--set` name a setting by its path. It begins with a section (`queues.orders.visibilityTimeout`,
`clocks.hpaSyncPeriod`) or with an object (`ScaledObject/orders.pollingInterval`, `NodePool/workers.disruption.consolidateAfter`), where
`spec` may be left out. An element of a list is called by its name (`name`, `deployment`, `job`, `type`, `key` or `pattern`) or by its
position: `triggers[0].metadata.queueLength`. A key that holds dots is quoted, or written as it is when nothing follows:
`NodePool/workers.template.spec.requirements.\"kubernetes.io/arch\".values`.

";

/// The whole reference, in Markdown.
#[must_use]
pub fn markdown() -> String {
    let mut out = INTRODUCTION.to_owned();
    let mut written = BTreeSet::new();
    for field in Scenario::fields() {
        section(&field, &mut written, &mut out);
    }
    out.truncate(out.trim_end().len());
    out.push('\n');
    out
}

fn section(field: &FieldDoc, written: &mut BTreeSet<&'static str>, out: &mut String) {
    let (title, shape) = match (field.shape)() {
        Shape::List(element) => (format!("[[{}]]", field.key), element()),
        shape => (format!("[{}]", field.key), shape),
    };
    let _ = writeln!(out, "## `{title}`\n\n{}\n", field.doc);
    if let Some(kind) = Kind::of_section(&field.key) {
        let _ = writeln!(
            out,
            "In manifests: `kind: {}`, `apiVersion: {}`.\n",
            kind.name(),
            kind.api_versions().join("` or `")
        );
    }
    match shape {
        Shape::Object { name, fields, .. } => {
            written.insert(name);
            let fields = fields();
            if field.key == "queues" {
                // Arrivals have a section for each pattern.
                written.insert("Arrivals");
            }
            table(&fields, out);
            nested(&fields, written, out);
        }
        _ => {
            let _ = writeln!(out, "{}\n", cell(&field.kind));
        }
    }
    if field.key == "queues" {
        patterns(written, out);
    }
}

/// The types that the fields are made of, each written once.
fn nested(fields: &[FieldDoc], written: &mut BTreeSet<&'static str>, out: &mut String) {
    for field in fields {
        if let Shape::Object { name, doc, fields } = innermost((field.shape)())
            && written.insert(name)
        {
            let fields = fields();
            let _ = writeln!(out, "### {name}\n\n{}\n", doc());
            table(&fields, out);
            nested(&fields, written, out);
        }
    }
}

fn innermost(shape: Shape) -> Shape {
    match shape {
        Shape::List(element) | Shape::Map(element) => innermost(element()),
        other => other,
    }
}

fn table(fields: &[FieldDoc], out: &mut String) {
    let _ = writeln!(out, "| Field | Value | Default | Meaning |\n|---|---|---|---|");
    for field in fields {
        let default = match &field.default {
            Some(text) if text.is_empty() => String::new(),
            Some(text) => format!("`{text}`"),
            None if field.required => "required".to_owned(),
            None => String::new(),
        };
        let _ = writeln!(out, "| `{}` | {} | {default} | {} |", field.key, value(field), cell(&field.doc));
    }
    out.push('\n');
}

/// What to write, with a link where that is a table of its own.
fn value(field: &FieldDoc) -> String {
    let link = |name: &str| format!("[{name}](#{})", name.to_lowercase());
    match (field.shape)() {
        Shape::Object { name, .. } => link(name),
        Shape::List(element) => match innermost(element()) {
            Shape::Object { name, .. } => format!("list of {}", link(name)),
            _ => cell(&field.kind),
        },
        _ => cell(&field.kind),
    }
}

fn cell(text: &str) -> String {
    text.replace(" | ", ", ").replace('|', "\\|").split_whitespace().collect::<Vec<_>>().join(" ")
}

/// The patterns of arrivals: fields of their own, then those that all have.
fn patterns(written: &mut BTreeSet<&'static str>, out: &mut String) {
    let all = arrivals::documented();
    let mut common: Vec<FieldDoc> = all.first().map(|(_, _, fields)| fields.clone()).unwrap_or_default();
    common.retain(|field| {
        all.iter().all(|(_, _, fields)| fields.iter().any(|other| other.key == field.key && other.doc == field.doc))
    });
    let _ = writeln!(
        out,
        "### Arrivals\n\n`[[queues.arrivals]]`: one source of messages; `pattern` says which. Every pattern has these fields:\n"
    );
    table(&common, out);
    for (name, doc, fields) in all {
        let own: Vec<FieldDoc> =
            fields.into_iter().filter(|field| !common.iter().any(|other| other.key == field.key)).collect();
        let _ = writeln!(out, "#### `pattern = \"{name}\"`\n\n{doc}\n");
        table(&own, out);
        nested(&own, written, out);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_committed_reference_is_what_the_types_say() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/scenario-reference.md");
        let made = markdown();
        if std::env::var_os("UPDATE").is_some() {
            assert!(std::fs::write(path, &made).is_ok(), "cannot write {path}");
        }
        let committed = std::fs::read_to_string(path).unwrap_or_default();
        let differs = committed.lines().zip(made.lines()).find(|(a, b)| a != b);
        assert!(committed == made, "docs/scenario-reference.md is not up to date (UPDATE=1 writes it): {differs:?}");
    }

    /// Words and numbers alone, so that `{ lognormal = { median = "2s", sigma = 0.5 } }` is `lognormal, median 2 s, sigma 0.5`.
    fn bare(text: &str) -> String {
        text.chars().filter(|c| c.is_ascii_alphanumeric() || *c == '.').collect()
    }

    #[test]
    fn the_timings_are_what_the_types_say() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/timings.md");
        let text = std::fs::read_to_string(path).unwrap_or_default();
        for section in ["latencies", "clocks"] {
            let rows = text.split_once(&format!("## `[{section}]`")).map_or("", |(_, rest)| rest);
            let rows = rows.split("\n## ").next().unwrap_or_default();
            let rows: Vec<Vec<&str>> = rows
                .lines()
                .filter(|line| line.starts_with("| `"))
                .map(|line| line.split(" | ").map(|cell| cell.trim_matches(['|', ' '])).collect())
                .collect();
            let field = Scenario::fields().into_iter().find(|field| field.key == section).expect("a section");
            let Shape::Object { fields, .. } = innermost((field.shape)()) else { panic!("{section} has no fields") };
            let fields = fields();
            assert_eq!(
                rows.len(),
                fields.len(),
                "[{section}] has settings that docs/timings.md has not, or the reverse"
            );
            for (row, field) in rows.iter().zip(&fields) {
                let default = field.default.as_deref().unwrap_or("as the meaning says");
                assert_eq!(row[0], format!("`{}`", field.key));
                assert_eq!(bare(row[1]), bare(default), "default of {}", field.key);
                assert_eq!(row[2], cell(&field.doc), "meaning of {}", field.key);
            }
        }
    }
}
