//! `forescale tune`: the best settings among those of `[tune]`.

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::{Context, anyhow, bail};

use crate::report::tuning::{Found, TABLE_HEADER};
use crate::report::{chart, diff, patch, points, screen, tuning};
use crate::scenario::Scenario;
use crate::scenario::axes::{Axis, Minimize, parse_axis};
use crate::scenario::edit::edit;
use crate::scenario::load::{Loaded, finish};
use crate::simulation::Options;
use crate::study::constraint::constraints;
use crate::study::measures::MEASURES;
use crate::study::space::Space;
use crate::study::tune::{Goal, System, tune};
use crate::study::worth::{gain, knobs, without_idle_changes};

use super::End;
use super::load::{self, Source};
use super::progress::Counter;
use super::run::simulate;
use super::terminal::Terminal;

/// Arguments of `tune`.
#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// Scenarios, TOML files; each is tuned by itself
    #[arg(value_name = "FILE", num_args = 1.., required = true)]
    files: Vec<PathBuf>,
    /// Change a setting: `ScaledObject/orders.pollingInterval=5`; may be repeated
    #[arg(long = "set", value_name = "PATH=VALUE", value_parser = load::parse_setting)]
    settings: Vec<(String, String)>,
    /// Allow the scenario to read files outside its folder
    #[arg(long)]
    allow_outside: bool,
    /// Choose among these values instead of those in `[tune]`: `ScaledObject/orders.pollingInterval=5,10,30`; may be repeated
    #[arg(long, value_name = "PATH=VALUES", value_parser = parse_axis)]
    vary: Vec<Axis>,
    /// A scenario of the same objects with traffic that the search does not see: the gain is measured there, too
    #[arg(long, value_name = "FILE")]
    hold_out: Option<PathBuf>,
    /// Folder for the results [default: output/<scenario>/tune]
    #[arg(long, value_name = "FOLDER")]
    out: Option<PathBuf>,
    /// Most runs of the search, instead of the scenario's
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    budget: Option<u32>,
    /// Runs on fresh randomness that measure the gain, and what each setting is worth [default: 20, or the scenario's
    /// `replications` if those are more]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(2..=10_000))]
    fresh: Option<u32>,
    /// Print errors only
    #[arg(long, short)]
    quiet: bool,
    /// Exit with 1 when no combination meets the objectives
    #[arg(long)]
    strict: bool,
}

/// Searches, writes what was tried and shows the best.
pub(super) fn run(arguments: &Arguments, terminal: &Terminal) -> anyhow::Result<End> {
    if arguments.files.len() > 1 && (arguments.out.is_some() || arguments.hold_out.is_some()) {
        bail!("--out and --hold-out are for a single scenario");
    }
    let mut rows = Vec::new();
    let mut missed = false;
    for file in &arguments.files {
        let Some((row, met)) = one(arguments, terminal, file)? else { return Ok(End::BadInput) };
        rows.push(row);
        missed |= !met;
    }
    if rows.len() > 1 && !arguments.quiet {
        writeln!(io::stdout(), "\n{TABLE_HEADER}\n{}", rows.join("\n"))?;
    }
    Ok(if arguments.strict && missed { End::ObjectivesMissed } else { End::Fine })
}

/// Tunes one scenario; gives its row of the table of all, and whether the objectives are met. Nothing when it cannot run.
fn one(arguments: &Arguments, terminal: &Terminal, file: &Path) -> anyhow::Result<Option<(String, bool)>> {
    let load = |file: &Path| {
        let (settings, allow_outside) = (arguments.settings.clone(), arguments.allow_outside);
        load::scenario(&Source { file: file.to_owned(), settings, allow_outside }, arguments.quiet, terminal)
    };
    let Some(loaded) = load(file)? else { return Ok(None) };
    let wanted = &loaded.scenario.tune;
    let axes = if arguments.vary.is_empty() { wanted.axes.clone() } else { arguments.vary.clone() };
    if axes.is_empty() {
        bail!("nothing to tune: name settings and their values in a table `[tune]`, or with --vary");
    }
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
    let space = Space::new(axes, &loaded.document).map_err(|message| anyhow!(message))?;
    let hold_out = match &arguments.hold_out {
        Some(file) => match load(file)? {
            Some(loaded) => Some(Bench { loaded, space: &space, counter: None, read: Mutex::default() }),
            None => return Ok(None),
        },
        None => None,
    };
    let (lengths, present) = (space.lengths(), &space.present);
    let counter = Counter::new(terminal, arguments.quiet);
    let bench = Bench { loaded, space: &space, counter: Some((&counter, goal.budget)), read: Mutex::default() };
    let name = load::name(file);
    let fresh = arguments.fresh.unwrap_or(goal.replications.max(20));
    let search = || -> Result<_, String> {
        let tuned = tune(&lengths, &goal, &bench)?;
        let mut best = tuned.tried[tuned.best].point.clone();
        let mut turned = knobs(&lengths, present, &best, fresh, &bench)?;
        let fewer = without_idle_changes(present, &best, &turned, (goal.minimize, &goal.constraints), &bench)?;
        if fewer != best {
            best = fewer;
            turned = knobs(&lengths, present, &best, fresh, &bench)?;
        }
        let measured = gain(present, &best, fresh, &bench)?;
        let held_out = hold_out.as_ref().map(|bench| gain(present, &best, fresh, bench));
        Ok((best, turned, measured, held_out.transpose()?, tuned))
    };
    let result = search();
    counter.finish();
    let (best, knobs, gain, held_out, tuned) = result.map_err(|message| anyhow!(message))?;
    let found = Found {
        name: &name,
        space: &space,
        best: &best,
        goal: &goal,
        tuned: &tuned,
        gain: &gain,
        hold_out: held_out.as_ref(),
        knobs: &knobs,
    };
    let folder = arguments.out.clone().unwrap_or_else(|| Path::new("output").join(&name).join("tune"));
    let notes = write(&bench.loaded, &found, &folder)?;
    if !arguments.quiet {
        let text = format!("{}\n{}", found.render(terminal.color_out), notes.shown(&folder, terminal));
        io::stdout().write_all(text.as_bytes())?;
    }
    Ok(Some((found.table_row(), found.meets_objectives())))
}

/// Files written, and what has to be done by hand.
struct Notes {
    files: Vec<String>,
    by_hand: Vec<String>,
}

impl Notes {
    fn shown(&self, folder: &Path, terminal: &Terminal) -> String {
        let files: Vec<&str> = self.files.iter().map(String::as_str).collect();
        let mut text = screen::files(folder, &files, terminal.color_out);
        for path in &self.by_hand {
            text.push_str(&format!("{path} has to be changed by hand: it is not in changes.diff\n"));
        }
        text
    }
}

fn write(loaded: &Loaded, found: &Found<'_>, folder: &Path) -> anyhow::Result<Notes> {
    let Found { name, space, tuned, .. } = *found;
    let settings = space.changes(found.best);
    let edits = edit(&loaded.document, &settings);
    let changes: String = edits.files.iter().map(|file| diff::unified(&file.path, &file.old, &file.new)).collect();
    let paths: Vec<String> = space.axes.iter().map(|axis| axis.path.clone()).collect();
    let tried = tuning::points(space, tuned);
    let chart = chart::trade_off::TradeOff {
        title: format!("{name}: combinations tried"),
        axes: &paths,
        points: &tried,
        marked: vec![
            ("present", place(&found.gain.present("wait_p95_s"), &found.gain.present("cost_usd"))),
            ("recommended", place(&found.gain.best("wait_p95_s"), &found.gain.best("cost_usd"))),
        ],
    };
    let mut texts = vec![
        ("means.csv".to_owned(), points::csv(&paths, &tried)),
        ("tune.json".to_owned(), format!("{:#}\n", found.json())),
        ("trade-off.svg".to_owned(), chart::document(&chart)?),
    ];
    if !changes.is_empty() {
        texts.push(("changes.diff".to_owned(), changes));
    }
    let patches = patch::patches(&loaded.document, &settings);
    texts.extend(patches.into_iter().map(|(file, text)| (format!("patches/{file}"), text)));
    fs::create_dir_all(folder.join("patches")).with_context(|| format!("cannot create {}", folder.display()))?;
    let mut files = Vec::new();
    for (file, text) in texts {
        let path = folder.join(&file);
        fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))?;
        files.push(file);
    }
    chart::picture(&chart, &folder.join("trade-off.png"))?;
    Ok(Notes { files, by_hand: edits.by_hand })
}

fn place(wait: &crate::study::statistics::Estimate, cost: &crate::study::statistics::Estimate) -> (f64, f64) {
    (wait.mean, cost.mean)
}

/// The scenario of a combination, or why it cannot run.
type Reading = Result<Arc<Scenario>, String>;

/// A scenario whose settings are varied; each combination is read once.
struct Bench<'a> {
    loaded: Box<Loaded>,
    space: &'a Space,
    /// Told of each run, and of how many there are to be.
    counter: Option<(&'a Counter, usize)>,
    read: Mutex<BTreeMap<Vec<usize>, Reading>>,
}

impl Bench<'_> {
    fn scenario(&self, point: &[usize]) -> Reading {
        if let Some(known) = self.read.lock().unwrap_or_else(PoisonError::into_inner).get(point) {
            return known.clone();
        }
        let scenario = self.read(point).map(Arc::new);
        self.read.lock().unwrap_or_else(PoisonError::into_inner).insert(point.to_vec(), scenario.clone());
        scenario
    }

    fn read(&self, point: &[usize]) -> Result<Scenario, String> {
        let mut document = self.loaded.document.clone();
        for (path, value) in self.space.settings(point) {
            document.set(&path, value).map_err(|error| format!("{path}: {}", error.message))?;
        }
        let changed = finish(document, Some(&load::known_in), crate::api::decode::Problems::default());
        changed.map(|changed| changed.scenario).map_err(|invalid| format!("a combination cannot run: {invalid}"))
    }
}

impl System for Bench<'_> {
    fn is_valid(&self, point: &[usize]) -> bool {
        self.scenario(point).is_ok()
    }

    fn run(&self, point: &[usize], replication: u32) -> Result<Vec<f64>, String> {
        let scenario = self.scenario(point)?;
        let outcome =
            simulate(&scenario, "", Options::replication(replication)).map_err(|error| format!("{error:#}"))?;
        if let Some((counter, all)) = self.counter {
            counter.one_more(all);
        }
        Ok(MEASURES.iter().map(|measure| measure.of(&outcome)).collect())
    }
}
