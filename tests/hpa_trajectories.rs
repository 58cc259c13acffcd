//! Runs random HPAs pass by pass (format: `tests/data/hpa/README.md`). `FORESCALE_HPA_TRAJECTORIES` names another file.

use std::process::ExitCode;

use forescale::api::decode::{Decode, Problems};
use forescale::api::hpa::Behavior;
use forescale::hpa::history::History;
use forescale::hpa::metrics::{Metric, Reading, Target};
use forescale::hpa::normalize::Rules;
use forescale::hpa::reconcile::{Autoscaler, Observed, Selector, reconcile, record_scale};
use forescale::hpa::replica_calculator::Counts;
use forescale::hpa::settings::Settings;
use forescale::hpa::status::Status;
use forescale::time::{Duration, Time};
use serde_json::Value;

#[path = "support/json.rs"]
mod json;

fn main() -> ExitCode {
    let file =
        std::env::var("FORESCALE_HPA_TRAJECTORIES").unwrap_or_else(|_| "tests/data/hpa/trajectories.jsonl".to_owned());
    let text = std::fs::read_to_string(&file).unwrap_or_else(|error| panic!("{file}: {error}"));
    let (mut passed, mut total, mut passes, mut right) = (0, 0, 0, 0);
    for line in text.lines().filter(|line| !line.trim().is_empty()) {
        let trajectory: Value = serde_json::from_str(line).unwrap_or_else(|error| panic!("{file}: {error}"));
        total += 1;
        let misses = run(&trajectory);
        let count = trajectory["passes"].as_array().map_or(0, Vec::len);
        passes += count;
        right += count - misses.len();
        if misses.is_empty() {
            passed += 1;
        } else {
            println!("{}: {} of {count} passes differ", trajectory["id"], misses.len());
            misses.iter().take(3).for_each(|miss| println!("    {miss}"));
        }
    }
    println!("{right} of {passes} passes");
    println!("{passed} passed, {} failed", total - passed);
    println!("hpa_trajectories: passed {passed} of {total} HPAs");
    if passed == total && total > 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn int(value: &Value) -> i64 {
    value.as_i64().unwrap_or_else(|| panic!("not an integer: {value}"))
}

fn int32(value: &Value) -> i32 {
    i32::try_from(int(value)).unwrap_or_else(|_| panic!("not a 32-bit integer: {value}"))
}

fn metric(value: &Value) -> Metric {
    let target = int(&value["target_milli"]);
    let target = if value["type"] == "Value" { Target::Value(target) } else { Target::AverageValue(target) };
    Metric::External { name: "metric".to_owned(), target }
}

fn rules(value: &Value) -> Option<Rules> {
    if value.is_null() {
        return None;
    }
    let mut problems = Problems::default();
    let behavior = Behavior::decode(&json::node(value), &mut problems);
    let behavior = behavior.unwrap_or_else(|| panic!("{value}: {:?}", problems.list));
    Some(Rules::of_behavior(&behavior))
}

/// Each pass starts from what the recording says it read, so that one miss does not lead to others by itself.
fn run(trajectory: &Value) -> Vec<String> {
    let metrics = trajectory["metrics"].as_array().map(|all| all.iter().map(metric).collect()).unwrap_or_default();
    let autoscaler = Autoscaler {
        min: int32(&trajectory["min"]),
        max: int32(&trajectory["max"]),
        metrics,
        rules: rules(&trajectory["behavior"]),
    };
    let settings = Settings::of_kubernetes(35);
    let mut history = History::default();
    let mut status = Status::default();
    let mut misses = Vec::new();
    for pass in trajectory["passes"].as_array().into_iter().flatten() {
        let now = Time::from_secs_f64(pass[0].as_f64().unwrap_or(0.0));
        let counts =
            Counts { spec: int32(&pass[1]), status: int32(&pass[2]), ready: int32(&pass[3]), pods: int32(&pass[4]) };
        let reading = |value: &Value| match value.as_i64() {
            Some(value) => Reading::Series(vec![value]),
            None => Reading::Failed("failed".to_owned()),
        };
        let readings = pass[5].as_array().map(|all| all.iter().map(reading).collect()).unwrap_or_default();
        let observed = Observed { counts, selector: Selector::Valid, readings };
        let decision = reconcile(&autoscaler, &settings, &mut history, &mut status, &observed, now);
        if decision.rescale() {
            let written = now + Duration::from_millis(15);
            record_scale(&autoscaler, &settings, &mut history, &mut status, &decision, written);
        }
        if decision.desired != int32(&pass[6]) {
            misses.push(format!("at {now}: {pass}: got {} ({:?})", decision.desired, decision.rule));
        }
    }
    misses
}
