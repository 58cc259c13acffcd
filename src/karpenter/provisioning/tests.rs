//! The provisioner on a small cluster, driven by hand.

use std::sync::Arc;

use super::*;
use crate::api::decode::defaults;
use crate::cluster::ShapeId;
use crate::cluster::catalogue::TypeId;
use crate::cluster::pod::Owner;
use crate::cluster::state::Applied;
use crate::cluster::world::NoQueues;
use crate::karpenter::small_cluster;
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
    let of = |scenario: &Scenario| (options(scenario).preferences, options(scenario).min_values);
    let mut scenario: Scenario = defaults();
    assert_eq!(of(&scenario), (PreferencePolicy::Respect, MinValuesPolicy::Strict));
    scenario.karpenter.preference_policy = flags::PreferencePolicy::Ignore;
    scenario.karpenter.min_values_policy = flags::MinValuesPolicy::BestEffort;
    assert_eq!(of(&scenario), (PreferencePolicy::Ignore, MinValuesPolicy::BestEffort));
}
