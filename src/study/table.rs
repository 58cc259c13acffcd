//! `points.csv`: one row per point and replication, whose bytes do not depend on the order in which runs finish.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use super::measures::MEASURES;
use super::plan::{Job, Plan, Shard};

/// Rows of a sweep by run.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Table {
    /// Values of the measures, in the order of [`MEASURES`].
    pub rows: BTreeMap<Job, Vec<f64>>,
}

/// Why a table cannot be read or written.
#[derive(Debug, thiserror::Error)]
pub enum TableError {
    /// The operating system refused.
    #[error("{path}: {error}")]
    Io {
        /// File.
        path: PathBuf,
        /// Reason.
        error: io::Error,
    },
    /// The file belongs to another sweep.
    #[error("{path}: written by another sweep ({reason}); remove it, or choose another folder")]
    Foreign {
        /// File.
        path: PathBuf,
        /// What differs.
        reason: String,
    },
    /// A row is missing.
    #[error("point {} replication {} is missing: {found} of {wanted} runs are there", .job.point, .job.replication)]
    Incomplete {
        /// First run that is missing.
        job: Job,
        /// Runs found.
        found: usize,
        /// Runs wanted.
        wanted: usize,
    },
}

fn io_error(path: &Path) -> impl Fn(io::Error) -> TableError + '_ {
    move |error| TableError::Io { path: path.to_path_buf(), error }
}

/// Name of the finished file of a shard.
#[must_use]
pub fn file_name(shard: Shard) -> String {
    if shard.count == 1 { "points.csv".to_owned() } else { format!("points.{}-of-{}.csv", shard.index, shard.count) }
}

/// The header line; it names the axes, so that files of different sweeps do not mix.
#[must_use]
pub fn header(plan: &Plan) -> String {
    let axes = plan.axes.iter().map(|axis| quoted(&axis.path));
    let measures = MEASURES.iter().map(|measure| measure.name.to_owned());
    ["point".to_owned(), "replication".to_owned()].into_iter().chain(axes).chain(measures).collect::<Vec<_>>().join(",")
}

/// One row.
#[must_use]
pub fn row(plan: &Plan, job: Job, values: &[f64]) -> String {
    let axes = plan.labels(job.point).into_iter().map(|label| quoted(&label));
    let values = values.iter().map(f64::to_string);
    [job.point.to_string(), job.replication.to_string()]
        .into_iter()
        .chain(axes)
        .chain(values)
        .collect::<Vec<_>>()
        .join(",")
}

fn quoted(text: &str) -> String {
    if text.contains([',', '"', '\n']) { format!("\"{}\"", text.replace('"', "\"\"")) } else { text.to_owned() }
}

impl Table {
    /// Reads the rows of a file that this plan wrote. A last line that was cut off is left out.
    ///
    /// # Errors
    /// When the file cannot be read, or is of another plan.
    pub fn read(path: &Path, plan: &Plan) -> Result<Table, TableError> {
        let text = fs::read_to_string(path).map_err(io_error(path))?;
        let foreign = |reason: String| TableError::Foreign { path: path.to_path_buf(), reason };
        let complete = &text[..text.rfind('\n').map_or(0, |end| end + 1)];
        let mut lines = complete.lines();
        if lines.next().is_some_and(|first| first != header(plan)) {
            return Err(foreign("its columns differ".to_owned()));
        }
        let mut table = Table::default();
        let mut reader = csv::ReaderBuilder::new().from_reader(complete.as_bytes());
        for record in reader.records() {
            let Ok(record) = record else { return Err(foreign("a row has another number of fields".to_owned())) };
            let number = |index: usize| record.get(index).and_then(|text| text.parse::<usize>().ok());
            let (Some(point), Some(replication)) = (number(0), number(1)) else {
                return Err(foreign("a row does not begin with two numbers".to_owned()));
            };
            let job = Job { point, replication: replication as u32 };
            let values: Option<Vec<f64>> =
                record.iter().skip(2 + plan.axes.len()).map(|text| text.parse().ok()).collect();
            let known = point < plan.points.len() && job.replication < plan.replications;
            match values {
                Some(values) if known && record.iter().skip(2).zip(plan.labels(point)).all(|(a, b)| a == b) => {
                    table.rows.insert(job, values);
                }
                _ => return Err(foreign(format!("point {point} has other settings"))),
            }
        }
        Ok(table)
    }

    /// Writes all rows of a shard, in order, in one step: the file is either the old one or complete.
    ///
    /// # Errors
    /// When a run is missing, or the file cannot be written.
    pub fn write(&self, path: &Path, plan: &Plan, shard: Shard) -> Result<(), TableError> {
        let jobs = plan.jobs(shard);
        if let Some(job) = jobs.iter().find(|job| !self.rows.contains_key(job)) {
            let found = jobs.iter().filter(|job| self.rows.contains_key(job)).count();
            return Err(TableError::Incomplete { job: *job, found, wanted: jobs.len() });
        }
        let mut text = header(plan) + "\n";
        for job in jobs {
            text.push_str(&row(plan, job, &self.rows[&job]));
            text.push('\n');
        }
        write_in_one_step(path, &text)
    }

    /// The values of one measure at a point, by replication.
    #[must_use]
    pub fn samples(&self, point: usize, measure: &str) -> Vec<f64> {
        let Some(column) = MEASURES.iter().position(|m| m.name == measure) else { return Vec::new() };
        let first = Job { point, replication: 0 };
        self.rows.range(first..).take_while(|(job, _)| job.point == point).map(|(_, values)| values[column]).collect()
    }
}

/// Writes a file so that it is either the old one or complete, whatever happens meanwhile.
fn write_in_one_step(path: &Path, text: &str) -> Result<(), TableError> {
    // Several shards may write the same file at once.
    let aside = path.with_extension(format!("{}.new", std::process::id()));
    let write = || -> io::Result<()> {
        let mut file = File::create(&aside)?;
        file.write_all(text.as_bytes())?;
        file.sync_data()
    };
    write().map_err(io_error(&aside))?;
    fs::rename(&aside, path).map_err(io_error(path))
}

/// Name of the file that says which sweep a folder holds.
pub const IDENTITY: &str = "sweep.json";

/// Notes which sweep the files of a folder belong to; `keep` = files of an earlier start are there to stay.
///
/// # Errors
/// When `keep` and the folder holds another sweep, or it cannot be written.
pub fn identify(folder: &Path, plan: &Plan, fingerprint: &str, keep: bool) -> Result<(), TableError> {
    let path = folder.join(IDENTITY);
    let axes: Vec<&str> = plan.axes.iter().map(|axis| axis.path.as_str()).collect();
    let identity = serde_json::json!({ "fingerprint": fingerprint, "points": plan.points.len(), "axes": axes });
    let text = format!("{identity:#}\n");
    match fs::read_to_string(&path) {
        Ok(found) if found == text => Ok(()),
        Ok(_) if keep => {
            let reason = "another scenario, seed, design or version".to_owned();
            Err(TableError::Foreign { path, reason })
        }
        Ok(_) | Err(_) => write_in_one_step(&path, &text),
    }
}

/// Rows appended as runs finish: what a kill leaves for `--resume`.
pub struct Journal {
    path: PathBuf,
    file: File,
}

impl Journal {
    /// Opens the journal beside `path`. With `resume` the rows of an earlier attempt, finished or not, are given back and kept,
    /// else it starts anew.
    ///
    /// # Errors
    /// When it cannot be written, or is of another plan.
    pub fn open(path: &Path, plan: &Plan, resume: bool) -> Result<(Journal, Table), TableError> {
        let journal = path.with_extension("csv.part");
        let mut done = Table::default();
        for earlier in [path, &journal].into_iter().filter(|earlier| resume && earlier.exists()) {
            done.rows.extend(Table::read(earlier, plan)?.rows);
        }
        let mut text = header(plan) + "\n";
        for (job, values) in &done.rows {
            text.push_str(&row(plan, *job, values));
            text.push('\n');
        }
        // The rows of the earlier attempt are there at every moment: this one may be killed, too.
        write_in_one_step(&journal, &text)?;
        let file = File::options().append(true).open(&journal).map_err(io_error(&journal))?;
        Ok((Journal { path: journal, file }, done))
    }

    /// Adds a row.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn add(&mut self, plan: &Plan, job: Job, values: &[f64]) -> Result<(), TableError> {
        let line = row(plan, job, values) + "\n";
        self.file.write_all(line.as_bytes()).map_err(io_error(&self.path))
    }

    /// Removes the journal: its rows are in the finished file.
    ///
    /// # Errors
    /// When it cannot be removed.
    pub fn close(self) -> Result<(), TableError> {
        drop(self.file);
        fs::remove_file(&self.path).map_err(io_error(&self.path))
    }
}
