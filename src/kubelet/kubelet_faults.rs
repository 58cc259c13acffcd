//! Faults of the scenario that stop kubelets (`kubeletDown`).

use std::collections::BTreeMap;

use crate::cluster::{NodeId, World};
use crate::engine::{Stream, Streams};
use crate::scenario::Scenario;
use crate::scenario::faults::FaultKind;
use crate::time::Time;

use super::crash_faults::concerns_node;

/// Kubelets that are down.
pub struct KubeletFaults {
    streams: BTreeMap<u32, Stream>,
    /// Until when.
    down: BTreeMap<NodeId, Time>,
}

impl KubeletFaults {
    pub fn new(scenario: &Scenario, streams: Streams) -> KubeletFaults {
        let numbered = scenario.faults.iter().enumerate().filter(|(_, fault)| fault.kind == FaultKind::KubeletDown);
        let open = |number: usize| (number as u32, streams.open("kubelet-down", number as u64));
        KubeletFaults { streams: numbered.map(|(number, _)| open(number)).collect(), down: BTreeMap::new() }
    }

    /// Numbers of the faults.
    pub fn numbers(&self) -> Vec<u32> {
        self.streams.keys().copied().collect()
    }

    /// The fault of that number begins: those of `running` that it hits.
    pub fn begin(&mut self, number: u32, mut running: Vec<NodeId>, world: &World<'_>) -> Vec<NodeId> {
        let fault = &world.scenario.faults[number as usize];
        let Some(stream) = self.streams.get_mut(&number) else { return Vec::new() };
        running.retain(|node| concerns_node(fault, &world.cluster.nodes[node.index()].labels));
        stream.shuffle(&mut running);
        running.truncate((running.len() as f64 * fault.share).round() as usize);
        for node in &running {
            let until = self.down.entry(*node).or_insert(Time::ZERO);
            *until = fault.end().max(*until);
        }
        running
    }

    /// Until when the kubelet of a node is down.
    pub fn down_until(&self, node: NodeId) -> Option<Time> {
        self.down.get(&node).copied()
    }

    /// A kubelet starts, unless another fault keeps it down or it has started before; whether it does.
    pub fn ends(&mut self, node: NodeId, now: Time) -> bool {
        let starts = self.down.get(&node).is_some_and(|until| *until <= now);
        if starts {
            self.down.remove(&node);
        }
        starts
    }
}
