//! Holds forescale against recorded runs of the real controllers. `FORESCALE_RECORDED` names another folder of run folders;
//! What the real programs leave to chance (zones of equal price, names, victims among equals) is drawn anew with each seed; a run is
//! matched when one of the first [`SEEDS`] seeds makes the recorded tosses. `FORESCALE_RECORDED_ONLY` picks runs whose name begins so; `FORESCALE_RECORDED_SHOW` prints the scenario and the decisions.

mod compare;
mod folder;
mod track;
mod translate;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use folder::Folder;
use forescale::scenario::load;
use forescale::simulation;
use track::Track;

/// Seeds tried for each run: as many as a sequence of several tosses and a race of milliseconds need.
const SEEDS: u64 = 64;

fn main() -> ExitCode {
    let root = std::env::var("FORESCALE_RECORDED").map_or_else(|_| data(), PathBuf::from);
    let only = std::env::var("FORESCALE_RECORDED_ONLY").unwrap_or_default();
    let mut folders: Vec<PathBuf> = match std::fs::read_dir(&root) {
        Ok(entries) => entries.filter_map(|entry| entry.ok().map(|entry| entry.path())).collect(),
        Err(error) => {
            println!("{}: {error}", root.display());
            return ExitCode::FAILURE;
        }
    };
    folders.retain(|path| path.join("run.yaml").is_file());
    if root.join("run.yaml").is_file() {
        folders.push(root.clone());
    }
    folders.retain(|path| path.file_name().is_some_and(|name| name.to_string_lossy().starts_with(&only)));
    folders.sort();
    let catalogue = [root.join("catalogue.json"), data().join("catalogue.json")]
        .iter()
        .find_map(|path| std::fs::read_to_string(path).ok())
        .unwrap_or_default();
    let known = known_deviations(&root);
    let (mut matched, mut parted, mut unexpected) = (0, 0, 0);
    for path in &folders {
        let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        match judge(path, &catalogue) {
            Ok((seed, misses)) if misses.is_empty() => {
                matched += 1;
                println!("{name}: matched (seed {seed})");
                if known.contains_key(&name) {
                    unexpected += 1;
                    println!("    is listed as a known deviation: remove it from known.txt");
                }
            }
            Ok((seed, misses)) => {
                println!("{name}: PARTS (nearest of {SEEDS} seeds: {seed})");
                misses.iter().for_each(|miss| println!("    {miss}"));
                match known.get(&name) {
                    Some(reason) => {
                        parted += 1;
                        println!("    known deviation: {reason}");
                    }
                    None => unexpected += 1,
                }
            }
            Err(reason) => {
                unexpected += 1;
                println!("{name}: CANNOT RUN: {reason}");
            }
        }
    }
    println!("{matched} passed, {unexpected} failed, {parted} skipped");
    println!("recorded: matched {matched} of {}", folders.len());
    if unexpected == 0 && matched > 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Runs that are known to part, with the reason: `known.txt` beside the runs.
fn known_deviations(root: &Path) -> BTreeMap<String, String> {
    let text = std::fs::read_to_string(root.join("known.txt")).unwrap_or_default();
    let entry =
        |line: &str| line.split_once('|').map(|(name, reason)| (name.trim().to_owned(), reason.trim().to_owned()));
    text.lines().filter(|line| !line.starts_with('#')).filter_map(entry).collect()
}

fn data() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/recorded")
}

/// The nearest seed and what still differs with it.
fn judge(path: &Path, catalogue: &str) -> Result<(u64, Vec<String>), String> {
    let folder = Folder::read(path)?;
    let texts = translate::scenario(&folder, catalogue)?;
    let show = std::env::var("FORESCALE_RECORDED_SHOW").is_ok();
    if show {
        println!("{}\n{}", texts["scenario.toml"], texts["objects.yaml"]);
    }
    let loaded =
        load::load_texts("scenario.toml", texts, &load::Options::default()).map_err(|error| error.to_string())?;
    let recorded = Track::of_recording(&folder);
    let mut scenario = loaded.scenario;
    let mut nearest: Option<(u64, Vec<String>)> = None;
    for seed in 1..=SEEDS {
        scenario.simulation.seed = seed;
        let outcome =
            simulation::run(&scenario, simulation::Options::replication(0)).map_err(|error| error.to_string())?;
        let misses = compare::differences(&recorded, &Track::of_outcome(&outcome, &folder), folder.length());
        if nearest.as_ref().is_none_or(|(_, best)| misses.len() < best.len()) {
            if show {
                println!("seed {seed}:");
                outcome.decisions.iter().for_each(|decision| println!("{decision:?}"));
            }
            nearest = Some((seed, misses));
        }
        if nearest.as_ref().is_some_and(|(_, best)| best.is_empty()) {
            break;
        }
    }
    nearest.ok_or_else(|| "no seed was tried".to_owned())
}
