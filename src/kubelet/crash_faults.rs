//! Faults of the scenario that crash containers (`podCrash`).

use std::collections::BTreeSet;

use crate::api::meta::Labels;
use crate::cluster::pod::Owner;
use crate::cluster::{PodId, World};
use crate::engine::{Stream, Streams};
use crate::scenario::Scenario;
use crate::scenario::faults::{Fault, FaultKind};

/// Label of the nodes of a NodePool.
const NODEPOOL_LABEL: &str = "karpenter.sh/nodepool";
/// Label of the nodes of a node group.
const NODE_GROUP_LABEL: &str = "eks.amazonaws.com/nodegroup";
/// Label of a node's zone.
const ZONE_LABEL: &str = "topology.kubernetes.io/zone";

/// A fault with those whom it hits.
struct CrashFault {
    /// Its place in `[[faults]]`.
    number: u32,
    /// Pods that crash whenever they start while it lasts.
    victims: BTreeSet<PodId>,
    /// Pods that were spared.
    spared: BTreeSet<PodId>,
    stream: Stream,
}

/// All faults that crash containers.
pub struct CrashFaults(Vec<CrashFault>);

impl CrashFaults {
    pub fn new(scenario: &Scenario, streams: Streams) -> CrashFaults {
        let numbered = scenario.faults.iter().enumerate().filter(|(_, fault)| fault.kind == FaultKind::PodCrash);
        let faults = numbered.map(|(number, _)| CrashFault {
            number: number as u32,
            victims: BTreeSet::new(),
            spared: BTreeSet::new(),
            stream: streams.open("pod-crash", number as u64),
        });
        CrashFaults(faults.collect())
    }

    /// Numbers of the faults.
    pub fn numbers(&self) -> Vec<u32> {
        self.0.iter().map(|fault| fault.number).collect()
    }

    /// The fault of that number begins: those of `running` that it hits.
    pub fn begin(&mut self, number: u32, running: &[PodId], world: &World<'_>) -> Vec<PodId> {
        let fault = &world.scenario.faults[number as usize];
        let Some(state) = self.0.iter_mut().find(|state| state.number == number) else { return Vec::new() };
        let mut pods: Vec<PodId> = running.iter().copied().filter(|pod| concerns(fault, *pod, world)).collect();
        state.stream.shuffle(&mut pods);
        let hit = (pods.len() as f64 * fault.share).round() as usize;
        state.spared.extend(pods.split_off(hit));
        state.victims.extend(&pods);
        pods
    }

    /// Whether a pod whose containers have started up crashes at once, since a fault lasts that hits it.
    pub fn hits(&mut self, pod: PodId, world: &World<'_>) -> bool {
        self.0.iter_mut().any(|state| {
            let fault = &world.scenario.faults[state.number as usize];
            // An instant hits those who run then.
            let lasts = fault.duration.is_some() && fault.begin() <= world.now && world.now < fault.end();
            if !lasts || state.spared.contains(&pod) || !concerns(fault, pod, world) {
                return false;
            }
            let hit = state.victims.contains(&pod) || fault.share >= 1.0 || state.stream.chance(fault.share);
            if hit {
                state.victims.insert(pod)
            } else {
                state.spared.insert(pod)
            };
            hit
        })
    }

    /// A pod that is gone is forgotten.
    pub fn gone(&mut self, pod: PodId) {
        for state in &mut self.0 {
            state.victims.remove(&pod);
            state.spared.remove(&pod);
        }
    }
}

/// Whether the pod is of the fault's Deployment, nodes and zone. Pods of DaemonSets are left alone.
fn concerns(fault: &Fault, pod: PodId, world: &World<'_>) -> bool {
    let record = &world.cluster.pods[pod.index()];
    let Some(node) = record.node else { return false };
    let by_owner = match (record.owner, fault.deployment.as_deref()) {
        (Owner::Deployment(id), wanted) => {
            wanted.is_none_or(|wanted| world.cluster.deployments[id.index()].name == wanted)
        }
        (Owner::Job(_), wanted) => wanted.is_none(),
        (Owner::DaemonSet(_) | Owner::None, _) => false,
    };
    by_owner && concerns_node(fault, &world.cluster.nodes[node.index()].labels)
}

/// Whether a node with these labels is of the fault's nodes and zone.
pub fn concerns_node(fault: &Fault, labels: &Labels) -> bool {
    let labelled = |label: &str, wanted: &str| labels.get(label).is_some_and(|value| value == wanted);
    fault.nodes.as_deref().is_none_or(|w| labelled(NODEPOOL_LABEL, w) || labelled(NODE_GROUP_LABEL, w))
        && fault.zone.as_deref().is_none_or(|wanted| labelled(ZONE_LABEL, wanted))
}
