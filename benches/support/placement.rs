//! Pods of mixed sizes that kube-scheduler's rules place on many nodes.

use forescale::api::meta::{LabelSelector, Labels};
use forescale::api::pod::PodSpec;
use forescale::engine::{Stream, Streams};
use forescale::scheduler::choose::{Choice, Chooser};
use forescale::scheduler::shape::{PodTraits, ShapeIndex};
use forescale::scheduler::snapshot::{NodeSpec, Placed, Snapshot};
use forescale::scheduler::volumes::Claims;
use forescale::units::{Resource, Resources};

use super::parse::parse;

/// Sizes of pods.
pub const SIZES: usize = 200;

/// Nodes without pods and an order of pods to be placed.
pub struct Placement {
    snapshot: Snapshot,
    order: Vec<ShapeIndex>,
    stream: Stream,
}

impl Placement {
    /// `spreading` gives pods the default spreading of a Deployment.
    pub fn new(pods: u32, nodes: usize, spreading: bool) -> Placement {
        let mut stream = Streams::new(1, 0).open("bench", 0);
        let mut snapshot = snapshot(nodes, &mut stream);
        let shapes: Vec<ShapeIndex> = (0..SIZES)
            .map(|size| {
                let (cpu, mib) = (250 * (1 + stream.below(64)), 256 * (1 + stream.below(128)));
                snapshot.shape(&traits(size, cpu, mib, spreading))
            })
            .collect();
        let order = (0..pods).map(|_| shapes[stream.below(SIZES)]).collect();
        Placement { snapshot, order, stream }
    }

    /// Places them; how many found a node.
    pub fn place(&mut self) -> u32 {
        let mut chooser = Chooser::default();
        let mut placed = 0;
        for (pod, &shape) in (0..).zip(&self.order) {
            if let Choice::Node(slot) = chooser.choose(&mut self.snapshot, pod, shape, None, &mut self.stream) {
                self.snapshot.place(slot, Placed { pod, shape, started: 0, terminating: false, preempted: false });
                placed += 1;
            }
        }
        placed
    }
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
            volume_limit: None,
            unschedulable: false,
            allocatable,
            images: Vec::new(),
        });
    }
    snapshot
}

fn traits(size: usize, cpu: usize, mib: usize, spreading: bool) -> PodTraits {
    let requests = format!("{{ cpu = \"{cpu}m\", memory = \"{mib}Mi\" }}");
    let spec: PodSpec = parse(&format!("containers = [{{ resources = {{ requests = {requests} }} }}]"));
    let labels = Labels::from([("app".to_owned(), format!("app-{size}"))]);
    let selector = LabelSelector { match_labels: labels.clone(), match_expressions: Vec::new() };
    PodTraits {
        labels,
        spec,
        priority: 0,
        preempts: true,
        workload_selector: spreading.then_some(selector),
        claims: Claims::default(),
    }
}
