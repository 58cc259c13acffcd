//! Timelines of NodeClaims and Nodes: what Karpenter's lifecycle controllers do, and when. Format: tests/data/lifecycle/README.md.

#[path = "lifecycle_vectors/stage.rs"]
mod stage;

use std::path::{Path, PathBuf};

use serde_json::Value;
use stage::Stage;

fn main() {
    let folder = std::env::var("FORESCALE_LIFECYCLE_VECTORS")
        .map_or_else(|_| PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/data/lifecycle"), PathBuf::from);
    let (mut passed, mut failed) = (0, 0);
    for file in files(&folder) {
        let text = std::fs::read_to_string(&file).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
        let cases: Vec<Value> =
            serde_json::from_str(&text).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
        for case in cases {
            let problems = run(&case);
            if problems.is_empty() {
                passed += 1;
            } else {
                failed += 1;
                println!("FAILED {}", case["id"].as_str().unwrap_or("without id"));
                problems.iter().for_each(|problem| println!("    {problem}"));
            }
        }
    }
    println!("{passed} passed, {failed} failed");
    println!("lifecycle_vectors: passed {passed} of {}", passed + failed);
    if failed > 0 || passed == 0 {
        std::process::exit(1);
    }
}

fn files(path: &Path) -> Vec<PathBuf> {
    if path.is_file() {
        return vec![path.to_owned()];
    }
    let entries = std::fs::read_dir(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let mut files: Vec<PathBuf> = entries.filter_map(|entry| Some(entry.ok()?.path())).collect();
    files.retain(|file| file.extension().is_some_and(|extension| extension == "json"));
    files.sort();
    files
}

/// Plays a case; what differs from what it expects.
fn run(case: &Value) -> Vec<String> {
    let mut stage = Stage::new(case);
    stage.play(case["until"].as_f64().expect("`until`"));
    let log = stage.log();
    let shown = |from: f64, until: f64| -> String {
        let near = log.iter().filter(|(at, _)| (from..=until).contains(at));
        near.map(|(at, what)| format!("{at:.3} {what}")).collect::<Vec<_>>().join(", ")
    };
    let mut problems = Vec::new();
    for expected in case["expect"].as_array().into_iter().flatten() {
        let what = expected["what"].as_str().expect("`what`");
        let (from, until) = match (&expected["at"], &expected["within"]) {
            (Value::Number(at), _) => {
                let at = at.as_f64().unwrap_or_default();
                (at - 0.001, at + 0.001)
            }
            (_, Value::Array(bounds)) => {
                (bounds[0].as_f64().unwrap_or_default(), bounds[1].as_f64().unwrap_or_default())
            }
            _ => panic!("`at` or `within` is needed: {expected}"),
        };
        if !log.iter().any(|(at, line)| line == what && (from..=until).contains(at)) {
            let instead: Vec<f64> = log.iter().filter(|(_, line)| line == what).map(|(at, _)| *at).collect();
            let around = shown(from - 2.0, until + 2.0);
            problems
                .push(format!("expected `{what}` at {from:.3}..{until:.3}, it is at {instead:?}; around: {around}"));
        }
        if let Some(times) = expected["times"].as_u64() {
            let all: Vec<f64> = log.iter().filter(|(_, line)| line == what).map(|(at, _)| *at).collect();
            if all.len() as u64 != times {
                problems.push(format!("expected `{what}` {times} times, it is at {all:?}"));
            }
        }
    }
    for absent in case["absent"].as_array().into_iter().flatten() {
        let what = absent["what"].as_str().expect("`what`");
        let until = absent["before"].as_f64().unwrap_or(f64::INFINITY);
        for (at, line) in log.iter().filter(|(at, line)| line.starts_with(what) && *at < until) {
            problems.push(format!("`{line}` at {at:.3} should not be there before {until}"));
        }
    }
    problems
}
