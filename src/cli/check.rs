//! `forescale check`: what is wrong or unwise in a scenario.

use std::io::{self, Write};

use crate::api::decode::Severity;
use crate::scenario::Scenario;

use super::End;
use super::load::{self, Source};
use super::terminal::Terminal;

/// Arguments of `check`.
#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    #[command(flatten)]
    source: Source,
}

/// Checks, and says in one line what the scenario holds.
pub(super) fn run(arguments: &Arguments, terminal: &Terminal) -> anyhow::Result<End> {
    let Some(loaded) = load::scenario(&arguments.source, false, terminal)? else { return Ok(End::BadInput) };
    let warnings = loaded.problems.list.iter().filter(|problem| problem.severity == Severity::Warning).count();
    let verdict = match warnings {
        0 => "fine".to_owned(),
        1 => "can run, with 1 warning".to_owned(),
        _ => format!("can run, with {warnings} warnings"),
    };
    writeln!(io::stdout(), "{}: {verdict} ({})", arguments.source.file.display(), contents(&loaded.scenario))?;
    Ok(End::Fine)
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
