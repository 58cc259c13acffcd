//! Runs a plan on all cores.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Mutex;

use rayon::prelude::*;

use super::measures::MEASURES;
use super::plan::{Job, Plan, Shard};
use super::table::{Journal, Table, TableError, file_name};
use crate::scenario::Scenario;
use crate::simulation::RunError;
use crate::telemetry::Outcome;

/// Runs one scenario once.
pub type Runner<'a> = &'a (dyn Fn(&Scenario, u32) -> Result<Outcome, RunError> + Sync);
/// Told of each finished run: how many are done, and of how many.
pub type Progress<'a> = &'a (dyn Fn(usize, usize) + Sync);

/// Why a sweep stopped.
#[derive(Debug, thiserror::Error)]
pub enum SweepError {
    /// A file could not be read or written.
    #[error(transparent)]
    Table(#[from] TableError),
    /// A run failed.
    #[error("point {} replication {}", .job.point, .job.replication)]
    Run {
        /// Which.
        job: Job,
        /// Why.
        source: RunError,
    },
}

/// Runs the jobs of a shard that earlier attempts in `folder` did not do, and writes the shard's file.
///
/// # Errors
/// When a run fails or a file cannot be written; finished runs stay in the journal.
pub fn run(
    plan: &Plan,
    scenarios: &BTreeMap<usize, Scenario>,
    shard: Shard,
    folder: &Path,
    resume: bool,
    runner: Runner<'_>,
    progress: Progress<'_>,
) -> Result<Table, SweepError> {
    let path = folder.join(file_name(shard));
    let (journal, done) = Journal::open(&path, plan, resume)?;
    let all = plan.jobs(shard);
    let open: Vec<Job> = all.iter().copied().filter(|job| !done.rows.contains_key(job)).collect();
    progress(done.rows.len(), all.len());
    let state = Mutex::new((journal, done));
    // One job at a time to a thread: runs differ in length.
    open.par_iter().with_max_len(1).try_for_each(|job| -> Result<(), SweepError> {
        let outcome =
            runner(&scenarios[&job.point], job.replication).map_err(|source| SweepError::Run { job: *job, source })?;
        let values: Vec<f64> = MEASURES.iter().map(|measure| measure.of(&outcome)).collect();
        let mut state = state.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        state.0.add(plan, *job, &values)?;
        state.1.rows.insert(*job, values);
        progress(state.1.rows.len(), all.len());
        Ok(())
    })?;
    let (journal, table) = state.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner);
    table.write(&path, plan, shard)?;
    journal.close()?;
    Ok(table)
}

/// Puts the files of `count` shards together to the file that one process would have written.
///
/// # Errors
/// When a shard is missing, incomplete, or of another plan.
pub fn merge(plan: &Plan, count: usize, folder: &Path) -> Result<Table, TableError> {
    let mut all = Table::default();
    for index in 0..count {
        all.rows.extend(Table::read(&folder.join(file_name(Shard { index, count })), plan)?.rows);
    }
    all.write(&folder.join(file_name(Shard::WHOLE)), plan, Shard::WHOLE)?;
    Ok(all)
}
