//! What pods requested of each node over time, read from what the cluster keeps of its pods.

use super::Recorder;
use crate::cluster::{Cluster, NodeId, PodId};
use crate::time::Time;
use crate::units::Resources;

/// Requests bound to a node from an instant on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Load {
    pub at: Time,
    pub workload: Resources,
    pub system: Resources,
}

/// The loads of all nodes.
pub(super) struct Loads<'a> {
    pub recorder: &'a Recorder,
    pub cluster: &'a Cluster,
    /// All pods that were ever bound, node by node.
    bound: Vec<(NodeId, PodId)>,
}

impl<'a> Loads<'a> {
    pub fn new(recorder: &'a Recorder, cluster: &'a Cluster) -> Self {
        let pods = cluster.pods.iter().zip(0..);
        let mut bound: Vec<_> = pods.filter_map(|(pod, id)| Some((pod.node?, PodId(id)))).collect();
        bound.sort_unstable();
        Loads { recorder, cluster, bound }
    }

    /// What is requested of the node after each change, in the order of time: a pod holds its requests from the binding until it
    /// is terminal or gone.
    pub fn of(&self, node: NodeId) -> Vec<Load> {
        let first = self.bound.partition_point(|(other, _)| *other < node);
        let own = self.bound[first..].iter().take_while(|(other, _)| *other == node);
        let mut changes: Vec<(Time, PodId, bool)> = own.flat_map(|&(_, pod)| self.changes(pod)).collect();
        changes.sort_unstable_by_key(|(at, ..)| *at);
        let mut load = Load { at: Time::ZERO, workload: Resources::ZERO, system: Resources::ZERO };
        let mut loads: Vec<Load> = Vec::with_capacity(changes.len());
        for (at, pod, begins) in changes {
            self.count(&mut load, pod, begins);
            load.at = at;
            match loads.last_mut() {
                Some(last) if last.at == at => *last = load,
                _ => loads.push(load),
            }
        }
        loads
    }

    /// When the pod begins and ends to hold its requests.
    fn changes(&self, id: PodId) -> impl Iterator<Item = (Time, PodId, bool)> {
        let path = &self.cluster.pods[id.index()].path;
        let end = [path.finished, path.gone].into_iter().flatten().min();
        path.bound.map(|at| (at, id, true)).into_iter().chain(end.map(|at| (at, id, false)))
    }

    fn count(&self, load: &mut Load, id: PodId, begins: bool) {
        let requests = self.cluster.shape_of(id).requests;
        let requests = if begins { requests } else { Resources::ZERO - requests };
        let workload = self.recorder.workload_of(self.cluster.pods[id.index()].owner, self.cluster);
        if workload.is_some_and(|key| self.recorder.workloads[key.0 as usize].queue.is_some()) {
            load.workload += requests;
        } else {
            load.system += requests;
        }
    }
}
