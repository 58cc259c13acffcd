//! What is noticed between the passes: pod events, drift, changes that make moves possible.

use std::collections::BTreeMap;

use super::*;
use crate::api::karpenter::AmiFamily;
use crate::api::scalar::Quantity;
use crate::cluster::catalogue::ReservationId;
use crate::cluster::instance::Instance;
use crate::cluster::node_class::{Found, LaunchedWith, NodeClass, NodeClassVersion};
use crate::cluster::pod::{EndReason, Phase};
use crate::cluster::reservation::CapacityReservation;
use crate::units::Usd;

const QUIET: &str = "consolidateAfter = \"30s\", budgets = [{ nodes = \"100%\" }]";
/// Nothing is disrupted, whatever is noticed.
const NOTHING: &str = "budgets = [{ nodes = \"0\" }]";

impl Bench {
    fn is_consolidatable(&self, claim: NodeClaimId) -> bool {
        self.cluster.nodeclaims[claim.index()].consolidatable
    }

    fn is_drifted(&self, claim: NodeClaimId) -> bool {
        self.cluster.nodeclaims[claim.index()].drifted.is_some()
    }

    /// A node launched with the class of its pool as it stands.
    fn node_of_class(&mut self, pool: NodePoolId) -> NodeClaimId {
        let claim = self.node_in(pool, SMALL);
        let class = self.cluster.nodepools[pool.index()].node_class;
        let version = self.cluster.node_classes[class.index()].version.clone().expect("a version");
        self.cluster.nodeclaims[claim.index()].launched_with = Some(LaunchedWith { class: version, subnet: None });
        claim
    }

    fn announce(&mut self, change: Change) {
        self.cluster.announce(change);
        self.settle();
    }

    /// Another template of the pool: what was made of it is no longer what it would make.
    fn relabel_template(&mut self) {
        let pool = &mut self.cluster.nodepools[0];
        pool.generation += 1;
        let template = &mut Arc::make_mut(&mut pool.object).spec.template;
        template.metadata.labels.insert("generation".to_owned(), "two".to_owned());
        self.announce(Change::NodePoolSpec(NodePoolId(0)));
    }
}

/// A node class that has found so many new AMIs.
fn class(new_amis: u32) -> NodeClass {
    let version = NodeClassVersion {
        fields: BTreeMap::new(),
        family: AmiFamily::Al2023,
        new_amis,
        selectors: Arc::default(),
        found: Found::default(),
    };
    NodeClass { name: "default".to_owned(), version: Some(Arc::new(version)) }
}

/// `podevents/controller.go: Register`.
#[test]
fn a_pod_that_ends_or_begins_to_terminate_restarts_the_quiet_time_once() {
    let mut bench = Bench::new(QUIET);
    let claim = bench.node(SMALL);
    let (ends, goes) = (bench.pod(1, claim), bench.pod(1, claim));
    bench.run(20.0);
    bench.cluster.finish_pod(bench.now, ends, Phase::Succeeded, EndReason::ScaledDown);
    bench.settle();
    bench.run(49.0);
    assert!(!bench.is_consolidatable(claim), "a pod ended at 20 s");
    bench.run(50.0);
    assert!(bench.is_consolidatable(claim));
    bench.run(60.0);
    bench.cluster.delete_pod(bench.now, goes, Duration::from_secs(60), EndReason::ScaledDown);
    bench.settle();
    bench.run(75.0);
    assert!(!bench.is_consolidatable(claim), "a pod began to terminate at 60 s");
    bench.cluster.delete_pod(bench.now, goes, Duration::from_secs(30), EndReason::ScaledDown);
    bench.settle();
    bench.run(90.0);
    assert!(bench.is_consolidatable(claim), "a shorter grace is no event");
}

#[test]
fn pod_events_are_kept_in_whole_seconds() {
    let mut bench = Bench::new(QUIET);
    bench.scenario.clocks.whole_second = Duration::from_millis(250);
    let claim = bench.node(SMALL);
    bench.run(0.5);
    bench.pod(1, claim);
    assert_eq!(bench.cluster.nodeclaims[claim.index()].last_pod_event, Some(seconds(0.25)));
}

#[test]
fn pod_events_are_written_one_after_another() {
    let mut bench = Bench::new(QUIET);
    bench.scenario.latencies.pod_event_write = Distribution::Constant(Duration::from_secs(2));
    let (first, second) = (bench.node(SMALL), bench.node(SMALL));
    bench.pod(1, first);
    bench.pod(1, second);
    bench.run(31.9);
    assert!(bench.is_consolidatable(first) && !bench.is_consolidatable(second), "written at 0 s and at 2 s");
    bench.run(32.0);
    assert!(bench.is_consolidatable(second));
}

/// `podevents/controller.go: Reconcile` returns at once for pods of DaemonSets.
#[test]
fn events_of_daemon_set_pods_keep_no_other_waiting() {
    let mut bench = Bench::new(QUIET);
    bench.scenario.latencies.pod_event_write = Distribution::Constant(Duration::from_secs(2));
    let (first, second) = (bench.node(SMALL), bench.node(SMALL));
    bench.pod_of(Owner::DaemonSet(crate::cluster::DaemonSetId(0)), 1, first);
    bench.pod(1, second);
    bench.run(30.0);
    assert!(bench.is_consolidatable(second), "written at 0 s");
}

#[test]
fn nodes_drift_with_their_node_class_at_once_and_with_the_rest_within_five_minutes() {
    let mut bench = Bench::new(NOTHING);
    bench.scenario.clocks.whole_second = Duration::from_millis(250);
    bench.cluster.node_classes = vec![class(0), class(0)];
    bench.cluster.catalogues.push(Arc::clone(&bench.cluster.catalogues[0]));
    let mut other = bench.cluster.nodepools[0].clone();
    (other.name, other.node_class) = ("other".to_owned(), NodeClassId(1));
    bench.cluster.nodepools.push(other);
    bench.announce(Change::NodePoolSpec(NodePoolId(1)));
    let [own, going] = [(); 2].map(|()| bench.node_of_class(NodePoolId(0)));
    let of_other = bench.node_of_class(NodePoolId(1));
    bench.cluster.delete_nodeclaim(bench.now, going, "Manual");
    bench.settle();
    bench.run(10.5);
    bench.cluster.node_classes = vec![class(1), class(1)];
    bench.announce(Change::NodeClassSpec(NodeClassId(0)));
    assert!(bench.is_drifted(own) && !bench.is_drifted(of_other), "the other class said nothing");
    assert_eq!(bench.cluster.nodeclaims[own.index()].drifted, Some(seconds(10.25)), "conditions keep whole seconds");
    bench.run(299.0);
    assert!(!bench.is_drifted(of_other));
    bench.run(300.0);
    assert!(bench.is_drifted(of_other), "looked at every five minutes since its launch");
    assert!(!bench.is_drifted(going));
    assert_eq!(bench.rules().iter().filter(|rule| **rule == "AMIDrift").count(), 2, "each is told once");
}

#[test]
fn launched_nodes_drift_with_the_template_of_their_pool_unless_that_is_gone() {
    for pool_is_gone in [false, true] {
        let mut bench = Bench::new(NOTHING);
        let launched = bench.node(SMALL);
        let mut record = bench.cluster.nodeclaims[launched.index()].clone();
        (record.launched, record.node, record.initialized) = (None, None, None);
        let unlaunched = bench.cluster.create_nodeclaim(record);
        bench.settle();
        bench.cluster.nodepools[0].deleted = pool_is_gone;
        bench.relabel_template();
        assert_eq!((bench.is_drifted(launched), bench.is_drifted(unlaunched)), (!pool_is_gone, false));
        let later = bench.node(SMALL);
        assert!(!bench.is_drifted(later), "it is of the new template");
    }
}

/// `isCapacityReservationDrifted`.
#[test]
fn an_instance_drifts_from_a_reservation_that_is_not_selected_while_it_is_in_it() {
    let drifts = |capacity_type: CapacityType, ends: f64| {
        let mut bench = Bench::new(NOTHING);
        bench.cluster.node_classes = vec![class(0)];
        bench.cluster.reservations.push(CapacityReservation { ends: seconds(ends), ..CapacityReservation::default() });
        let claim = bench.node_of_class(NodePoolId(0));
        let instance = Instance::new(bench.now, NodeClassId(0), SMALL, (ZoneId(0), capacity_type), Usd::ZERO);
        let instance = bench.cluster.add_instance(Instance { reservation: Some(ReservationId(0)), ..instance });
        let record = &mut bench.cluster.nodeclaims[claim.index()];
        (record.instance, record.capacity_type) = (Some(instance), Some(capacity_type));
        bench.run(10.0);
        bench.announce(Change::NodeClaimLabels(claim));
        bench.is_drifted(claim)
    };
    assert!(drifts(CapacityType::Reserved, 11.0));
    assert!(!drifts(CapacityType::Reserved, 10.0) && !drifts(CapacityType::Reserved, 9.0), "it is over");
    assert!(!drifts(CapacityType::OnDemand, 11.0), "it runs on demand by now");
}

/// `MarkUnconsolidated` and its callers.
#[test]
fn nodes_and_pods_that_come_or_go_and_new_pools_wake_the_methods() {
    let wakes = |act: fn(&mut Bench, PodId)| {
        let mut bench = Bench::new(ALL);
        let (old, other) = (bench.node(SMALL), bench.node(SMALL));
        bench.pod(0, old);
        let pod = bench.pod(0, other);
        bench.run(30.0);
        let cheaper = Arc::make_mut(&mut bench.cluster.catalogues[0]);
        cheaper.types[LARGE.0 as usize].offerings[0].price = 1.0;
        act(&mut bench, pod);
        bench.settle();
        bench.run(70.0);
        bench.is_tainted(old) || bench.is_tainted(other)
    };
    assert!(!wakes(|_, _| {}), "nobody noticed the price");
    assert!(!wakes(|bench, pod| bench.cluster.set_pod_ready(bench.now, pod, true)));
    assert!(wakes(|bench, pod| bench.cluster.remove_pod(bench.now, pod)));
    assert!(wakes(|bench, _| {
        bench.cluster.create_node(Node::new("alien".to_owned(), bench.now));
    }));
    assert!(!wakes(|bench, _| {
        let own = Node { nodeclaim: Some(NodeClaimId(0)), ..Node::new("own".to_owned(), bench.now) };
        bench.cluster.create_node(own);
    }));
    assert!(!wakes(|bench, _| bench.cluster.announce(Change::NodeClaimMarked(NodeClaimId(0)))));
    assert!(wakes(|bench, _| bench.cluster.announce(Change::NodePoolSpec(NodePoolId(0)))));
}

#[test]
fn a_drifted_node_of_a_fixed_pool_is_replaced_within_the_limit_of_nodes() {
    for (limit, claims) in [(None, 2), (Some(1), 1), (Some(2), 2)] {
        let mut bench = Bench::new(ALL);
        let spec = &mut Arc::make_mut(&mut bench.cluster.nodepools[0].object).spec;
        spec.replicas = Some(1);
        spec.limits = limit.map(|count| [("nodes".to_owned(), Quantity { milli: count * 1000 })].into());
        let claim = bench.node(SMALL);
        bench.relabel_template();
        bench.run(6.0);
        assert!(bench.is_drifted(claim));
        assert_eq!(bench.cluster.nodeclaims.len(), claims, "{limit:?}");
        assert_eq!(bench.cluster.nodeclaims[claim.index()].marked.is_some(), claims == 2, "{limit:?}");
    }
}

#[test]
fn that_a_node_cannot_be_disrupted_is_told_each_two_minutes() {
    let mut bench = Bench::new(ALL);
    bench.cluster.shapes[1].annotations =
        Arc::new([("karpenter.sh/do-not-disrupt".to_owned(), "true".to_owned())].into());
    let claim = bench.node(SMALL);
    bench.pod(1, claim);
    let mut told = |until: f64| {
        bench.run(until);
        bench.rules().iter().filter(|rule| **rule == "DisruptionBlocked").count()
    };
    assert_eq!([told(6.0), told(124.0), told(126.0)], [1, 0, 1]);
}

#[test]
fn a_replacement_is_told_by_its_five_cheapest_types() {
    for (more, told) in
        [(0, "by small saves $2000.00"), (6, "by small-6, small-5, small-4, small-3, small-2 and 2 other(s) saves")]
    {
        let mut bench = Bench::new(ALL);
        let types = &mut Arc::make_mut(&mut bench.cluster.catalogues[0]).types;
        for number in 1..=more {
            let mut other = types[SMALL.0 as usize].clone();
            other.name = format!("small-{number}");
            other.offerings[0].price -= f64::from(number);
            types.push(other);
        }
        let old = bench.node(LARGE);
        bench.pod(0, old);
        bench.run(20.0);
        let details: Vec<String> = bench
            .cluster
            .take_decisions()
            .filter(|decision| decision.rule.name() == "Underutilized")
            .map(|decision| format!("{:?}", decision.detail))
            .collect();
        assert!(details.len() == 1 && details[0].contains(told), "{details:?}");
    }
}

/// A node that pods may not leave is disrupted all the same when its drain has a deadline, but for drift only.
#[test]
fn drift_takes_nodes_with_protected_pods_if_their_drain_has_a_deadline() {
    for grace in [None, Some(Duration::from_mins(10))] {
        let mut bench = Bench::new("consolidateAfter = \"Never\", budgets = [{ nodes = \"100%\" }]");
        let held = [("karpenter.sh/do-not-disrupt".to_owned(), "true".to_owned())];
        bench.cluster.shapes[1].annotations = Arc::new(held.into());
        let claim = bench.node(SMALL);
        bench.pod(1, claim);
        bench.cluster.nodeclaims[claim.index()].termination_grace_period = grace;
        bench.relabel_template();
        bench.run(6.0);
        assert!(bench.is_drifted(claim));
        assert_eq!(bench.cluster.nodeclaims[claim.index()].marked.is_some(), grace.is_some());
    }
}
