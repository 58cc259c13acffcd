//! Runs the disruption test vectors (format: `tests/data/disruption/README.md`). `FORESCALE_DISRUPTION_VECTORS` names another file
//! or folder to run instead.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use serde_json::Value;

#[path = "support/disruption_case.rs"]
mod case;
#[path = "support/disruption_world.rs"]
mod disruption_world;
#[path = "support/json.rs"]
mod json;
#[path = "support/disruption_kinds.rs"]
mod kinds;
#[path = "support/reservations.rs"]
mod reservations;

fn main() -> ExitCode {
    let source = std::env::var("FORESCALE_DISRUPTION_VECTORS").unwrap_or_else(|_| "tests/data/disruption".to_owned());
    let (mut passed, mut total) = (0, 0);
    for file in files(Path::new(&source)) {
        let text = std::fs::read_to_string(&file).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
        let document: Value = serde_json::from_str(&text).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
        for vector in document["vectors"].as_array().unwrap_or_else(|| panic!("{}: no vectors", file.display())) {
            total += 1;
            let misses = kinds::run(vector);
            if misses.is_empty() {
                passed += 1;
            } else {
                println!("{} ({}):", vector["id"], vector["upstream"].as_str().unwrap_or_default());
                misses.iter().for_each(|miss| println!("    {miss}"));
            }
        }
    }
    println!("{passed} passed, {} failed", total - passed);
    println!("disruption_vectors: passed {passed} of {total}");
    if passed == total && total > 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// The file itself, or all JSON files of the folder in the order of their names.
fn files(source: &Path) -> Vec<PathBuf> {
    if source.is_file() {
        return vec![source.to_owned()];
    }
    let entries = std::fs::read_dir(source).unwrap_or_else(|error| panic!("{}: {error}", source.display()));
    let mut files: Vec<PathBuf> = entries.map(|entry| entry.expect("an entry").path()).collect();
    files.retain(|file| file.extension().is_some_and(|extension| extension == "json"));
    files.sort();
    files
}
