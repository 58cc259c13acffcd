//! Replays recorded HPAs of a real cluster: given what each pass read and when, the replica counts must follow.
//! `FORESCALE_RECORDED_HPA` names another folder of the same format (`tests/data/recorded/README.md`).

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
use forescale::units::parse_quantity_milli;
use serde_json::Value;

#[path = "support/json.rs"]
mod json;

/// Rows before this are the recorder's start, not events.
const RECORDER_START: f64 = 15.9;
/// How far a recorded row may lie from the pass it belongs to, in seconds.
const NEAR: f64 = 1.0;
/// Time from pass to pass at the least, in seconds.
const SHORTEST_PERIOD: f64 = 15.005;
/// A pod is Ready this long after its creation.
const POD_READY: Duration = Duration::from_millis(2000);

fn main() -> ExitCode {
    let folder = std::env::var("FORESCALE_RECORDED_HPA").unwrap_or_else(|_| "tests/data/recorded/hpa".to_owned());
    let entries = std::fs::read_dir(&folder).unwrap_or_else(|error| panic!("{folder}: {error}"));
    let mut files: Vec<_> = entries.filter_map(Result::ok).map(|entry| entry.path()).collect();
    files.retain(|path| path.extension().is_some_and(|extension| extension == "json"));
    files.sort();
    let (mut matched, mut conditions, mut passes) = (0, 0, 0);
    for path in &files {
        let text = std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        let recording: Value =
            serde_json::from_str(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        let replay = Replay::run(&recording);
        conditions += replay.conditions.0;
        passes += replay.conditions.1;
        if replay.misses.is_empty() {
            matched += 1;
        } else {
            println!("{}:", recording["id"]);
            replay.misses.iter().take(6).for_each(|miss| println!("    {miss}"));
        }
    }
    println!("counts and conditions of the status: {conditions} of {passes} passes agree");
    println!("{matched} passed, {} failed", files.len() - matched);
    println!("recorded_hpa: matched {matched} of {}", files.len());
    if matched == files.len() && matched > 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Something that happened, with its time in seconds.
#[derive(Clone, Copy, Debug)]
enum Step {
    /// An HPA pass that read this value.
    Served(f64),
    /// An HPA pass that read no metric: dormant at 0 replicas, or a clamp.
    Unmetered,
    /// KEDA wrote the scale.
    Keda { up: bool },
}

struct Replay {
    misses: Vec<String>,
    /// Passes whose recorded status agrees, and all that were compared.
    conditions: (usize, usize),
}

fn number(value: &Value) -> f64 {
    value.as_f64().unwrap_or_else(|| panic!("not a number: {value}"))
}

fn rows(recording: &Value, key: &str) -> Vec<Value> {
    recording[key].as_array().cloned().unwrap_or_default()
}

fn autoscaler(spec: &Value) -> Autoscaler {
    let trigger = &spec["triggers"][0];
    let target = trigger["metadata"]["targetValue"].as_str().unwrap_or_default();
    let target = parse_quantity_milli(target).unwrap_or_else(|error| panic!("{target}: {error}"));
    let target = if trigger["metricType"] == "Value" { Target::Value(target) } else { Target::AverageValue(target) };
    let behavior = &spec["advanced"]["horizontalPodAutoscalerConfig"]["behavior"];
    let rules = (!behavior.is_null()).then(|| {
        let mut problems = Problems::default();
        let behavior = Behavior::decode(&json::node(behavior), &mut problems);
        Rules::of_behavior(&behavior.unwrap_or_else(|| panic!("{:?}", problems.list)))
    });
    Autoscaler {
        min: spec["minReplicaCount"].as_i64().unwrap_or(0).max(1) as i32,
        max: spec["maxReplicaCount"].as_i64().unwrap_or(100) as i32,
        metrics: vec![Metric::External { name: "s0-metric-api-v".to_owned(), target }],
        rules,
    }
}

/// Passes and KEDA's writes in order of time. Passes without a metric are known by the status rows they leave: the first pass,
/// and clamps.
fn steps(recording: &Value) -> Vec<(f64, Step)> {
    let served: Vec<(f64, f64)> =
        rows(recording, "served").iter().map(|row| (number(&row[0]), number(&row[1]))).collect();
    let mut steps: Vec<(f64, Step)> = served.iter().map(|(at, value)| (*at, Step::Served(*value))).collect();
    for row in rows(recording, "keda_scales") {
        let up = row[1].as_str().is_some_and(|text| text.contains("updated ScaleTarget"));
        steps.push((number(&row[0]) + 0.01, Step::Keda { up }));
    }
    let synced: Vec<Value> = rows(recording, "syncs")
        .into_iter()
        .filter(|row| row[3].as_str().is_some_and(|text| !text.is_empty()))
        .collect();
    for (index, row) in synced.iter().enumerate() {
        let at = number(&row[0]);
        let metered = served.iter().any(|(served, _)| (-0.1..NEAR).contains(&(at - served)));
        let clamp = row[3] == "SucceededRescale";
        if !metered && (index == 0 || clamp) {
            // A row is up to 0.14 s late; the pass was at least a period before the next one.
            let next =
                served.iter().map(|(served, _)| served - SHORTEST_PERIOD).find(|pass| (at - 1.0..at).contains(pass));
            steps.push((next.unwrap_or(at - 0.03).min(at - 0.03), Step::Unmetered));
        }
    }
    steps.sort_by(|a, b| a.0.total_cmp(&b.0));
    steps
}

/// Pods of the target by creation; the newest go first.
struct Pods(Vec<Time>);

impl Pods {
    fn scale(&mut self, replicas: i32, now: Time) {
        self.0.resize(replicas.max(0) as usize, now);
    }

    fn counts(&self, spec: i32, now: Time) -> Counts {
        let ready = self.0.iter().filter(|created| now.since(**created) >= POD_READY).count() as i32;
        let pods = self.0.len() as i32;
        Counts { spec, status: pods, pods, ready }
    }
}

impl Replay {
    fn run(recording: &Value) -> Replay {
        let spec = &recording["spec"];
        let autoscaler = autoscaler(spec);
        let settings = Settings::of_kubernetes(35);
        let (mut history, mut status) = (History::default(), Status::default());
        let mut replicas = recording["start"].as_i64().unwrap_or(1) as i32;
        let mut pods = Pods(vec![Time::ZERO; replicas as usize]);
        let mut predicted: Vec<(f64, i32)> = Vec::new();
        let mut agreed = (0, 0);
        for (at, step) in steps(recording) {
            let now = Time::from_secs_f64(at);
            let written = match step {
                Step::Keda { up: true } => autoscaler.min,
                // To zero or idle, or from below up to the minimum.
                Step::Keda { up: false } => {
                    let to = spec["idleReplicaCount"].as_i64().or(spec["minReplicaCount"].as_i64());
                    to.unwrap_or(0) as i32
                }
                Step::Served(_) | Step::Unmetered => {
                    let readings = match step {
                        Step::Served(value) => vec![Reading::Series(vec![(value * 1000.0).round() as i64])],
                        _ => vec![Reading::Failed("not read".to_owned())],
                    };
                    let observed = Observed { counts: pods.counts(replicas, now), selector: Selector::Valid, readings };
                    let decision = reconcile(&autoscaler, &settings, &mut history, &mut status, &observed, now);
                    if decision.rescale() {
                        let after = now + Duration::from_millis(15);
                        record_scale(&autoscaler, &settings, &mut history, &mut status, &decision, after);
                    }
                    if at > RECORDER_START {
                        let agrees = status_agrees(recording, at, &status);
                        if !agrees {
                            println!("{}: status after the pass at {at} differs: {:?}", recording["id"], status);
                        }
                        agreed.1 += 1;
                        agreed.0 += usize::from(agrees);
                    }
                    decision.desired
                }
            };
            if written != replicas {
                replicas = written;
                pods.scale(replicas, now + Duration::from_millis(20));
                predicted.push((at, replicas));
            }
        }
        let start = recording["start"].as_i64().unwrap_or(1) as i32;
        Replay { misses: compare(&rows(recording, "replicas"), start, &predicted), conditions: agreed }
    }
}

/// The sequences of counts after the recorder's start must be the same, each change near its time.
fn compare(recorded: &[Value], start: i32, predicted: &[(f64, i32)]) -> Vec<String> {
    let mut misses = Vec::new();
    let recorded: Vec<(f64, i32)> =
        recorded.iter().map(|row| (number(&row[0]), row[1].as_i64().unwrap_or(-1) as i32)).collect();
    let Some(first) = recorded.first() else { return misses };
    let before: Vec<&(f64, i32)> = predicted.iter().filter(|row| row.0 <= first.0).collect();
    let at_first = before.last().map_or(start, |row| row.1);
    if at_first != first.1 {
        misses.push(format!("at {}: recorded {}, predicted {at_first}", first.0, first.1));
    }
    let predicted = &predicted[before.len()..];
    for index in 0..predicted.len().max(recorded.len() - 1) {
        match (recorded.get(index + 1), predicted.get(index)) {
            (Some(is), Some(want)) if is.1 == want.1 && (is.0 - want.0).abs() < NEAR => {}
            (is, want) => misses.push(format!("recorded {is:?}, predicted {want:?}")),
        }
    }
    misses
}

/// Whether the status row in force after the pass says what the pass decided.
fn status_agrees(recording: &Value, at: f64, status: &Status) -> bool {
    let rows = rows(recording, "syncs");
    let Some(row) = rows.iter().rfind(|row| number(&row[0]) < at + NEAR) else { return false };
    let reason = |condition: Option<forescale::hpa::status::Condition>| {
        condition.map_or("", |condition| condition.reason.as_str()).to_owned()
    };
    row[1].as_i64().unwrap_or(0) as i32 == status.current_replicas
        && row[2].as_i64().unwrap_or(0) as i32 == status.desired_replicas
        && row[3].as_str().unwrap_or_default() == reason(status.conditions.able_to_scale)
        && row[4].as_str().unwrap_or_default() == reason(status.conditions.scaling_limited)
}
