//! The output folder of a run.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use crate::telemetry::Outcome;

use super::chart;
use super::summary::Summary;
use super::{tables, timeline};

/// What could not be written.
#[derive(Debug, thiserror::Error)]
pub enum WriteError {
    /// The folder cannot be made.
    #[error("cannot create {0}")]
    Folder(PathBuf, #[source] io::Error),
    /// A file cannot be written.
    #[error("cannot write {0}")]
    File(PathBuf, #[source] io::Error),
    /// The chart cannot be drawn.
    #[error("cannot write {0}")]
    Chart(PathBuf, #[source] chart::ChartError),
}

/// Files that every run leaves.
pub const TABLES: [&str; 6] = ["summary.json", "timeline.csv", "decisions.csv", "nodes.csv", "pods.csv", "blame.csv"];
/// Charts that a run leaves unless they are not wanted.
pub const CHARTS: [&str; 2] = ["chart.svg", "chart.png"];

/// Writes a run into `folder`, which is made if needed; files of the same names are replaced. Gives the names written.
///
/// # Errors
/// When the folder or a file cannot be written.
pub fn write(
    folder: &Path,
    outcome: &Outcome,
    summary: &Summary,
    charts: bool,
) -> Result<Vec<&'static str>, WriteError> {
    std::fs::create_dir_all(folder).map_err(|error| WriteError::Folder(folder.to_owned(), error))?;
    let mut names = Vec::new();
    for name in TABLES {
        let path = folder.join(name);
        write_table(name, &path, outcome, summary).map_err(|error| WriteError::File(path, error))?;
        names.push(name);
    }
    if charts {
        let path = folder.join(CHARTS[0]);
        let document = chart::svg(outcome, summary).map_err(|error| WriteError::Chart(path.clone(), error))?;
        std::fs::write(&path, document).map_err(|error| WriteError::File(path, error))?;
        let path = folder.join(CHARTS[1]);
        chart::png(outcome, summary, &path).map_err(|error| WriteError::Chart(path, error))?;
        names.extend(CHARTS);
    }
    Ok(names)
}

fn write_table(name: &str, path: &Path, outcome: &Outcome, summary: &Summary) -> io::Result<()> {
    let mut out = BufWriter::new(File::create(path)?);
    match name {
        "summary.json" => out.write_all(json(summary).as_bytes())?,
        "timeline.csv" => timeline::write(outcome, &mut out)?,
        "decisions.csv" => tables::write_decisions(outcome, &mut out)?,
        "nodes.csv" => tables::write_nodes(outcome, &mut out)?,
        "blame.csv" => tables::write_blame(outcome, &mut out)?,
        _ => tables::write_pods(outcome, &mut out)?,
    }
    out.flush()
}

/// A summary as `summary.json` holds it.
///
/// # Panics
/// Never: a summary has text keys only.
#[must_use]
pub fn json(summary: &Summary) -> String {
    let text = serde_json::to_string_pretty(summary).expect("a summary has text keys only");
    format!("{text}\n")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::decode::defaults;
    use crate::report::{sample, summary};

    #[test]
    fn two_runs_leave_the_same_bytes() -> Result<(), Box<dyn std::error::Error>> {
        let root = tempfile::tempdir()?;
        let outcome = sample::outcome();
        let summary = summary::summarize(&outcome, &defaults());
        let folders = ["first", "second"].map(|name| root.path().join(name));
        for folder in &folders {
            let names = write(folder, &outcome, &summary, true)?;
            assert_eq!(names.len(), TABLES.len() + CHARTS.len());
        }
        for name in TABLES.iter().chain(&CHARTS) {
            let [first, second] = [&folders[0], &folders[1]].map(|folder| std::fs::read(folder.join(name)));
            let first = first?;
            assert!(!first.is_empty(), "{name}");
            assert_eq!(first, second?, "{name}");
        }
        Ok(())
    }

    #[test]
    fn a_folder_that_is_a_file_is_an_error_that_names_it() -> Result<(), Box<dyn std::error::Error>> {
        let root = tempfile::tempdir()?;
        let path = root.path().join("taken");
        std::fs::write(&path, "")?;
        let outcome = sample::outcome();
        let error = write(&path, &outcome, &summary::summarize(&outcome, &defaults()), false);
        assert!(error.is_err_and(|error| error.to_string().contains("taken")));
        Ok(())
    }
}
