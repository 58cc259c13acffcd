//! Holds disruption against recorded clusters that lost part of their pods (format: `tests/data/recorded/README.md`).
//! `FORESCALE_CONSOLIDATION_RECORDED` names another file.
//!
//! A case matches when the same commands begin in the same order: reason, decision, what is removed (equal nodes are
//! interchangeable; for the first command the pods on each node too), how many pods move, the saving, and all types that the replacement may become. What a recording does not
//! tell is drawn: names and ties from seeds, and in which state nodes were at the first decision (see `Untold`).

use std::process::ExitCode;

use forescale::cluster::catalogue::Catalogue;
use forescale::ec2::kwok;
use forescale::time::{Duration, Time};
use serde_json::{Value, json};

#[path = "support/disruption_world.rs"]
mod disruption_world;
#[path = "support/json.rs"]
mod json;
#[path = "support/consolidation_replay.rs"]
mod replay;

use replay::{Began, ORIGIN, Replay, Untold, seconds};

/// How many draws of names and ties are tried for every case.
const SEEDS: u64 = 100;

fn main() -> ExitCode {
    let file = std::env::var("FORESCALE_CONSOLIDATION_RECORDED")
        .unwrap_or_else(|_| "tests/data/recorded/consolidation.jsonl".to_owned());
    let text = std::fs::read_to_string(&file).unwrap_or_else(|error| panic!("{file}: {error}"));
    let types = std::fs::read_to_string("tests/data/recorded/catalogue.json").expect("the recorded catalogue");
    let catalogue = kwok::parse_catalogue(&types).expect("a catalogue");
    let (mut matched, mut total, mut conditional, mut punctual) = (0, 0, 0, 0);
    for line in text.lines().filter(|line| !line.trim().is_empty()) {
        let case: Value = serde_json::from_str(line).unwrap_or_else(|error| panic!("{file}: {error}"));
        total += 1;
        match judge(&case, &relevant(&case, &catalogue)) {
            Ok((untold, late)) => {
                matched += 1;
                conditional += usize::from(untold != Untold::Nothing);
                punctual += usize::from(late <= 2.0);
            }
            Err(difference) => println!("{}: {difference}", case["case"].as_str().unwrap_or_default()),
        }
    }
    println!("{punctual} of the matched begin every command within 2 s of the recorded time");
    println!(
        "{conditional} of the matched need nodes that were not quiet at the first decision, which recordings do not tell"
    );
    println!("{matched} passed, {} failed", total - matched);
    println!("consolidation_recorded: matched {matched} of {total}");
    if matched == total && total > 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// The catalogue without the types that no pool of the case allows and no node of it has: they play no part.
fn relevant(case: &Value, catalogue: &Catalogue) -> Catalogue {
    let allowed = |name: &str, key: &str, part: &str| {
        case["pools"].as_array().into_iter().flatten().any(|pool| {
            let mut own = pool["requirements"].as_array().into_iter().flatten().filter(|r| r["key"] == key);
            own.all(|r| r["values"].as_array().is_some_and(|values| values.iter().any(|value| value == part)))
        }) || case["before"].as_object().into_iter().flatten().any(|(_, node)| node["type"] == name)
    };
    let family = |name: &str| name.split(['.', '-']).next().unwrap_or_default().to_owned();
    let mut relevant = catalogue.clone();
    relevant.types.retain(|t| allowed(&t.name, "karpenter.kwok.sh/instance-family", &family(&t.name)));
    relevant
}

/// Tries what a recording leaves open; the difference of the best try if none fits.
fn judge(case: &Value, catalogue: &Catalogue) -> Result<(Untold, f64), String> {
    let wanted = wanted(case, catalogue);
    let mut best: Option<(usize, String)> = None;
    let assumptions: &[Untold] = if wanted.is_empty() {
        &[Untold::Nothing, Untold::OneQuiet]
    } else {
        &[Untold::Nothing, Untold::OthersUnquiet, Untold::OthersNominated]
    };
    for untold in assumptions.iter().copied() {
        for first in first_decisions(case) {
            for seed in 0..SEEDS {
                let mut replay = Replay::new(case, catalogue, seed);
                replay.prepare(first, untold, !wanted.is_empty());
                replay.run();
                let agreed = wanted.iter().zip(&replay.began).take_while(|(w, b)| same(w, &b.description)).count();
                if agreed == wanted.len() && replay.began.len() == agreed {
                    return Ok((untold, deviation(&wanted, &replay.began)));
                }
                if best.as_ref().is_none_or(|(most, _)| agreed > *most) {
                    best = Some((agreed, difference(&wanted, &replay.began, agreed)));
                }
            }
        }
    }
    Err(best.map_or_else(String::new, |(_, text)| text))
}

/// Largest difference between the recorded and the replayed beginning of a command, in seconds.
fn deviation(wanted: &[Value], began: &[Began]) -> f64 {
    let pairs = wanted.iter().zip(began);
    pairs.map(|(w, b)| (b.at.since(seconds_after_origin(&w["t"])).as_secs_f64()).abs()).fold(0.0, f64::max)
}

fn seconds_after_origin(json: &Value) -> Time {
    ORIGIN + seconds(json).since(Time::ZERO)
}

/// When the first command may have been decided: 15 s before it began, or 30 or 45 s if others were abandoned in between. Without
/// commands the phase of the passes is unknown.
fn first_decisions(case: &Value) -> Vec<Time> {
    match case["commands"].get(0) {
        Some(command) => {
            let began = seconds_after_origin(&command["t"]);
            [15, 30, 45]
                .into_iter()
                .map(|back| began - Duration::from_secs(back))
                .filter(|first| *first >= ORIGIN)
                .collect()
        }
        None => (0..5).map(|k| ORIGIN + Duration::from_secs(1 + 2 * k)).collect(),
    }
}

/// The recorded commands in the form of the replay's.
fn wanted(case: &Value, catalogue: &Catalogue) -> Vec<Value> {
    let mut launched = case["launched"].as_object().into_iter().flatten();
    let nodes = &case["before"];
    let commands = case["commands"].as_array().into_iter().flatten();
    commands
        .enumerate()
        .map(|(number, command)| {
            let names: Vec<&str> = command["nodes"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
            let kinds: Vec<Option<String>> = names.iter().map(|name| kind(case, nodes, name)).collect();
            let replacements: Vec<Value> = command["replacements"]
                .as_array()
                .into_iter()
                .flatten()
                .map(|shown| match launched.next() {
                    Some((_, node)) => {
                        let mut options: Vec<&str> =
                            node["options"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
                        options.retain(|name| catalogue.find(name).is_some());
                        options.sort_unstable();
                        json!(options)
                    }
                    None => shown.clone(),
                })
                .collect();
            let mut sorted: Option<Vec<String>> = kinds.into_iter().collect();
            if let Some(kinds) = &mut sorted {
                kinds.sort();
            }
            json!({
                "t": command["t"], "reason": command["reason"], "decision": command["decision"], "nodes": sorted,
                "count": names.len(), "pods": command["pods"], "savings": command["savings"], "replacements": replacements,
                "names": names, "loads": if number == 0 { loads(nodes, &names) } else { Value::Null },
            })
        })
        .collect()
}

/// The pods of the nodes by shape, as of the beginning, in any order.
fn loads(nodes: &Value, names: &[&str]) -> Value {
    let mut loads: Vec<String> = names.iter().map(|name| nodes[*name]["pods"].to_string()).collect();
    loads.sort();
    json!(loads)
}

/// Type, capacity type and pool of a recorded node, of the beginning or launched since.
fn kind(case: &Value, before: &Value, name: &str) -> Option<String> {
    let node = [before, &case["launched"]].into_iter().find_map(|nodes| nodes.get(name))?;
    Some(format!("{} {} in {}", node["type"].as_str()?, node["ct"].as_str()?, node["pool"].as_str()?))
}

fn same(wanted: &Value, got: &Value) -> bool {
    let keys = ["reason", "decision", "pods", "savings", "replacements"];
    let count = got["nodes"].as_array().map(Vec::len);
    keys.iter().all(|key| wanted[*key] == got[*key])
        && (wanted["nodes"].is_null() || wanted["nodes"] == got["nodes"])
        && (wanted["loads"].is_null() || wanted["loads"] == got["loads"])
        && wanted["count"].as_u64() == count.map(|count| count as u64)
}

fn difference(wanted: &[Value], began: &[Began], agreed: usize) -> String {
    let want = wanted.get(agreed).map_or_else(|| "no further command".to_owned(), ToString::to_string);
    let got = began.get(agreed).map_or_else(
        || "no further command".to_owned(),
        |began| format!("at {:.1} {}", began.at.since(ORIGIN).as_secs_f64(), began.description),
    );
    format!("{agreed} of {} agree, then\n    want {want}\n    got  {got}", wanted.len())
}
