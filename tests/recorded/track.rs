//! What is compared: replica counts, NodeClaims, and counts over time, of a recording and of an outcome.

use std::collections::{BTreeMap, BTreeSet};

use forescale::telemetry::{NodeRecord, Outcome, Series, WorkloadKey};
use forescale::time::Time;

use crate::folder::Folder;
use crate::translate::name_of;

/// What is compared of each queue.
pub const QUEUE_COUNTS: [&str; 2] = ["visible", "in flight"];

/// A step function over time in seconds.
pub type Steps = Vec<(f64, i64)>;

/// One NodeClaim's creation or removal.
#[derive(Clone, Debug, PartialEq)]
pub struct ClaimEvent {
    pub at: f64,
    pub what: String,
}

/// The comparable part of a run.
#[derive(Default)]
pub struct Track {
    /// Replica counts of each Deployment; equal neighbours are one.
    pub replicas: BTreeMap<String, Steps>,
    pub jobs: Vec<f64>,
    pub created: Vec<ClaimEvent>,
    pub removed: Vec<ClaimEvent>,
    /// Counts whose time averages are compared.
    pub counts: BTreeMap<String, Steps>,
}

impl Track {
    pub fn of_recording(folder: &Folder) -> Track {
        let mut track = Track::default();
        let length = folder.length();
        let mut claims: BTreeMap<&str, (f64, String, String, String)> = BTreeMap::new();
        let mut removed: Vec<(f64, &str)> = Vec::new();
        let (mut ready, mut nodes) = (Vec::new(), Vec::new());
        let mut ready_since: BTreeMap<&str, bool> = BTreeMap::new();
        let mut daemons: BTreeSet<&str> = BTreeSet::new();
        for row in folder.timeline.iter().filter(|row| row.at <= length) {
            let object = row.object.as_str();
            if row.actor == "pod" && row.what == "created" && row.value.starts_with("ds-") {
                daemons.insert(object);
            }
            if daemons.contains(object) {
                continue;
            }
            match (row.actor.as_str(), row.what.as_str()) {
                ("deployment", "replicas") => {
                    let value = row.value.parse().unwrap_or(0);
                    push_step(track.replicas.entry(object.to_owned()).or_default(), row.at, value);
                }
                ("job", "created") => track.jobs.push(row.at),
                ("pod", "ready") => {
                    ready_since.insert(object, true);
                    ready.push((row.at, 1));
                }
                ("pod", "deleting" | "gone" | "phase") if ready_since.insert(object, false) == Some(true) => {
                    ready.push((row.at, -1));
                }
                ("node", "created") => nodes.push((row.at, 1)),
                ("node", "gone") => nodes.push((row.at, -1)),
                ("nodeclaim", "created") => {
                    claims.insert(object, (row.at, row.value.clone(), String::new(), String::new()));
                }
                ("nodeclaim", "type") => {
                    let words: Vec<&str> = row.value.split(' ').collect();
                    if let (Some(claim), [kind, capacity_type, ..]) = (claims.get_mut(object), words.as_slice()) {
                        claim.2 = format!("{kind} {capacity_type}");
                    }
                }
                ("nodeclaim", "disruption") => {
                    if let Some(claim) = claims.get_mut(object) {
                        claim.3.clone_from(&row.value);
                    }
                }
                ("nodeclaim", "deleting") => removed.push((row.at, object)),
                _ => {}
            }
        }
        track.created = claims.values().map(|c| ClaimEvent { at: c.0, what: format!("{} {}", c.1, c.2) }).collect();
        track.removed = removed
            .iter()
            .filter_map(|(at, name)| claims.get(name).map(|c| (at, c)))
            .map(|(at, c)| ClaimEvent { at: *at, what: format!("{} {} {}", c.1, c.2, reason(&c.3)) })
            .collect();
        track.counts.insert("ready pods".to_owned(), from_changes(ready));
        track.counts.insert("nodes".to_owned(), from_changes(nodes));
        for queue in 0..folder.queues.len() {
            for (place, what) in QUEUE_COUNTS.iter().enumerate() {
                let rows = folder.queue_rows.iter();
                let samples = rows.filter_map(|row| row.counts[queue][place].map(|value| (row.at, value))).collect();
                track.counts.insert(format!("{what} in queue {queue}"), samples);
            }
        }
        track.finish()
    }

    pub fn of_outcome(outcome: &Outcome, folder: &Folder) -> Track {
        let mut track = Track::default();
        let scaled_job = name_of(folder, "ScaledJob");
        for (index, workload) in outcome.workloads.iter().enumerate() {
            if Some(workload.name.as_str()) == scaled_job {
                let jobs = outcome.pods_of(Some(WorkloadKey(index as u32)));
                track.jobs = jobs.map(|pod| pod.created.as_secs_f64()).collect();
                continue;
            }
            let mut steps = Steps::new();
            for (at, value) in workload.desired.steps() {
                push_step(&mut steps, at.as_secs_f64(), *value);
            }
            track.replicas.insert(workload.name.clone(), steps);
        }
        track.replicas.remove("daemon");
        let claims: Vec<&NodeRecord> =
            outcome.nodes.iter().filter(|node| !matches!(node.info.pool.as_str(), "" | "static")).collect();
        for node in &claims {
            let what = format!(
                "{} {} {}",
                node.info.pool,
                node.info.instance_type,
                node.info.capacity_type.map_or("", |c| c.as_str())
            );
            track.created.push(ClaimEvent { at: node.claimed.as_secs_f64(), what: what.clone() });
            if let Some(at) = node.draining.or(node.removed) {
                let what = format!("{what} {}", reason(&node.reason));
                track.removed.push(ClaimEvent { at: at.as_secs_f64(), what });
            }
        }
        let nodes = claims.iter().flat_map(|node| {
            node.registered
                .map(|at| (at.as_secs_f64(), 1))
                .into_iter()
                .chain(node.registered.and(node.removed).map(|at| (at.as_secs_f64(), -1)))
        });
        track.counts.insert("nodes".to_owned(), from_changes(nodes.collect()));
        track.counts.insert("ready pods".to_owned(), steps_of(&outcome.pods_ready(None)));
        for (index, queue) in outcome.queues.iter().enumerate() {
            for (what, series) in QUEUE_COUNTS.iter().zip([&queue.visible, &queue.in_flight]) {
                track.counts.insert(format!("{what} in queue {index}"), each_second(series, outcome.end));
            }
        }
        track.finish()
    }

    fn finish(mut self) -> Track {
        self.replicas.values_mut().for_each(drop_leading_zero);
        self.created.sort_by(|a, b| a.at.total_cmp(&b.at));
        self.removed.sort_by(|a, b| a.at.total_cmp(&b.at));
        let replicas: Vec<Steps> = self.replicas.values().cloned().collect();
        let mut changes = Vec::new();
        for steps in &replicas {
            let mut before = 0;
            for (at, value) in steps {
                changes.push((*at, value - before));
                before = *value;
            }
        }
        self.counts.insert("replicas".to_owned(), from_changes(changes));
        self
    }
}

/// A reason as both sides write it: what no command names is an expiry.
fn reason(text: &str) -> &str {
    match text {
        "" | "Expired" => "Expired",
        other => other,
    }
}

fn push_step(steps: &mut Steps, at: f64, value: i64) {
    if steps.last().is_none_or(|(_, last)| *last != value) {
        steps.push((at, value));
    }
}

/// A workload begins at 0 whether or not that was written down.
fn drop_leading_zero(steps: &mut Steps) {
    if steps.first().is_some_and(|(_, value)| *value == 0) {
        steps.remove(0);
    }
}

fn from_changes(mut changes: Vec<(f64, i64)>) -> Steps {
    changes.sort_by(|a, b| a.0.total_cmp(&b.0));
    let mut value = 0;
    changes
        .into_iter()
        .map(|(at, change)| {
            value += change;
            (at, value)
        })
        .collect()
}

fn steps_of(series: &Series) -> Steps {
    series.steps().iter().map(|(at, value)| (at.as_secs_f64(), *value)).collect()
}

/// Sampled as the recorder samples a queue: once a second.
fn each_second(series: &Series, end: Time) -> Steps {
    let seconds = end.as_secs_f64().floor() as u64;
    (0..=seconds).map(|second| (second as f64, series.at(Time::from_micros(second * 1_000_000)))).collect()
}

/// Time average of a step function between two instants.
pub fn average(steps: &Steps, from: f64, until: f64) -> f64 {
    let mut sum = 0.0;
    for (index, (at, value)) in steps.iter().enumerate() {
        let end = steps.get(index + 1).map_or(until, |(next, _)| *next).min(until);
        sum += (end - at.max(from)).max(0.0) * *value as f64;
    }
    sum / (until - from).max(1e-9)
}

pub fn peak(steps: &Steps) -> i64 {
    steps.iter().map(|(_, value)| *value).max().unwrap_or(0)
}
