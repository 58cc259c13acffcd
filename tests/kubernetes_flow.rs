//! Scheduler, ReplicaSet and Job controllers and kubelets on one cluster, without autoscalers: from a replica count to ready pods,
//! and back.

use std::collections::BTreeMap;

use forescale::cluster::instance::{Instance, InstanceState};
use forescale::cluster::node::Node;
use forescale::cluster::pod::{EndReason, Pod};
use forescale::cluster::{Change, Cluster, DeploymentId, InstanceId, NoQueues, NodeClassId, NodeId, PodId, World};
use forescale::engine::{Agenda, Calendar, Streams};
use forescale::kubelet::{self, Kubelets};
use forescale::replicaset::{self, ReplicaSets};
use forescale::scenario::Scenario;
use forescale::scenario::load::{Options, load_texts};
use forescale::scheduler::{self, Scheduler};
use forescale::simulation::build::build;
use forescale::time::{Duration, Time};
use forescale::units::Usd;

#[derive(Clone, Copy)]
enum Event {
    Scheduler(scheduler::Event),
    ReplicaSets(replicaset::Event),
    Kubelets(kubelet::Event),
    Scale(DeploymentId, u32),
    AddNode(u32),
    LoseNode(NodeId),
}

struct Run {
    scenario: Scenario,
    cluster: Cluster,
    calendar: Calendar<Event>,
    scheduler: Scheduler,
    replica_sets: ReplicaSets,
    kubelets: Kubelets,
    template: Option<Node>,
    log: Vec<(Time, Change)>,
}

impl Run {
    fn new(toml: &str) -> Run {
        let texts = BTreeMap::from([("scenario.toml".to_owned(), toml.to_owned())]);
        let loaded =
            load_texts("scenario.toml", texts, &Options::default()).unwrap_or_else(|invalid| panic!("{invalid}"));
        let scenario = loaded.scenario;
        let streams = Streams::new(scenario.simulation.seed, 0);
        let mut beginning = build(&scenario, streams).unwrap();
        for (at, object) in beginning.applied {
            beginning.cluster.apply(at, object);
        }
        let mut run = Run {
            cluster: beginning.cluster,
            calendar: Calendar::default(),
            scheduler: Scheduler::new(&scenario, streams),
            replica_sets: ReplicaSets::new(&scenario, streams),
            kubelets: Kubelets::new(&scenario, streams),
            template: None,
            log: Vec::new(),
            scenario,
        };
        run.deliver(Time::ZERO);
        run
    }

    /// Hands changes to the controllers until there are none.
    fn deliver(&mut self, now: Time) {
        let mut changes = Vec::new();
        loop {
            self.cluster.take_changes(&mut changes);
            if changes.is_empty() {
                break;
            }
            for change in std::mem::take(&mut changes) {
                self.log.push((now, change));
                self.act(now, |run, world, agendas| {
                    run.0.observe(&change, world, &mut agendas.0);
                    run.1.observe(&change, world, &mut agendas.1);
                    run.2.observe(&change, world, &mut agendas.2);
                });
            }
        }
    }

    fn act(
        &mut self,
        now: Time,
        what: impl FnOnce(
            (&mut Scheduler, &mut ReplicaSets, &mut Kubelets),
            &mut World<'_>,
            &mut (Agenda<scheduler::Event>, Agenda<replicaset::Event>, Agenda<kubelet::Event>),
        ),
    ) {
        let mut agendas = (Agenda::default(), Agenda::default(), Agenda::default());
        let mut queues = NoQueues;
        let mut world = World { now, cluster: &mut self.cluster, scenario: &self.scenario, queues: &mut queues };
        what((&mut self.scheduler, &mut self.replica_sets, &mut self.kubelets), &mut world, &mut agendas);
        for (at, event) in agendas.0.drain() {
            self.calendar.schedule(at, Event::Scheduler(event));
        }
        for (at, event) in agendas.1.drain() {
            self.calendar.schedule(at, Event::ReplicaSets(event));
        }
        for (at, event) in agendas.2.drain() {
            self.calendar.schedule(at, Event::Kubelets(event));
        }
    }

    fn at(&mut self, seconds: f64, event: Event) {
        self.calendar.schedule(Time::from_secs_f64(seconds), event);
    }

    fn until(&mut self, seconds: f64) {
        let end = Time::from_secs_f64(seconds);
        while self.calendar.next_time().is_some_and(|at| at <= end) {
            let Some((now, event)) = self.calendar.pop() else { break };
            match event {
                Event::Scheduler(event) => {
                    self.act(now, |run, world, agendas| run.0.handle(event, world, &mut agendas.0))
                }
                Event::ReplicaSets(event) => {
                    self.act(now, |run, world, agendas| run.1.handle(event, world, &mut agendas.1))
                }
                Event::Kubelets(event) => {
                    self.act(now, |run, world, agendas| run.2.handle(event, world, &mut agendas.2))
                }
                Event::Scale(id, replicas) => {
                    self.cluster.scale_deployment(id, replicas);
                }
                Event::AddNode(number) => {
                    let mut node = self.template.clone().unwrap();
                    node.name = format!("late-{number}");
                    node.created = now;
                    let id = self.cluster.create_node(node);
                    self.cluster.set_node_ready(now, id, true);
                }
                Event::LoseNode(node) => {
                    let instance = self.cluster.nodes[node.index()].instance.unwrap();
                    self.cluster.set_instance_state(now, instance, InstanceState::Terminated);
                }
            }
            self.deliver(now);
            let mut violations = forescale::engine::law::Violations::default();
            forescale::cluster::invariants::check(&self.cluster, now, &mut violations);
            assert!(violations.0.is_empty(), "at {now}: {violations:?}");
        }
    }

    fn times(&self, of: impl Fn(&Change) -> bool) -> Vec<f64> {
        self.log.iter().filter(|(_, change)| of(change)).map(|(at, _)| at.as_secs_f64()).collect()
    }

    fn live(&self) -> impl Iterator<Item = (PodId, &Pod)> {
        self.cluster.pods.iter().enumerate().filter(|(_, p)| p.exists()).map(|(i, p)| (PodId(i as u32), p))
    }
}

/// Latencies of a cluster without machines, fixed so that times can be told.
const FIXED: &str = r#"
[simulation]
duration = "1h"
profile  = "kwok"
[scheduler]
clientQPS = 200
clientBurst = 300
[controllerManager]
kubeAPIQPS = 200
kubeAPIBurst = 300
[latencies]
deploymentSync   = "10ms"
podCreateCall    = "10ms"
schedulerAttempt = "20ms"
bind             = "5ms"
podStart         = "2s"
appStart         = "0s"
podCleanup       = "1s"
"#;

fn deployment(name: &str, replicas: u32, extra: &str) -> String {
    format!(
        "[[deployments]]\nmetadata = {{ name = \"{name}\" }}\n[deployments.spec]\nreplicas = {replicas}\n\
         selector = {{ matchLabels = {{ app = \"{name}\" }} }}\n\
         [deployments.spec.template]\nmetadata = {{ labels = {{ app = \"{name}\" }} }}\n[deployments.spec.template.spec]\n\
         containers = [{{ name = \"c\", image = \"x:1\", resources = {{ requests = {{ cpu = \"900m\", memory = \"1Gi\" }} }} }}]\n{extra}\n"
    )
}

fn group(count: u32, cpu: &str) -> String {
    format!(
        "[[nodeGroups]]\nname = \"static\"\ncount = {count}\nzones = [\"us-east-1a\"]\ncapacity = {{ cpu = \"{cpu}\", memory = \"64Gi\", pods = \"110\" }}\n"
    )
}

#[test]
fn pods_are_created_bound_and_ready_and_go_again() {
    let mut run = Run::new(&format!("{FIXED}{}{}", group(4, "8"), deployment("web", 20, "")));
    run.at(60.0, Event::Scale(DeploymentId(0), 5));
    run.until(50.0);
    let bound = run.times(|change| matches!(change, Change::PodBound(_)));
    let ready = run.times(|change| matches!(change, Change::PodReady(_)));
    assert_eq!((bound.len(), ready.len()), (20, 20));
    assert!(bound[19] < 0.5, "{bound:?}");
    for (bound, ready) in bound.iter().zip(&ready) {
        assert!((ready - bound - 2.0).abs() < 1e-6);
    }
    let per_node: Vec<usize> = run.cluster.nodes.iter().map(|node| node.pods.len()).collect();
    assert_eq!(per_node, [5, 5, 5, 5], "default scoring spreads");
    let record = &run.cluster.deployments[0];
    assert_eq!((record.status_replicas, record.ready_replicas), (20, 20));
    run.until(120.0);
    assert_eq!(run.live().count(), 5);
    let deleting = run.times(|change| matches!(change, Change::PodDeleting(_)));
    let gone = run.times(|change| matches!(change, Change::PodGone(_)));
    assert_eq!((deleting.len(), gone.len()), (15, 15));
    assert!((gone[0] - deleting[0] - 1.0).abs() < 1e-6);
}

#[test]
fn a_download_that_would_outrun_the_nodes_network_ends_at_its_pace() {
    let latencies = "[latencies]\nimagePullBase = \"1500ms\"\nimagePullPer100MB = \"400ms\"";
    let fixed = FIXED.replace("[latencies]", latencies).replace("profile  = \"kwok\"", "");
    let text = format!("{fixed}{}{}[images]\n\"x:1\" = \"1G\"\n", group(1, "8"), deployment("web", 2, ""));
    let mut run = Run::new(&text);
    run.until(60.0);
    let bound = run.times(|change| matches!(change, Change::PodBound(_)));
    let ready = run.times(|change| matches!(change, Change::PodReady(_)));
    assert_eq!((bound.len(), ready.len()), (2, 2));
    // 1 GB at the node's 125 MB/s, not at the registry's 250.
    let start = 2.0 + 1.5 + 8.0;
    assert!(ready.iter().all(|at| (at - bound[0] - start).abs() < 0.2), "{bound:?} {ready:?}");
}

#[test]
fn without_nodes_pods_wait_on_the_error_grid() {
    let text = format!("{FIXED}[clocks]\nwholeSecond = \"390ms\"\n{}{}", group(1, "64"), deployment("web", 3, ""));
    let mut run = Run::new(&text);
    let template = run.cluster.nodes[0].clone();
    run.cluster.remove_node(Time::ZERO, NodeId(0));
    run.deliver(Time::ZERO);
    run.template = Some(template);
    run.at(21.6, Event::AddNode(1));
    run.until(60.0);
    // First attempts before 0.39 s, so in the second that began at -0.61 s: retried 2, 5, 10, 19 and 30 s after that.
    for bound in run.times(|change| matches!(change, Change::PodBound(_))) {
        assert!((29.39..29.45).contains(&bound), "{bound}");
    }
    assert_eq!(
        run.times(|change| matches!(change, Change::PodUnschedulable(_))).len(),
        3,
        "one text, written once a pod"
    );
}

#[test]
fn pause_pods_make_room_at_once() {
    let text = format!(
        "{FIXED}[[priorityClasses]]\nmetadata = {{ name = \"pause\" }}\nvalue = -10\npreemptionPolicy = \"Never\"\n{}{}{}",
        group(2, "4"),
        deployment("pause", 8, "priorityClassName = \"pause\"\nterminationGracePeriodSeconds = 0"),
        deployment("web", 0, ""),
    );
    let mut run = Run::new(&text);
    run.at(60.0, Event::Scale(DeploymentId(1), 4));
    run.until(90.0);
    let web: Vec<f64> = run.cluster.deployments[1]
        .pods
        .iter()
        .map(|pod| run.cluster.pods[pod.index()].path.bound.map_or(f64::MAX, Time::as_secs_f64))
        .collect();
    assert!(web.len() == 4 && web.iter().all(|bound| *bound < 61.0), "{web:?}");
    let preempted = run.cluster.pods.iter().filter(|pod| pod.end == Some(EndReason::Preempted)).count();
    assert_eq!(preempted, 4);
    assert_eq!(run.cluster.deployments[0].pods.len(), 8, "the displaced ones are created again and wait");
    assert_eq!(run.cluster.unbound.len(), 4);
}

#[test]
fn pods_of_a_vanished_instance_are_replaced_after_80_to_145_seconds() {
    let mut run = Run::new(&format!("{FIXED}{}{}", group(3, "8"), deployment("web", 6, "")));
    let instance = Instance {
        state: InstanceState::Running,
        running: Some(Time::ZERO),
        ..Instance::new(
            Time::ZERO,
            NodeClassId(0),
            forescale::cluster::catalogue::TypeId(0),
            (forescale::cluster::catalogue::ZoneId(0), forescale::cluster::catalogue::CapacityType::OnDemand),
            Usd::ZERO,
        )
    };
    let id: InstanceId = run.cluster.add_instance(instance);
    run.cluster.nodes[0].instance = Some(id);
    run.at(100.0, Event::LoseNode(NodeId(0)));
    run.until(400.0);
    let lost = run.times(|change| matches!(change, Change::PodKilled(_)));
    assert_eq!(lost, [100.0, 100.0]);
    let unready = run.times(|change| matches!(change, Change::NodeNotReady(_)));
    assert!(unready.len() == 1 && (140.0..165.0).contains(&unready[0]), "{unready:?}");
    let created = run.times(|change| matches!(change, Change::PodCreated(_)));
    assert_eq!(created.len(), 8);
    assert!(created[6] >= 180.0 && created[7] <= 245.0, "{created:?}");
    assert_eq!(run.cluster.deployments[0].ready_replicas, 6);
}

#[test]
fn grace_and_termination_follow_the_pod() {
    let spec = "terminationGracePeriodSeconds = 30";
    let hook = deployment("web", 1, spec)
        .replace("resources = {", "lifecycle = { preStop = { sleep = { seconds = 5 } } }, resources = {");
    let mut run = Run::new(&format!("{FIXED}{}{hook}", group(1, "8")));
    run.at(10.0, Event::Scale(DeploymentId(0), 0));
    run.until(60.0);
    let deleting = run.times(|change| matches!(change, Change::PodDeleting(_)))[0];
    let term = run.times(|change| matches!(change, Change::PodTerm(_)))[0];
    let gone = run.times(|change| matches!(change, Change::PodGone(_)))[0];
    assert!((term - deleting - 5.0).abs() < 1e-6 && (gone - term - 1.0).abs() < 1e-6, "{deleting} {term} {gone}");
    let pod = &run.cluster.pods[0];
    assert_eq!(pod.deletion_grace, Duration::from_secs(30));
}

#[test]
fn hundreds_of_pods_are_paced_by_the_client_rate() {
    let slow = FIXED.replace("kubeAPIQPS = 200", "kubeAPIQPS = 20").replace("kubeAPIBurst = 300", "kubeAPIBurst = 30");
    for (replicas, last) in [(100, 4.8), (700, 34.8)] {
        let mut run = Run::new(&format!("{slow}{}{}", group(1, "2000"), deployment("web", replicas, "")));
        run.until(60.0);
        let created = run.times(|change| matches!(change, Change::PodCreated(_)));
        assert_eq!(created.len(), replicas as usize);
        let end = created.last().copied().unwrap_or(0.0);
        assert!((end - last).abs() < 0.15, "{replicas} pods: the last at {end} s");
    }
}
