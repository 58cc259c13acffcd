//! A calendar with nothing on it but the HPA controller, KEDA's operator and a ReplicaSet controller whose pods are Ready a fixed
//! time after their creation. Consumers, scheduling and nodes play no part.

use std::collections::BTreeMap;
use std::sync::Arc;

use forescale::api::decode::{Decode, Problems, defaults};
use forescale::api::keda::{ScaledJob, ScaledObject};
use forescale::api::tree::Node;
use forescale::cluster::pod::{EndReason, Owner, PodShape};
use forescale::cluster::state::Applied;
use forescale::cluster::workload;
use forescale::cluster::{
    Change, Cluster, Decision, DeploymentId, JobId, PodId, QueueSource, ScaledJobId, ScaledObjectId, World,
};
use forescale::engine::{Agenda, Streams};
use forescale::scenario::{Scenario, yaml};
use forescale::time::{Duration, Time};
use forescale::{hpa, keda};

/// The ReplicaSet controller follows a new count this late.
const REPLICASET: Duration = Duration::from_millis(20);
/// A pod is Ready this long after its creation.
const POD_READY: Duration = Duration::from_millis(2000);

/// What is on the calendar.
#[derive(Clone, Debug)]
pub enum Happening {
    /// An object is applied.
    Apply(Applied),
    /// Something done by hand.
    Input(fn(&mut Cluster, &str), String),
    /// A Job completes.
    JobSucceeded(u32),
    /// The ReplicaSet controller acts.
    ReplicaSet,
    /// A pod becomes Ready.
    Ready(PodId),
    /// Of the HPA controller.
    Hpa(hpa::Event),
    /// Of KEDA's operator.
    Keda(keda::Event),
}

/// The run.
pub struct Driver<Q> {
    pub scenario: Scenario,
    pub cluster: Cluster,
    pub queue: Q,
    pub hpa: hpa::Controller,
    pub keda: keda::Operator,
    calendar: BTreeMap<(Time, u64), Happening>,
    sequence: u64,
    /// Changes of replica counts, and numbers of Jobs created, with their times in seconds.
    pub counts: Vec<(f64, i64)>,
    /// The decision log.
    pub decisions: Vec<Decision>,
}

/// The one object of a YAML text.
pub fn decode_yaml<T: Decode>(text: &str) -> T {
    decode(&yaml::parse(text, 0, &mut Problems::default()).remove(0))
}

/// The object of a node.
pub fn decode<T: Decode>(node: &Node) -> T {
    let mut problems = Problems::default();
    T::decode(node, &mut problems).unwrap_or_else(|| panic!("{:?}", problems.list))
}

/// Clocks as measured in the recordings.
pub fn recorded_clocks() -> Scenario {
    let mut scenario: Scenario = defaults();
    scenario.clocks.keda_poll_slip = Duration::from_micros(500);
    scenario.clocks.hpa_first_pass = Some(scenario.clocks.hpa_sync_period);
    scenario.clocks.keda_first_poll = Some(Duration::from_millis(90));
    scenario
}

impl<Q: QueueSource> Driver<Q> {
    /// An empty cluster at the beginning. Queues of the scenario are those that `queue` answers for.
    pub fn new(scenario: Scenario, queue: Q) -> Self {
        let streams = Streams::new(1, 0);
        let mut driver = Driver {
            hpa: hpa::Controller::new(&scenario, streams),
            keda: keda::Operator::new(&scenario, streams),
            cluster: Cluster::new(streams.open("uid", 0)),
            scenario,
            queue,
            calendar: BTreeMap::new(),
            sequence: 0,
            counts: Vec::new(),
            decisions: Vec::new(),
        };
        let (mut from_hpa, mut from_keda) = (Agenda::default(), Agenda::default());
        let (cluster, queues) = (&mut driver.cluster, &mut driver.queue);
        let world = World { now: Time::ZERO, cluster, scenario: &driver.scenario, queues };
        driver.hpa.start(&world, &mut from_hpa);
        driver.keda.start(&world, &mut from_keda);
        driver.put(&mut from_hpa, &mut from_keda);
        driver.cluster.add_shape(PodShape {
            spec: Arc::new(decode_yaml("containers: [{name: c, resources: {requests: {cpu: 500m}}}]")),
            labels: Arc::new([("app".to_owned(), "worker".to_owned())].into()),
            annotations: Arc::default(),
            requests: forescale::units::Resources::ZERO,
            priority: 0,
            may_preempt: true,
            grace: Duration::from_secs(30),
            fargate: false,
        });
        driver
    }

    /// A ScaledObject applied at an instant, and its Deployment of the beginning.
    pub fn add_scaled_object(&mut self, at: f64, object: ScaledObject, replicas: u32) {
        let target = DeploymentId(self.cluster.deployments.len() as u32);
        self.cluster.deployments.push(workload::Deployment {
            name: object.spec.scale_target_ref.name.clone(),
            applied: None,
            replicas,
            shape: forescale::cluster::ShapeId(0),
            selector: Arc::new(decode_yaml("matchLabels: {app: worker}")),
            pods: Vec::new(),
            status_replicas: 0,
            ready_replicas: 0,
        });
        let id = ScaledObjectId(self.cluster.scaled_objects.len() as u32);
        self.cluster.scaled_objects.push(workload::ScaledObject {
            name: object.metadata.name.unwrap_or_default(),
            applied: None,
            spec: Arc::new(object.spec),
            annotations: Arc::new(object.metadata.annotations),
            generation: 1,
            target: Some(target),
            deleted: false,
        });
        self.at(0.0, Happening::Apply(Applied::Deployment(target)));
        self.at(at, Happening::Apply(Applied::ScaledObject(id)));
    }

    /// A ScaledJob applied at an instant.
    pub fn add_scaled_job(&mut self, at: f64, object: ScaledJob) {
        let id = ScaledJobId(self.cluster.scaled_jobs.len() as u32);
        self.cluster.scaled_jobs.push(workload::ScaledJob {
            name: object.metadata.name.unwrap_or_default(),
            applied: None,
            spec: Arc::new(object.spec),
            annotations: Arc::new(object.metadata.annotations),
            generation: 1,
            shape: forescale::cluster::ShapeId(0),
            deleted: false,
        });
        self.at(at, Happening::Apply(Applied::ScaledJob(id)));
    }

    /// Puts something on the calendar.
    pub fn at(&mut self, at: f64, happening: Happening) {
        self.put_at(Time::from_secs_f64(at), happening);
    }

    fn put_at(&mut self, at: Time, happening: Happening) {
        self.sequence += 1;
        self.calendar.insert((at, self.sequence), happening);
    }

    fn put(&mut self, from_hpa: &mut Agenda<hpa::Event>, from_keda: &mut Agenda<keda::Event>) {
        for (at, event) in from_hpa.drain() {
            self.put_at(at, Happening::Hpa(event));
        }
        for (at, event) in from_keda.drain() {
            self.put_at(at, Happening::Keda(event));
        }
    }

    /// Runs to an instant. `held_up` may put an event off.
    pub fn run(&mut self, until: f64, held_up: impl Fn(f64, &Happening) -> Option<f64>) {
        while let Some(entry) = self.calendar.first_entry() {
            let now = entry.key().0;
            if now > Time::from_secs_f64(until) {
                break;
            }
            let happening = entry.remove();
            match held_up(now.as_secs_f64(), &happening) {
                Some(later) => self.at(later, happening),
                None => self.step(now, happening),
            }
        }
    }

    fn step(&mut self, now: Time, happening: Happening) {
        let (mut from_hpa, mut from_keda) = (Agenda::default(), Agenda::default());
        let mut replica_set = false;
        {
            let (cluster, queues) = (&mut self.cluster, &mut self.queue);
            let mut world = World { now, cluster, scenario: &self.scenario, queues };
            match happening {
                Happening::Apply(object) => world.cluster.apply(now, object),
                Happening::Input(action, text) => action(world.cluster, &text),
                Happening::JobSucceeded(index) if (index as usize) < world.cluster.jobs.len() => {
                    world.cluster.finish_job(now, JobId(index), true);
                }
                Happening::JobSucceeded(_) => {}
                Happening::ReplicaSet => replica_set = true,
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
        if replica_set {
            (0..self.cluster.deployments.len()).for_each(|index| self.replica_set(now, index));
        }
        self.deliver(now, &mut from_hpa, &mut from_keda);
        self.put(&mut from_hpa, &mut from_keda);
        self.decisions.extend(self.cluster.take_decisions());
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
                self.counts.push((now.as_secs_f64(), replicas));
                self.put_at(now + REPLICASET, Happening::ReplicaSet);
            }
            Change::JobCreated(id) => {
                self.counts.push((now.as_secs_f64(), i64::from(id.0) + 1));
                let shape = self.cluster.jobs[id.index()].shape;
                let pod = self.cluster.create_pod(now, shape, Owner::Job(id));
                self.put_at(now + POD_READY, Happening::Ready(pod));
            }
            _ => {}
        }
    }

    /// Brings the pods of a Deployment to its count, newest first out.
    fn replica_set(&mut self, now: Time, index: usize) {
        let deployment = &self.cluster.deployments[index];
        let (wanted, shape) = (deployment.replicas as usize, deployment.shape);
        while self.cluster.deployments[index].pods.len() < wanted {
            let pod = self.cluster.create_pod(now, shape, Owner::Deployment(DeploymentId(index as u32)));
            self.put_at(now + POD_READY, Happening::Ready(pod));
        }
        while self.cluster.deployments[index].pods.len() > wanted {
            let pods = &self.cluster.deployments[index].pods;
            let last = pods[pods.len() - 1];
            self.cluster.delete_pod(now, last, Duration::ZERO, EndReason::ScaledDown);
        }
        self.cluster.deployments[index].status_replicas = wanted as u32;
    }
}
