//! Wrong scenarios: each folder of `tests/data/bad` holds one, and in `expected.txt` what a user must be told about it.
//! `UPDATE=1` rewrites the expectations; read every line of the difference. `BAD_INPUT` names another folder of folders.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use forescale::scenario::diagnostic::render;
use forescale::scenario::validate::{Known, KnownType};
use forescale::scenario::{Options, load};
use forescale::units::{Cpu, Memory, Resources};

/// A small cloud: enough to know right from wrong names.
fn known(region: &str) -> Known {
    let regions = vec!["us-east-1".to_owned(), "eu-west-1".to_owned()];
    if region != "us-east-1" && region != "eu-west-1" {
        return Known { regions, ..Known::default() };
    }
    let types = [
        ("c5.xlarge", "c", "5", 4, 8),
        ("m5.large", "m", "5", 2, 8),
        ("m5.xlarge", "m", "5", 4, 16),
        ("m6g.large", "m", "6", 2, 8),
    ]
    .into_iter()
    .map(|(name, category, generation, cpu, gib)| {
        let arch = if name.starts_with("m6g") { "arm64" } else { "amd64" };
        let label = |key: &str, value: &str| (key.to_owned(), vec![value.to_owned()]);
        let (family, size) = name.split_once('.').unwrap_or_default();
        KnownType {
            name: name.to_owned(),
            labels: vec![
                label("karpenter.k8s.aws/instance-category", category),
                label("karpenter.k8s.aws/instance-cpu", &cpu.to_string()),
                label("karpenter.k8s.aws/instance-family", family),
                label("karpenter.k8s.aws/instance-generation", generation),
                label("karpenter.k8s.aws/instance-size", size),
                label("kubernetes.io/arch", arch),
                label("kubernetes.io/os", "linux"),
                label("node.kubernetes.io/instance-type", name),
            ]
            .into(),
            allocatable: Resources::new(Cpu::from_milli(cpu * 1000 - 80), Memory::from_mib(gib * 1024 - 1300)),
        }
    })
    .collect();
    let zones = ["a", "b", "c"].map(|zone| format!("{region}{zone}")).to_vec();
    Known { regions, zones, types }
}

/// What the user is told, with paths as they are within the folder.
fn told(folder: &Path) -> String {
    let options = Options { known: Some(&known), ..Options::default() };
    let text = match load(&folder.join("scenario.toml"), &options) {
        Ok(loaded) => format!("{}valid\n", render(&loaded.problems, loaded.document.files(), false)),
        Err(invalid) => invalid.to_string(),
    };
    text.replace(&format!("{}/", folder.display()), "")
}

fn main() -> ExitCode {
    let root = PathBuf::from(std::env::var_os("BAD_INPUT").unwrap_or_else(|| "tests/data/bad".into()));
    let mut folders: Vec<PathBuf> = std::fs::read_dir(&root)
        .map(|entries| entries.flatten().map(|entry| entry.path()).filter(|path| path.is_dir()).collect())
        .unwrap_or_default();
    folders.sort();
    let update = std::env::var_os("UPDATE").is_some();
    let mut passed = 0;
    for folder in &folders {
        let file = folder.join("expected.txt");
        let actual = told(folder);
        if update && let Err(error) = std::fs::write(&file, &actual) {
            println!("cannot write {}: {error}", file.display());
        }
        let expected = std::fs::read_to_string(&file).unwrap_or_default();
        if expected == actual {
            passed += 1;
        } else {
            println!("{}: expected\n{expected}\ngot\n{actual}", folder.display());
        }
    }
    println!("bad_input: passed {passed} of {}", folders.len());
    println!("{passed} passed, {} failed", folders.len() - passed);
    if passed == folders.len() && passed > 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
