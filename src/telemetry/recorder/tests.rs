//! A small cluster, watched.

use std::sync::Arc;

use super::*;
use crate::api::decode::{Decode, Problems, defaults};
use crate::cluster::NodeId;
use crate::cluster::catalogue::{CapacityType, Catalogue, InstanceType, TypeId, ZoneId};
use crate::cluster::instance::{Instance, InstanceState};
use crate::cluster::node::Node;
use crate::cluster::pod::{EndReason, PodShape};
use crate::cluster::state::Applied;
use crate::cluster::workload::{Deployment, ScaledObject};
use crate::cluster::{Action, NodeClassId, Rule, ScaledObjectId, Subject};
use crate::engine::Streams;
use crate::scenario::toml::parse_value;
use crate::telemetry::NodeState;
use crate::telemetry::blame::Factor;
use crate::units::{Cpu, Memory, Resources};

fn at(seconds: u64) -> Time {
    Time::from_micros(seconds * 1_000_000)
}

fn size(cpu_milli: i64, mib: i64) -> Resources {
    Resources::new(Cpu::from_milli(cpu_milli), Memory::from_mib(mib))
}

/// One Deployment of pods that request 1 CPU, with a ScaledObject of at most 4 replicas, and one instance type.
fn cluster() -> Cluster {
    let mut cluster = Cluster::new(Streams::new(1, 0).open("uids", 0));
    let shape = cluster.add_shape(PodShape {
        spec: Arc::new(defaults()),
        labels: Arc::default(),
        annotations: Arc::default(),
        requests: size(1000, 512),
        priority: 0,
        may_preempt: false,
        grace: Duration::from_secs(30),
        fargate: false,
    });
    cluster.deployments.push(Deployment {
        name: "orders".to_owned(),
        applied: None,
        replicas: 0,
        shape,
        selector: Arc::new(defaults()),
        pods: Vec::new(),
        status_replicas: 0,
        ready_replicas: 0,
    });
    let text = "{ scaleTargetRef = { name = \"orders\" }, maxReplicaCount = 4, \
                triggers = [{ type = \"aws-sqs-queue\", metadata = { queueLength = \"5\" } }] }";
    let spec = Decode::decode(&parse_value(text), &mut Problems::default());
    cluster.scaled_objects.push(ScaledObject {
        name: "orders".to_owned(),
        applied: None,
        spec: Arc::new(spec.expect("a valid spec")),
        annotations: Arc::default(),
        generation: 0,
        target: Some(DeploymentId(0)),
        deleted: false,
    });
    cluster.catalogues.push(Arc::new(Catalogue {
        zones: vec!["us-east-1a".to_owned()],
        types: vec![InstanceType {
            name: "m5.large".to_owned(),
            labels: Arc::default(),
            capacity: size(2000, 8192),
            allocatable: size(2000, 8192),
            offerings: Vec::new(),
        }],
        ..Catalogue::default()
    }));
    cluster
}

struct Watched {
    cluster: Cluster,
    recorder: Recorder,
}

impl Watched {
    fn new() -> Watched {
        let cluster = cluster();
        let queues = vec![("orders".to_owned(), Usd::from_f64(0.4))];
        let mut recorder = Recorder::new(RunInfo::default(), queues, &cluster);
        recorder.deployment_consumes(DeploymentId(0), QueueId(0));
        Watched { cluster, recorder }
    }

    /// Hands what happened to the recorder.
    fn show(&mut self, now: Time) {
        let mut changes = Vec::new();
        self.cluster.take_changes(&mut changes);
        for change in &changes {
            self.recorder.observe(now, change, &self.cluster);
        }
        let decisions: Vec<_> = self.cluster.take_decisions().collect();
        self.recorder.decisions(decisions);
    }

    fn waiting(&mut self, now: Time, visible: i64) {
        let at = |count| Extremes { least: (now, count), most: (now, count) };
        let (visible_between, in_flight_between) = (at(visible as u64), at(0));
        let sample = QueueSample { visible, visible_between, in_flight_between, ..QueueSample::default() };
        self.recorder.queue_sample(now, QueueId(0), &sample, &self.cluster);
    }

    fn pod(&mut self, now: Time) -> PodId {
        let id = self.cluster.create_pod(now, self.cluster.deployments[0].shape, Owner::Deployment(DeploymentId(0)));
        self.show(now);
        id
    }

    fn node(&mut self, running: Time, ready: Time) -> (InstanceId, NodeId) {
        let instance = self.cluster.add_instance(Instance {
            prices: vec![(Time::ZERO, Usd::from_f64(0.036)), (at(150), Usd::from_f64(0.072))],
            ..Instance::new(Time::ZERO, NodeClassId(0), TypeId(0), (ZoneId(0), CapacityType::Spot), Usd::ZERO)
        });
        self.cluster.set_instance_state(running, instance, InstanceState::Running);
        let node = self.cluster.create_node(Node {
            instance: Some(instance),
            instance_type: Some(TypeId(0)),
            capacity_type: Some(CapacityType::Spot),
            capacity: size(2000, 8192),
            allocatable: size(2000, 8192),
            ..Node::new("node-1".to_owned(), running)
        });
        self.cluster.set_node_ready(ready, node, true);
        self.show(ready);
        (instance, node)
    }
}

#[test]
fn pods_nodes_and_money_come_from_the_cluster() {
    let mut run = Watched::new();
    let pod = run.pod(at(2));
    run.pod(at(2));
    let (instance, node) = run.node(at(10), at(40));
    run.cluster.bind(at(41), pod, node);
    run.show(at(41));
    run.cluster.set_pod_ready(at(50), pod, true);
    run.cluster.delete_pod(at(80), pod, Duration::from_secs(30), EndReason::ScaledDown);
    run.show(at(80));
    run.cluster.remove_pod(at(85), pod);
    run.show(at(85));
    run.cluster.delete_node(at(100), node);
    run.cluster.set_instance_state(at(160), instance, InstanceState::ShuttingDown);
    run.cluster.remove_node(at(165), node);
    run.show(at(165));
    let outcome = run.recorder.finish(at(200), Ended::Duration, run.cluster);

    assert_eq!(outcome.pods_existing(None).steps(), [(at(2), 2), (at(85), 1)]);
    assert_eq!(outcome.pods_pending(Some(WorkloadKey(0))).steps(), [(at(2), 2), (at(41), 1)]);
    assert_eq!(outcome.pods_starting(None).steps(), [(at(41), 1), (at(50), 0)]);
    assert_eq!(outcome.pods_ready(None).steps(), [(at(50), 1), (at(80), 0)]);
    assert_eq!(outcome.pods_terminating(None).steps(), [(at(80), 1), (at(85), 0)]);
    assert_eq!(outcome.pods[0].reason(), "ScaledDown");
    let spans = |state| outcome.nodes_in(state, |_| true).steps().to_vec();
    assert_eq!(spans(NodeState::Booting), [(at(10), 1), (at(40), 0)]);
    assert_eq!(spans(NodeState::Ready), [(at(40), 1), (at(100), 0)]);
    assert_eq!(spans(NodeState::Draining), [(at(100), 1), (at(160), 0)]);
    // $0.036/h is $0.00001 a second, twice that from 150 s on: 30 s boot, 44 s half used, 160 units in all.
    let unit = |count: f64| Usd::from_f64(count * 0.00001);
    let cost = outcome.instance_cost();
    assert_eq!((cost.total, cost.boot, cost.useful), (unit(160.0), unit(30.0), unit(22.0)));
    // Half of it while the pod is there, all of it before and after; from 100 s on it drains.
    assert_eq!((cost.idle, cost.empty, cost.draining), (unit(22.0), unit(16.0), unit(70.0)));
    assert_eq!(cost.sum(), cost.total);
}

#[test]
fn the_backlog_is_blamed_on_what_the_cluster_shows() {
    let mut run = Watched::new();
    run.cluster.apply(Time::ZERO, Applied::Deployment(DeploymentId(0)));
    run.cluster.apply(Time::ZERO, Applied::ScaledObject(ScaledObjectId(0)));
    run.show(Time::ZERO);
    run.waiting(Time::ZERO, 10);
    // KEDA wakes the Deployment, two replicas are enough for ten messages.
    run.cluster.scale_deployment(DeploymentId(0), 2);
    run.show(at(10));
    let pods = [run.pod(at(10)), run.pod(at(10))];
    run.waiting(at(10), 10);
    let (_, node) = run.node(at(5), at(6));
    for pod in pods {
        run.cluster.bind(at(20), pod, node);
    }
    run.show(at(20));
    run.waiting(at(20), 10);
    for pod in pods {
        run.cluster.note_working(pod);
        run.cluster.set_pod_ready(at(30), pod, true);
    }
    run.show(at(30));
    run.waiting(at(30), 10);
    // A hundred more: 20 replicas, of which the HPA may have 4.
    run.waiting(at(40), 100);
    run.cluster.scale_deployment(DeploymentId(0), 4);
    run.show(at(50));
    run.waiting(at(50), 100);
    let outcome = run.recorder.finish(at(60), Ended::Duration, run.cluster);
    let band: Vec<_> = outcome.queues[0].blame.band().to_vec();
    assert_eq!(
        band,
        [
            (at(0), Some(Factor::KedaPoll)),
            (at(10), Some(Factor::Scheduler)),
            (at(20), Some(Factor::PodStart)),
            (at(30), Some(Factor::ConsumersSaturated)),
            // There is no HPA, so it is KEDA's turn, until no more may be asked for.
            (at(40), Some(Factor::KedaPoll)),
            (at(50), Some(Factor::MaxReplicas)),
        ]
    );
}

#[test]
fn limits_are_marked_once_in_a_while() {
    let mut run = Watched::new();
    for second in [10, 20, 60, 150] {
        let (controller, subject) = (Controller::Provisioner, Subject::Cluster);
        run.cluster.decide(Decision::plain(at(second), controller, subject, Action::Blocked, Rule::ExceededBy, ""));
    }
    run.show(at(150));
    let outcome = run.recorder.finish(at(200), Ended::Duration, run.cluster);
    let marked: Vec<_> = outcome.marks.iter().map(|mark| (mark.at, mark.kind)).collect();
    assert_eq!(marked, [(at(10), MarkKind::Limit), (at(150), MarkKind::Limit)]);
    assert_eq!(outcome.decisions.len(), 4);
}

#[test]
fn what_comes_and_goes_between_two_looks_counts_in_the_mean_and_the_largest() {
    let mut run = Watched::new();
    let look = |second: u64, begin: u64, most: (Time, u64), area: i128| {
        let visible_between = Extremes { least: (at(begin), 0), most };
        let in_flight_between = Extremes { least: (at(begin), 0), most: (at(begin), 0) };
        (at(second), QueueSample { visible_between, in_flight_between, areas: (area, 0), ..QueueSample::default() })
    };
    // Four messages visible for a second, seven for two, all of it between looks.
    for (now, sample) in [look(10, 0, (at(4), 4), 4_000_000), look(20, 10, (at(12), 7), 18_000_000)] {
        run.recorder.queue_sample(now, QueueId(0), &sample, &run.cluster);
    }
    let outcome = run.recorder.finish(at(20), Ended::Duration, run.cluster);
    let queue = &outcome.queues[0];
    assert_eq!(queue.peak(at(20)), (7, at(12)));
    assert_eq!(queue.visible_total.mean(Time::ZERO, at(20)), 0.9);
    assert_eq!(queue.visible.steps(), [(at(4), 4), (at(10), 0), (at(12), 7), (at(20), 0)]);
}
