//! Fingerprints of all shipped scenarios, each for its first minutes: of everything that is decided, and of the summary with all tables.
//!
//! `tests/data/golden.txt` holds them; `UPDATE=1 cargo test --test golden` writes them anew. CONTRIBUTING.md says when one may change.
//! Names behind `--` choose scenarios: `cargo test --test golden -- front-page problems/13-flapping`.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use forescale::report::{files, summary, tables, timeline};
use forescale::scenario::{Options, load};
use forescale::simulation;
use forescale::time::Duration;
use rayon::prelude::*;

const STORED: &str = "tests/data/golden.txt";
/// Folders of scenarios, and how much of each of their scenarios runs.
const SPANS: [(&str, Duration); 2] =
    [("scenarios", Duration::from_mins(12)), ("scenarios/problems", Duration::from_mins(30))];

fn main() -> ExitCode {
    let wanted: Vec<String> = std::env::args().skip(1).collect();
    let found = fingerprints(&wanted);
    if found.is_empty() {
        println!("golden: there is no scenario {wanted:?}");
        return ExitCode::FAILURE;
    }
    if std::env::var_os("UPDATE").is_some() && wanted.is_empty() {
        let lines: String = found.iter().map(|(name, print)| format!("{name} {print}\n")).collect();
        std::fs::write(STORED, lines).expect("the file can be written");
        println!("golden: {} fingerprints written", found.len());
        return ExitCode::SUCCESS;
    }
    let text = std::fs::read_to_string(STORED).unwrap_or_default();
    let stored: BTreeMap<&str, &str> = text.lines().filter_map(|line| line.split_once(' ')).collect();
    let mut failed = 0;
    for (name, print) in &found {
        match stored.get(name.as_str()) {
            Some(known) if known == print => {}
            known => {
                println!("{name}: {print}, stored: {}", known.unwrap_or(&"nothing"));
                failed += 1;
            }
        }
    }
    for name in stored.keys().filter(|name| wanted.is_empty() && !found.contains_key(**name)) {
        println!("{name}: stored, but there is no such scenario");
        failed += 1;
    }
    println!("golden: {} scenarios, {failed} differ", found.len());
    if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// `decisions=... summary=...` by the path of the scenario within `scenarios`, without its ending; of all without `wanted`.
fn fingerprints(wanted: &[String]) -> BTreeMap<String, String> {
    let all: Vec<(PathBuf, Duration)> = SPANS
        .iter()
        .flat_map(|(folder, span)| {
            let entries = std::fs::read_dir(folder).expect("a folder of scenarios");
            entries.map(|entry| (entry.expect("a file").path(), *span))
        })
        .filter(|(path, _)| path.extension().is_some_and(|extension| extension == "toml"))
        .collect();
    let name =
        |path: &Path| path.with_extension("").strip_prefix("scenarios").expect("a scenario").display().to_string();
    all.par_iter()
        .filter(|(path, _)| wanted.is_empty() || wanted.contains(&name(path)))
        .map(|(path, span)| (name(path), fingerprint(path, *span)))
        .collect()
}

fn fingerprint(path: &Path, span: Duration) -> String {
    let mut scenario = match load(path, &Options::default()) {
        Ok(loaded) => loaded.scenario,
        Err(invalid) => panic!("{invalid}"),
    };
    scenario.simulation.duration = scenario.simulation.duration.min(span);
    let options = simulation::Options { check_invariants: false, ..simulation::Options::replication(0) };
    let outcome = simulation::run(&scenario, options).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let mut decided = Vec::new();
    tables::write_decisions(&outcome, &mut decided).expect("a file in memory");
    let mut rest = files::json(&summary::summarize(&outcome, &scenario.objectives)).into_bytes();
    timeline::write(&outcome, &mut rest).expect("a file in memory");
    tables::write_nodes(&outcome, &mut rest).expect("a file in memory");
    tables::write_pods(&outcome, &mut rest).expect("a file in memory");
    format!("decisions={:016x} summary={:016x}", fnv1a(&decided), fnv1a(&rest))
}

/// FNV-1a, 64 bits.
fn fnv1a(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3))
}
