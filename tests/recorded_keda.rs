//! Replays KEDA and HPA of recorded runs against the recorded queue: given what the queue held, KEDA's polls, the HPA's pulls and
//! their writes must follow. Consumers, scheduling and nodes play no part; passes that the recorder's machine held up are held up
//! here too. `FORESCALE_RECORDED_KEDA` names another folder of recorded runs (`tests/data/recorded/README.md`); the `k` and `f`
//! runs take part.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use forescale::api::decode::{Decode, Problems, defaults};
use forescale::api::keda::{ScaledJob, ScaledObject};
use forescale::api::tree::{Node, Value};
use forescale::cluster::pod::{EndReason, Owner, PodShape};
use forescale::cluster::state::Applied;
use forescale::cluster::workload;
use forescale::cluster::{
    Change, Cluster, DeploymentId, JobId, PodId, QueueAttributes, QueueId, QueueSource, ScaledJobId, ScaledObjectId,
    ShapeId, World,
};
use forescale::engine::{Agenda, Streams};
use forescale::scenario::{Scenario, yaml};
use forescale::time::{Duration, Time};
use forescale::{hpa, keda};

/// A recorded pass later than this, in seconds, and up to `BUSY` was held up by the recorder's machine.
const LATE: f64 = 0.3;
/// How long the recorder's machine held up single steps at most, in seconds.
const BUSY: f64 = 4.0;
/// What follows a clock of its own may be this far from the recording, in seconds.
const NEAR: f64 = 2.0;
/// The ReplicaSet controller follows a new count this late.
const REPLICASET: Duration = Duration::from_millis(20);
/// A pod is Ready this long after its creation.
const POD_READY: Duration = Duration::from_millis(2000);

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
        let misses = Replay::new(&recording).run(&recording);
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

    fn cpu_utilization(&mut self, _pod: PodId, _from: Time, _to: Time) -> Option<f64> {
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

#[derive(Clone, Debug)]
enum Happening {
    Apply(Applied),
    Input(String),
    JobSucceeded(u32),
    ReplicaSet,
    Ready(PodId),
    Hpa(hpa::Event),
    Keda(keda::Event),
}

struct Replay {
    scenario: Scenario,
    cluster: Cluster,
    queue: RecordedQueue,
    hpa: hpa::Controller,
    keda: keda::Operator,
    calendar: BTreeMap<(Time, u64), Happening>,
    sequence: u64,
    /// Instants of the recorded pulls.
    pulls: Vec<f64>,
    predicted: Vec<(f64, i64)>,
    of_jobs: bool,
}

fn decode<T: Decode>(node: &Node) -> T {
    let mut problems = Problems::default();
    T::decode(node, &mut problems).unwrap_or_else(|| panic!("{:?}", problems.list))
}

fn shape() -> PodShape {
    PodShape {
        spec: Arc::new(decode(&yaml::parse("containers: [{name: c}]", 0, &mut Problems::default()).remove(0))),
        labels: Arc::new([("app".to_owned(), "worker".to_owned())].into()),
        annotations: Arc::default(),
        requests: forescale::units::Resources::ZERO,
        priority: 0,
        may_preempt: true,
        grace: Duration::from_secs(30),
    }
}

impl Replay {
    fn new(recording: &Recording) -> Self {
        let (applied, object) = recording.object();
        let mut scenario: Scenario = defaults();
        let phase = recording.run.at(&["clocks", "whole_second_t_s"]).map_or(0.0, number);
        scenario.clocks.whole_second = Duration::from_secs_f64(phase);
        scenario.clocks.keda_poll_slip = Duration::from_micros(500);
        scenario.clocks.hpa_first_pass = Some(scenario.clocks.hpa_sync_period);
        let of_jobs = object.get("kind").and_then(Node::as_str) == Some("ScaledJob");
        scenario.clocks.keda_first_poll = Some(Duration::from_millis(if of_jobs { 150 } else { 90 }));
        let streams = Streams::new(1, 0);
        let mut cluster = Cluster::new(streams.open("uid", 0));
        let shape = cluster.add_shape(shape());
        let url = |triggers: &[forescale::api::keda::Trigger]| {
            let url = triggers.iter().find_map(|trigger| trigger.metadata.get("queueURL")).cloned();
            url.unwrap_or_default().rsplit('/').next().unwrap_or_default().to_owned()
        };
        let (queue, target) = if of_jobs {
            let object: ScaledJob = decode(object);
            let queue = url(&object.spec.triggers);
            add_scaled_job(&mut cluster, object, shape);
            (queue, Applied::ScaledJob(ScaledJobId(0)))
        } else {
            let object: ScaledObject = decode(object);
            let queue = url(&object.spec.triggers);
            let replicas = recording.start() as u32;
            add_scaled_object(&mut cluster, object, shape, replicas);
            (queue, Applied::ScaledObject(ScaledObjectId(0)))
        };
        let spec = format!("name: {queue}");
        scenario.queues.push(decode(&yaml::parse(&spec, 0, &mut Problems::default()).remove(0)));
        let mut replay = Replay {
            hpa: hpa::Controller::new(&scenario, streams),
            keda: keda::Operator::new(&scenario, streams),
            queue: RecordedQueue::of(recording),
            scenario,
            cluster,
            calendar: BTreeMap::new(),
            sequence: 0,
            pulls: recording.rows.iter().filter(|row| row.what == "served").map(|row| row.at).collect(),
            predicted: Vec::new(),
            of_jobs,
        };
        if !of_jobs {
            replay.at(Time::ZERO, Happening::Apply(Applied::Deployment(DeploymentId(0))));
        }
        replay.at(Time::from_secs_f64(applied), Happening::Apply(target));
        for (at, what) in recording.inputs() {
            replay.at(Time::from_secs_f64(at), Happening::Input(what));
        }
        let mut finished = 0;
        for row in recording.rows.iter().filter(|row| row.actor == "job" && row.what == "succeeded") {
            replay.at(Time::from_secs_f64(row.at), Happening::JobSucceeded(finished));
            finished += 1;
        }
        replay
    }

    fn at(&mut self, at: Time, happening: Happening) {
        self.sequence += 1;
        self.calendar.insert((at, self.sequence), happening);
    }

    fn run(mut self, recording: &Recording) -> Vec<String> {
        let end = Time::from_secs_f64(recording.length());
        while let Some(((now, _), happening)) = self.calendar.pop_first() {
            if now > end {
                break;
            }
            match self.held_up(now, &happening) {
                Some(later) => self.at(later, happening),
                None => self.step(now, happening),
            }
        }
        let mut recorded = recording.counts(self.of_jobs);
        if !self.of_jobs {
            // The beginning is no change: the row that tells of it, and the application.
            recorded.retain({
                let mut first = true;
                move |(_, count)| !std::mem::take(&mut first) || *count != recording.start()
            });
            self.predicted.remove(0);
        }
        compare(&recorded, &self.predicted)
    }

    /// When the recorded pull of this pass came, if the machine held it up.
    fn held_up(&self, now: Time, happening: &Happening) -> Option<Time> {
        let pass = matches!(happening, Happening::Hpa(hpa::Event::Pass { .. }));
        let now = now.as_secs_f64();
        let next = self.pulls.iter().copied().find(|pull| *pull > now - LATE).filter(|_| pass)?;
        let late = (LATE..BUSY).contains(&(next - now));
        late.then(|| Time::from_secs_f64(next))
    }

    fn step(&mut self, now: Time, happening: Happening) {
        let (mut from_hpa, mut from_keda) = (Agenda::default(), Agenda::default());
        {
            let (cluster, queues) = (&mut self.cluster, &mut self.queue);
            let mut world = World { now, cluster, scenario: &self.scenario, queues };
            match happening {
                Happening::Apply(object) => world.cluster.apply(now, object),
                Happening::Input(what) => input(&what, world.cluster),
                Happening::JobSucceeded(index) if (index as usize) < world.cluster.jobs.len() => {
                    world.cluster.finish_job(now, JobId(index), true);
                }
                Happening::JobSucceeded(_) => {}
                Happening::ReplicaSet => replica_set(now, world.cluster, &mut self.calendar, &mut self.sequence),
                Happening::Ready(pod) => {
                    if world.cluster.pods[pod.index()].exists() {
                        world.cluster.start_pod(now, pod);
                        world.cluster.set_pod_ready(now, pod, true);
                    }
                }
                Happening::Hpa(event) => {
                    let keda = &mut self.keda;
                    let mut external =
                        |object: ScaledObjectId, metric: &str, world: &mut World<'_>| keda.pull(object, metric, world);
                    self.hpa.handle(event, &mut world, &mut from_hpa, &mut external);
                }
                Happening::Keda(event) => self.keda.handle(event, &mut world, &mut from_keda),
            }
        }
        self.deliver(now, &mut from_hpa, &mut from_keda);
        for (at, event) in from_hpa.drain() {
            self.at(at, Happening::Hpa(event));
        }
        for (at, event) in from_keda.drain() {
            self.at(at, Happening::Keda(event));
        }
    }

    /// Hands all changes to those who watch.
    fn deliver(&mut self, now: Time, from_hpa: &mut Agenda<hpa::Event>, from_keda: &mut Agenda<keda::Event>) {
        let mut changes = Vec::new();
        self.cluster.take_changes(&mut changes);
        while !changes.is_empty() {
            for change in std::mem::take(&mut changes) {
                self.note(now, &change);
                let (cluster, queues) = (&mut self.cluster, &mut self.queue);
                let mut world = World { now, cluster, scenario: &self.scenario, queues };
                self.hpa.observe(&change, &mut world, from_hpa);
                self.keda.observe(&change, &mut world, from_keda);
            }
            self.cluster.take_changes(&mut changes);
        }
    }

    fn note(&mut self, now: Time, change: &Change) {
        match *change {
            Change::DeploymentSpec(id) => {
                let replicas = i64::from(self.cluster.deployments[id.index()].replicas);
                self.predicted.push((now.as_secs_f64(), replicas));
                self.at(now + REPLICASET, Happening::ReplicaSet);
            }
            Change::JobCreated(id) => {
                self.predicted.push((now.as_secs_f64(), i64::from(id.0) + 1));
                let shape = self.cluster.jobs[id.index()].shape;
                let pod = self.cluster.create_pod(now, shape, Owner::Job(id));
                self.at(now + POD_READY, Happening::Ready(pod));
            }
            _ => {}
        }
    }
}

fn add_scaled_object(cluster: &mut Cluster, object: ScaledObject, shape: ShapeId, replicas: u32) {
    let selector = yaml::parse("matchLabels: {app: worker}", 0, &mut Problems::default()).remove(0);
    cluster.deployments.push(workload::Deployment {
        name: object.spec.scale_target_ref.name.clone(),
        applied: None,
        replicas,
        shape,
        selector: Arc::new(decode(&selector)),
        pods: Vec::new(),
        status_replicas: 0,
        ready_replicas: 0,
    });
    cluster.scaled_objects.push(workload::ScaledObject {
        name: object.metadata.name.unwrap_or_default(),
        applied: None,
        spec: Arc::new(object.spec),
        annotations: Arc::new(object.metadata.annotations),
        generation: 1,
        target: Some(DeploymentId(0)),
        deleted: false,
    });
}

fn add_scaled_job(cluster: &mut Cluster, object: ScaledJob, shape: ShapeId) {
    cluster.scaled_jobs.push(workload::ScaledJob {
        name: object.metadata.name.unwrap_or_default(),
        applied: None,
        spec: Arc::new(object.spec),
        annotations: Arc::new(object.metadata.annotations),
        generation: 1,
        shape,
        deleted: false,
    });
}

/// What was done by hand: annotations; the queue's absence is in the source.
fn input(what: &str, cluster: &mut Cluster) {
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

/// Brings the pods of the Deployment to its count, newest first out.
fn replica_set(now: Time, cluster: &mut Cluster, calendar: &mut BTreeMap<(Time, u64), Happening>, sequence: &mut u64) {
    let (wanted, shape) = (cluster.deployments[0].replicas as usize, cluster.deployments[0].shape);
    while cluster.deployments[0].pods.len() < wanted {
        let pod = cluster.create_pod(now, shape, Owner::Deployment(DeploymentId(0)));
        *sequence += 1;
        calendar.insert((now + POD_READY, *sequence), Happening::Ready(pod));
    }
    while cluster.deployments[0].pods.len() > wanted {
        let last = cluster.deployments[0].pods[cluster.deployments[0].pods.len() - 1];
        cluster.delete_pod(now, last, Duration::ZERO, EndReason::ScaledDown);
    }
    cluster.deployments[0].status_replicas = wanted as u32;
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
