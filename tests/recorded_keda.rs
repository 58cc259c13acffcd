//! Replays KEDA and HPA of recorded runs against the recorded queue: given what the queue held, KEDA's polls, the HPA's pulls and
//! their writes must follow. Consumers, scheduling and nodes play no part; passes that the recorder's machine held up are held up
//! here too. `FORESCALE_RECORDED_KEDA` names another folder of recorded runs (`tests/data/recorded/README.md`); the `k` and `f`
//! runs take part.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use forescale::api::decode::Problems;
use forescale::api::keda::Trigger;
use forescale::api::tree::{Node, Value};
use forescale::cluster::{Change, Cluster, PodId, QueueAttributes, QueueId, QueueSource, ScaledObjectId};
use forescale::hpa;
use forescale::scenario::yaml;
use forescale::time::{Duration, Time};
use forescale::units::{Cpu, Memory};

#[path = "support/driver.rs"]
mod driver;

use driver::{Driver, Happening, decode, decode_yaml, recorded_clocks};

/// A recorded pass later than this, in seconds, and up to `BUSY` was held up by the recorder's machine.
const LATE: f64 = 0.3;
/// How long the recorder's machine held up single steps at most, in seconds.
const BUSY: f64 = 4.0;
/// What follows a clock of its own may be this far from the recording, in seconds.
const NEAR: f64 = 2.0;
fn main() -> ExitCode {
    let folder = std::env::var("FORESCALE_RECORDED_KEDA").unwrap_or_else(|_| "tests/data/recorded".to_owned());
    let entries = std::fs::read_dir(&folder).unwrap_or_else(|error| panic!("{folder}: {error}"));
    let mut runs: Vec<PathBuf> = entries.filter_map(Result::ok).map(|entry| entry.path()).collect();
    runs.retain(|path| {
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        name.starts_with(['k', 'f']) && path.join("run.yaml").exists()
    });
    runs.sort();
    let mut matched = 0;
    for path in &runs {
        let recording = Recording::read(path);
        let misses = replay(&recording);
        if misses.is_empty() {
            matched += 1;
        } else {
            println!("{}:", recording.name);
            misses.iter().take(8).for_each(|miss| println!("    {miss}"));
        }
    }
    println!("{matched} passed, {} failed", runs.len() - matched);
    println!("recorded_keda: matched {matched} of {}", runs.len());
    if matched == runs.len() && matched > 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// A row of `timeline.csv`.
struct Row {
    at: f64,
    actor: String,
    what: String,
    value: String,
}

struct Recording {
    name: String,
    run: Node,
    rows: Vec<Row>,
    queue: Vec<(f64, QueueAttributes)>,
}

fn number(node: &Node) -> f64 {
    match node.value {
        Value::Int(value) => value as f64,
        Value::Float(value) => value,
        _ => panic!("not a number: {:?}", node.value),
    }
}

fn list<'a>(node: &'a Node, key: &str) -> &'a [Node] {
    match node.get(key).map(|node| &node.value) {
        Some(Value::List(items)) => items,
        _ => &[],
    }
}

/// The kind of an applied object, if it is one of KEDA's.
fn scaled(applied: &Node) -> Option<&str> {
    applied.at(&["object", "kind"]).and_then(Node::as_str).filter(|kind| kind.starts_with("Scaled"))
}

impl Recording {
    fn read(path: &Path) -> Recording {
        let text = |file: &str| std::fs::read_to_string(path.join(file)).unwrap_or_default();
        let mut problems = Problems::default();
        let run = yaml::parse(&text("run.yaml"), 0, &mut problems).remove(0);
        let timeline = text("timeline.csv");
        let mut reader = csv::ReaderBuilder::new().flexible(true).from_reader(timeline.as_bytes());
        let row = |record: csv::StringRecord| {
            let field = |index: usize| record.get(index).unwrap_or_default().to_owned();
            Some(Row { at: field(0).parse().ok()?, actor: field(1), what: field(3), value: field(4) })
        };
        let rows = reader.records().filter_map(Result::ok).filter_map(row).collect();
        let counts = text("queue.csv");
        let mut reader = csv::Reader::from_reader(counts.as_bytes());
        let count = |record: csv::StringRecord| {
            let field = |index: usize| record.get(index).and_then(|text| text.parse::<f64>().ok()).unwrap_or(0.0);
            let attributes =
                QueueAttributes { visible: field(1) as u64, not_visible: field(2) as u64, delayed: field(3) as u64 };
            (field(0), attributes)
        };
        let queue = reader.records().filter_map(Result::ok).map(count).collect();
        Recording { name: path.file_name().unwrap_or_default().to_string_lossy().into_owned(), run, rows, queue }
    }

    fn object(&self) -> (f64, &Node) {
        let applied = list(&self.run, "applied").iter().find(|applied| scaled(applied).is_some());
        let applied = applied.unwrap_or_else(|| panic!("{}: nothing of KEDA's is applied", self.name));
        (applied.get("t_s").map_or(0.0, number), applied.get("object").unwrap_or(&self.run))
    }

    /// Replicas at the beginning: of the recorder's first row if that is one of the beginning, else what KEDA's first write found.
    fn start(&self) -> i64 {
        if let Some((_, count)) = self.counts(false).first().filter(|(at, _)| *at < 1.0) {
            return *count;
        }
        let write = self.rows.iter().find(|row| row.actor == "keda" && row.what.contains("->"));
        let found = write.and_then(|row| row.what.split("->").next()?.parse().ok());
        found.unwrap_or_else(|| self.run.at(&["worker", "replicas"]).map_or(0, |node| number(node) as i64))
    }

    fn length(&self) -> f64 {
        self.run.get("length_s").map_or(f64::MAX, number)
    }

    /// Instants and texts of what was done by hand.
    fn inputs(&self) -> Vec<(f64, String)> {
        let input = |node: &Node| {
            let what = node.get("what").and_then(Node::as_str).unwrap_or_default().to_owned();
            (node.get("t").map_or(0.0, number), what)
        };
        list(&self.run, "inputs").iter().map(input).collect()
    }

    /// Creations of Jobs, or changes of the replica count.
    fn counts(&self, of_jobs: bool) -> Vec<(f64, i64)> {
        let mut jobs = 0;
        let mut counts: Vec<(f64, i64)> = Vec::new();
        for row in self.rows.iter().filter(|row| row.at <= self.length()) {
            if of_jobs && row.actor == "job" && row.what == "created" {
                jobs += 1;
                counts.push((row.at, jobs));
            } else if !of_jobs && row.actor == "deployment" && row.what == "replicas" {
                counts.push((row.at, row.value.parse().unwrap_or(-1)));
            }
        }
        counts
    }
}

/// The recorded queue: what a poll or pull of about that time saw, else the second's counters.
struct RecordedQueue {
    /// Values seen by polls and pulls.
    seen: Vec<(f64, u64)>,
    counters: Vec<(f64, QueueAttributes)>,
    /// When the queue did not exist.
    gone: Vec<(f64, f64)>,
}

impl QueueSource for RecordedQueue {
    fn attributes(&mut self, _queue: QueueId, now: Time) -> Option<QueueAttributes> {
        let now = now.as_secs_f64();
        if self.gone.iter().any(|(from, to)| (*from..*to).contains(&now)) {
            return None;
        }
        let nearest = self.seen.iter().min_by(|a, b| (a.0 - now).abs().total_cmp(&(b.0 - now).abs()));
        if let Some((_, value)) = nearest.filter(|(at, _)| (at - now).abs() < 0.5) {
            return Some(QueueAttributes { visible: *value, not_visible: 0, delayed: 0 });
        }
        self.counters.iter().rfind(|(at, _)| *at <= now).map(|(_, attributes)| *attributes)
    }

    fn cpu_time(&mut self, _pod: PodId, _request: Cpu, _now: Time) -> Option<f64> {
        None
    }

    fn memory(&mut self, _: PodId) -> Option<Memory> {
        None
    }
}

impl RecordedQueue {
    fn of(recording: &Recording) -> Self {
        let reading = |row: &Row| {
            let seen = row.actor == "keda" && (row.what == "poll" || row.what == "served");
            let value: f64 = row.value.parse().ok().filter(|_| seen)?;
            Some((row.at - 0.01, value as u64))
        };
        let inputs = recording.inputs();
        let when = |what: &str| inputs.iter().filter(|(_, text)| text == what).map(|(at, _)| *at).collect::<Vec<_>>();
        let back = when("queue created");
        let gone = when("queue deleted")
            .into_iter()
            .map(|from| (from, back.iter().copied().find(|to| *to > from).unwrap_or(f64::MAX)))
            .collect();
        let mut seen: Vec<(f64, u64)> = recording.rows.iter().filter_map(reading).collect();
        // A fallback's substitute was not seen at the source.
        seen.retain(|(at, _)| !recording.gone_at(*at));
        RecordedQueue { seen, counters: recording.queue.clone(), gone }
    }
}

impl Recording {
    fn gone_at(&self, at: f64) -> bool {
        let inputs = self.inputs();
        let last = inputs.iter().rfind(|(time, text)| *time <= at && text.starts_with("queue "));
        last.is_some_and(|(_, text)| text == "queue deleted")
    }
}

/// Runs KEDA and the HPA against the recorded queue; returns where the counts differ.
fn replay(recording: &Recording) -> Vec<String> {
    let (applied, object) = recording.object();
    let of_jobs = object.get("kind").and_then(Node::as_str) == Some("ScaledJob");
    let mut scenario = recorded_clocks();
    let phase = recording.run.at(&["clocks", "whole_second_t_s"]).map_or(0.0, number);
    scenario.clocks.whole_second = Duration::from_secs_f64(phase);
    if of_jobs {
        // The second of the two reconciles at the beginning sets the phase.
        scenario.clocks.keda_first_poll = Some(Duration::from_millis(150));
    }
    let queue = queue_name(&decode::<Vec<Trigger>>(object.at(&["spec", "triggers"]).unwrap_or(object)));
    scenario.queues.push(decode_yaml(&format!("name: {queue}")));
    let mut driver = Driver::new(scenario, RecordedQueue::of(recording));
    if of_jobs {
        driver.add_scaled_job(applied, decode(object));
    } else {
        driver.add_scaled_object(applied, decode(object), recording.start() as u32);
    }
    for (at, what) in recording.inputs() {
        driver.at(at, Happening::Input(input, what));
    }
    let succeeded = recording.rows.iter().filter(|row| row.actor == "job" && row.what == "succeeded");
    for (index, row) in succeeded.enumerate() {
        driver.at(row.at, Happening::JobSucceeded(index as u32));
    }
    let pulls: Vec<f64> = recording.rows.iter().filter(|row| row.what == "served").map(|row| row.at).collect();
    driver.run(recording.length(), |now, happening| held_up(&pulls, now, happening));
    let mut recorded = recording.counts(of_jobs);
    if !of_jobs {
        // The beginning is no change: the row that tells of it, and the application.
        let start = recording.start();
        let is_beginning = recorded.first().is_some_and(|(_, count)| *count == start);
        recorded.drain(..usize::from(is_beginning));
        driver.counts.remove(0);
    }
    compare(&recorded, &driver.counts)
}

fn queue_name(triggers: &[Trigger]) -> String {
    let url = triggers.iter().find_map(|trigger| trigger.metadata.get("queueURL")).cloned();
    url.unwrap_or_default().rsplit('/').next().unwrap_or_default().to_owned()
}

/// When the recorded pull of this pass came, if the machine held it up.
fn held_up(pulls: &[f64], now: f64, happening: &Happening) -> Option<f64> {
    let pass = matches!(happening, Happening::Hpa(hpa::Event::Pass { .. }));
    let next = pulls.iter().copied().find(|pull| *pull > now - LATE).filter(|_| pass)?;
    (LATE..BUSY).contains(&(next - now)).then_some(next)
}

/// What was done by hand: annotations; the queue's absence is in the source.
fn input(cluster: &mut Cluster, what: &str) {
    let Some(object) = cluster.scaled_objects.first_mut() else { return };
    let mut annotations = (*object.annotations).clone();
    if let Some(count) = what.strip_prefix("paused-replicas=") {
        annotations.insert("autoscaling.keda.sh/paused-replicas".to_owned(), count.to_owned());
    } else if what == "unpaused" {
        annotations.retain(|name, _| !name.contains("/paused"));
    } else if what.starts_with("queue ") {
        return;
    } else {
        println!("    unknown input: {what}");
    }
    object.annotations = Arc::new(annotations);
    cluster.announce(Change::ScaledObjectAnnotations(ScaledObjectId(0)));
}

/// The same counts in the same order, each near its time.
fn compare(recorded: &[(f64, i64)], predicted: &[(f64, i64)]) -> Vec<String> {
    let mut misses = Vec::new();
    for index in 0..recorded.len().max(predicted.len()) {
        match (recorded.get(index), predicted.get(index)) {
            (Some(is), Some(said)) if is.1 == said.1 && (is.0 - said.0).abs() <= NEAR => {}
            (is, said) => misses.push(format!("recorded {is:?}, predicted {said:?}")),
        }
    }
    misses
}
