//! Runs the scenarios of `scenarios/problems` with some settings changed, and reads their outcomes.

use std::path::PathBuf;

use forescale::scenario::load::{self, Loaded};
use forescale::simulation::{self, Options};
use forescale::telemetry::Outcome;
use forescale::telemetry::outcome::NodeRecord;
use forescale::time::{Duration, Time};

/// A setting and its value, as `--set` takes them.
pub type Setting<'a> = (&'a str, &'a str);

/// The file of a problem.
pub fn path(name: &str) -> PathBuf {
    [env!("CARGO_MANIFEST_DIR"), "scenarios", "problems", &format!("{name}.toml")].iter().collect()
}

/// The scenario with these settings.
pub fn loaded(name: &str, settings: &[Setting<'_>]) -> Loaded {
    let settings = settings.iter().map(|(path, value)| ((*path).to_owned(), (*value).to_owned())).collect();
    let options = load::Options { settings, ..load::Options::default() };
    *load::load(&path(name), &options).unwrap_or_else(|invalid| panic!("{name}: {invalid}"))
}

/// Its first replication.
pub fn run(name: &str, settings: &[Setting<'_>]) -> Outcome {
    run_replication(name, settings, 0)
}

/// Some replication of it.
pub fn run_replication(name: &str, settings: &[Setting<'_>], replication: u32) -> Outcome {
    let options = Options { check_invariants: false, ..Options::replication(replication) };
    let scenario = loaded(name, settings).scenario;
    simulation::run(&scenario, options).unwrap_or_else(|error| panic!("{name}: {error}"))
}

/// An instant of the run.
pub fn at(seconds: f64) -> Time {
    Time::from_secs_f64(seconds)
}

/// Seconds of an instant that must have come.
pub fn seconds(instant: Option<Time>) -> f64 {
    instant.expect("it happened").as_secs_f64()
}

/// Replicas wanted of the first workload: instants in seconds and counts.
pub fn staircase(outcome: &Outcome) -> Vec<(f64, i64)> {
    outcome.workloads[0].desired.steps().iter().map(|(at, count)| (at.as_secs_f64(), *count)).collect()
}

/// Replicas wanted of the first workload at an instant.
pub fn wanted(outcome: &Outcome, second: f64) -> i64 {
    outcome.workloads[0].desired.at(at(second))
}

/// Hours which pods of the workloads existed.
pub fn pod_hours(outcome: &Outcome) -> f64 {
    outcome.pods_existing(None).integral(outcome.end) as f64 / 3.6e9
}

/// The nodes that Karpenter made and that ran.
pub fn karpenter_nodes(outcome: &Outcome) -> impl Iterator<Item = &NodeRecord> {
    outcome.nodes.iter().filter(|node| !node.info.pool.is_empty() && node.launched.is_some())
}

/// How many of them went for a reason.
pub fn nodes_gone(outcome: &Outcome, reason: &str) -> usize {
    karpenter_nodes(outcome).filter(|node| node.reason == reason).count()
}

/// USD that the instances cost.
pub fn dollars(outcome: &Outcome) -> f64 {
    outcome.instance_cost().total.as_f64()
}

/// How many pods stopped for a reason.
pub fn pods_stopped(outcome: &Outcome, reason: &str) -> usize {
    outcome.pods.iter().filter(|pod| pod.workload.is_some() && pod.reason() == reason).count()
}

/// The longest wait of a message.
pub fn longest_wait(outcome: &Outcome) -> f64 {
    outcome.queues[0].wait.max().map_or(0.0, Duration::as_secs_f64)
}

/// Prints the lines of a table, which must all stand in the comment of the scenario.
pub fn in_comment(name: &str, lines: &[String]) {
    let text = std::fs::read_to_string(path(name)).expect("the scenario");
    for line in lines {
        println!("# {line}");
    }
    for line in lines {
        assert!(
            text.lines().any(|known| known.strip_prefix("# ") == Some(line)),
            "the comment of {name} lacks\n# {line}"
        );
    }
}
