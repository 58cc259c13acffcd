//! Fixed pools on a small cluster, driven by hand.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::*;
use crate::api::decode::defaults;
use crate::api::karpenter::{AmiFamily, DisruptionReason};
use crate::api::pod::{Taint, TaintEffect};
use crate::cluster::node::Node;
use crate::cluster::node_class::{Found, NodeClassVersion};
use crate::cluster::nodeclaim::NodeClaim;
use crate::cluster::pod::{EndReason, Owner, Phase};
use crate::cluster::world::NoQueues;
use crate::cluster::{DaemonSetId, NodeClassId, PodId, ShapeId};
use crate::karpenter::small_cluster;
use crate::scenario::Scenario;

fn counts(active: u32, deleting: u32, pending_disruption: u32) -> Counts {
    Counts { active, deleting, pending_disruption }
}

/// The controllers with their calendar.
struct Bench {
    scenario: Scenario,
    cluster: Cluster,
    capacity: StaticCapacity,
    calendar: Vec<(Time, Event)>,
    now: Time,
}

impl Bench {
    fn new(spec: &str) -> Self {
        let streams = Streams::new(1, 0);
        Bench {
            scenario: defaults(),
            cluster: small_cluster::cluster(streams, spec, &["100m", "100m"]),
            capacity: StaticCapacity::new(streams),
            calendar: Vec::new(),
            now: Time::ZERO,
        }
    }

    fn with(&mut self, act: impl FnOnce(&mut StaticCapacity, &mut World<'_>, &mut Agenda<Event>)) {
        let mut agenda = Agenda::default();
        let mut queues = NoQueues;
        let mut world =
            World { now: self.now, cluster: &mut self.cluster, scenario: &self.scenario, queues: &mut queues };
        act(&mut self.capacity, &mut world, &mut agenda);
        self.calendar.extend(agenda.drain());
    }

    /// Hands over the changes until there are none.
    fn settle(&mut self) {
        let mut changes: Vec<Change> = Vec::new();
        loop {
            self.cluster.take_changes(&mut changes);
            if changes.is_empty() {
                return;
            }
            for change in changes.drain(..) {
                self.with(|capacity, world, agenda| capacity.observe(&change, world, agenda));
            }
        }
    }

    fn announce(&mut self, change: Change) {
        self.cluster.announce(change);
        self.settle();
    }

    fn run(&mut self, until: i64) {
        let until = Time::ZERO + Duration::from_secs(until);
        while let Some(next) = (0..self.calendar.len()).min_by_key(|i| self.calendar[*i].0) {
            if self.calendar[next].0 > until {
                break;
            }
            let (at, event) = self.calendar.remove(next);
            self.now = at;
            self.with(|capacity, world, agenda| capacity.handle(event, world, agenda));
            self.settle();
        }
        self.now = until;
    }

    fn spec(&mut self) -> &mut NodePoolSpec {
        &mut Arc::make_mut(&mut self.cluster.nodepools[0].object).spec
    }

    /// A launched NodeClaim with a Node that pods of these owners and templates run on.
    fn node(&mut self, pods: &[(Owner, ShapeId)]) -> NodeClaimId {
        let name = format!("claim-{}", self.cluster.nodeclaims.len());
        let record =
            NodeClaim { launched: Some(Time::ZERO), ..NodeClaim::new(name.clone(), NodePoolId(0), Time::ZERO) };
        let claim = self.cluster.create_nodeclaim(record);
        let node = self.cluster.create_node(Node { nodeclaim: Some(claim), ..Node::new(name, Time::ZERO) });
        for (owner, shape) in pods {
            let pod = self.cluster.create_pod(Time::ZERO, *shape, *owner);
            self.cluster.bind(Time::ZERO, pod, node);
        }
        claim
    }

    /// NodeClaims that are going, in the order in which they were told to.
    fn going(&self) -> Vec<NodeClaimId> {
        let all = (0..self.cluster.nodeclaims.len() as u32).map(NodeClaimId);
        all.filter(|id| self.cluster.nodeclaims[id.index()].deleting.is_some()).collect()
    }
}

/// A node class whose selectors find no AMI.
fn unready_class() -> NodeClass {
    let version = NodeClassVersion {
        fields: BTreeMap::new(),
        family: AmiFamily::Al2023,
        new_amis: 0,
        selectors: Arc::default(),
        found: Found { amis: Some(Vec::new()), ..Found::default() },
    };
    NodeClass { name: "default".to_owned(), version: Some(Arc::new(version)) }
}

#[test]
fn what_is_missing_is_created_within_the_limit_and_what_is_too_much_goes() {
    assert_eq!(decide(counts(0, 0, 0), 3, None), Step::Create(3));
    assert_eq!(decide(counts(3, 2, 0), 3, None), Step::Keep);
    assert_eq!(decide(counts(5, 0, 0), 3, None), Step::Delete(2));
    assert_eq!(decide(counts(1, 2, 0), 5, Some(4)), Step::Create(1));
    assert_eq!(decide(counts(1, 3, 0), 5, Some(4)), Step::Limited);
}

#[test]
fn drifted_nodes_are_replaced_within_the_limit_and_not_before_a_pool_has_shrunk() {
    assert_eq!(drift_headroom(counts(3, 0, 0), 3, Some(4)), 1);
    assert_eq!(drift_headroom(counts(2, 1, 1), 3, Some(4)), 0);
    assert_eq!(drift_headroom(counts(4, 0, 0), 3, None), 0);
    assert_eq!(drift_headroom(counts(3, 9, 0), 3, None), u32::MAX);
}

#[test]
fn nodes_that_a_command_replaces_count_until_they_go() {
    assert_eq!(decide(counts(2, 0, 1), 3, None), Step::Keep);
    assert_eq!(decide(counts(1, 0, 1), 3, None), Step::Create(2));
}

#[test]
fn a_node_that_goes_is_replaced_at_once() {
    let mut bench = Bench::new("replicas = 2,");
    bench.settle();
    assert_eq!(bench.cluster.nodeclaims.len(), 2);
    assert_ne!(bench.cluster.nodeclaims[0].name, bench.cluster.nodeclaims[1].name);
    bench.cluster.delete_nodeclaim(Time::ZERO, NodeClaimId(0), "Manual");
    bench.settle();
    assert_eq!(bench.cluster.nodeclaims.len(), 3);
    bench.cluster.remove_nodeclaim(Time::ZERO, NodeClaimId(1));
    bench.settle();
    assert_eq!(bench.cluster.nodeclaims.len(), 4);
    let told: Vec<Rule> = bench.cluster.take_decisions().map(|decision| decision.rule).collect();
    assert_eq!(told, [Rule::StaticCapacity; 4]);
}

#[test]
fn nothing_is_made_of_a_node_class_until_it_is_ready() {
    let mut bench = Bench::new("replicas = 2,");
    bench.cluster.node_classes.push(unready_class());
    bench.settle();
    assert!(bench.cluster.nodeclaims.is_empty());
    bench.cluster.node_classes[0] = NodeClass::default();
    bench.announce(Change::NodeClassSpec(NodeClassId(1)));
    assert!(bench.cluster.nodeclaims.is_empty(), "the class of another pool");
    bench.announce(Change::NodeClassSpec(NodeClassId(0)));
    assert_eq!(bench.cluster.nodeclaims.len(), 2);
}

/// `RequeueAfter: time.Minute`, "to ensure we don't miss any events"; an event moves the next look.
#[test]
fn what_no_event_told_is_seen_a_minute_after_the_last_look() {
    let mut bench = Bench::new("replicas = 2,");
    bench.settle();
    bench.run(30);
    bench.cluster.delete_nodeclaim(bench.now, NodeClaimId(0), "Manual");
    bench.settle();
    assert_eq!(bench.cluster.nodeclaims.len(), 3);
    bench.spec().replicas = Some(4);
    bench.run(89);
    assert_eq!(bench.cluster.nodeclaims.len(), 3);
    bench.run(90);
    assert_eq!(bench.cluster.nodeclaims.len(), 5);
}

#[test]
fn nodes_that_go_or_are_replaced_count_against_the_limit() {
    let mut bench = Bench::new("replicas = 3, limits = { nodes = 5 },");
    bench.settle();
    let headroom = |bench: &Bench| drift_headroom_of(&bench.cluster, NodePoolId(0));
    assert_eq!(headroom(&bench), 2);
    bench.cluster.mark_nodeclaim(NodeClaimId(0), Some(DisruptionReason::Drifted));
    assert_eq!(headroom(&bench), 2);
    bench.cluster.mark_nodeclaim(NodeClaimId(0), None);
    for (gone, there, room) in [(0, 4, 1), (1, 5, 0), (2, 5, 0)] {
        bench.cluster.delete_nodeclaim(Time::ZERO, NodeClaimId(gone), "Manual");
        bench.settle();
        assert_eq!((bench.cluster.nodeclaims.len(), headroom(&bench)), (there, room), "those that go are still there");
    }
    bench.cluster.remove_nodeclaim(Time::ZERO, NodeClaimId(0));
    bench.settle();
    assert_eq!(bench.cluster.nodeclaims.len(), 6, "there is room for one more");
    bench.spec().replicas = None;
    assert_eq!(headroom(&bench), 0, "no fixed pool");
}

#[test]
fn a_pool_that_is_not_there_yet_or_no_longer_gets_no_nodes() {
    for (applied, deleted) in [(None, false), (Some(Time::ZERO), true)] {
        let mut bench = Bench::new("replicas = 2,");
        (bench.cluster.nodepools[0].applied, bench.cluster.nodepools[0].deleted) = (applied, deleted);
        bench.settle();
        assert!(bench.cluster.nodeclaims.is_empty());
    }
}

#[test]
fn a_pool_that_its_limit_keeps_below_its_size_is_looked_at_after_half_a_minute() {
    let mut bench = Bench::new("replicas = 3, limits = { nodes = 0 },");
    bench.settle();
    let limit = crate::api::scalar::Quantity { milli: 2000 };
    bench.spec().limits = Some([("nodes".to_owned(), limit)].into());
    bench.run(29);
    assert!(bench.cluster.nodeclaims.is_empty());
    bench.run(30);
    assert_eq!(bench.cluster.nodeclaims.len(), 2);
}

/// `getDeprovisioningCandidates`.
#[test]
fn a_pool_that_shrinks_loses_first_what_disrupts_least() {
    let mut bench = Bench::new("replicas = 7,");
    let held = Labels::from([("karpenter.sh/do-not-disrupt".to_owned(), "true".to_owned())]);
    bench.cluster.shapes[1].annotations = Arc::new(held);
    let (app, protected) = ((Owner::None, ShapeId(0)), (Owner::None, ShapeId(1)));
    let [daemon, protected_daemon] = [0, 1].map(|shape| (Owner::DaemonSet(DaemonSetId(0)), ShapeId(shape)));
    let gone = bench.node(&[]);
    bench.cluster.delete_nodeclaim(Time::ZERO, gone, "Manual");
    let two_protected = bench.node(&[protected, protected]);
    let of_daemon_protected = bench.node(&[protected_daemon]);
    let three = bench.node(&[app, app, app]);
    let one = bench.node(&[daemon, app]);
    let old = bench.node(&[app, app, app, app]);
    bench.cluster.nodeclaims[old.index()].expire_after = Some(Duration::from_mins(60));
    let empty = bench.node(&[daemon]);
    let unlaunched = bench.cluster.create_nodeclaim(NodeClaim::new("last".to_owned(), NodePoolId(0), Time::ZERO));
    bench.now = Time::ZERO + Duration::from_mins(54);
    bench.settle();
    let mut gone = vec![gone];
    assert_eq!(bench.going(), gone, "it has its size, without the one that goes");
    for (left, next) in (0..7).rev().zip([unlaunched, empty, old, one, three, of_daemon_protected, two_protected]) {
        bench.spec().replicas = Some(left);
        bench.announce(Change::NodePoolSpec(NodePoolId(0)));
        gone.push(next);
        gone.sort_unstable();
        assert_eq!(bench.going(), gone, "{left} are left");
        assert_eq!(bench.cluster.nodeclaims[next.index()].end, Some("ScaledDown"));
    }
}

/// `getDeprovisioningCandidates`: a node is empty without pods but those of DaemonSets, whatever state others are in.
#[test]
fn a_pod_that_has_ended_keeps_its_node_from_going_as_an_empty_one() {
    let mut bench = Bench::new("replicas = 2,");
    let ended = bench.node(&[(Owner::None, ShapeId(0))]);
    bench.cluster.finish_pod(Time::ZERO, PodId(0), Phase::Succeeded, EndReason::ScaledDown);
    let empty = bench.node(&[]);
    bench.settle();
    bench.spec().replicas = Some(1);
    bench.announce(Change::NodePoolSpec(NodePoolId(0)));
    assert_eq!(bench.going(), [empty]);
    assert_ne!(ended, empty);
}

#[test]
fn taints_of_the_pool_keep_none_of_its_nodes_away_and_a_node_is_asked_for_nothing() {
    let streams = Streams::new(1, 0);
    let mut cluster = small_cluster::cluster(streams, "replicas = 2,", &[]);
    let taint = Taint { key: "team".to_owned(), value: "a".to_owned(), effect: TaintEffect::NoExecute };
    Arc::make_mut(&mut cluster.nodepools[0].object).spec.template.spec.taints = vec![taint];
    let plan = plan(&cluster, NodePoolId(0), &mut streams.open("plan", 0)).expect("a plan");
    assert_eq!((plan.options.len(), plan.requests, plan.pods.len()), (2, Resources::ZERO, 0));
}
