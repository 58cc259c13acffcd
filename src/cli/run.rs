//! `forescale run`: one scenario, run once or several times.

use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use anyhow::Context;
use rayon::prelude::*;

use crate::report::chart::{self, bands::Bands};
use crate::report::replications::{self, Pooled, Replication};
use crate::report::summary::{Summary, summarize};
use crate::report::{files, screen};
use crate::scenario::Scenario;
use crate::simulation::{self, Options, RunError};
use crate::telemetry::Outcome;
use crate::time::Time;

use super::End;
use super::load::{self, Source};
use super::progress::Progress;
use super::terminal::Terminal;

/// Arguments of `run`.
#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    #[command(flatten)]
    source: Source,
    /// Seed of all randomness, instead of the scenario's
    #[arg(long)]
    seed: Option<u64>,
    /// Length of the run, such as 2h, instead of the scenario's
    #[arg(long)]
    duration: Option<String>,
    /// Folder for the results [default: output/<scenario>]
    #[arg(long, value_name = "FOLDER")]
    out: Option<PathBuf>,
    /// Run so many times with different randomness
    #[arg(long, default_value_t = 1, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=100_000))]
    replications: u32,
    /// Print the summary as JSON, and nothing else
    #[arg(long)]
    json: bool,
    /// Print errors only
    #[arg(long, short)]
    quiet: bool,
    /// Exit with 1 when an objective is missed
    #[arg(long)]
    strict: bool,
    /// Check the laws that every run must keep (docs/invariants.md) after every sample; slow
    #[arg(long)]
    check_invariants: bool,
    /// Draw no charts
    #[arg(long)]
    no_charts: bool,
}

/// Runs, writes the results and shows them.
pub(super) fn run(arguments: &Arguments, terminal: &Terminal) -> anyhow::Result<End> {
    let mut source = arguments.source.clone();
    source.settings.extend(arguments.seed.map(|seed| ("simulation.seed".to_owned(), seed.to_string())));
    source.settings.extend(arguments.duration.clone().map(|duration| ("simulation.duration".to_owned(), duration)));
    let quiet = arguments.quiet || arguments.json;
    let Some(loaded) = load::scenario(&source, quiet, terminal)? else { return Ok(End::BadInput) };
    let name = load::name(&source.file);
    let folder = arguments.out.clone().unwrap_or_else(|| Path::new("output").join(&name));
    let summaries = if arguments.replications == 1 {
        vec![run_once(arguments, &loaded.scenario, &name, &folder, terminal)?]
    } else {
        run_often(arguments, &loaded.scenario, &name, &folder, terminal)?
    };
    let missed = summaries.iter().flat_map(|summary| &summary.objectives).any(|verdict| !verdict.met);
    Ok(if arguments.strict && missed { End::ObjectivesMissed } else { End::Fine })
}

fn run_once(
    arguments: &Arguments,
    scenario: &Scenario,
    name: &str,
    folder: &Path,
    terminal: &Terminal,
) -> anyhow::Result<Summary> {
    let progress = Progress::new(terminal, arguments.quiet, 1, scenario.simulation.duration);
    let outcome = simulate_shown(arguments, scenario, name, 0, &progress);
    progress.finish();
    let outcome = outcome?;
    let summary = summarize(&outcome, &scenario.objectives);
    let names = files::write(folder, &outcome, &summary, !arguments.no_charts)?;
    if arguments.json {
        io::stdout().write_all(files::json(&summary).as_bytes())?;
    } else if !arguments.quiet {
        let mut text = screen::render(&summary, terminal.color_out);
        text.push_str(&screen::files(folder, &names, terminal.color_out));
        io::stdout().write_all(text.as_bytes())?;
    }
    Ok(summary)
}

fn run_often(
    arguments: &Arguments,
    scenario: &Scenario,
    name: &str,
    folder: &Path,
    terminal: &Terminal,
) -> anyhow::Result<Vec<Summary>> {
    let runs = arguments.replications;
    let progress = Progress::new(terminal, arguments.quiet, u64::from(runs), scenario.simulation.duration);
    let length = scenario.simulation.duration;
    let one = |replication: u32| -> anyhow::Result<(Summary, Replication)> {
        let outcome = simulate_shown(arguments, scenario, name, replication, &progress)?;
        let summary = summarize(&outcome, &scenario.objectives);
        let own = folder.join(format!("replication-{replication}"));
        files::write(&own, &outcome, &summary, !arguments.no_charts)?;
        Ok((summary, Replication::of(&outcome, length)))
    };
    let results: anyhow::Result<Vec<_>> = (0..runs).into_par_iter().map(one).collect();
    progress.finish();
    let (summaries, all): (Vec<_>, Vec<_>) = results?.into_iter().unzip();
    let pooled = Pooled::of(&all);
    let write = |name: &str, text: String| {
        let path = folder.join(name);
        fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))
    };
    write("replications.csv", replications::csv(&all))?;
    write("pooled.json", format!("{}\n", serde_json::to_string_pretty(&pooled)?))?;
    let mut names = vec!["replications.csv", "pooled.json"];
    if !arguments.no_charts {
        let profiles: Vec<_> = all.iter().map(|replication| replication.profile.clone()).collect();
        let bands = Bands { title: format!("{name}: {runs} runs"), scenarios: vec![(name, &profiles)], length };
        write("replications.svg", chart::document(&bands)?)?;
        chart::picture(&bands, &folder.join("replications.png"))?;
        names.extend(["replications.svg", "replications.png"]);
    }
    names.push("replication-*/");
    if arguments.json {
        writeln!(io::stdout(), "{}", serde_json::to_string_pretty(&summaries)?)?;
    } else if !arguments.quiet {
        let mut text = replications::render(&summaries, &all, &pooled, terminal.color_out);
        text.push_str(&screen::files(folder, &names, terminal.color_out));
        io::stdout().write_all(text.as_bytes())?;
    }
    Ok(summaries)
}

/// Runs a scenario once under a name.
pub(super) fn simulate(scenario: &Scenario, name: &str, options: Options<'_>) -> Result<Outcome, RunError> {
    let mut outcome = simulation::run(scenario, options)?;
    name.clone_into(&mut outcome.run.scenario);
    Ok(outcome)
}

/// Runs a scenario once and shows its progress.
fn simulate_shown(
    arguments: &Arguments,
    scenario: &Scenario,
    name: &str,
    replication: u32,
    progress: &Progress,
) -> anyhow::Result<Outcome> {
    let shown = AtomicU64::new(0);
    let tell = |now: Time, _: u64| {
        let before = shown.swap(now.as_micros(), Ordering::Relaxed);
        progress.advanced(Time::from_micros(before), now);
    };
    let options = Options { progress: Some(&tell), ..Options::replication(replication) };
    Ok(simulate(scenario, name, options.checked(arguments.check_invariants))?)
}
