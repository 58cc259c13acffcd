//! Rules of the house that no lint can express: the direction of imports, and what file holds what.

use std::fs;
use std::path::{Path, PathBuf};

/// From the top floor to the ground. A file may name its own floor only where `same_floor` says so.
const FLOORS: &[&[&str]] = &[
    &["main"],
    &["cli"],
    &["report"],
    &["study"],
    &["simulation"],
    &["telemetry"],
    &["consumer"],
    &["traffic"],
    &["sqs"],
    &["keda", "hpa", "replicaset", "scheduler", "kubelet", "karpenter", "cluster_autoscaler", "fargate", "ec2"],
    &["cluster"],
    &["scenario"],
    &["api"],
    &["engine"],
    &["units"],
    &["time"],
];

fn floor_of(module: &str) -> Option<usize> {
    FLOORS.iter().position(|floor| floor.contains(&module))
}

fn rust_files(folder: &Path, into: &mut Vec<PathBuf>) {
    files_of_kind("rs", folder, into);
}

fn files_of_kind(kind: &str, folder: &Path, into: &mut Vec<PathBuf>) {
    let mut entries: Vec<PathBuf> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    entries.sort();
    for path in entries {
        if path.is_dir() {
            files_of_kind(kind, &path, into);
        } else if path.extension().is_some_and(|extension| extension == kind) {
            into.push(path);
        }
    }
}

fn module_of(path: &Path) -> String {
    let inside = path.strip_prefix(source_folder()).unwrap();
    inside.components().next().unwrap().as_os_str().to_string_lossy().trim_end_matches(".rs").to_owned()
}

fn source_folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("src")
}

/// The top-level modules that a line names through `crate::` or, in the binary, `forescale::`.
fn named_modules(line: &str) -> Vec<String> {
    let mut names = Vec::new();
    for prefix in ["crate::", "forescale::"] {
        for (at, _) in line.match_indices(prefix) {
            let rest = &line[at + prefix.len()..];
            if let Some(list) = rest.strip_prefix('{') {
                let list = &list[..list.find('}').unwrap_or(list.len())];
                names.extend(list.split(',').map(|item| first_word(item.trim())));
            } else {
                names.push(first_word(rest));
            }
        }
    }
    names
}

fn first_word(text: &str) -> String {
    text.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect()
}

#[test]
fn imports_point_down() {
    let mut files = Vec::new();
    rust_files(&source_folder(), &mut files);
    assert!(files.len() > 30, "found only {} source files", files.len());
    let mut wrong = Vec::new();
    for path in files {
        let module = module_of(&path);
        if module == "lib" {
            continue;
        }
        let floor = floor_of(&module).unwrap_or_else(|| panic!("{} is on no floor of the house", path.display()));
        for (number, line) in fs::read_to_string(&path).unwrap().lines().enumerate() {
            if line.trim_start().starts_with("//") {
                continue;
            }
            for name in named_modules(line) {
                let Some(target) = floor_of(&name) else { continue };
                if name != module && target <= floor {
                    wrong.push(format!("{}:{}: {module} names {name}", path.display(), number + 1));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "imports that do not point down:\n{}", wrong.join("\n"));
}

#[test]
fn every_floor_is_in_the_architecture() {
    let text = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("ARCHITECTURE.md")).unwrap();
    for module in FLOORS.iter().copied().flatten() {
        assert!(text.contains(&format!("`{module}")), "ARCHITECTURE.md does not mention `{module}`");
    }
}

#[test]
fn no_file_is_really_two() {
    let mut files = Vec::new();
    rust_files(&source_folder(), &mut files);
    let long: Vec<String> = files
        .iter()
        .map(|path| (path, fs::read_to_string(path).unwrap().lines().count()))
        .filter(|(_, lines)| *lines > 800)
        .map(|(path, lines)| format!("{}: {lines} lines", path.display()))
        .collect();
    assert!(long.is_empty(), "split these: {long:?}");
}

#[test]
fn every_law_is_described_by_the_number_and_name_that_the_checker_prints() {
    let page = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/invariants.md")).unwrap();
    let row = |line: &str| -> Option<(String, String)> {
        let mut cells = line.strip_prefix("| ")?.split(" | ");
        Some((cells.next()?.to_owned(), cells.next()?.to_owned()))
    };
    let table = page.lines().skip_while(|line| !line.starts_with("|---")).skip(1).take_while(|line| !line.is_empty());
    let described: Vec<_> = table.map(|line| row(line).unwrap_or_else(|| panic!("{line}"))).collect();
    let laws: Vec<_> =
        forescale::simulation::laws::all().map(|law| (law.number.to_owned(), law.name.to_owned())).collect();
    assert_eq!(described, laws);
    let unique: std::collections::BTreeSet<&String> = laws.iter().map(|(number, _)| number).collect();
    assert_eq!(unique.len(), laws.len());
}

/// Folders of the project whose files pages name by their path from its root.
const NAMED_FOLDERS: &[&str] = &["benches/", "docs/", "examples/", "fuzz/", "scenarios/", "src/", "tests/", "tools/"];

/// Files that a page names: targets of links, from its own folder, and code that is a path from the root of the project.
fn named_files(page: &str, folder: &Path, root: &Path) -> Vec<PathBuf> {
    let links = page.split("](").skip(1).filter_map(|rest| rest.split(')').next());
    let links = links.filter_map(|link| link.split('#').next());
    let own = links.filter(|link| !link.is_empty() && !link.contains("://")).map(|link| folder.join(link));
    let code = page.split('`').skip(1).step_by(2).filter(|code| {
        let is_path = NAMED_FOLDERS.iter().any(|folder| code.starts_with(folder));
        is_path && !code.contains([' ', '*', '<', '{', '\n'])
    });
    own.chain(code.map(|code| root.join(code))).collect()
}

#[test]
fn files_that_pages_name_are_there() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let named = named_files(
        "[a](b.md#c), ![d](e/f.png), [g](https://h), `src/i.rs`, `k`, `src/*.rs`",
        Path::new("x"),
        Path::new("y"),
    );
    assert_eq!(named, ["x/b.md", "x/e/f.png", "y/src/i.rs"].map(PathBuf::from));
    let mut pages: Vec<PathBuf> = fs::read_dir(root)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "md"))
        .collect();
    for folder in ["data", "docs", "scenarios", "tests", "tools"] {
        files_of_kind("md", &root.join(folder), &mut pages);
    }
    let mut missing = Vec::new();
    let mut count = 0;
    for page in pages {
        let text = fs::read_to_string(&page).unwrap();
        for file in named_files(&text, page.parent().unwrap(), root) {
            count += 1;
            if !file.exists() {
                missing.push(format!("{} names {}", page.display(), file.display()));
            }
        }
    }
    assert!(count > 100, "{count} files are named");
    assert!(missing.is_empty(), "{}", missing.join("\n"));
}
