//! All laws of a run: the cluster's, those of the data plane, of the money, and of what lies between the planes.

use std::fmt;

use super::build::BuildError;
use super::data::Data;
use crate::cluster::pod::Phase;
use crate::cluster::{Cluster, invariants as cluster_laws};
use crate::consumer::invariants as consumer_laws;
use crate::engine::law::{Law, Violations, laws};
use crate::sqs::invariants as queue_laws;
use crate::telemetry::{Recorder, invariants as money_laws};
use crate::time::Time;

laws! {
    D1 "a process belongs to a running pod";
}

/// All laws, in the order of docs/invariants.md.
pub fn all() -> impl Iterator<Item = Law> {
    let lists = [cluster_laws::LAWS, queue_laws::LAWS, consumer_laws::LAWS, LAWS, money_laws::LAWS];
    lists.into_iter().flatten().copied()
}

/// What does not hold at `now`.
pub(super) fn check(cluster: &Cluster, data: &Data<'_>, recorder: &Recorder, now: Time) -> Violations {
    let mut found = Violations::default();
    cluster_laws::check(cluster, now, &mut found);
    data.plane.check(now, &mut found);
    for process in data.plane.processes() {
        let pod = cluster.pods.get(process.0 as usize);
        let runs = pod.is_some_and(|pod| pod.exists() && pod.node.is_some() && pod.phase == Phase::Running);
        found.must(D1, runs, || format!("a process works for pod {}: {pod:?}", process.0));
    }
    money_laws::check(recorder, cluster, now, &mut found);
    found
}

/// A run that broke a law.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Broken {
    /// Seed of the scenario.
    pub seed: u64,
    /// Which replication.
    pub replication: u32,
    /// When it was seen.
    pub at: Time,
    /// Events of the control plane and of the data plane that were made until then.
    pub events: (u64, u64),
    /// What does not hold.
    pub violations: Violations,
}

impl Broken {
    /// An error, if there is a violation.
    pub(super) fn unless_kept(self) -> Result<(), Box<Broken>> {
        if self.violations.0.is_empty() { Ok(()) } else { Err(Box::new(self)) }
    }
}

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (control, data) = self.events;
        write!(
            f,
            "a law that every run keeps is broken, which is a defect of forescale (docs/invariants.md)\n\
             seed {}, replication {}, at {} after {control} control events and {data} data events",
            self.seed, self.replication, self.at
        )?;
        self.violations.0.iter().try_for_each(|violation| write!(f, "\n{violation}"))
    }
}

impl std::error::Error for Broken {}

/// Why there is no outcome.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RunError {
    /// The scenario's region or catalogue cannot be used.
    #[error(transparent)]
    Build(#[from] BuildError),
    /// A law is broken.
    #[error(transparent)]
    Broken(#[from] Box<Broken>),
}

#[cfg(test)]
mod tests;
