//! `forescale sweep`: every combination of the settings in `[sweep]`, each run several times.

use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context, anyhow, bail};
use clap::ValueEnum;

use crate::report::chart::heat::Heat;
use crate::report::chart::response::Response;
use crate::report::chart::trade_off::TradeOff;
use crate::report::chart::{self, Drawing};
use crate::report::{effects, points};
use crate::scenario::axes::{Axis, SweepDesign, parse_axis};
use crate::scenario::load::Loaded;
use crate::simulation::Options;
use crate::study::design::Design;
use crate::study::plan::{Plan, Shard};
use crate::study::sweep;
use crate::study::table::{Table, identify};

use super::End;
use super::load::{self, Source};
use super::progress::Counter;
use super::run::simulate;
use super::terminal::Terminal;

/// Arguments of `sweep`.
#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    #[command(flatten)]
    source: Source,
    /// Folder for the results [default: output/<scenario>/sweep]
    #[arg(long, value_name = "FOLDER")]
    out: Option<PathBuf>,
    /// Runs of each combination, instead of the scenario's
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=100_000))]
    replications: Option<u32>,
    /// Vary this setting instead of those in `[sweep]`: `ScaledObject/orders.pollingInterval=5,10,30`; may be repeated
    #[arg(long, value_name = "PATH=VALUES", value_parser = parse_axis)]
    vary: Vec<Axis>,
    /// Which combinations are run, instead of the scenario's
    #[arg(long, value_enum)]
    design: Option<DesignKind>,
    /// Number of combinations of the designs `latin-hypercube` and `sobol`, instead of the scenario's
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    points: Option<u32>,
    /// Run only part I of N (from 0), for spreading a sweep over machines; `auto` or `auto/N` takes the part from the
    /// environment of a Kubernetes indexed Job, an AWS Batch array or a Slurm array
    #[arg(long, value_name = "I/N", value_parser = parse_shard)]
    shard: Option<Shard>,
    /// Go on with a sweep that was stopped
    #[arg(long)]
    resume: bool,
    /// Run nothing: put the files of N shards together
    #[arg(long, value_name = "N", conflicts_with_all = ["shard", "resume"])]
    merge: Option<usize>,
    /// Draw no charts
    #[arg(long)]
    no_charts: bool,
    /// Check the laws that every run must keep (docs/invariants.md) after every sample; slow
    #[arg(long)]
    check_invariants: bool,
    /// Print errors only
    #[arg(long, short)]
    quiet: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum DesignKind {
    /// Every combination
    Cross,
    /// The i-th values of all settings together
    Zip,
    /// Each setting covered evenly
    LatinHypercube,
    /// Sobol's sequence
    Sobol,
}

impl DesignKind {
    fn of_scenario(self) -> SweepDesign {
        match self {
            DesignKind::Cross => SweepDesign::Cross,
            DesignKind::Zip => SweepDesign::Zip,
            DesignKind::LatinHypercube => SweepDesign::LatinHypercube,
            DesignKind::Sobol => SweepDesign::Sobol,
        }
    }
}

fn parse_shard(text: &str) -> Result<Shard, String> {
    let variable = |name: &str| std::env::var(name).ok();
    match text.strip_prefix("auto") {
        Some("") => Shard::from_environment(None, variable),
        Some(count) => match count.strip_prefix('/').and_then(|count| count.parse().ok()) {
            Some(count) => Shard::from_environment(Some(count), variable),
            None => Err(format!("`{text}` is no shard: write auto, auto/N or I/N")),
        },
        None => Shard::parse(text),
    }
}

/// Runs the sweep, or a shard of it, and shows what came out.
pub(super) fn run(arguments: &Arguments, terminal: &Terminal) -> anyhow::Result<End> {
    let Some(loaded) = load::scenario(&arguments.source, arguments.quiet, terminal)? else { return Ok(End::BadInput) };
    let name = load::name(&arguments.source.file);
    let folder = arguments.out.clone().unwrap_or_else(|| Path::new("output").join(&name).join("sweep"));
    let plan = plan(arguments, &loaded)?;
    let table = match arguments.merge {
        Some(shards) => {
            identify(&folder, &plan, &plan.fingerprint(&loaded.document), true)?;
            sweep::merge(&plan, shards, &folder)?
        }
        None => run_shard(arguments, terminal, &loaded, &plan, &folder, &name)?,
    };
    let whole = arguments.shard.is_none_or(|shard| shard == Shard::WHOLE);
    if whole {
        finish(arguments, terminal, &plan, &table, &folder, &name)?;
    } else if !arguments.quiet {
        writeln!(io::stdout(), "{} runs are in {}", table.rows.len(), folder.display())?;
    }
    Ok(End::Fine)
}

fn plan(arguments: &Arguments, loaded: &Loaded) -> anyhow::Result<Plan> {
    let sweep = &loaded.scenario.sweep;
    let axes = if arguments.vary.is_empty() { sweep.axes.clone() } else { arguments.vary.clone() };
    if axes.is_empty() {
        bail!("nothing to sweep: name settings and their values in a table `[sweep]`, or with --vary");
    }
    let points = arguments.points.unwrap_or(sweep.points) as usize;
    let design = match arguments.design.map_or(sweep.design, DesignKind::of_scenario) {
        SweepDesign::Cross => Design::Cross,
        SweepDesign::Zip => Design::Zip,
        SweepDesign::LatinHypercube => Design::LatinHypercube { points },
        SweepDesign::Sobol => Design::Sobol { points },
    };
    let replications = arguments.replications.unwrap_or(sweep.replications);
    Ok(Plan::new(axes, design, replications, loaded.scenario.simulation.seed)?)
}

fn run_shard(
    arguments: &Arguments,
    terminal: &Terminal,
    loaded: &Loaded,
    plan: &Plan,
    folder: &Path,
    name: &str,
) -> anyhow::Result<Table> {
    let shard = arguments.shard.unwrap_or(Shard::WHOLE);
    let scenarios = plan.scenarios(&loaded.document, shard, Some(&load::known_in));
    let scenarios = scenarios.map_err(|message| anyhow!("a point of the sweep cannot run: {message}"))?;
    fs::create_dir_all(folder).with_context(|| format!("cannot create {}", folder.display()))?;
    let keep = arguments.resume || shard != Shard::WHOLE;
    identify(folder, plan, &plan.fingerprint(&loaded.document), keep)?;
    let counter = Counter::new(terminal, arguments.quiet);
    let runner = |scenario: &_, replication| {
        simulate(scenario, name, Options::replication(replication).checked(arguments.check_invariants))
    };
    let table =
        sweep::run(plan, &scenarios, shard, folder, arguments.resume, &runner, &|done, all| counter.reached(done, all));
    counter.finish();
    Ok(table?)
}

fn finish(
    arguments: &Arguments,
    terminal: &Terminal,
    plan: &Plan,
    table: &Table,
    folder: &Path,
    name: &str,
) -> anyhow::Result<()> {
    let axes: Vec<String> = plan.axes.iter().map(|axis| axis.path.clone()).collect();
    let points = points::points(plan, table);
    let title = format!("{name}: {} combinations, {} runs each", plan.points.len(), plan.replications);
    let mut files = vec!["points.csv", "means.csv", "effects.csv"];
    let write = |name: &str, text: String| {
        let path = folder.join(name);
        fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))
    };
    write("means.csv", points::csv(&axes, &points))?;
    write("effects.csv", effects::csv(plan, table))?;
    if !arguments.no_charts {
        let trade_off = TradeOff { title: title.clone(), axes: &axes, points: &points, marked: Vec::new() };
        draw(folder, "trade-off", &trade_off)?;
        draw(folder, "response", &Response::main(&title, plan, table))?;
        files.extend(["trade-off.svg", "response.svg"]);
        if let Some(heat) = Heat::of(&title, plan, table) {
            draw(folder, "heat", &heat)?;
            files.push("heat.svg");
        }
        if let Some(pairs) = Response::pairs(&title, plan, table) {
            draw(folder, "interactions", &pairs)?;
            files.push("interactions.svg");
        }
    }
    if !arguments.quiet {
        let mut text = points::render(&title, &axes, &points, terminal.color_out);
        text.push_str(&effects::render(plan, table));
        text.push_str(&crate::report::screen::files(folder, &files, terminal.color_out));
        io::stdout().write_all(text.as_bytes())?;
    }
    Ok(())
}

/// Writes a chart as SVG and PNG.
fn draw(folder: &Path, name: &str, drawing: &impl Drawing) -> anyhow::Result<()> {
    let path = folder.join(format!("{name}.svg"));
    fs::write(&path, chart::document(drawing)?).with_context(|| format!("cannot write {}", path.display()))?;
    let path = folder.join(format!("{name}.png"));
    chart::picture(drawing, &path).with_context(|| format!("cannot write {}", path.display()))
}
