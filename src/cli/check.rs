//! `forescale check`: what is wrong or unwise in a scenario.

use std::io::{self, Write};
use std::path::PathBuf;

use serde::Serialize;

use crate::api::decode::{Problems, Severity};
use crate::scenario::Scenario;
use crate::scenario::diagnostic::{self, Diagnostic};
use crate::scenario::files::Files;
use crate::scenario::lint::{self, Rule};

use super::End;
use super::load::{self, Source};
use super::terminal::Terminal;

/// Version of the JSON that `check --json` prints.
const SCHEMA: u32 = 1;

/// Arguments of `check`.
#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// Scenario, a TOML file
    #[arg(value_name = "FILE", required_unless_present = "explain")]
    file: Option<PathBuf>,
    /// Change a setting: `ScaledObject/orders.pollingInterval=5`; may be repeated
    #[arg(long = "set", value_name = "PATH=VALUE", value_parser = load::parse_setting)]
    settings: Vec<(String, String)>,
    /// Allow the scenario to read files outside its folder
    #[arg(long)]
    allow_outside: bool,
    /// Exit with 1 when there is a warning
    #[arg(long)]
    strict: bool,
    /// Print all findings as JSON on standard output
    #[arg(long)]
    json: bool,
    /// Say what a rule means, by its id
    #[arg(long, value_name = "ID", value_parser = parse_rule, exclusive = true)]
    explain: Option<Rule>,
}

fn parse_rule(text: &str) -> Result<Rule, String> {
    Rule::find(text).ok_or_else(|| {
        let near = crate::api::decode::closest(text, Rule::ALL.iter().map(|rule| rule.id()));
        match near {
            Some(near) => format!("no such rule; did you mean `{near}`?"),
            None => format!("no such rule; {} lists them", lint::PAGE),
        }
    })
}

/// What `--json` prints.
#[derive(Serialize)]
struct Report {
    schema: u32,
    /// Whether the scenario can run.
    valid: bool,
    errors: usize,
    warnings: usize,
    notes: usize,
    diagnostics: Vec<Diagnostic>,
}

/// Checks, and says in one line what the scenario holds.
pub(super) fn run(arguments: &Arguments, terminal: &Terminal) -> anyhow::Result<End> {
    if let Some(rule) = arguments.explain {
        write!(io::stdout(), "{}\n\n{}", rule.id(), lint::explanation(rule))?;
        return Ok(End::Fine);
    }
    let Some(file) = arguments.file.clone() else { return Ok(End::BadInput) };
    let source = Source { file, settings: arguments.settings.clone(), allow_outside: arguments.allow_outside };
    let (problems, files, scenario) = match load::attempt(&source) {
        Ok(loaded) => (loaded.problems, loaded.document.files().clone(), Some(loaded.scenario)),
        Err(invalid) => (invalid.problems, invalid.files, None),
    };
    if arguments.json {
        json(&problems, &files)?;
    } else {
        let text = diagnostic::render(&problems, &files, terminal.color_error);
        io::stderr().write_all(text.as_bytes())?;
    }
    let Some(scenario) = scenario else { return Ok(End::BadInput) };
    let warnings = count(&problems, Severity::Warning);
    if !arguments.json {
        let verdict = match warnings {
            0 => "fine".to_owned(),
            1 => "can run, with 1 warning".to_owned(),
            _ => format!("can run, with {warnings} warnings"),
        };
        writeln!(io::stdout(), "{}: {verdict} ({})", source.file.display(), contents(&scenario))?;
    }
    Ok(if arguments.strict && warnings > 0 { End::ObjectivesMissed } else { End::Fine })
}

fn json(problems: &Problems, files: &Files) -> anyhow::Result<()> {
    let report = Report {
        schema: SCHEMA,
        valid: !problems.has_errors(),
        errors: count(problems, Severity::Error),
        warnings: count(problems, Severity::Warning),
        notes: count(problems, Severity::Note),
        diagnostics: diagnostic::diagnostics(problems, files),
    };
    let mut out = io::stdout().lock();
    serde_json::to_writer_pretty(&mut out, &report)?;
    writeln!(out)?;
    Ok(())
}

fn count(problems: &Problems, severity: Severity) -> usize {
    problems.list.iter().filter(|problem| problem.severity == severity).count()
}

fn contents(scenario: &Scenario) -> String {
    let parts = [
        (scenario.queues.len(), "queue"),
        (scenario.deployments.len(), "Deployment"),
        (scenario.scaled_objects.len(), "ScaledObject"),
        (scenario.scaled_jobs.len(), "ScaledJob"),
        (scenario.hpas.len(), "HorizontalPodAutoscaler"),
        (scenario.node_pools.len(), "NodePool"),
    ];
    let named = parts.into_iter().filter(|(count, _)| *count > 0);
    let named: Vec<_> =
        named.map(|(count, what)| format!("{count} {what}{}", if count == 1 { "" } else { "s" })).collect();
    if named.is_empty() { "nothing in it".to_owned() } else { named.join(", ") }
}
