//! Figures of single passes: provisioning, placement, disruption.

use std::sync::Arc;

use forescale::api::decode::{Decode, Problems, defaults};
use forescale::api::karpenter::AmiFamily;
use forescale::api::karpenter::NodePoolSpec;
use forescale::api::meta::Labels;
use forescale::api::pod::PodSpec;
use forescale::cluster::catalogue::Catalogue;
use forescale::ec2::capacity::NodeSettings;
use forescale::ec2::catalogue::build;
use forescale::ec2::prices::Prices;
use forescale::engine::{Stream, Streams};
use forescale::karpenter::scheduling::{Input, Pod, Pool, Shape, solve};
use forescale::scheduler::choose::{Choice, Chooser};
use forescale::scheduler::shape::{PodTraits, ShapeIndex};
use forescale::scheduler::snapshot::{NodeSpec, Placed, Snapshot};
use forescale::time::Time;
use forescale::units::{Resource, Resources};
use serde_json::json;

use super::case::Case;
use super::{Figures, Goal, fastest, once, plain_scheduler};

pub fn print(figures: &Figures) {
    let catalogue = Arc::new(whole_catalogue());
    for (shapes, goal) in [(1, 50.0), (100, 500.0)] {
        figures.print(&format!("provisioning_10000_pods_{shapes}_shapes"), "ms", Goal::AtMost(goal), || {
            provision(&catalogue, 10_000, shapes)
        });
    }
    for shapes in [1, 100] {
        let name = format!("provisioning_plain_over_production_{shapes}_shapes");
        figures.print(&name, "ratio", Goal::AtLeast(10.0), || plain_over_production(&catalogue, 300, shapes));
    }
    figures.print("scheduler_7064_pods_1200_nodes", "ms", Goal::AtMost(50.0), || place(7064, 1200));
    figures.print("disruption_pass_500_nodes_5000_pods", "ms", Goal::AtMost(100.0), || disrupt(500));
    for pods in [10, 100, 1000, 20_000] {
        figures.print(&format!("growth_pods_{pods}"), "ms", Goal::AtMost(100.0), || provision(&catalogue, pods, 1));
    }
    for types in [10, 100, 400, 1300] {
        let part = Arc::new(Catalogue {
            zones: catalogue.zones.clone(),
            types: catalogue.types.iter().rev().take(types).cloned().collect(),
        });
        figures
            .print(&format!("growth_instance_types_{types}"), "ms", Goal::AtMost(50.0), || provision(&part, 1000, 20));
    }
    for nodes in [10, 100, 1000, 2000] {
        figures.print(&format!("growth_nodes_{nodes}"), "ms", Goal::AtMost(200.0), || place(7064, nodes));
    }
}

/// All instance types of us-east-1, in three zones.
fn whole_catalogue() -> Catalogue {
    let mut prices = Prices::new(&defaults(), Streams::new(1, 0));
    build("us-east-1", &[], &NodeSettings::of_family(AmiFamily::Al2023), &mut prices, Time::ZERO).expect("prices")
}

/// Milliseconds of one scheduling pass of Karpenter's that knows nothing of former ones.
fn provision(catalogue: &Arc<Catalogue>, pods: usize, shapes: usize) -> f64 {
    let pass = |input: &Input<'_>| 1e3 * fastest(3, || assert!(!solve(input, &mut ties()).claims.is_empty()));
    with_pending(catalogue, pods, shapes, pass)
}

/// Passes of the production solver that are measured together: one is too short for the clock.
const REPEATED: u32 = 50;

/// Time of the plain solver of the tests over that of the production one, on one question, one right after the other.
fn plain_over_production(catalogue: &Arc<Catalogue>, pods: usize, shapes: usize) -> f64 {
    with_pending(catalogue, pods, shapes, |input| {
        let claims = solve(input, &mut ties()).claims.len();
        let production = fastest(3, || {
            (0..REPEATED).for_each(|_| assert_eq!(solve(input, &mut ties()).claims.len(), claims));
        }) / f64::from(REPEATED);
        let plain = fastest(1, || assert_eq!(plain_scheduler::solve(input, 1).claims.len(), claims));
        plain / production
    })
}

fn ties() -> Stream {
    Streams::new(1, 0).open("bench", 0)
}

/// What a measurement gives for so many pending pods of so many shapes, a pool of everything and no node.
fn with_pending(
    catalogue: &Arc<Catalogue>,
    pods: usize,
    shapes: usize,
    measure: impl FnOnce(&Input<'_>) -> f64,
) -> f64 {
    let pool: NodePoolSpec = parse("template = { spec = { requirements = [] } }");
    let labels = Labels::from([("app".to_owned(), "a".to_owned())]);
    let spec = |i: usize| -> PodSpec {
        let requests = format!("{{ cpu = \"{}m\", memory = \"{}Mi\" }}", 1000 + 10 * i, 1024 + 7 * i);
        parse(&format!("containers = [{{ resources = {{ requests = {requests} }} }}]"))
    };
    let specs: Vec<PodSpec> = (0..shapes).map(spec).collect();
    let pod = |i: usize| Pod { shape: i % shapes, created: Time::ZERO, uid: i as u64, gated: false };
    let input = Input {
        catalogues: vec![Arc::clone(catalogue)],
        pools: vec![Pool { name: "workers", spec: &pool, catalogue: Some(0) }],
        shapes: specs.iter().map(|spec| Shape { labels: &labels, spec, volumes: 0 }).collect(),
        pods: (0..pods).map(pod).collect(),
        ..Input::default()
    };
    measure(&input)
}

/// Milliseconds in which kube-scheduler's rules place pods of 200 sizes.
fn place(pods: u32, nodes: usize) -> f64 {
    const SIZES: usize = 200;
    let mut milliseconds = f64::INFINITY;
    for _ in 0..3 {
        let mut stream = Streams::new(1, 0).open("bench", 0);
        let mut snapshot = snapshot(nodes, &mut stream);
        let shapes: Vec<ShapeIndex> = (0..SIZES)
            .map(|size| {
                let (cpu, mib) = (250 * (1 + stream.below(64)), 256 * (1 + stream.below(128)));
                snapshot.shape(&traits(size, cpu, mib))
            })
            .collect();
        let order: Vec<ShapeIndex> = (0..pods).map(|_| shapes[stream.below(SIZES)]).collect();
        let mut chooser = Chooser::default();
        let seconds = once(|| {
            for (pod, &shape) in (0..).zip(&order) {
                if let Choice::Node(slot) = chooser.choose(&mut snapshot, pod, shape, None, &mut stream) {
                    let started = Time::ZERO;
                    snapshot.place(slot, Placed { pod, shape, started, terminating: false, preempted: false });
                }
            }
        });
        milliseconds = milliseconds.min(1e3 * seconds);
    }
    milliseconds
}

fn snapshot(nodes: usize, stream: &mut Stream) -> Snapshot {
    let mut snapshot = Snapshot::default();
    for index in 0..nodes {
        let name = format!("node-{index}");
        let cpu = [16_000, 32_000, 64_000][stream.below(3)];
        let labels = [
            ("kubernetes.io/hostname".to_owned(), name.clone()),
            ("topology.kubernetes.io/zone".to_owned(), format!("zone-{}", index % 3)),
        ];
        let allocatable =
            Resources::ZERO.with(Resource::Cpu, cpu).with(Resource::Memory, cpu << 22).with(Resource::Pods, 110);
        snapshot.add_node(NodeSpec {
            name,
            labels: labels.into(),
            taints: Vec::new(),
            unschedulable: false,
            allocatable,
            images: Vec::new(),
        });
    }
    snapshot
}

fn traits(size: usize, cpu: usize, mib: usize) -> PodTraits {
    let requests = format!("{{ cpu = \"{cpu}m\", memory = \"{mib}Mi\" }}");
    let spec: PodSpec = parse(&format!("containers = [{{ resources = {{ requests = {requests} }} }}]"));
    let labels = Labels::from([("app".to_owned(), format!("app-{size}"))]);
    PodTraits { labels, spec, priority: 0, preempts: true, workload_selector: None }
}

/// Milliseconds of one disruption pass over full nodes with ten pods each, of 20 shapes: every search is made and finds nothing.
fn disrupt(nodes: usize) -> f64 {
    let of_node = |node: usize| {
        let pod = |i: usize| {
            let shape = (node + i) % 20;
            json!({ "cpu": format!("{}m", 3000 + 5 * shape), "memory": format!("{}Mi", 10_000 + shape) })
        };
        json!({
            "name": format!("node-{node}"),
            "type": "32-cpu-128-mem-amd64-linux-test-zone-1-on-demand",
            "pods": (0..10).map(pod).collect::<Vec<_>>(),
        })
    };
    let on_demand = json!([{ "key": "karpenter.sh/capacity-type", "operator": "In", "values": ["on-demand"] }]);
    let cluster = json!({
        "catalogue": "assorted",
        "pools": [{ "name": "workers", "spec": { "template": { "spec": { "requirements": on_demand } } } }],
        "nodes": (0..nodes).map(of_node).collect::<Vec<_>>(),
    });
    let mut milliseconds = f64::INFINITY;
    for _ in 0..2 {
        let mut case = Case::read(&cluster);
        milliseconds = milliseconds.min(1e3 * once(|| case.pass(&[])));
        assert!(case.started.is_empty(), "nodes that are full are removed: {:?}", case.started);
    }
    milliseconds
}

fn parse<T: Decode>(toml: &str) -> T {
    let mut problems = Problems::default();
    let tree = forescale::scenario::toml::parse(toml, 0, &mut problems);
    T::decode(&tree, &mut problems).unwrap_or_else(|| panic!("{:?}", problems.list))
}
