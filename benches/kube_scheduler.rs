//! Speed of placement: pods of mixed sizes on many nodes, with and without default spreading.
//!
//! `cargo bench --bench kube_scheduler` prints milliseconds for 7,064 pods of 200 sizes over 1,200 nodes.
#![expect(clippy::disallowed_methods, reason = "a benchmark reads the wall clock")]

use std::time::Instant;

use forescale::api::decode::{Decode, Problems};
use forescale::api::meta::{LabelSelector, Labels};
use forescale::api::pod::PodSpec;
use forescale::engine::Streams;
use forescale::scheduler::choose::{Choice, Chooser};
use forescale::scheduler::shape::{PodTraits, ShapeIndex};
use forescale::scheduler::snapshot::{NodeSpec, Placed, Snapshot};
use forescale::time::Time;
use forescale::units::{Resource, Resources};

const NODES: usize = 1200;
const PODS: u32 = 7064;
const SIZES: usize = 200;

fn main() {
    for (what, spreading) in [("plain pods", false), ("pods of Deployments (default spreading)", true)] {
        let mut fastest = f64::INFINITY;
        let mut placed = 0;
        for _ in 0..5 {
            let (seconds, count) = run(spreading);
            fastest = fastest.min(seconds);
            placed = count;
        }
        println!("{what}: {placed} of {PODS} pods of {SIZES} sizes on {NODES} nodes in {:.1} ms", fastest * 1e3);
    }
}

fn run(spreading: bool) -> (f64, u32) {
    let mut snapshot = Snapshot::default();
    let mut stream = Streams::new(1, 0).open("bench", 0);
    for index in 0..NODES {
        let name = format!("node-{index}");
        let cpu = [16_000, 32_000, 64_000][stream.below(3)];
        let labels: Labels = [
            ("kubernetes.io/hostname".to_owned(), name.clone()),
            ("topology.kubernetes.io/zone".to_owned(), format!("zone-{}", index % 3)),
        ]
        .into();
        let allocatable =
            Resources::ZERO.with(Resource::Cpu, cpu).with(Resource::Memory, cpu << 22).with(Resource::Pods, 110);
        snapshot.add_node(NodeSpec {
            name,
            labels,
            taints: Vec::new(),
            unschedulable: false,
            allocatable,
            images: Vec::new(),
        });
    }
    let shapes: Vec<ShapeIndex> = (0..SIZES)
        .map(|size| {
            let (cpu, mib) = (250 * (1 + stream.below(64)), 256 * (1 + stream.below(128)));
            snapshot.shape(&traits(size, cpu, mib, spreading))
        })
        .collect();
    let order: Vec<ShapeIndex> = (0..PODS).map(|_| shapes[stream.below(SIZES)]).collect();
    let mut chooser = Chooser::default();
    let mut placed = 0;
    let start = Instant::now();
    for (pod, shape) in order.into_iter().enumerate() {
        let pod = pod as u32;
        if let Choice::Node(slot) = chooser.choose(&mut snapshot, pod, shape, None, &mut stream) {
            let started = Time::ZERO;
            snapshot.place(slot, Placed { pod, shape, started, terminating: false, preempted: false });
            placed += 1;
        }
    }
    (start.elapsed().as_secs_f64(), placed)
}

fn traits(size: usize, cpu: usize, mib: usize, spreading: bool) -> PodTraits {
    let text =
        format!("containers = [{{ resources = {{ requests = {{ cpu = \"{cpu}m\", memory = \"{mib}Mi\" }} }} }}]");
    let mut problems = Problems::default();
    let tree = forescale::scenario::toml::parse(&text, 0, &mut problems);
    let spec = PodSpec::decode(&tree, &mut problems).unwrap_or_else(|| panic!("{:?}", problems.list));
    let labels: Labels = [("app".to_owned(), format!("app-{size}"))].into();
    let selector = LabelSelector { match_labels: labels.clone(), match_expressions: Vec::new() };
    PodTraits { labels, spec, priority: 0, preempts: true, workload_selector: spreading.then_some(selector) }
}
