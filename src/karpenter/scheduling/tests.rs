//! Whole questions: what former ones leave for the next changes no answer, and choices fall independently.

use std::sync::Arc;

use super::{
    ExistingNode, Input, Knowledge, MinValuesPolicy, Options, Pod, Pool, Results, Shape, labels, solve, solve_knowing,
};
use crate::api::karpenter::NodePoolSpec;
use crate::api::meta::Labels;
use crate::api::pod::PodSpec;
use crate::cluster::catalogue::{
    CapacityType, Catalogue, InstanceType, Offering, Reservation, ReservationId, ReservationKind, ZoneId,
};
use crate::engine::Streams;
use crate::karpenter::small_cluster::parse;
use crate::time::Time;
use crate::units::{Cpu, Memory, Resource, Resources};

/// A question about pools and pods that wait.
#[derive(Clone)]
struct Question {
    catalogue: Arc<Catalogue>,
    /// What another node class offers.
    other: Arc<Catalogue>,
    /// Names, specs and the number of the catalogue.
    pools: Vec<(&'static str, NodePoolSpec, usize)>,
    daemons: Vec<PodSpec>,
    /// Labels and spec of the pods.
    pods: Vec<(Labels, PodSpec)>,
    options: Options,
}

impl Question {
    /// A pool that may be anything, of `large` and `small` in three zones, and pods without a place.
    fn new(pods: Vec<(Labels, PodSpec)>) -> Self {
        Question {
            catalogue: Arc::new(Catalogue {
                zones: ["a", "b", "c"].map(str::to_owned).to_vec(),
                types: vec![instance_type("large", 4000, "amd64"), instance_type("small", 2000, "amd64")],
                ..Catalogue::default()
            }),
            other: Arc::new(Catalogue {
                zones: ["a", "b", "c"].map(str::to_owned).to_vec(),
                types: vec![instance_type("other", 8000, "amd64")],
                ..Catalogue::default()
            }),
            pools: vec![("workers", any_node(), 0)],
            daemons: Vec::new(),
            pods,
            options: Options::default(),
        }
    }

    fn catalogue(&mut self) -> &mut Catalogue {
        Arc::make_mut(&mut self.catalogue)
    }

    fn ask<R>(&self, answer: impl FnOnce(&Input<'_>) -> R) -> R {
        let shape = |pod| {
            let (labels, spec): &(Labels, PodSpec) = pod;
            Shape { labels, spec, volumes: 0, volume_topology: Vec::new() }
        };
        let pools = self.pools.iter().map(|(name, spec, number)| Pool { name, spec, catalogue: Some(*number) });
        answer(&Input {
            catalogues: vec![Arc::clone(&self.catalogue), Arc::clone(&self.other)],
            pools: pools.collect(),
            daemon_sets: self.daemons.iter().collect(),
            shapes: self.pods.iter().map(shape).collect(),
            pods: (0..self.pods.len())
                .map(|shape| Pod { shape, created: Time::ZERO, uid: shape as u64, gated: false })
                .collect(),
            options: self.options.clone(),
            ..Input::default()
        })
    }
}

fn any_node() -> NodePoolSpec {
    parse("template = { spec = { requirements = [] } }")
}

fn instance_type(name: &str, cpu: i64, arch: &str) -> InstanceType {
    let resources = |cpu| Resources::new(Cpu::from_milli(cpu), Memory::from_mib(8192)).with(Resource::Pods, 10);
    let sold = |zone| Offering {
        zone: ZoneId(zone),
        capacity_type: CapacityType::OnDemand,
        price: cpu as f64,
        available: true,
        reservation: None,
    };
    let label = |key: &str, value: &str| (key.to_owned(), vec![value.to_owned()]);
    InstanceType {
        name: name.to_owned(),
        labels: Arc::new(vec![label("kubernetes.io/arch", arch), label("node.kubernetes.io/instance-type", name)]),
        capacity: resources(cpu),
        allocatable: resources(cpu),
        offerings: (0..3).map(sold).collect(),
    }
}

/// A pod that is spread over the zones with others of its app.
fn pod(app: &str, cpu: &str) -> (Labels, PodSpec) {
    let spec = parse(&format!(
        "nodeSelector = {{ 'kubernetes.io/arch' = 'amd64' }}
         containers = [{{ resources = {{ requests = {{ cpu = '{cpu}' }} }} }}]
         topologySpreadConstraints = [{{ maxSkew = 1, topologyKey = 'topology.kubernetes.io/zone',
             whenUnsatisfiable = 'DoNotSchedule', labelSelector = {{ matchLabels = {{ app = '{app}' }} }} }}]"
    ));
    ([("app".to_owned(), app.to_owned())].into(), spec)
}

/// A pod that may stand anywhere, or stands on each node.
fn container(cpu: &str) -> PodSpec {
    parse(&format!("containers = [{{ resources = {{ requests = {{ cpu = '{cpu}' }} }} }}]"))
}

#[test]
fn types_that_had_room_are_found_anew_when_a_daemon_set_asks_for_more() {
    let mut question = Question::new(["1300m", "1300m", "1"].map(|cpu| (Labels::new(), container(cpu))).into());
    let mut knowledge = Knowledge::default();
    // Of 4 cores, 3.6 are asked for.
    let claims = ["200m", "500m", "200m"].map(|daemon| {
        question.daemons = vec![container(daemon)];
        let mut stream = Streams::new(1, 0).open("ties", 0);
        question.ask(|input| solve_knowing(input, &mut knowledge, &mut stream)).claims.len()
    });
    assert_eq!(claims, [1, 2, 1]);
}

#[test]
fn a_node_is_read_anew_when_its_labels_change() {
    let selecting = parse("nodeSelector = { team = 'a' }\ncontainers = [{}]");
    let question = Question::new(vec![(Labels::new(), selecting)]);
    let mut knowledge = Knowledge::default();
    let mut stands = |team: &str| {
        let labels = Labels::from([("team".to_owned(), team.to_owned())]);
        let room = Resources::new(Cpu::from_milli(1000), Memory::from_mib(1024)).with(Resource::Pods, 10);
        let node = ExistingNode {
            name: "node",
            hostname: "node",
            labels: &labels,
            taints: Vec::new(),
            target: true,
            initialized: true,
            has_node: true,
            under_consolidate_after: false,
            available: room,
            daemon_requests: Resources::ZERO,
            capacity: room,
            host_ports: Vec::new(),
            free_volumes: None,
        };
        let mut stream = Streams::new(1, 0).open("ties", 0);
        question.ask(|input| {
            let input = Input { nodes: vec![node.clone()], ..input.clone() };
            solve_knowing(&input, &mut knowledge, &mut stream).existing.len() == 1
        })
    };
    assert_eq!(["a", "b", "a"].map(&mut stands), [true, false, true]);
}

#[test]
fn what_former_questions_leave_changes_no_answer() {
    let mut question = Question::new(["1", "1100m", "1200m", "1300m"].map(|cpu| pod("web", cpu)).into());
    let mut knowledge = Knowledge::default();
    let mut before: Option<Results> = None;
    let mut ask = |question: &Question, change: &str| {
        let stream = || Streams::new(1, 0).open("ties", 0);
        let known = question.ask(|input| solve_knowing(input, &mut knowledge, &mut stream()));
        let fresh = question.ask(|input| solve(input, &mut stream()));
        assert_eq!(known, fresh, "{change}");
        assert_ne!(before.as_ref(), Some(&fresh), "{change} makes no difference");
        before = Some(fresh);
    };
    ask(&question, "the first");
    question.options.max_instance_types = 1;
    ask(&question, "fewer types");
    question.options.max_instance_types = 9;
    question.catalogue().types[1].offerings.iter_mut().for_each(|offering| offering.price = 9000.0);
    ask(&question, "a price");
    question.catalogue().types[0].offerings.iter_mut().for_each(|offering| offering.available = false);
    ask(&question, "nothing of a type is left");
    question.catalogue().types.push(instance_type("tiny", 1500, "amd64"));
    ask(&question, "one more type");
    question.pools[0].1 = parse("limits = { cpu = '5' }\ntemplate = { spec = { requirements = [] } }");
    ask(&question, "limits");
    question.catalogue().types[2].capacity = Resources::new(Cpu::from_milli(900), Memory::from_mib(8192));
    ask(&question, "what a type counts against limits");
    question.pools[0].1 = any_node();
    ask(&question, "no limits any more");
    question.catalogue().types[2].labels = instance_type("tiny", 1500, "arm64").labels;
    ask(&question, "a label of a type");
    question.catalogue().types.truncate(2);
    question.catalogue().types[1].offerings.remove(0);
    ask(&question, "a zone in which nothing is sold any more");
    for lost in [true, false] {
        question.catalogue().without_subnet = if lost { vec![ZoneId(2)] } else { Vec::new() };
        for instance_type in &mut question.catalogue().types {
            let there = instance_type.offerings.iter_mut().filter(|offering| offering.zone == ZoneId(2));
            there.for_each(|offering| offering.available = !lost);
        }
        ask(&question, if lost { "a zone without a subnet" } else { "a subnet that is back" });
    }
    question.catalogue().zones = ["x", "y", "z"].map(str::to_owned).to_vec();
    ask(&question, "names of zones");
    question.pools[0].1.template.metadata.labels.insert("team".to_owned(), "a".to_owned());
    ask(&question, "a label of the pool");
    question.pools[0].0 = "others";
    ask(&question, "the name of the pool");
    question.daemons.push(container("100m"));
    ask(&question, "a DaemonSet");
    question.daemons[0] = container("200m");
    ask(&question, "what a DaemonSet requests");
    question.daemons.clear();
    ask(&question, "no DaemonSet any more");
    question.pools[0].2 = 1;
    ask(&question, "another node class");
    question.pools.push(("preferred", NodePoolSpec { weight: Some(10), ..any_node() }, 1));
    ask(&question, "a second pool");
    question.pools[1].1 = parse(
        "weight = 10
         template = { spec = { requirements = [
             { key = 'node.kubernetes.io/instance-type', operator = 'Exists', minValues = 2 }] } }",
    );
    ask(&question, "more flexibility than there is");
    question.options.min_values = MinValuesPolicy::BestEffort;
    ask(&question, "flexibility as far as there is some");
}

/// Eight pods that share nothing choose among equal zones: not all of them take the same.
#[test]
fn pods_choose_among_equal_zones_each_for_itself() {
    let apps: Vec<String> = (0..8).map(|app| format!("app-{app}")).collect();
    let question = Question::new(apps.iter().map(|app| pod(app, "3")).collect());
    let is_spread = |seed: &u64| {
        let results = question.ask(|input| solve(input, &mut Streams::new(*seed, 0).open("ties", 0)));
        assert_eq!(results.claims.len(), 8);
        let zones = results.claims.iter().map(|claim| claim.requirements.get(labels::ZONE).cloned());
        let mut zones: Vec<_> = zones.map(|zone| zone.expect("a zone")).collect();
        zones.dedup();
        zones.len() > 1
    };
    assert!((1..=20).filter(is_spread).count() > 15, "with three zones all eight are together once in hundreds");
}

/// A question about pods that each fill a large node, which is sold from reservations too that have so many instances left.
fn reserved(pods: usize, left: &[u32]) -> Question {
    let plain: PodSpec = parse("containers = [{ resources = { requests = { cpu = '3' } } }]");
    let mut question = Question::new(vec![(Labels::new(), plain); pods]);
    let catalogue = question.catalogue();
    for left in left {
        let reservation = Some(ReservationId(catalogue.reservations.len() as u16));
        let id = format!("cr-{}", catalogue.reservations.len());
        catalogue.reservations.push(Reservation { id, kind: ReservationKind::Default, left: *left });
        let on_demand = catalogue.types[0].offerings[0];
        let capacity_type = CapacityType::Reserved;
        catalogue.types[0].offerings.push(Offering { capacity_type, reservation, ..on_demand });
    }
    question
}

/// As disruption asks (`ReservedOfferingModeFallback`).
#[test]
fn a_claim_that_may_do_without_does_so_when_reserved_capacity_is_taken() {
    let mut question = reserved(2, &[1]);
    question.options.reserved_strict = false;
    let results = question.ask(|input| solve(input, &mut Streams::new(1, 0).open("ties", 0)));
    let allowed = results.claims.iter().map(|claim| {
        let allowed = |value| claim.requirements.get(labels::CAPACITY_TYPE).is_none_or(|known| known.has(value));
        (allowed("reserved"), allowed("on-demand"))
    });
    assert_eq!(allowed.collect::<Vec<_>>(), [(true, false), (true, true)]);
    assert!(results.errors.is_empty());
}

#[test]
fn each_claim_names_the_reservations_that_it_holds() {
    let results = reserved(2, &[2, 1]).ask(|input| solve(input, &mut Streams::new(1, 0).open("ties", 0)));
    let named = results.claims.iter().map(|claim| {
        let held = claim.requirements.get(labels::RESERVATION_ID).expect("reservations");
        held.values().map(str::to_owned).collect::<Vec<_>>()
    });
    assert_eq!(named.collect::<Vec<_>>(), [vec!["cr-0", "cr-1"], vec!["cr-0"]]);
}
