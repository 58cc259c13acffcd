//! `forescale tune`: the best settings among those of `[tune]`.

use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context, anyhow, bail};

use crate::report::{chart, points, screen, tuning};
use crate::scenario::axes::Minimize;
use crate::scenario::load::{Loaded, finish};
use crate::simulation::Options;
use crate::study::constraint::constraints;
use crate::study::measures::MEASURES;
use crate::study::tune::{Goal, tune};

use super::End;
use super::load::{self, Source};
use super::progress::Counter;
use super::run::simulate;
use super::terminal::Terminal;

/// Arguments of `tune`.
#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    #[command(flatten)]
    source: Source,
    /// Folder for the results [default: output/<scenario>/tune]
    #[arg(long, value_name = "FOLDER")]
    out: Option<PathBuf>,
    /// Most runs, instead of the scenario's
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    budget: Option<u32>,
    /// Print errors only
    #[arg(long, short)]
    quiet: bool,
    /// Exit with 1 when no combination meets the objectives
    #[arg(long)]
    strict: bool,
}

/// Searches, writes what was tried and shows the best.
pub(super) fn run(arguments: &Arguments, terminal: &Terminal) -> anyhow::Result<End> {
    let Some(loaded) = load::scenario(&arguments.source, arguments.quiet, terminal)? else { return Ok(End::BadInput) };
    let wanted = &loaded.scenario.tune;
    if wanted.axes.is_empty() {
        bail!("the scenario has nothing to tune: name settings and their values in a table `[tune]`");
    }
    let name = load::name(&arguments.source.file);
    let goal = Goal {
        minimize: match wanted.minimize {
            Minimize::Cost => "cost_usd",
            Minimize::P95Wait => "wait_p95_s",
            Minimize::P99Wait => "wait_p99_s",
        },
        constraints: constraints(&loaded.scenario.objectives),
        budget: arguments.budget.unwrap_or(wanted.budget) as usize,
        replications: wanted.replications,
        seed: loaded.scenario.simulation.seed,
    };
    let lengths: Vec<usize> = wanted.axes.iter().map(|axis| axis.values.len()).collect();
    let counter = Counter::new(terminal, arguments.quiet);
    let evaluate = |point: &[usize], replication: u32| {
        let outcome = evaluate(&loaded, point, replication, &name);
        counter.one_more(goal.budget);
        outcome.map_err(|error| format!("{error:#}"))
    };
    let tuned = tune(&lengths, &goal, &evaluate);
    counter.finish();
    let tuned = tuned.map_err(|message| anyhow!(message))?;
    let folder = arguments.out.clone().unwrap_or_else(|| Path::new("output").join(&name).join("tune"));
    let paths: Vec<String> = wanted.axes.iter().map(|axis| axis.path.clone()).collect();
    let tried = tuning::points(&wanted.axes, &tuned);
    fs::create_dir_all(&folder).with_context(|| format!("cannot create {}", folder.display()))?;
    let files = [
        ("means.csv", points::csv(&paths, &tried)),
        ("trade-off.svg", chart::trade_off::svg(&format!("{name}: combinations tried"), &tried)?),
    ];
    for (file, text) in files {
        let path = folder.join(file);
        fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))?;
    }
    if !arguments.quiet {
        let mut text = tuning::render(&name, &wanted.axes, &goal, &tuned, terminal.color_out);
        text.push('\n');
        text.push_str(&screen::files(&folder, &["means.csv", "trade-off.svg"], terminal.color_out));
        io::stdout().write_all(text.as_bytes())?;
    }
    let missed = tuned.tried[tuned.best].violation(&goal.constraints) > 0.0;
    Ok(if arguments.strict && missed { End::ObjectivesMissed } else { End::Fine })
}

/// One run with the settings of a combination.
fn evaluate(loaded: &Loaded, point: &[usize], replication: u32, name: &str) -> anyhow::Result<Vec<f64>> {
    let mut document = loaded.document.clone();
    for (axis, index) in loaded.scenario.tune.axes.iter().zip(point) {
        let set = document.set(&axis.path, axis.values[*index].clone());
        set.map_err(|error| anyhow!("{}: {}", axis.path, error.message))?;
    }
    let changed = finish(document, Some(&load::known_in), crate::api::decode::Problems::default());
    let changed = changed.map_err(|invalid| anyhow!("a combination cannot run: {invalid}"))?;
    let outcome = simulate(&changed.scenario, name, Options::replication(replication))?;
    Ok(MEASURES.iter().map(|measure| measure.of(&outcome)).collect())
}
