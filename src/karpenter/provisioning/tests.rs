//! The provisioner on a small cluster, driven by hand.

use std::sync::Arc;

use super::*;
use crate::api::capacity_buffer::CapacityBufferSpec;
use crate::api::decode::defaults;
use crate::api::karpenter::DisruptionReason;
use crate::api::pod::PodSpec;
use crate::cluster::catalogue::TypeId;
use crate::cluster::node::Node;
use crate::cluster::nodeclaim::NodeClaim;
use crate::cluster::pod::Owner;
use crate::cluster::state::Applied;
use crate::cluster::storage::Storage;
use crate::cluster::workload::{CapacityBuffer, Deployment};
use crate::cluster::world::NoQueues;
use crate::cluster::{DeploymentId, Detail, ShapeId};
use crate::engine::Distribution;
use crate::karpenter::small_cluster;
use crate::scenario::faults::Fault;
use crate::units::Cpu;

/// A provisioner with its calendar.
struct Bench {
    scenario: Scenario,
    cluster: Cluster,
    provisioner: Provisioner,
    calendar: Vec<(Time, Event)>,
    now: Time,
}

impl Bench {
    fn new(limits: &str) -> Self {
        let scenario: Scenario = defaults();
        let streams = Streams::new(1, 0);
        let cluster = small_cluster::cluster(streams, limits, &["1500m"]);
        let provisioner = Provisioner::new(&scenario, streams);
        Bench { scenario, cluster, provisioner, calendar: Vec::new(), now: Time::ZERO }
    }

    fn with(&mut self, act: impl FnOnce(&mut Provisioner, &mut World<'_>, &mut Agenda<Event>)) {
        let mut agenda = Agenda::default();
        let mut queues = NoQueues;
        let mut world =
            World { now: self.now, cluster: &mut self.cluster, scenario: &self.scenario, queues: &mut queues };
        act(&mut self.provisioner, &mut world, &mut agenda);
        self.calendar.extend(agenda.drain());
    }

    fn unschedulable_pod(&mut self) -> PodId {
        let pod = self.cluster.create_pod(self.now, ShapeId(0), Owner::None);
        self.cluster.mark_unschedulable(pod);
        self.with(|provisioner, world, agenda| provisioner.observe(&Change::PodUnschedulable(pod), world, agenda));
        pod
    }

    /// Handles what is due up to `until`, in order.
    fn run(&mut self, until: f64) {
        let until = Time::from_secs_f64(until);
        while let Some(next) = (0..self.calendar.len()).min_by_key(|i| self.calendar[*i].0) {
            if self.calendar[next].0 > until {
                break;
            }
            let (at, event) = self.calendar.remove(next);
            self.now = at;
            self.with(|provisioner, world, agenda| provisioner.handle(event, world, agenda));
        }
        self.now = until;
    }

    fn launch(&mut self, claim: usize) {
        let now = self.now;
        let catalogue = Arc::clone(&self.cluster.catalogues[0]);
        let record = &mut self.cluster.nodeclaims[claim];
        let id = TypeId(record.options.iter().map(|id| id.0).min().unwrap_or(0));
        record.launched = Some(now);
        record.capacity = catalogue.get(id).capacity;
        record.allocatable = catalogue.get(id).allocatable;
    }

    fn observe(&mut self, change: Change) {
        self.with(|provisioner, world, agenda| provisioner.observe(&change, world, agenda));
    }

    /// When windows may end.
    fn windows(&self) -> Vec<f64> {
        let windows = self.calendar.iter().filter(|(_, event)| *event == Event::Window);
        windows.map(|(at, _)| at.as_secs_f64()).collect()
    }

    /// Which pods were told to have no place, how many of their kind, and why.
    fn failures(&mut self) -> Vec<(Subject, i64, String)> {
        let told = self.cluster.take_decisions().filter(|decision| decision.rule == Rule::FailedScheduling);
        told.map(|decision| match decision.detail {
            Detail::Count(told) => (decision.subject, told.0.to.expect("a count"), told.1.to_string()),
            other => panic!("{other:?}"),
        })
        .collect()
    }

    fn rules(&mut self) -> Vec<&'static str> {
        self.cluster.take_decisions().map(|decision| decision.rule.name()).collect()
    }
}

#[test]
fn one_claim_takes_all_pods_of_a_window() {
    let mut bench = Bench::new("");
    bench.unschedulable_pod();
    bench.run(0.5);
    bench.unschedulable_pod();
    bench.run(1.4);
    assert!(bench.cluster.nodeclaims.is_empty(), "the second pod extends the window to 1.5 s");
    bench.run(4.0);
    assert_eq!(bench.cluster.nodeclaims.len(), 1);
    let claim = &bench.cluster.nodeclaims[0];
    assert_eq!(claim.requests.cpu(), Cpu::from_milli(3000));
    assert_eq!(claim.options, [TypeId(0)], "only the large type holds both");
    assert!(claim.name.starts_with("workers-") && claim.name.len() == 13);
    assert_eq!(claim.labels.get("karpenter.sh/nodepool").map(String::as_str), Some("workers"));
    assert_eq!(bench.rules(), ["Solve", "CreateNodeClaims"]);
}

#[test]
fn no_pass_runs_while_a_launch_is_unanswered_and_its_triggers_are_lost() {
    let mut bench = Bench::new("");
    bench.unschedulable_pod();
    bench.run(4.0);
    assert_eq!(bench.cluster.nodeclaims.len(), 1);
    bench.unschedulable_pod();
    bench.run(5.5);
    bench.launch(0);
    bench.run(9.9);
    assert!(bench.rules().contains(&"Synced"), "the window that ended at 5 s found no sync");
    assert_eq!(bench.cluster.nodeclaims.len(), 1);
    bench.run(16.0);
    assert!(bench.cluster.nodeclaims[0].nominated(bench.now), "re-planned onto the node that is under way");
    assert_eq!(bench.cluster.nodeclaims.len(), 1, "a large node holds both pods");
}

#[test]
fn limits_stop_further_claims_and_say_so_once() {
    let mut bench = Bench::new("limits = { cpu = \"2\" },");
    bench.unschedulable_pod();
    bench.run(4.0);
    assert_eq!(bench.cluster.nodeclaims[0].options, [TypeId(1)], "the large type exceeds the limit");
    bench.cluster.nodeclaims[0].launched = Some(bench.now);
    bench.cluster.nodeclaims[0].capacity = small_cluster::catalogue().types[1].capacity;
    bench.cluster.nodeclaims[0].allocatable = small_cluster::catalogue().types[1].allocatable;
    bench.cluster.nodeclaims[0].labels.insert("karpenter.sh/nodepool".to_owned(), "workers".to_owned());
    bench.rules();
    bench.unschedulable_pod();
    bench.run(60.0);
    assert_eq!(bench.cluster.nodeclaims.len(), 1);
    assert_eq!(bench.rules(), ["FailedScheduling"]);
}

#[test]
fn every_pod_event_restarts_the_timer_of_the_pod() {
    let mut bench = Bench::new("");
    let pod = bench.unschedulable_pod();
    bench.run(4.0);
    bench.launch(0);
    bench.with(|provisioner, world, agenda| provisioner.observe(&Change::PodUnschedulable(pod), world, agenda));
    bench.run(13.0);
    assert!(!bench.calendar.iter().any(|(_, event)| *event == Event::Window), "the timer of 10 s is out of date");
    bench.run(14.0);
    assert!(bench.calendar.iter().any(|(_, event)| *event == Event::Window), "the restarted timer ends at 14 s");
}

#[test]
fn a_window_that_ends_while_karpenter_is_down_is_lost() {
    let mut bench = Bench::new("");
    bench.unschedulable_pod();
    bench.run(0.5);
    bench.with(|provisioner, world, agenda| provisioner.handle(Event::Down, world, agenda));
    bench.run(60.0);
    assert!(bench.cluster.nodeclaims.is_empty());
    bench.with(|provisioner, world, agenda| provisioner.handle(Event::Up, world, agenda));
    bench.run(64.0);
    assert_eq!(bench.cluster.nodeclaims.len(), 1);
}

#[test]
fn a_pool_that_comes_later_is_used_by_the_next_pass() {
    let mut bench = Bench::new("");
    bench.unschedulable_pod();
    bench.run(4.0);
    bench.launch(0);
    let mut preferred = bench.cluster.nodepools[0].clone();
    (preferred.name, preferred.applied) = ("preferred".to_owned(), None);
    Arc::make_mut(&mut preferred.object).spec.weight = Some(10);
    bench.cluster.nodepools.push(preferred);
    bench.cluster.apply(bench.now, Applied::NodePool(NodePoolId(1)));
    for _ in 0..3 {
        bench.unschedulable_pod();
    }
    bench.run(8.0);
    let pools: Vec<NodePoolId> = bench.cluster.nodeclaims.iter().map(|claim| claim.pool).collect();
    assert_eq!(pools, [NodePoolId(0), NodePoolId(1)], "the first node holds two of the four pods");
}

#[test]
fn a_pass_follows_the_settings() {
    let of = |scenario: &Scenario| {
        let options = options(scenario);
        (options.preferences, options.min_values, options.reserved_capacity)
    };
    let mut scenario: Scenario = defaults();
    assert_eq!(of(&scenario), (PreferencePolicy::Respect, MinValuesPolicy::Strict, true));
    scenario.karpenter.preference_policy = flags::PreferencePolicy::Ignore;
    scenario.karpenter.min_values_policy = flags::MinValuesPolicy::BestEffort;
    scenario.karpenter.reserved_capacity = Some(false);
    assert_eq!(of(&scenario), (PreferencePolicy::Ignore, MinValuesPolicy::BestEffort, false));
}

fn outage(kind: FaultKind, at: f64, lasts: Option<f64>) -> Fault {
    Fault {
        at: Duration::from_secs_f64(at),
        duration: lasts.map(Duration::from_secs_f64),
        kind,
        queue: None,
        deployment: None,
        nodes: None,
        zone: None,
        share: 1.0,
    }
}

#[test]
fn a_window_that_ends_while_the_api_server_is_down_is_looked_at_when_it_is_back() {
    let mut bench = Bench::new("");
    bench.scenario.faults.push(outage(FaultKind::ApiServerDown, 0.5, Some(5.0)));
    bench.unschedulable_pod();
    bench.run(5.4);
    assert!(bench.cluster.nodeclaims.is_empty());
    bench.run(9.0);
    assert_eq!(bench.cluster.nodeclaims.len(), 1);
}

#[test]
fn that_passes_wait_for_launches_is_told_each_ten_seconds() {
    let mut bench = Bench::new("");
    bench.cluster.create_nodeclaim(NodeClaim::new("slow".to_owned(), NodePoolId(0), Time::ZERO));
    let mut told = |until: f64| {
        bench.unschedulable_pod();
        bench.run(until);
        bench.rules().iter().filter(|rule| **rule == "Synced").count()
    };
    assert_eq!([told(2.0), told(4.0), told(6.0)], [1, 0, 0], "a pass at 1 s, and at 3 and 5 s");
    assert_eq!(told(12.0), 1);
}

#[test]
fn a_plan_is_told_in_words() {
    let plan = |further: usize, room: i64| {
        let mut bench = Bench::new("");
        bench.unschedulable_pod();
        bench.run(4.0);
        bench.launch(0);
        bench.cluster.nodeclaims[0].allocatable = Resources::ZERO.with(Resource::Cpu, room).with(Resource::Pods, 10);
        bench.rules();
        for _ in 0..further {
            bench.unschedulable_pod();
        }
        bench.run(8.0);
        let details = bench.cluster.take_decisions().filter_map(|decision| match decision.detail {
            Detail::Count(told) if decision.rule == Rule::Solve => Some(told.1.to_string()),
            _ => None,
        });
        details.collect::<Vec<_>>().join("; ")
    };
    assert_eq!(plan(1, 2000), "1 new NodeClaim for 1 pod; 1 pod fits existing nodes");
    assert_eq!(plan(3, 3000), "1 new NodeClaim for 2 pods; 2 pods fit existing nodes");
    assert_eq!(plan(1, 1000), "1 new NodeClaim for 2 pods; 0 pods fit existing nodes");
    assert_eq!(plan(3, 1000), "2 new NodeClaims for 4 pods; 0 pods fit existing nodes");
}

#[test]
fn an_outage_without_an_end_is_followed_by_no_start() {
    let asked = |lasts: Option<f64>| {
        let mut bench = Bench::new("");
        bench.scenario.faults.push(outage(FaultKind::KarpenterDown, 10.0, lasts));
        bench.with(|provisioner, world, agenda| provisioner.start(world, agenda));
        bench.calendar.iter().map(|(at, event)| (at.as_secs_f64(), *event)).collect::<Vec<_>>()
    };
    assert_eq!(asked(Some(5.0)), [(10.0, Event::Down), (15.0, Event::Up)]);
    assert_eq!(asked(None), [(10.0, Event::Down)]);
}

/// `NodeController`.
#[test]
fn events_of_nodes_with_the_disrupted_taint_open_windows_and_so_do_ten_seconds_without_one() {
    let mut bench = Bench::new("");
    let plain = bench.cluster.create_node(Node::new("plain".to_owned(), Time::ZERO));
    let tainted = Node { taints: vec![taints::disrupted().clone()], ..Node::new("tainted".to_owned(), Time::ZERO) };
    let tainted = bench.cluster.create_node(tainted);
    bench.observe(Change::NodeReady(plain));
    assert!(bench.windows().is_empty());
    bench.observe(Change::NodeTaints(tainted));
    assert_eq!(bench.windows(), [1.0]);
    bench.run(4.0);
    bench.observe(Change::NodeUpdated(tainted));
    assert_eq!(bench.windows(), [5.0]);
    bench.run(10.0);
    assert!(bench.windows().is_empty(), "there was an event since the first");
    bench.run(14.0);
    assert_eq!(bench.windows(), [15.0]);
    bench.run(20.0);
    bench.cluster.remove_node(bench.now, tainted);
    bench.run(24.0);
    assert!(bench.windows().is_empty(), "it is gone");
}

#[test]
fn pods_of_a_node_that_a_command_removes_are_planned_for_when_it_is_tainted() {
    let mut bench = Bench::new("");
    let record =
        NodeClaim { launched: Some(Time::ZERO), ..NodeClaim::new("old".to_owned(), NodePoolId(0), Time::ZERO) };
    let claim = bench.cluster.create_nodeclaim(record);
    let old = Node { nodeclaim: Some(claim), ..Node::new("old".to_owned(), Time::ZERO) };
    let node = bench.cluster.create_node(old);
    let pod = bench.cluster.create_pod(Time::ZERO, ShapeId(0), Owner::None);
    bench.cluster.bind(Time::ZERO, pod, node);
    bench.cluster.start_pod(Time::ZERO, pod);
    bench.cluster.mark_nodeclaim(claim, Some(DisruptionReason::Underutilized));
    bench.cluster.set_taints(node, vec![taints::disrupted().clone()]);
    bench.observe(Change::NodeTaints(node));
    bench.run(4.0);
    assert_eq!(bench.cluster.nodeclaims.len(), 2);
    assert_eq!(bench.cluster.nodeclaims[1].requests.cpu(), Cpu::from_milli(1500));
}

#[test]
fn a_buffer_makes_room_before_its_pods_come_and_follows_its_deployment() {
    let mut bench = Bench::new("");
    bench.cluster.deployments.push(Deployment {
        name: "web".to_owned(),
        applied: Some(Time::ZERO),
        replicas: 2,
        shape: ShapeId(0),
        selector: Arc::new(defaults()),
        pods: Vec::new(),
        status_replicas: 0,
        ready_replicas: 0,
    });
    bench.cluster.buffers.push(CapacityBuffer {
        spec: Arc::new(CapacityBufferSpec { percentage: Some(50), ..defaults() }),
        shape: ShapeId(0),
        target: Some(DeploymentId(0)),
        replicas: 0,
        created: Time::ZERO,
        uid: 7,
    });
    let mut changes = Vec::new();
    bench.cluster.take_changes(&mut changes);
    bench.with(|provisioner, world, agenda| provisioner.start(world, agenda));
    bench.run(0.0);
    changes.clear();
    bench.cluster.take_changes(&mut changes);
    assert_eq!((bench.cluster.buffers[0].replicas, changes.as_slice()), (1, &[Change::CapacityBuffers][..]));
    bench.run(4.0);
    assert_eq!(bench.cluster.nodeclaims.len(), 1);
    bench.launch(0);
    bench.cluster.deployments[0].replicas = 5;
    bench.run(29.9);
    assert_eq!(bench.cluster.buffers[0].replicas, 1, "looked at each half minute");
    bench.run(30.0);
    assert_eq!(bench.cluster.buffers[0].replicas, 3);
    bench.run(34.0);
    assert_eq!(bench.cluster.nodeclaims.len(), 2, "the first node has room for two");
    assert_eq!(bench.cluster.buffer_nodes, [NodeClaimId(0)].into());
    assert!(!bench.cluster.nodeclaims[0].nominated(bench.now), "pods that are not there nominate no node");
    bench.launch(1);
    changes.clear();
    bench.run(59.9);
    bench.cluster.take_changes(&mut changes);
    changes.clear();
    bench.run(60.0);
    bench.cluster.take_changes(&mut changes);
    assert!(changes.is_empty(), "nothing new");
}

#[test]
fn that_there_is_no_room_for_a_buffer_is_told_to_nobody() {
    let mut bench = Bench::new("");
    let spec: PodSpec = small_cluster::parse("containers = [{ resources = { requests = { cpu = \"9\" } } }]");
    (bench.cluster.shapes[0].requests, bench.cluster.shapes[0].spec) = (spec.requests(), Arc::new(spec));
    bench.cluster.buffers.push(CapacityBuffer {
        spec: Arc::new(CapacityBufferSpec { replicas: Some(2), ..defaults() }),
        shape: ShapeId(0),
        target: None,
        replicas: 0,
        created: Time::ZERO,
        uid: 7,
    });
    bench.with(|provisioner, world, agenda| provisioner.start(world, agenda));
    bench.run(4.0);
    assert_eq!(bench.rules(), Vec::<&str>::new());
    let pod = bench.unschedulable_pod();
    bench.run(8.0);
    assert_eq!(
        bench.failures().into_iter().map(|(pod, count, _)| (pod, count)).collect::<Vec<_>>(),
        [(Subject::Pod(pod), 1)]
    );
}

/// `byCPUAndMemoryDescending`: creation times are whole seconds of the wall clock, then UIDs decide.
#[test]
fn of_equal_pods_that_of_an_earlier_second_has_the_first_choice() {
    let without_place = |whole_second: Duration| {
        let mut bench = Bench::new("limits = { cpu = \"2\" },");
        bench.scenario.clocks.whole_second = whole_second;
        for (at, uid) in [(0.2, 9), (0.3, 1)] {
            bench.run(at);
            let pod = bench.unschedulable_pod();
            bench.cluster.pods[pod.index()].uid = uid;
        }
        bench.run(4.0);
        assert_eq!(bench.cluster.nodeclaims.len(), 1);
        bench.failures().into_iter().map(|(pod, _, _)| pod).collect::<Vec<_>>()
    };
    assert_eq!(without_place(Duration::from_millis(250)), [Subject::Pod(PodId(1))]);
    assert_eq!(without_place(Duration::ZERO), [Subject::Pod(PodId(0))]);
}

#[test]
fn a_pass_takes_longer_with_every_pod() {
    let mut bench = Bench::new("");
    bench.scenario.latencies.provisioner_solve = Distribution::Constant(Duration::from_secs(1));
    bench.scenario.latencies.provisioner_solve_per_pod = Duration::from_millis(200);
    for _ in 0..3 {
        bench.unschedulable_pod();
    }
    bench.run(2.59);
    assert!(bench.cluster.nodeclaims.is_empty(), "the window ends at 1 s");
    bench.run(2.61);
    assert_eq!(bench.cluster.nodeclaims.len(), 2);
}

#[test]
fn pods_of_one_template_without_a_place_are_told_together_each_five_minutes() {
    let mut bench = Bench::new("");
    let spec: PodSpec = small_cluster::parse("containers = [{ resources = { requests = { cpu = \"9\" } } }]");
    (bench.cluster.shapes[0].requests, bench.cluster.shapes[0].spec) = (spec.requests(), Arc::new(spec));
    bench.scenario.latencies.provisioner_solve = Distribution::Constant(Duration::ZERO);
    bench.scenario.latencies.provisioner_solve_per_pod = Duration::ZERO;
    let first = bench.unschedulable_pod();
    bench.unschedulable_pod();
    bench.unschedulable_pod();
    bench.run(300.9);
    let told = bench.failures();
    assert_eq!(told.len(), 1, "{told:?}");
    assert_eq!((told[0].0, told[0].1), (Subject::Pod(first), 3));
    bench.run(301.1);
    assert_eq!(bench.failures(), told, "told at 1 s, with a pass each ten seconds");
}

/// `ValidatePersistentVolumeClaims`.
#[test]
fn a_pod_whose_claim_is_not_there_is_left_out_and_told() {
    let mut bench = Bench::new("");
    let scenario: Scenario =
        small_cluster::parse("storageClasses = [{ metadata = { name = \"gp3\" }, provisioner = \"ebs.csi.aws.com\" }]");
    bench.cluster.storage = Storage::of(&scenario, &[]);
    let volume = "{ name = \"v\", persistentVolumeClaim = { claimName = \"data\" } }";
    let spec: PodSpec = small_cluster::parse(&format!("containers = [{{ name = \"c\" }}]\nvolumes = [{volume}]"));
    bench.cluster.shapes[0].spec = Arc::new(spec);
    let pods = [bench.unschedulable_pod(), bench.unschedulable_pod()];
    bench.run(4.0);
    assert!(bench.cluster.nodeclaims.is_empty());
    let told = bench.failures();
    assert_eq!(told.len(), 1, "{told:?}");
    assert_eq!((told[0].0, told[0].1), (Subject::Pod(pods[0]), 2));
    assert!(told[0].2.contains("data"), "{told:?}");
}

/// `Limits.ExceededBy`.
#[test]
fn limits_are_exceeded_by_more_than_they_say_of_what_the_pool_has_and_keeps() {
    let mut bench = Bench::new("limits = { cpu = \"4\", nodes = 2 },");
    let mut launched = |pool: &str, cpu: i64| {
        let labels = [("karpenter.sh/nodepool".to_owned(), pool.to_owned())].into();
        let capacity = Resources::ZERO.with(Resource::Cpu, cpu);
        let record = NodeClaim::new(format!("claim-{}", bench.cluster.nodeclaims.len()), NodePoolId(0), Time::ZERO);
        let id = bench.cluster.create_nodeclaim(NodeClaim { launched: Some(Time::ZERO), labels, capacity, ..record });
        (id, exceeded_limit(&bench.cluster, NodePoolId(0)))
    };
    assert_eq!(launched("workers", 4000).1, None, "as much as the limit");
    assert_eq!(launched("others", 4000).1, None);
    let (more, exceeded) = launched("workers", 1);
    assert_eq!(exceeded, Some(Resource::Cpu));
    bench.cluster.delete_nodeclaim(Time::ZERO, more, "Manual");
    assert_eq!(exceeded_limit(&bench.cluster, NodePoolId(0)), None, "what goes does not count");
    for _ in 0..2 {
        let record = bench.cluster.nodeclaims[0].clone();
        bench.cluster.create_nodeclaim(NodeClaim { capacity: Resources::ZERO, ..record });
    }
    assert_eq!(exceeded_limit(&bench.cluster, NodePoolId(0)), Some(Resource::Nodes));
}
