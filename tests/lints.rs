//! Each rule of `forescale check` against runs: a folder of `tests/data/lints` a rule, in which `case.toml` says
//!
//! - `base`: the scenario of `tests/data/lints/base` that it starts from; `unwise.yaml` and `wise.yaml` are manifests beside it,
//! - `[unwise]`: settings that trigger the rule, as `--set` takes them,
//! - `[wise]`: settings on top of these that follow the advice, where `"unset"` takes a setting of `[unwise]` back; other tables are
//!   further variants (`[other]`),
//! - `claims`: what holds of the runs of all variants. `unwise.wait_p95_s` is a measure of a study or, by its path, a number of
//!   `summary.json`; what never happened is larger than any number; `unwise.timeline` is all that the queues and replicas did.
//!
//! The rule must be found in `unwise` and not in `wise`. The scenario of a rule that is an error does not run, nor does it need claims.
//! `cargo test --test lints -- ID` runs one rule and prints the numbers of its claims.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::ExitCode;
use std::sync::LazyLock;

use forescale::api::decode::Severity;
use forescale::ec2::known::known_in;
use forescale::report::summary::summarize;
use forescale::scenario::lint::Rule;
use forescale::scenario::load::{Options, load_texts};
use forescale::scenario::validate::Known;
use forescale::simulation;
use forescale::study::measures::MEASURES;
use forescale::telemetry::Outcome;
use rayon::prelude::*;

const ROOT: &str = "tests/data/lints";
/// What stands for "never" in claims.
const NEVER: f64 = 1e18;
/// Maps of counts by name, in which a name that is missing counts 0.
const COUNTS: [&str; 3] = ["ended.", "removed.", "blame_message_s."];

/// A setting of `[unwise]` that a variant does not have, as TOML writes it.
const UNSET: &str = "\"unset\"";

type Settings = Vec<(String, String)>;

/// One folder.
struct Case {
    base: String,
    claims: Vec<String>,
    variants: BTreeMap<String, Settings>,
    files: BTreeMap<String, String>,
}

/// What claims can say of one variant.
enum Fact {
    Number(f64),
    Text(String),
}

fn main() -> ExitCode {
    let wanted = std::env::args().skip(1).find(|argument| !argument.starts_with('-'));
    let rules: Vec<Rule> =
        Rule::ALL.iter().copied().filter(|rule| wanted.as_deref().is_none_or(|id| id == rule.id())).collect();
    let results: Vec<(Rule, Result<String, String>)> =
        rules.par_iter().map(|rule| (*rule, check(*rule).map_err(|error| error.to_string()))).collect();
    let mut failures = strays();
    for (rule, result) in &results {
        match result {
            Ok(numbers) if wanted.is_some() => println!("{numbers}"),
            Ok(_) => {}
            Err(error) => failures.push(format!("{}: {error}", rule.id())),
        }
    }
    for failure in &failures {
        println!("{failure}");
    }
    println!("lints: {} rules, {} failed", results.len(), failures.len());
    if failures.is_empty() && !results.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Folders that belong to no rule.
fn strays() -> Vec<String> {
    let names = std::fs::read_dir(ROOT).into_iter().flatten().flatten();
    let names = names.map(|entry| entry.file_name().to_string_lossy().into_owned());
    names
        .filter(|name| name != "base" && Rule::find(name).is_none())
        .map(|name| format!("{name}: no such rule"))
        .collect()
}

fn check(rule: Rule) -> Result<String, String> {
    let case = read(rule.id())?;
    let mut facts = BTreeMap::new();
    for (name, settings) in &case.variants {
        let is_error = rule.info().severity == Severity::Error;
        let (found, outcome) =
            run(&case, name, settings, name == "unwise" && is_error).map_err(|error| format!("{name}: {error}"))?;
        if (name == "unwise") != found.contains(&rule.id()) && (name == "unwise" || name == "wise") {
            return Err(format!("{name}: the rules found are {found:?}"));
        }
        if let Some((outcome, objectives)) = outcome {
            facts
                .extend(facts_of(&outcome, &objectives).into_iter().map(|(key, fact)| (format!("{name}.{key}"), fact)));
        }
    }
    if !case.variants.contains_key("wise") {
        return Err("no [wise]".to_owned());
    }
    if case.claims.is_empty() && rule.info().severity != Severity::Error {
        return Err("no claims".to_owned());
    }
    let mut numbers = String::new();
    let mut all_hold = true;
    for claim in &case.claims {
        let (holds, shown) = evaluate(claim, &facts).map_err(|error| format!("{claim}: {error}"))?;
        let verdict = if holds { "holds" } else { "does not hold" };
        all_hold &= holds;
        numbers.push_str(&format!("\n  {verdict}: {claim}\n    {shown}"));
    }
    if all_hold { Ok(numbers) } else { Err(numbers) }
}

fn read(id: &str) -> Result<Case, String> {
    let folder = Path::new(ROOT).join(id);
    let mut files = BTreeMap::new();
    for entry in std::fs::read_dir(&folder).map_err(|_| format!("no folder {}", folder.display()))?.flatten() {
        let text = std::fs::read_to_string(entry.path()).map_err(|error| error.to_string())?;
        files.insert(entry.file_name().to_string_lossy().into_owned(), text);
    }
    let text = files.remove("case.toml").ok_or("no case.toml")?;
    let mut table: toml::Table = text.parse().map_err(|error| format!("{error}"))?;
    let text_of = |value: Option<toml::Value>| value.and_then(|value| value.as_str().map(str::to_owned));
    let base = text_of(table.remove("base")).ok_or("no base")?;
    let base = std::fs::read_to_string(Path::new(ROOT).join("base").join(format!("{base}.toml")))
        .map_err(|error| error.to_string())?;
    let claims = table.remove("claims").and_then(|claims| claims.as_array().cloned()).unwrap_or_default();
    let claims = claims.into_iter().filter_map(|claim| text_of(Some(claim))).collect();
    let mut variants: BTreeMap<String, Settings> = BTreeMap::new();
    for (name, value) in table {
        let settings = value.as_table().ok_or_else(|| format!("`{name}` is no table"))?;
        variants.insert(name, settings.iter().map(|(path, value)| (path.clone(), value.to_string())).collect());
    }
    let unwise = variants.get("unwise").cloned().ok_or("no [unwise]")?;
    for (_, settings) in variants.iter_mut().filter(|(name, _)| *name != "unwise") {
        let own = std::mem::take(settings);
        let kept = unwise.iter().filter(|(path, _)| !own.iter().any(|(other, _)| other == path));
        let set = own.iter().filter(|(_, value)| value != UNSET);
        *settings = kept.chain(set).cloned().collect();
    }
    Ok(Case { base, claims, variants, files })
}

type Run = (Outcome, forescale::scenario::objectives::Objectives);

/// What the one region of the bases offers, worked out once.
fn known(region: &str) -> Known {
    static KNOWN: LazyLock<Known> = LazyLock::new(|| known_in("us-east-1"));
    if region == "us-east-1" { KNOWN.clone() } else { known_in(region) }
}

/// The ids of the rules found, and the run unless the scenario is invalid, as some must be.
fn run(
    case: &Case,
    name: &str,
    settings: &Settings,
    invalid: bool,
) -> Result<(Vec<&'static str>, Option<Run>), String> {
    let mut texts = BTreeMap::new();
    let mut scenario = case.base.clone();
    if let Some(manifest) = case.files.get(&format!("{name}.yaml")) {
        texts.insert("objects.yaml".to_owned(), manifest.clone());
        scenario = scenario.replace("[simulation]\n", "[simulation]\nmanifests = [\"objects.yaml\"]\n");
    }
    texts.insert("scenario.toml".to_owned(), scenario);
    let options = Options { settings: settings.clone(), known: Some(&known), ..Options::default() };
    let loaded = match load_texts("scenario.toml", texts, &options) {
        Ok(_) if invalid => return Err("the scenario can run".to_owned()),
        Ok(loaded) => loaded,
        Err(invalid_scenario) if invalid => {
            return Ok((invalid_scenario.problems.list.iter().filter_map(|problem| problem.rule).collect(), None));
        }
        Err(invalid_scenario) => return Err(invalid_scenario.to_string()),
    };
    let found = loaded.problems.list.iter().filter_map(|problem| problem.rule).collect();
    let options = simulation::Options { check_invariants: false, ..simulation::Options::replication(0) };
    let outcome = simulation::run(&loaded.scenario, options).map_err(|error| error.to_string())?;
    Ok((found, Some((outcome, loaded.scenario.objectives))))
}

fn facts_of(outcome: &Outcome, objectives: &forescale::scenario::objectives::Objectives) -> BTreeMap<String, Fact> {
    let mut facts = BTreeMap::new();
    let summary = serde_json::to_value(summarize(outcome, objectives)).unwrap_or_default();
    flatten(String::new(), &summary, &mut facts);
    for measure in MEASURES {
        facts.insert(measure.name.to_owned(), Fact::Number(measure.of(outcome)));
    }
    facts.insert("timeline".to_owned(), Fact::Text(timeline(outcome)));
    facts
}

fn flatten(path: String, value: &serde_json::Value, facts: &mut BTreeMap<String, Fact>) {
    let below = |key: &str| if path.is_empty() { key.to_owned() } else { format!("{path}.{key}") };
    match value {
        serde_json::Value::Object(map) => map.iter().for_each(|(key, value)| flatten(below(key), value, facts)),
        serde_json::Value::Array(list) => {
            list.iter().enumerate().for_each(|(index, value)| flatten(below(&index.to_string()), value, facts));
        }
        serde_json::Value::Null => _ = facts.insert(path, Fact::Number(NEVER)),
        serde_json::Value::Number(number) => _ = facts.insert(path, Fact::Number(number.as_f64().unwrap_or(NEVER))),
        serde_json::Value::Bool(flag) => _ = facts.insert(path, Fact::Number(f64::from(u8::from(*flag)))),
        serde_json::Value::String(text) => _ = facts.insert(path, Fact::Text(text.clone())),
    }
}

/// All that the queues and the replicas did.
fn timeline(outcome: &Outcome) -> String {
    let mut text = String::new();
    for workload in &outcome.workloads {
        text.push_str(&format!("{} {:?}\n", workload.name, workload.desired.steps()));
    }
    for queue in &outcome.queues {
        let (visible, in_flight, processed) = (queue.visible.steps(), queue.in_flight.steps(), queue.processed.steps());
        text.push_str(&format!("{} {visible:?} {in_flight:?} {processed:?}\n", queue.name));
    }
    for node in &outcome.nodes {
        text.push_str(&format!("{} {:?} {:?}\n", node.info.instance_type, node.launched, node.terminated));
    }
    text
}

/// Whether a claim holds, and its names with their values.
fn evaluate(claim: &str, facts: &BTreeMap<String, Fact>) -> Result<(bool, String), String> {
    let mut context = expr::Context::default();
    let mut code = String::new();
    let mut shown = Vec::new();
    for (index, word) in claim.split(' ').enumerate() {
        let name = word.trim_matches(['(', ')']);
        if !name.contains('.') || name.parse::<f64>().is_ok() {
            code.push_str(&format!("{word} "));
            continue;
        }
        let variable = format!("x{index}");
        match facts.get(name) {
            Some(Fact::Text(text)) => context.insert(variable.clone(), text.clone()),
            Some(Fact::Number(number)) => context.insert(variable.clone(), *number),
            None if COUNTS.iter().any(|map| name.contains(map)) => context.insert(variable.clone(), 0.0),
            None => return Err(format!("there is no `{name}`")),
        };
        match facts.get(name) {
            Some(Fact::Number(number)) => shown.push(format!("{name} = {number}")),
            Some(Fact::Text(_)) => {}
            None => shown.push(format!("{name} = 0")),
        }
        code.push_str(&format!("{} ", word.replace(name, &variable)));
    }
    let program = expr::compile(&code).map_err(|error| error.to_string())?;
    match expr::run(&program, &context).map_err(|error| error.to_string())? {
        expr::Value::Bool(holds) => Ok((holds, shown.join(", "))),
        other => Err(format!("this is {other}, neither true nor false")),
    }
}
