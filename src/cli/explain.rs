//! `forescale explain`: reads the decision log of a run.

mod message;
mod object;

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};

use crate::api::scalar::parse_scenario_duration;
use crate::report::numbers::{count, span};
use crate::report::points::aligned;
use crate::report::tables::DECISION_COLUMNS;
use crate::time::Duration;

use super::End;
use super::load;
use super::terminal::Terminal;

use object::Object;

/// Most decisions that are listed unless more are asked for.
const LISTED: usize = 200;

/// Arguments of `explain`.
#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// Scenario that was run, or the folder of its results
    #[arg(value_name = "FILE_OR_FOLDER")]
    run: PathBuf,
    /// What to explain; without it, the decision log itself is shown
    #[command(subcommand)]
    object: Option<Object>,
    /// What stood at this time: the last decision about each object, such as 5m30s
    #[arg(long, value_name = "TIME", value_parser = time, conflicts_with_all = ["from", "to"])]
    at: Option<Duration>,
    /// Decisions from this time on
    #[arg(long, value_name = "TIME", value_parser = time)]
    from: Option<Duration>,
    /// Decisions up to this time
    #[arg(long, value_name = "TIME", value_parser = time)]
    to: Option<Duration>,
    /// Only of controllers whose name contains this: keda, hpa, scheduler, karpenter, ...
    #[arg(long, value_name = "TEXT")]
    controller: Option<String>,
    /// Only about objects whose name contains this: ScaledObject/orders, Pod/, ...
    #[arg(long, value_name = "TEXT")]
    subject: Option<String>,
    /// Only by rules whose name contains this: ScaleUpLimit, ...
    #[arg(long, value_name = "TEXT")]
    rule: Option<String>,
    /// Most decisions listed
    #[arg(long, value_name = "N", default_value_t = LISTED)]
    limit: usize,
}

fn time(text: &str) -> Result<Duration, String> {
    parse_scenario_duration(text).map_err(|error| error.to_string())
}

/// One row of `decisions.csv`.
struct Decision {
    at: Duration,
    controller: String,
    subject: String,
    action: String,
    rule: String,
    from: String,
    to: String,
    wanted: String,
    detail: String,
}

/// Shows what decided, how often, or the decisions themselves when they were narrowed down.
pub(super) fn run(arguments: &Arguments, terminal: &Terminal) -> anyhow::Result<End> {
    let path = log(&arguments.run)?;
    let decisions = read(&path)?;
    let narrowed = [&arguments.controller, &arguments.subject, &arguments.rule].iter().any(|filter| filter.is_some());
    let wanted: Vec<&Decision> = decisions.iter().filter(|decision| is_wanted(arguments, decision)).collect();
    let folder = path.parent().unwrap_or(Path::new("."));
    let text = if let Some(object) = &arguments.object {
        let run = object::Run { file: &arguments.run, folder };
        let Some(text) = object::explain(&run, object, &decisions, terminal)? else { return Ok(End::BadInput) };
        text
    } else if let Some(at) = arguments.at {
        state(&wanted, at, terminal.color_out)
    } else if narrowed || arguments.from.is_some() || arguments.to.is_some() {
        list(&wanted, arguments.limit, terminal.color_out)
    } else {
        overview(&wanted, terminal.color_out)
    };
    io::stdout().write_all(text.as_bytes())?;
    Ok(End::Fine)
}

/// Where the decisions of a run are.
fn log(run: &Path) -> anyhow::Result<PathBuf> {
    let folder = if run.is_dir() { run.to_owned() } else { Path::new("output").join(load::name(run)) };
    let path = folder.join("decisions.csv");
    if !path.is_file() {
        bail!(
            "{} is not there: run the scenario first (forescale run), or name the folder of its results",
            path.display()
        );
    }
    Ok(path)
}

fn read(path: &Path) -> anyhow::Result<Vec<Decision>> {
    let shown = || format!("cannot read {}", path.display());
    let mut reader = csv::Reader::from_reader(File::open(path).with_context(shown)?);
    if reader.headers().with_context(shown)?.iter().ne(DECISION_COLUMNS) {
        bail!("{} is no decision log: its columns are others", path.display());
    }
    let mut decisions = Vec::new();
    for record in reader.records() {
        let record = record.with_context(shown)?;
        let field = |index: usize| record.get(index).unwrap_or_default().to_owned();
        let seconds: f64 = field(0).parse().with_context(|| format!("{}: a time is no number", path.display()))?;
        decisions.push(Decision {
            at: Duration::from_secs_f64(seconds),
            controller: field(1),
            subject: field(2),
            action: field(3),
            rule: field(4),
            from: field(5),
            to: field(6),
            wanted: field(7),
            detail: field(8),
        });
    }
    Ok(decisions)
}

fn is_wanted(arguments: &Arguments, decision: &Decision) -> bool {
    let has = |filter: &Option<String>, value: &str| {
        filter.as_ref().is_none_or(|text| value.to_lowercase().contains(&text.to_lowercase()))
    };
    has(&arguments.controller, &decision.controller)
        && has(&arguments.subject, &decision.subject)
        && has(&arguments.rule, &decision.rule)
        && arguments.from.is_none_or(|from| decision.at >= from)
        && arguments.to.is_none_or(|to| decision.at <= to)
}

/// How often each controller did what by which rule.
fn overview(decisions: &[&Decision], color: bool) -> String {
    let mut groups: BTreeMap<(&str, &str, &str), (u64, &Decision, Duration)> = BTreeMap::new();
    for decision in decisions {
        let key = (decision.controller.as_str(), decision.action.as_str(), decision.rule.as_str());
        let group = groups.entry(key).or_insert((0, decision, decision.at));
        group.0 += 1;
        group.2 = decision.at;
    }
    let header = ["controller", "action", "rule", "first about", "times", "first", "last"];
    let mut rows = vec![header.map(str::to_owned).to_vec()];
    for ((controller, action, rule), (times, first, last)) in groups {
        rows.push(vec![
            controller.to_owned(),
            action.to_owned(),
            rule.to_owned(),
            first.subject.clone(),
            count(times),
            span(first.at),
            span(last),
        ]);
    }
    let hint =
        "\nNarrow it down with --controller, --subject, --rule, --from, --to; --at shows what stood at a time.\n";
    format!("{}{hint}", aligned(&rows, 4, color))
}

fn list(decisions: &[&Decision], limit: usize, color: bool) -> String {
    let mut text = String::new();
    for decision in decisions.iter().take(limit) {
        line(&mut text, decision, color);
    }
    if decisions.len() > limit {
        let _ = writeln!(text, "... and {} more (--limit)", count((decisions.len() - limit) as u64));
    }
    if decisions.is_empty() {
        text.push_str("no such decision\n");
    }
    text
}

/// The last decision about each object up to a time, by each controller.
fn state(decisions: &[&Decision], at: Duration, color: bool) -> String {
    let mut last: BTreeMap<(&str, &str), &Decision> = BTreeMap::new();
    for decision in decisions.iter().filter(|decision| decision.at <= at) {
        last.insert((&decision.controller, &decision.subject), decision);
    }
    let mut standing: Vec<&Decision> = last.into_values().collect();
    standing.sort_by_key(|decision| std::cmp::Reverse(decision.at));
    list(&standing, LISTED, color)
}

fn line(text: &mut String, decision: &Decision, color: bool) {
    let change = match (decision.from.as_str(), decision.to.as_str()) {
        ("", "") => String::new(),
        (from, to) if from == to => format!(" at {to}"),
        (from, to) => format!(" {from} -> {to}"),
    };
    let time = span(decision.at);
    let (bold, plain) = if color { ("\u{1b}[1m", "\u{1b}[0m") } else { ("", "") };
    let Decision { controller, subject, action, rule, detail, .. } = decision;
    let _ = writeln!(text, "{time:>8}  {controller}  {bold}{action}{change}{plain}  {subject}  [{rule}]");
    if !detail.is_empty() {
        let _ = writeln!(text, "{:>10}{detail}", "");
    }
}
