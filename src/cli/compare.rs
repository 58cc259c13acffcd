//! `forescale compare`: scenarios side by side, on the same arrivals and luck.

use std::io::{self, Write};
use std::path::PathBuf;

use anyhow::anyhow;

use crate::report::comparisons;
use crate::scenario::Scenario;
use crate::simulation::Options;
use crate::study::compare::compare;

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
    /// Exit with 1 when something is significantly worse than in the first by more than this share, such as 5%
    #[arg(long, value_name = "SHARE", value_parser = share)]
    fail_if_worse: Option<f64>,
    /// Print the comparison as JSON, and nothing else
    #[arg(long)]
    json: bool,
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
        loaded.push((load::name(file), scenario));
    }
    let scenarios: Vec<(String, &Scenario)> =
        loaded.iter().map(|(name, loaded)| (name.clone(), &loaded.scenario)).collect();
    let counter = Counter::new(terminal, arguments.json);
    let all = scenarios.len() * arguments.replications as usize;
    let runner = |scenario: &Scenario, replication| {
        let outcome = simulate(scenario, "", Options::replication(replication));
        counter.one_more(all);
        outcome.map_err(|error| format!("{error:#}"))
    };
    let comparison = compare(&scenarios, arguments.replications, &runner);
    counter.finish();
    let comparison = comparison.map_err(|message| anyhow!(message))?;
    if arguments.json {
        writeln!(io::stdout(), "{}", serde_json::to_string_pretty(&comparison)?)?;
    } else {
        io::stdout().write_all(comparisons::render(&comparison, terminal.color_out).as_bytes())?;
    }
    let worse = arguments.fail_if_worse.map(|share| comparison.regressions(share)).unwrap_or_default();
    for (scenario, measure, relative) in &worse {
        let name = &comparison.names[*scenario];
        writeln!(io::stderr(), "{name}: {measure} is {:.0} % worse", relative * 100.0)?;
    }
    Ok(if worse.is_empty() { End::Fine } else { End::ObjectivesMissed })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_are_percent_or_parts_of_one() {
        assert_eq!((share("5%"), share("0.05"), share("5 %")), (Ok(0.05), Ok(0.05), Ok(0.05)));
        assert!(share("-1").is_err() && share("x").is_err() && share("nan").is_err());
    }
}
