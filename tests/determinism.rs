//! The same scenario and seed leave the same bytes, and steady queues keep Little's law.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use forescale::report::{files, summary};
use forescale::scenario::{Options, Scenario, load};
use forescale::simulation;
use forescale::telemetry::Outcome;

/// Every shipped scenario, cut to its first minutes.
const SHORT: [(&str, &str); 9] = [
    ("aws-sample", "12m"),
    ("front-page", "7m"),
    ("front-page-baseline", "7m"),
    ("recorded-llm-requests", "5m"),
    ("recorded-web-traffic", "20m"),
    ("reserved-capacity", "20m"),
    ("scale-to-zero", "11m"),
    ("two-layer", "9m"),
    ("volume-in-one-zone", "10m"),
];

fn scenario(name: &str, settings: &[(&str, &str)]) -> Scenario {
    let path = PathBuf::from("scenarios").join(format!("{name}.toml"));
    let settings = settings.iter().map(|&(path, value)| (path.to_owned(), value.to_owned())).collect();
    match load(&path, &Options { settings, ..Options::default() }) {
        Ok(loaded) => loaded.scenario,
        Err(invalid) => panic!("{name}: {invalid}"),
    }
}

fn run(scenario: &Scenario, replication: u32) -> Outcome {
    simulation::run(scenario, simulation::Options::replication(replication)).expect("a shipped scenario runs")
}

fn written(scenario: &Scenario, replication: u32, folder: &Path, charts: bool) -> BTreeMap<String, Vec<u8>> {
    let outcome = run(scenario, replication);
    let summary = summary::summarize(&outcome, &scenario.objectives);
    let names = files::write(folder, &outcome, &summary, charts).expect("the folder can be written");
    names.into_iter().map(|name| (name.to_owned(), std::fs::read(folder.join(name)).expect("it was written"))).collect()
}

#[test]
fn the_same_scenario_and_seed_leave_the_same_bytes() {
    let shipped = std::fs::read_dir("scenarios").expect("a folder").flatten();
    let tomls = shipped.filter(|entry| entry.path().extension().is_some_and(|ending| ending == "toml")).count();
    assert_eq!(tomls, SHORT.len(), "every shipped scenario is tried here");
    let root = tempfile::tempdir().expect("a temporary folder");
    for (name, duration) in SHORT {
        let scenario = scenario(name, &[("simulation.duration", duration)]);
        let charts = name == "scale-to-zero";
        let first = written(&scenario, 0, &root.path().join(name).join("first"), charts);
        let second = written(&scenario, 0, &root.path().join(name).join("second"), charts);
        for (file, bytes) in &first {
            assert!(!bytes.is_empty(), "{name}: {file} is empty");
            assert!(second.get(file) == Some(bytes), "{name}: {file} differs between two runs");
        }
        assert_eq!(first.len(), second.len());
    }
}

#[test]
fn another_replication_is_another_run() {
    let root = tempfile::tempdir().expect("a temporary folder");
    let scenario = scenario("two-layer", &[("simulation.duration", "7m")]);
    let [first, second] = [0, 1].map(|number| written(&scenario, number, &root.path().join(number.to_string()), false));
    assert_ne!(first["pods.csv"], second["pods.csv"]);
    assert_ne!(first["decisions.csv"], second["decisions.csv"]);
}

/// Mean number in the queue = arrival rate x mean time in it, when all that came has gone; to the rounding of the mean.
fn assert_littles_law(scenario: &Scenario) {
    let outcome = run(scenario, 0);
    let queue = &outcome.queues[0];
    assert_eq!(queue.totals.left, 0, "{}", queue.name);
    assert_eq!(queue.totals.sent, queue.totals.processed);
    let held = (queue.visible_total.whole + queue.in_flight_total.whole) as f64 / 1e6;
    let mean = queue.sojourn.mean().expect("messages were processed").as_secs_f64();
    let spent = mean * queue.sojourn.count() as f64;
    println!("{}: {held:.1} message-seconds in the queue, {spent:.1} of all sojourns", queue.name);
    assert!((held / spent - 1.0).abs() < 1e-6, "{}: {held} against {spent}", queue.name);
}

#[test]
fn littles_law_holds_for_bursts() {
    assert_littles_law(&scenario("two-layer", &[("simulation.duration", "14m")]));
}

#[test]
fn littles_law_holds_for_a_steady_stream() {
    let settings = [
        ("simulation.duration", "25m"),
        ("queues.orders.arrivals[0].end", "20m"),
        ("queues.orders.arrivals[1].messages", "1"),
        ("ScaledObject/order-processor.minReplicaCount", "4"),
        ("ScaledObject/order-processor.maxReplicaCount", "4"),
    ];
    assert_littles_law(&scenario("front-page", &settings));
}
