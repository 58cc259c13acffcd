//! The cloud in a run: launches, refusals, reclaims and terminations, with a scripted Karpenter.

use forescale::api::decode::defaults;
use forescale::cluster::catalogue::{CapacityType, Catalogue, TypeId};
use forescale::cluster::instance::InstanceState;
use forescale::cluster::nodeclaim::{LaunchError, NodeClaim, NodePool};
use forescale::cluster::{Change, Cluster, InstanceId, NoQueues, NodeClaimId, NodeClassId, NodePoolId, World};
use forescale::ec2::billing::charge;
use forescale::ec2::provider::{Ec2, Event};
use forescale::engine::{Agenda, Calendar, Distribution, Streams};
use forescale::scenario::Scenario;
use forescale::scenario::faults::{Fault, FaultKind};
use forescale::scenario::market::{InterruptionRate, MarketCapacityType, OfferingSelector, Outage};
use forescale::simulation::build::build;
use forescale::time::{Duration, Time};
use forescale::units::{Cpu, Memory, Resources};

struct Play {
    cluster: Cluster,
    scenario: Scenario,
    ec2: Ec2,
    calendar: Calendar<Event>,
    seen: Vec<(Time, Change)>,
}

fn quiet() -> Scenario {
    let mut scenario: Scenario = defaults();
    scenario.latencies.create_fleet = Distribution::Constant(Duration::from_secs(2));
    scenario.latencies.instance_running = Distribution::Constant(Duration::from_secs(6));
    scenario.latencies.instance_terminated = Distribution::Constant(Duration::from_secs(45));
    scenario.market.interruptions = InterruptionRate::Never;
    scenario.market.spot_unavailable = Some(0.0);
    scenario.market.on_demand_unavailable = 0.0;
    scenario.market.notice_lost_probability = 0.0;
    scenario
}

impl Play {
    fn new(scenario: Scenario) -> Self {
        let streams = Streams::new(11, 0);
        let mut cluster = build(&scenario, streams).unwrap_or_else(|error| panic!("{error}")).cluster;
        cluster.nodepools.push(pool());
        let ec2 = Ec2::new(&scenario, streams).expect("a priced region");
        let mut play = Play { cluster, scenario, ec2, calendar: Calendar::default(), seen: Vec::new() };
        play.with_world(Time::ZERO, |ec2, world, agenda| ec2.start(world, agenda));
        play
    }

    fn with_world(&mut self, now: Time, act: impl FnOnce(&mut Ec2, &mut World<'_>, &mut Agenda<Event>)) {
        let (mut agenda, mut queues) = (Agenda::default(), NoQueues);
        let mut world = World { now, cluster: &mut self.cluster, scenario: &self.scenario, queues: &mut queues };
        act(&mut self.ec2, &mut world, &mut agenda);
        for (at, event) in agenda.drain() {
            self.calendar.schedule(at, event);
        }
    }

    fn settle(&mut self, now: Time) {
        let mut changes = Vec::new();
        loop {
            self.cluster.take_changes(&mut changes);
            if changes.is_empty() {
                return;
            }
            for change in std::mem::take(&mut changes) {
                self.seen.push((now, change));
                self.with_world(now, |ec2, world, agenda| ec2.observe(&change, world, agenda));
            }
        }
    }

    fn run_until(&mut self, seconds: f64) {
        let end = Time::from_secs_f64(seconds);
        while self.calendar.next_time().is_some_and(|at| at <= end) {
            let Some((now, event)) = self.calendar.pop() else { return };
            self.with_world(now, |ec2, world, agenda| ec2.handle(event, world, agenda));
            self.settle(now);
        }
    }

    fn claim(&mut self, seconds: f64, names: &[&str], capacity_types: &[CapacityType]) -> NodeClaimId {
        self.run_until(seconds);
        let now = Time::from_secs_f64(seconds);
        let catalogue = self.cluster.catalogues[0].clone();
        let options = names.iter().map(|name| catalogue.find(name).expect("a type")).collect();
        let id = self.cluster.create_nodeclaim(nodeclaim(now, options, capacity_types));
        self.settle(now);
        id
    }

    fn when(&self, wanted: Change) -> Vec<f64> {
        self.seen.iter().filter(|(_, change)| *change == wanted).map(|(at, _)| at.as_secs_f64()).collect()
    }

    fn instance(&self, id: NodeClaimId) -> InstanceId {
        self.cluster.nodeclaims[id.index()].instance.expect("a launched NodeClaim")
    }
}

fn pool() -> NodePool {
    NodePool {
        name: "pool".to_owned(),
        object: std::sync::Arc::new(forescale::api::karpenter::NodePool {
            metadata: defaults(),
            spec: forescale::api::karpenter::NodePoolSpec {
                template: forescale::api::karpenter::NodeClaimTemplate { metadata: defaults(), spec: defaults() },
                disruption: defaults(),
                limits: None,
                weight: None,
                replicas: None,
            },
        }),
        node_class: NodeClassId(0),
        generation: 1,
        applied: Some(Time::ZERO),
        deleted: false,
    }
}

fn nodeclaim(now: Time, options: Vec<TypeId>, capacity_types: &[CapacityType]) -> NodeClaim {
    NodeClaim {
        options,
        capacity_types: capacity_types.to_vec(),
        requests: Resources::new(Cpu::from_milli(1000), Memory::from_mib(1024)),
        ..NodeClaim::new("claim".to_owned(), NodePoolId(0), now)
    }
}

const SPOT: CapacityType = CapacityType::Spot;
const ON_DEMAND: CapacityType = CapacityType::OnDemand;

#[test]
fn equal_claims_share_a_call_and_bills_begin_when_instances_run() {
    let mut play = Play::new(quiet());
    let first = play.claim(10.0, &["m5.large"], &[ON_DEMAND]);
    let second = play.claim(10.02, &["m5.large"], &[ON_DEMAND]);
    play.run_until(60.0);
    for id in [first, second] {
        assert_eq!(play.when(Change::NodeClaimLaunched(id)), [12.055], "35 ms after the second request, then the call");
    }
    let instance = play.instance(first);
    let record = &play.cluster.instances[instance.index()];
    assert_eq!(record.running, Some(Time::from_secs_f64(18.055)));
    let cost = charge(record, Time::from_secs_f64(18.055 + 3600.0));
    assert!((cost.as_f64() - 0.096).abs() < 1e-9, "{cost}");
    let claim = &play.cluster.nodeclaims[first.index()];
    assert_eq!(claim.labels["karpenter.k8s.aws/instance-family"], "m5");
    assert_eq!(claim.labels["karpenter.sh/capacity-type"], "on-demand");
    play.cluster.terminate_instance(first);
    play.settle(Time::from_secs_f64(60.0));
    play.run_until(200.0);
    let record = &play.cluster.instances[instance.index()];
    assert_eq!(record.shutting_down, Some(Time::from_secs_f64(60.1)));
    assert_eq!(record.terminated, Some(Time::from_secs_f64(105.1)));
}

#[test]
fn without_spot_capacity_the_second_claim_gets_on_demand_and_spot_returns_after_three_minutes() {
    let mut scenario = quiet();
    let offerings = OfferingSelector { capacity_type: Some(MarketCapacityType::Spot), ..defaults() };
    scenario.market.outages = vec![Outage { at: Duration::ZERO, duration: None, offerings }];
    let mut play = Play::new(scenario);
    let both = [SPOT, ON_DEMAND];
    let first = play.claim(10.0, &["m5.large", "m5.xlarge"], &both);
    play.run_until(15.0);
    let refused = Change::NodeClaimLaunchFailed(first, LaunchError::InsufficientCapacity);
    assert_eq!(play.when(refused), [12.035]);
    assert_eq!(available(&play, "m5.large"), [true, true, true, false, false, false]);
    let second = play.claim(20.0, &["m5.large", "m5.xlarge"], &both);
    play.run_until(192.0);
    let claim = &play.cluster.nodeclaims[second.index()];
    assert_eq!(claim.capacity_type, Some(ON_DEMAND));
    assert_eq!(available(&play, "m5.large")[3..], [false; 3], "three minutes are not over");
    play.run_until(202.1);
    assert_eq!(available(&play, "m5.large")[3..], [true; 3], "the sweep comes within ten seconds");
}

/// Availability of a type's offerings, on-demand first.
fn available(play: &Play, name: &str) -> Vec<bool> {
    let catalogue: &Catalogue = &play.cluster.catalogues[0];
    let instance_type = catalogue.get(catalogue.find(name).expect("a type"));
    let of = |wanted| instance_type.offerings.iter().filter(move |offering| offering.capacity_type == wanted);
    of(ON_DEMAND).chain(of(SPOT)).map(|offering| offering.available).collect()
}

#[test]
fn quotas_refuse_like_a_lack_of_capacity() {
    let mut scenario = quiet();
    scenario.market.on_demand_vcpus = Some(4);
    let mut play = Play::new(scenario);
    let ids = [10.0, 20.0, 30.0].map(|at| play.claim(at, &["m5.large"], &[ON_DEMAND]));
    play.run_until(40.0);
    let launched = ids.map(|id| play.cluster.nodeclaims[id.index()].launched.is_some());
    assert_eq!(launched, [true, true, false]);
}

#[test]
fn beyond_the_burst_launches_wait_for_the_rate() {
    let mut scenario = quiet();
    scenario.market.launch_burst = 1;
    scenario.market.launches_per_second = 0.1;
    let mut play = Play::new(scenario);
    let ids = [10.0, 11.0, 12.0].map(|at| play.claim(at, &["m5.large"], &[ON_DEMAND]));
    play.run_until(100.0);
    let at = ids.map(|id| play.when(Change::NodeClaimLaunched(id))[0]);
    assert_eq!(at[0], 12.035);
    assert!((at[1] - 22.035).abs() < 0.01 && (at[2] - 32.035).abs() < 0.01, "{at:?}");
}

#[test]
fn a_scripted_interruption_gives_two_minutes() {
    let mut scenario = quiet();
    let fault = Fault {
        at: Duration::from_mins(10),
        duration: None,
        kind: FaultKind::SpotInterruption,
        queue: None,
        deployment: None,
        nodes: Some("pool".to_owned()),
        zone: None,
        share: 0.5,
    };
    scenario.faults = vec![fault];
    let mut play = Play::new(scenario);
    let spot: Vec<NodeClaimId> = (0..4).map(|i| play.claim(10.0 + f64::from(i), &["m5.large"], &[SPOT])).collect();
    let on_demand = play.claim(20.0, &["m5.large"], &[ON_DEMAND]);
    play.run_until(1000.0);
    let warned: Vec<NodeClaimId> = spot
        .iter()
        .copied()
        .filter(|id| play.when(Change::SpotInterruptionWarning(play.instance(*id))) == [600.0])
        .collect();
    assert_eq!(warned.len(), 2);
    for id in &spot {
        let record = &play.cluster.instances[play.instance(*id).index()];
        let ended = record.shutting_down.map(Time::as_secs_f64);
        assert_eq!((record.interrupted, ended), if warned.contains(id) { (true, Some(720.0)) } else { (false, None) });
    }
    let record = &play.cluster.instances[play.instance(on_demand).index()];
    assert_eq!(record.state, InstanceState::Running);
}

#[test]
fn hostile_pools_take_nodes_together() {
    let mut scenario = quiet();
    scenario.market.interruptions = InterruptionRate::Hostile;
    scenario.market.reclaim_beta = 0.05;
    scenario.market.rebalance_together = 1.0;
    let mut play = Play::new(scenario);
    let ids: Vec<NodeClaimId> = (0..20).map(|i| play.claim(10.0 + f64::from(i), &["m5.large"], &[SPOT])).collect();
    play.run_until(14.0 * 3600.0);
    let mut notices: Vec<f64> =
        ids.iter().flat_map(|id| play.when(Change::SpotInterruptionWarning(play.instance(*id)))).collect();
    notices.sort_by(f64::total_cmp);
    assert!(notices.len() >= 15, "{} of 20 in 14 hours at 0.3 an hour", notices.len());
    let groups = 1 + notices.windows(2).filter(|pair| pair[1] - pair[0] > 180.0).count();
    assert!(groups <= 8, "{groups} groups of notices for {} nodes in three pools", notices.len());
}

#[test]
fn kwok_answers_at_once_with_the_requests_as_capacity() {
    let mut scenario = quiet();
    scenario.cloud.provider = Some(forescale::scenario::cloud::Provider::Kwok);
    let mut play = Play::new(scenario);
    let id = play.claim(10.0, &["m5.large", "m5.xlarge"], &[ON_DEMAND]);
    play.run_until(20.0);
    assert_eq!(play.when(Change::NodeClaimLaunched(id)), [10.14]);
    let claim = &play.cluster.nodeclaims[id.index()];
    assert_eq!(claim.capacity, claim.requests);
    let catalogue = play.cluster.catalogues[0].clone();
    let large = catalogue.find("m5.large").expect("m5.large");
    assert_eq!((claim.instance_type, claim.allocatable), (Some(large), catalogue.get(large).allocatable));
    play.cluster.terminate_instance(id);
    play.settle(Time::from_secs_f64(20.0));
    assert_eq!(play.cluster.instances[play.instance(id).index()].state, InstanceState::Terminated);
}
