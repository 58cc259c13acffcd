//! The loop on a small cluster, driven by hand. NodeClaims are launched, initialized and removed by the tests.

mod restarts;
mod watching;

use std::sync::Arc;

use super::*;
use crate::api::decode::defaults;
use crate::cluster::catalogue::{CapacityType, TypeId, ZoneId};
use crate::cluster::node::Node;
use crate::cluster::pod::Owner;
use crate::cluster::state::Applied;
use crate::cluster::world::NoQueues;
use crate::cluster::{
    Change, Cluster, Detail, NodeClaimId, NodeClassId, NodeId, NodePoolId, PodId, ShapeId, Subject, World,
};
use crate::engine::{Agenda, Distribution, Streams};
use crate::karpenter::lifecycle::taints;
use crate::karpenter::provisioning;
use crate::karpenter::scheduling::{NewClaim, labels};
use crate::karpenter::small_cluster;
use crate::scenario::Scenario;
use crate::scenario::faults::{Fault, FaultKind};
use crate::time::{Duration, Time};
use crate::units::Resources;

struct Bench {
    scenario: Scenario,
    cluster: Cluster,
    disruption: Disruption,
    calendar: Vec<(Time, u64, Event)>,
    sequence: u64,
    now: Time,
}

fn seconds(seconds: f64) -> Time {
    Time::from_secs_f64(seconds)
}

const LARGE: TypeId = TypeId(0);
const SMALL: TypeId = TypeId(1);

impl Bench {
    fn new(disruption: &str) -> Self {
        let mut scenario: Scenario = defaults();
        scenario.clocks.disruption_first_pass = Some(Duration::from_secs(5));
        scenario.latencies.pod_event = Distribution::Constant(Duration::ZERO);
        scenario.latencies.disruption_pass = Duration::ZERO;
        scenario.latencies.disruption_simulation = Duration::ZERO;
        scenario.latencies.disruption_simulation_per_pod = Duration::ZERO;
        let streams = Streams::new(1, 0);
        let spec = format!("disruption = {{ {disruption} }},");
        let cluster = small_cluster::cluster(streams, &spec, &["1500m", "100m"]);
        let disruption = Disruption::new(&scenario, streams);
        let mut bench = Bench { scenario, cluster, disruption, calendar: Vec::new(), sequence: 0, now: Time::ZERO };
        bench.with(|disruption, world, agenda| disruption.start(world, agenda));
        bench.settle();
        bench
    }

    fn with(&mut self, act: impl FnOnce(&mut Disruption, &mut World<'_>, &mut Agenda<Event>)) {
        let mut agenda = Agenda::default();
        let mut queues = NoQueues;
        let mut world =
            World { now: self.now, cluster: &mut self.cluster, scenario: &self.scenario, queues: &mut queues };
        act(&mut self.disruption, &mut world, &mut agenda);
        for (at, event) in agenda.drain() {
            self.sequence += 1;
            self.calendar.push((at, self.sequence, event));
        }
    }

    /// Hands over the changes until there are none.
    fn settle(&mut self) {
        loop {
            let mut changes: Vec<Change> = Vec::new();
            self.cluster.take_changes(&mut changes);
            if changes.is_empty() {
                return;
            }
            for change in changes {
                self.with(|disruption, world, agenda| disruption.observe(&change, world, agenda));
            }
        }
    }

    fn run(&mut self, until: f64) {
        let until = seconds(until);
        while let Some(next) = (0..self.calendar.len()).min_by_key(|i| (self.calendar[*i].0, self.calendar[*i].1)) {
            if self.calendar[next].0 > until {
                break;
            }
            let (at, _, event) = self.calendar.remove(next);
            self.now = at;
            self.with(|disruption, world, agenda| disruption.handle(event, world, agenda));
            self.settle();
        }
        self.now = until;
    }

    /// A NodeClaim whose node is initialized.
    fn node(&mut self, instance_type: TypeId) -> NodeClaimId {
        self.node_in(NodePoolId(0), instance_type)
    }

    fn node_in(&mut self, pool: NodePoolId, instance_type: TypeId) -> NodeClaimId {
        let plan = NewClaim {
            pool: 0,
            requirements: Arc::default(),
            options: vec![instance_type],
            requests: Resources::ZERO,
            pods: Vec::new(),
            min_values_relaxed: false,
        };
        let mut names = Streams::new(9, self.cluster.nodeclaims.len() as u64).open("names", 0);
        let record = provisioning::node_claim(&self.cluster, pool, &plan, self.now, &mut names);
        let claim = self.cluster.create_nodeclaim(record);
        self.boot(claim);
        claim
    }

    /// Launches, registers and initializes.
    fn boot(&mut self, claim: NodeClaimId) {
        self.launch(claim);
        let record = &self.cluster.nodeclaims[claim.index()];
        let node = Node {
            nodeclaim: Some(claim),
            pool: Some(record.pool),
            instance_type: record.instance_type,
            capacity_type: record.capacity_type,
            labels: record.labels.clone(),
            capacity: record.capacity,
            allocatable: record.allocatable,
            ..Node::new(record.name.clone(), self.now)
        };
        let node = self.cluster.create_node(node);
        self.cluster.set_node_ready(self.now, node, true);
        self.cluster.register_nodeclaim(self.now, claim);
        self.cluster.initialize_nodeclaim(self.now, claim);
        self.settle();
    }

    fn launch(&mut self, claim: NodeClaimId) {
        let now = self.now;
        let catalogue = Arc::clone(&self.cluster.catalogues[0]);
        let record = &mut self.cluster.nodeclaims[claim.index()];
        let cheapest = record.options.iter().copied().max().expect("options");
        record.launched = Some(now);
        record.instance_type = Some(cheapest);
        record.zone = Some(ZoneId(0));
        record.capacity_type = Some(CapacityType::OnDemand);
        record.capacity = catalogue.get(cheapest).capacity;
        record.allocatable = catalogue.get(cheapest).allocatable;
        record.labels.insert(labels::INSTANCE_TYPE.to_owned(), catalogue.get(cheapest).name.clone());
        self.cluster.announce(Change::NodeClaimLaunched(claim));
        self.settle();
    }

    fn node_of(&self, claim: NodeClaimId) -> NodeId {
        self.cluster.nodeclaims[claim.index()].node.expect("a node")
    }

    fn pod(&mut self, shape: u32, claim: NodeClaimId) -> PodId {
        self.pod_of(Owner::None, shape, claim)
    }

    fn pod_of(&mut self, owner: Owner, shape: u32, claim: NodeClaimId) -> PodId {
        let pod = self.cluster.create_pod(self.now, ShapeId(shape), owner);
        let node = self.node_of(claim);
        self.cluster.bind(self.now, pod, node);
        self.cluster.start_pod(self.now, pod);
        self.settle();
        let now = self.now.as_secs_f64();
        self.run(now);
        pod
    }

    fn is_deleting(&self, claim: NodeClaimId) -> bool {
        self.cluster.nodeclaims[claim.index()].deleting.is_some()
    }

    fn is_tainted(&self, claim: NodeClaimId) -> bool {
        self.cluster.nodes[self.node_of(claim).index()].has_taint(taints::DISRUPTED)
    }

    fn rules(&mut self) -> Vec<&'static str> {
        self.cluster.take_decisions().map(|decision| decision.rule.name()).collect()
    }
}

const ALL: &str = "budgets = [{ nodes = \"100%\" }]";

#[test]
fn point_01_validation_blocks_every_method_and_the_next_pass_follows_success_at_once() {
    let mut bench = Bench::new(ALL);
    let empty = bench.node(SMALL);
    bench.run(6.0);
    let later = bench.node(SMALL);
    bench.run(19.9);
    assert!(!bench.is_deleting(empty), "decided at 5 s, validated at 20 s");
    bench.run(20.0);
    assert!(bench.is_deleting(empty) && !bench.is_deleting(later), "the other is not seen before 20 s");
    bench.run(34.9);
    assert!(!bench.is_deleting(later));
    bench.run(35.0);
    assert!(bench.is_deleting(later), "the next pass began at 20 s, not 10 s later");
}

#[test]
fn point_01_idle_passes_are_ten_seconds_apart_counted_from_their_end() {
    let mut bench = Bench::new(ALL);
    bench.run(16.0);
    let empty = bench.node(SMALL);
    bench.run(39.9);
    assert!(!bench.is_deleting(empty), "passes at 5, 15 and 25 s");
    bench.run(40.0);
    assert!(bench.is_deleting(empty));
}

#[test]
fn point_01_a_long_search_delays_its_validation() {
    let mut bench = Bench::new(ALL);
    bench.disruption.cost.simulation = Duration::from_secs(4);
    let first = bench.node(SMALL);
    let second = bench.node(SMALL);
    bench.pod(1, first);
    bench.pod(1, second);
    bench.run(60.0);
    let deleted = [first, second].into_iter().find(|claim| bench.is_deleting(*claim)).expect("one is deleted");
    let at = bench.cluster.nodeclaims[deleted.index()].deleting.expect("a time");
    assert_eq!(at, seconds(5.0 + 8.0 + 15.0), "two simulations of 4 s, then 15 s");
}

#[test]
fn point_02_a_launch_that_is_under_way_stops_everything() {
    let mut bench = Bench::new(ALL);
    let empty = bench.node(SMALL);
    let plan = bench.cluster.nodeclaims[empty.index()].clone();
    let mut unlaunched = plan;
    (unlaunched.launched, unlaunched.node, unlaunched.initialized) = (None, None, None);
    let unlaunched = bench.cluster.create_nodeclaim(unlaunched);
    bench.settle();
    bench.run(12.2);
    bench.launch(unlaunched);
    bench.run(27.9);
    assert!(!bench.is_deleting(empty), "polled each second from 5 s on, so seen at 13 s");
    bench.run(28.0);
    assert!(bench.is_deleting(empty));
}

#[test]
fn point_05_pod_events_restart_the_quiet_time_and_a_restart_of_karpenter_does_so_for_all() {
    let mut bench = Bench::new("consolidateAfter = \"30s\", budgets = [{ nodes = \"100%\" }]");
    let claim = bench.node(SMALL);
    bench.run(29.0);
    assert!(!bench.cluster.nodeclaims[claim.index()].consolidatable);
    let pod = bench.pod(1, claim);
    bench.run(58.0);
    assert!(!bench.cluster.nodeclaims[claim.index()].consolidatable, "bound at 29 s");
    bench.run(59.0);
    assert!(bench.cluster.nodeclaims[claim.index()].consolidatable);
    bench.with(|disruption, world, agenda| {
        disruption.handle(Event::Down, world, agenda);
        disruption.handle(Event::Up, world, agenda);
    });
    bench.settle();
    assert!(!bench.cluster.nodeclaims[claim.index()].consolidatable, "the running pod {pod:?} counts as an event");
    bench.run(89.0);
    assert!(bench.cluster.nodeclaims[claim.index()].consolidatable);
}

#[test]
fn point_18_the_old_node_is_tainted_at_once_and_deleted_when_its_replacement_is_initialized() {
    let mut bench = Bench::new(ALL);
    let old = bench.node(LARGE);
    bench.pod(0, old);
    bench.run(20.0);
    assert!(bench.is_tainted(old) && !bench.is_deleting(old));
    let replacement = NodeClaimId(1);
    let record = &bench.cluster.nodeclaims[replacement.index()];
    assert_eq!(record.options, [SMALL]);
    assert_eq!(bench.cluster.nodeclaims[old.index()].end, None);
    bench.run(30.4);
    bench.boot(replacement);
    bench.run(30.9);
    assert!(!bench.is_deleting(old), "the queue looks at it once a second");
    bench.run(31.0);
    assert!(bench.is_deleting(old));
    assert_eq!(bench.cluster.nodeclaims[old.index()].end, Some("Underutilized"));
    let rules = bench.rules();
    assert!(rules.contains(&"Underutilized"), "{rules:?}");
}

#[test]
fn point_13_a_failed_launch_rolls_back_and_the_old_node_stays() {
    let mut bench = Bench::new(ALL);
    let old = bench.node(LARGE);
    bench.pod(0, old);
    bench.run(20.5);
    let replacement = NodeClaimId(1);
    bench.cluster.delete_nodeclaim(bench.now, replacement, "InsufficientCapacity");
    bench.cluster.remove_nodeclaim(bench.now, replacement);
    bench.settle();
    bench.run(21.0);
    assert!(!bench.is_tainted(old) && !bench.is_deleting(old));
    assert_eq!(bench.cluster.nodeclaims[old.index()].marked, None);
    assert!(bench.rules().contains(&"CommandFailed"));
    bench.run(45.0);
    assert_eq!(bench.cluster.nodeclaims.len(), 3, "point 26: no back-off, the same move again");
}

#[test]
fn point_18_a_replacement_that_never_comes_up_is_given_up_after_ten_minutes_and_kept() {
    let mut bench = Bench::new(ALL);
    let old = bench.node(LARGE);
    bench.pod(0, old);
    bench.run(20.5);
    bench.launch(NodeClaimId(1));
    bench.run(619.0);
    assert!(bench.is_tainted(old));
    bench.run(622.0);
    assert!(!bench.is_tainted(old) && !bench.is_deleting(NodeClaimId(1)));
}

#[test]
fn point_19_a_deletion_does_not_wait_for_its_drain() {
    let mut bench = Bench::new(ALL);
    let first = bench.node(SMALL);
    bench.run(20.0);
    assert!(bench.is_deleting(first));
    let second = bench.node(SMALL);
    bench.run(45.0);
    assert!(bench.cluster.nodeclaims[first.index()].exists(), "nobody drained it");
    assert!(bench.is_deleting(second));
}

#[test]
fn point_25_prices_wake_nobody_and_the_state_expires_after_five_minutes() {
    let mut bench = Bench::new(ALL);
    let old = bench.node(SMALL);
    bench.pod(0, old);
    bench.run(30.0);
    let cheaper = Arc::make_mut(&mut bench.cluster.catalogues[0]);
    cheaper.types[LARGE.0 as usize].offerings[0].price = 1.0;
    bench.cluster.announce(Change::Offerings(NodeClassId(0)));
    bench.settle();
    bench.run(295.0);
    assert_eq!(bench.cluster.nodeclaims.len(), 1);
    bench.run(330.0);
    assert_eq!(bench.cluster.nodeclaims.len(), 2, "noticed by the first pass after 300 s");
}

#[test]
fn point_06_nodes_that_received_pods_are_neither_sources_nor_targets_until_quiet() {
    let mut bench = Bench::new("consolidateAfter = \"60s\", budgets = [{ nodes = \"100%\" }]");
    let (first, second) = (bench.node(SMALL), bench.node(SMALL));
    bench.pod(1, first);
    bench.run(70.0);
    bench.pod(1, second);
    bench.run(129.0);
    assert!(!bench.is_deleting(first) && !bench.is_deleting(second), "the target was touched at 70 s");
    bench.run(360.0);
    assert!(!bench.is_deleting(first) && !bench.is_deleting(second), "quiet since 130 s, which wakes nobody");
    bench.run(400.0);
    assert!(bench.is_deleting(first) || bench.is_deleting(second), "the state of 70 s expires at 370 s");
}

#[test]
fn a_limit_that_is_exceeded_forbids_the_replacement_and_the_next_pass_takes_the_taint_back() {
    let mut bench = Bench::new(ALL);
    let old = bench.node(LARGE);
    bench.pod(0, old);
    bench.run(6.0);
    let pool = Arc::make_mut(&mut bench.cluster.nodepools[0].object);
    pool.spec.limits = Some([("cpu".to_owned(), crate::api::scalar::Quantity { milli: 3000 })].into());
    bench.run(20.0);
    assert_eq!(bench.cluster.nodeclaims.len(), 1);
    assert!(bench.rules().contains(&"ExceededBy"));
    bench.run(20.1);
    assert!(!bench.is_tainted(old));
    // The wait after each failure is twice the last, and a validation follows it: 20, 35.005 and 50.015 s.
    let mut told = |until: f64| {
        bench.run(until);
        bench.rules().iter().filter(|rule| **rule == "ExceededBy").count()
    };
    assert_eq!([told(35.0), told(35.006), told(50.014), told(50.016)], [0, 1, 0, 1]);
}

#[test]
fn a_node_that_goes_during_the_validation_is_told_by_its_name() {
    let mut bench = Bench::new(ALL);
    let empty = bench.node(SMALL);
    bench.run(12.0);
    let node = bench.node_of(empty);
    bench.cluster.remove_node(bench.now, node);
    bench.cluster.remove_nodeclaim(bench.now, empty);
    bench.settle();
    bench.run(20.0);
    let name = bench.cluster.nodeclaims[empty.index()].name.clone();
    let told = bench.cluster.take_decisions().any(|decision| {
        let Detail::Text(detail) = &decision.detail else { return false };
        decision.rule.name() == "ConsolidationRejected" && detail.contains(&format!("delete {name} saves"))
    });
    assert!(told, "the only node of the state is gone");
}

#[test]
fn a_pool_that_goes_during_the_validation_does_not_give_its_place_to_another() {
    let mut bench = Bench::new(ALL);
    let mut other = bench.cluster.nodepools[0].clone();
    other.name = "first".to_owned();
    bench.cluster.nodepools.insert(0, other);
    bench.cluster.apply(Time::ZERO, Applied::NodePool(NodePoolId(1)));
    bench.settle();
    let old = bench.node_in(NodePoolId(1), LARGE);
    bench.pod(0, old);
    bench.run(12.0);
    bench.cluster.nodepools[0].deleted = true;
    bench.run(20.0);
    assert!(bench.is_tainted(old));
    assert_eq!(bench.cluster.nodeclaims[1].pool, NodePoolId(1), "the replacement is one of its own pool");
}

#[test]
fn nothing_is_decided_while_the_api_server_is_down() {
    let mut bench = Bench::new(ALL);
    bench.scenario.faults.push(Fault {
        at: Duration::from_secs(4),
        duration: Some(Duration::from_secs(8)),
        kind: FaultKind::ApiServerDown,
        queue: None,
        deployment: None,
        nodes: None,
        zone: None,
        share: 1.0,
    });
    let empty = bench.node(SMALL);
    bench.run(26.9);
    assert!(!bench.is_deleting(empty), "the pass of 5 s waits until 12 s");
    bench.run(27.0);
    assert!(bench.is_deleting(empty));
}

#[test]
fn a_nodeclaim_that_somebody_deletes_wakes_the_methods() {
    let mut bench = Bench::new(ALL);
    let (old, other) = (bench.node(SMALL), bench.node(SMALL));
    bench.pod(0, old);
    bench.pod(0, other);
    bench.run(30.0);
    let cheaper = Arc::make_mut(&mut bench.cluster.catalogues[0]);
    cheaper.types[LARGE.0 as usize].offerings[0].price = 1.0;
    bench.cluster.announce(Change::Offerings(NodeClassId(0)));
    bench.settle();
    bench.run(60.0);
    assert_eq!(bench.cluster.nodeclaims.len(), 2, "prices wake nobody");
    bench.cluster.delete_nodeclaim(bench.now, other, "Manual");
    bench.settle();
    bench.run(90.0);
    assert!(bench.is_tainted(old), "it is looked at before the state expires");
}

#[test]
fn nodes_of_a_fixed_pool_are_never_consolidatable() {
    for (replicas, consolidatable) in [(None, true), (Some(1), false)] {
        let mut bench = Bench::new(ALL);
        Arc::make_mut(&mut bench.cluster.nodepools[0].object).spec.replicas = replicas;
        let claim = bench.node(SMALL);
        assert_eq!(bench.cluster.nodeclaims[claim.index()].consolidatable, consolidatable);
    }
}

#[test]
fn a_pool_costs_what_its_nodes_cost_together() {
    let mut bench = Bench::new(ALL);
    bench.node(SMALL);
    bench.node(LARGE);
    let (rules, mut ties) = (snapshot::rules(&bench.scenario), Streams::new(1, 0).open("ties", 0));
    let snapshot = snapshot::Snapshot::take(&bench.cluster, &bench.scenario, rules, |_| false, &mut ties);
    assert_eq!(snapshot.observed.pools[0].tracked_cost, Some(6000.0));
}

#[test]
fn nothing_is_said_of_a_node_that_waits_for_its_replacement() {
    let mut bench = Bench::new(ALL);
    let old = bench.node(LARGE);
    bench.pod(0, old);
    bench.run(20.0);
    assert!(bench.is_tainted(old));
    bench.launch(NodeClaimId(1));
    bench.run(60.0);
    assert!(!bench.is_deleting(old), "its replacement boots");
    let mut blocked = bench.cluster.take_decisions().filter(|decision| decision.rule.name() == "DisruptionBlocked");
    assert!(!blocked.any(|decision| decision.subject == Subject::NodeClaim(old)));
}
