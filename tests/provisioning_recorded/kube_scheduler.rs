//! kube-scheduler on the nodes of a case.

use std::collections::BTreeMap;

use forescale::api::meta::Labels;
use forescale::api::pod::PodSpec;
use forescale::engine::Stream;
use forescale::karpenter::lifecycle::taints;
use forescale::scheduler::choose::{Choice, Chooser};
use forescale::scheduler::shape::{PodTraits, ShapeIndex};
use forescale::scheduler::snapshot::{NodeSpec, Placed, Snapshot};
use forescale::scheduler::volumes::Claims;

use super::case::{Case, State};

/// kube-scheduler on the nodes of a case.
pub struct KubeScheduler<'c> {
    case: &'c Case<'c>,
    snapshot: Snapshot,
    chooser: Chooser,
    shapes: Vec<ShapeIndex>,
    /// Slot of each node that has joined.
    slots: BTreeMap<usize, usize>,
}

impl<'c> KubeScheduler<'c> {
    pub fn new(case: &'c Case<'c>, state: &State) -> Self {
        KubeScheduler::of(case, state, |_| true)
    }

    /// With those nodes that have joined.
    pub fn of(case: &'c Case<'c>, state: &State, joined: impl Fn(usize) -> bool) -> Self {
        let mut snapshot = Snapshot::default();
        let shape = |(labels, spec): &(Labels, PodSpec)| {
            let (labels, spec) = (labels.clone(), spec.clone());
            snapshot.shape(&PodTraits {
                labels,
                spec,
                priority: 0,
                preempts: true,
                workload_selector: None,
                claims: Claims::default(),
            })
        };
        let shapes = case.shapes.iter().map(shape).collect();
        let mut scheduler =
            KubeScheduler { case, snapshot, chooser: Chooser::default(), shapes, slots: BTreeMap::new() };
        (0..state.nodes.len()).filter(|node| joined(*node)).for_each(|node| scheduler.join(state, node));
        for (index, pod) in state.pods.iter().enumerate() {
            if let Some(node) = pod.node {
                scheduler.place(index, pod.shape, scheduler.slots[&node]);
            }
        }
        scheduler
    }

    /// A Node appears. It carries the taint of a node that Karpenter has not registered.
    pub fn announce(&mut self, state: &State, node: usize) {
        let spec = NodeSpec { taints: vec![taints::unregistered()], ..self.spec(state, node) };
        self.slots.insert(node, self.snapshot.add_node(spec));
    }

    /// A Node is ready for pods.
    pub fn join(&mut self, state: &State, node: usize) {
        let spec = self.spec(state, node);
        match self.slots.get(&node) {
            Some(slot) => self.snapshot.update_node(*slot, spec),
            None => drop(self.slots.insert(node, self.snapshot.add_node(spec))),
        }
    }

    pub fn spec(&self, state: &State, node: usize) -> NodeSpec {
        let record = &state.nodes[node];
        NodeSpec {
            name: record.name.clone(),
            labels: record.labels.clone(),
            taints: Vec::new(),
            volume_limit: None,
            unschedulable: false,
            allocatable: self.case.catalogue.get(record.instance_type).allocatable,
            images: Vec::new(),
        }
    }

    /// Nodes join, in any order and with any of the pending pods tried between them.
    pub fn join_all(&mut self, state: &mut State, first: usize, pending: Vec<usize>, stream: &mut Stream) {
        let mut joining: Vec<usize> = (first..state.nodes.len()).collect();
        stream.shuffle(&mut joining);
        let mut order = pending;
        if stream.chance(0.3) {
            stream.shuffle(&mut order);
        }
        let one_by_one = stream.chance(0.5);
        for node in joining {
            self.join(state, node);
            if one_by_one && stream.chance(0.5) {
                self.schedule(state, &order, stream);
            }
        }
        self.schedule(state, &order, stream);
    }

    pub fn place(&mut self, pod: usize, shape: usize, slot: usize) {
        let placed = Placed {
            pod: pod as u32,
            shape: self.shapes[shape],
            started: u32::MAX,
            terminating: false,
            preempted: false,
        };
        self.snapshot.place(slot, placed);
    }

    pub fn has_nodes(&self) -> bool {
        !self.slots.is_empty()
    }

    pub fn attempt(&mut self, pod: usize, shape: usize, stream: &mut Stream) -> Choice {
        self.chooser.choose(&mut self.snapshot, pod as u32, self.shapes[shape], None, stream)
    }

    /// The nodes among which the last attempt drew.
    pub fn equals(&self) -> Vec<usize> {
        let node = |slot| self.slots.iter().find(|(_, other)| **other == slot).map(|(node, _)| *node);
        self.chooser.equals().filter_map(node).collect()
    }

    pub fn put(&mut self, pod: usize, shape: usize, node: usize) {
        self.place(pod, shape, self.slots[&node]);
    }

    pub fn schedule(&mut self, state: &mut State, order: &[usize], stream: &mut Stream) {
        for index in order {
            let pod = &mut state.pods[*index];
            if pod.node.is_some() {
                continue;
            }
            let shape = self.shapes[pod.shape];
            if let Choice::Node(slot) = self.chooser.choose(&mut self.snapshot, *index as u32, shape, None, stream) {
                let node = self.slots.iter().find(|(_, other)| **other == slot).map(|(node, _)| *node);
                pod.node = node;
                let shape = pod.shape;
                self.place(*index, shape, slot);
            }
        }
    }
}
