//! `forescale compare`: scenarios side by side, on the same arrivals and luck.

use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context, anyhow};

use crate::report::chart::{self, bands::Bands};
use crate::report::{comparisons, screen};
use crate::scenario::Scenario;
use crate::simulation::Options;
use crate::study::compare::{Comparison, GATED, Miss, compare};
use crate::study::measures::MEASURES;

use super::End;
use super::load::{self, Source};
use super::progress::Counter;
use super::run::simulate;
use super::terminal::Terminal;

/// Arguments of `compare`.
#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// Scenarios; the others are compared with the first
    #[arg(value_name = "FILE", num_args = 2.., required = true)]
    files: Vec<PathBuf>,
    /// Runs of each
    #[arg(long, default_value_t = 10, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=100_000))]
    replications: u32,
    /// Change a setting in all scenarios: `simulation.duration=2h`; may be repeated
    #[arg(long = "set", value_name = "PATH=VALUE", value_parser = load::parse_setting)]
    settings: Vec<(String, String)>,
    /// Allow scenarios to read files outside their folders
    #[arg(long)]
    allow_outside: bool,
    /// Folder for the results
    #[arg(long, value_name = "FOLDER", default_value = "output/compare")]
    out: PathBuf,
    /// Exit with 1 when a scenario after the first misses an objective, or is significantly worse than the first by more than
    /// the share of --fail-if-worse (5% if it is not given)
    #[arg(long)]
    strict: bool,
    /// Exit with 1 when something is significantly worse than in the first by more than this share, such as 5%
    #[arg(long, value_name = "SHARE", value_parser = share)]
    fail_if_worse: Option<f64>,
    /// Measure that --fail-if-worse looks at, such as cost_usd; may be repeated [default: cost_usd, wait_p95_s, wait_p99_s,
    /// left, dead_lettered, duplicates]
    #[arg(long, value_name = "MEASURE", value_parser = gated_measure)]
    measure: Vec<&'static str>,
    /// Draw no charts
    #[arg(long)]
    no_charts: bool,
    /// Print the comparison as JSON, and nothing else
    #[arg(long)]
    json: bool,
}

/// The scenario's name; its path where another scenario has the same name.
fn name(file: &Path, all: &[PathBuf]) -> String {
    let name = load::name(file);
    let is_unique = all.iter().filter(|other| load::name(other) == name).count() == 1;
    if is_unique { name } else { file.display().to_string() }
}

/// Share by which a measure may be worse when `--strict` alone is given.
const DEFAULT_BOUND: f64 = 0.05;

fn gated_measure(text: &str) -> Result<&'static str, String> {
    let known = MEASURES.iter().filter(|measure| measure.less_is_better).map(|measure| measure.name);
    known
        .clone()
        .find(|name| *name == text)
        .ok_or_else(|| format!("no measure of which less is better: {}", known.collect::<Vec<_>>().join(", ")))
}

fn share(text: &str) -> Result<f64, String> {
    let (number, divisor) = text.strip_suffix('%').map_or((text, 1.0), |number| (number, 100.0));
    let share = number.trim().parse::<f64>().map(|number| number / divisor);
    share
        .ok()
        .filter(|share| (0.0..=1e6).contains(share))
        .ok_or_else(|| "expected a share such as 5% or 0.05".to_owned())
}

/// Runs all and shows the differences.
pub(super) fn run(arguments: &Arguments, terminal: &Terminal) -> anyhow::Result<End> {
    let mut loaded = Vec::new();
    for file in &arguments.files {
        let source =
            Source { file: file.clone(), settings: arguments.settings.clone(), allow_outside: arguments.allow_outside };
        let Some(scenario) = load::scenario(&source, arguments.json, terminal)? else { return Ok(End::BadInput) };
        loaded.push((name(file, &arguments.files), scenario));
    }
    let scenarios: Vec<(String, &Scenario)> =
        loaded.iter().map(|(name, loaded)| (name.clone(), &loaded.scenario)).collect();
    let counter = Counter::new(terminal, arguments.json);
    let all = scenarios.len() * arguments.replications as usize;
    let runner = |scenario: &Scenario, replication| {
        let outcome = simulate(scenario, "", Options::replication(replication));
        counter.one_more(all);
        outcome
    };
    let comparison = compare(&scenarios, arguments.replications, &runner);
    counter.finish();
    let comparison = comparison.map_err(|message| anyhow!(message))?;
    let json = format!("{}\n", serde_json::to_string_pretty(&comparison)?);
    let files = write(arguments, &scenarios, &comparison, &json)?;
    if arguments.json {
        io::stdout().write_all(json.as_bytes())?;
    } else {
        let mut text = comparisons::render(&comparison, terminal.color_out);
        text.push_str(&screen::files(&arguments.out, &files, terminal.color_out));
        io::stdout().write_all(text.as_bytes())?;
    }
    verdict(arguments, &comparison)
}

/// Writes `comparison.json` and the chart.
fn write(
    arguments: &Arguments,
    scenarios: &[(String, &Scenario)],
    comparison: &Comparison,
    json: &str,
) -> anyhow::Result<Vec<&'static str>> {
    let folder = &arguments.out;
    fs::create_dir_all(folder).with_context(|| format!("cannot create {}", folder.display()))?;
    let write = |name: &str, text: &str| {
        let path = folder.join(name);
        fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))
    };
    write("comparison.json", json)?;
    if arguments.no_charts {
        return Ok(vec!["comparison.json"]);
    }
    let profiles = comparison.names.iter().zip(&comparison.profiles);
    let bands = Bands {
        title: format!("{}: {} runs each", comparison.names.join(", "), comparison.replications),
        scenarios: profiles.map(|(name, profiles)| (name.as_str(), profiles.as_slice())).collect(),
        length: scenarios.iter().map(|(_, scenario)| scenario.simulation.duration).max().unwrap_or_default(),
    };
    write("compare.svg", &chart::document(&bands)?)?;
    chart::picture(&bands, &folder.join("compare.png"))?;
    Ok(vec!["comparison.json", "compare.svg", "compare.png"])
}

/// What a gate says: missed objectives and regressions are named on standard error.
fn verdict(arguments: &Arguments, comparison: &Comparison) -> anyhow::Result<End> {
    let measures = if arguments.measure.is_empty() { &GATED[..] } else { &arguments.measure };
    let bound = arguments.fail_if_worse.or(arguments.strict.then_some(DEFAULT_BOUND));
    let worse = bound.map(|share| comparison.regressions(share, measures)).unwrap_or_default();
    for (scenario, measure, relative) in &worse {
        let name = &comparison.names[*scenario];
        if relative.is_finite() {
            writeln!(io::stderr(), "{name}: {measure} is {:.0} % worse", relative * 100.0)?;
        } else {
            writeln!(io::stderr(), "{name}: {measure} is worse; it was 0")?;
        }
    }
    let missed: Vec<&Miss> = comparison.misses.iter().filter(|miss| arguments.strict && miss.scenario > 0).collect();
    for miss in &missed {
        writeln!(io::stderr(), "{}: {} is missed", comparison.names[miss.scenario], miss.objective)?;
    }
    Ok(if worse.is_empty() && missed.is_empty() { End::Fine } else { End::ObjectivesMissed })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scenarios_of_one_name_are_called_by_their_paths() {
        let files = ["base/scenario.toml", "a/x/scenario.toml", "b/x/scenario.toml"].map(PathBuf::from);
        let names: Vec<String> = files.iter().map(|file| name(file, &files)).collect();
        assert_eq!(names, ["base", "a/x/scenario.toml", "b/x/scenario.toml"]);
    }

    #[test]
    fn shares_are_percent_or_parts_of_one() {
        assert_eq!((share("5%"), share("0.05"), share("5 %")), (Ok(0.05), Ok(0.05), Ok(0.05)));
        assert!(share("-1").is_err() && share("x").is_err() && share("nan").is_err());
    }
}
