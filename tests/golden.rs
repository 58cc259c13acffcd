//! Fingerprints of the shipped scenarios, each for its first minutes: of everything that is decided, and of the summary.
//!
//! `tests/data/golden.txt` holds them; `UPDATE=1 cargo test --test golden` writes them anew. CONTRIBUTING.md says when one may change.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::ExitCode;

use forescale::report::{files, summary, tables, timeline};
use forescale::scenario::{Options, load};
use forescale::simulation;

const STORED: &str = "tests/data/golden.txt";
/// How much of each scenario runs.
const DURATION: &str = "12m";

fn main() -> ExitCode {
    let found = fingerprints();
    if std::env::var_os("UPDATE").is_some() {
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
    for name in stored.keys().filter(|name| !found.contains_key(**name)) {
        println!("{name}: stored, but there is no such scenario");
        failed += 1;
    }
    println!("golden: {} scenarios, {failed} differ", found.len());
    if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// `decisions=... summary=...` by the name of the scenario.
fn fingerprints() -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    for entry in std::fs::read_dir("scenarios").expect("scenarios") {
        let path = entry.expect("a file").path();
        if path.extension().is_some_and(|extension| extension == "toml") {
            let name = path.file_stem().expect("a name").to_string_lossy().into_owned();
            found.insert(name, fingerprint(&path));
        }
    }
    found
}

fn fingerprint(path: &Path) -> String {
    let settings = vec![("simulation.duration".to_owned(), DURATION.to_owned())];
    let scenario = match load(path, &Options { settings, ..Options::default() }) {
        Ok(loaded) => loaded.scenario,
        Err(invalid) => panic!("{invalid}"),
    };
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
