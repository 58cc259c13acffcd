//! Holds forescale against recorded runs of the real controllers. `FORESCALE_RECORDED` names another folder of run folders;
//! `FORESCALE_RECORDED_ONLY` picks runs whose name begins so; `FORESCALE_RECORDED_SHOW` prints the scenario and the decisions.

mod compare;
mod folder;
mod track;
mod translate;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use folder::Folder;
use forescale::scenario::load;
use forescale::simulation;
use track::Track;

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
    let mut matched = 0;
    for path in &folders {
        let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        match judge(path, &catalogue) {
            Ok(misses) if misses.is_empty() => {
                matched += 1;
                println!("{name}: matched");
            }
            Ok(misses) => {
                println!("{name}: PARTS");
                misses.iter().for_each(|miss| println!("    {miss}"));
            }
            Err(reason) => println!("{name}: CANNOT RUN: {reason}"),
        }
    }
    println!("{matched} passed, {} failed", folders.len() - matched);
    println!("recorded: matched {matched} of {}", folders.len());
    if matched == folders.len() && matched > 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn data() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/recorded")
}

fn judge(path: &Path, catalogue: &str) -> Result<Vec<String>, String> {
    let folder = Folder::read(path)?;
    let texts = translate::scenario(&folder, catalogue)?;
    let show = std::env::var("FORESCALE_RECORDED_SHOW").is_ok();
    if show {
        println!("{}\n{}", texts["scenario.toml"], texts["objects.yaml"]);
    }
    let loaded =
        load::load_texts("scenario.toml", texts, &load::Options::default()).map_err(|error| error.to_string())?;
    let options = simulation::Options::replication(0);
    let outcome = simulation::run(&loaded.scenario, options).map_err(|error| error.to_string())?;
    if show {
        for decision in &outcome.decisions {
            println!("{decision:?}");
        }
    }
    Ok(compare::differences(&Track::of_recording(&folder), &Track::of_outcome(&outcome), folder.length()))
}
