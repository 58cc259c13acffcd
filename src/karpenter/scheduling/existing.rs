//! Existing nodes as targets (`existingnode.go: ExistingNode`).

use super::arena::{Arena, Fit, SetId};
use super::constraints::tolerates_all;
use super::host_ports::conflict;
use super::input::{HostPort, Input};
use super::knowledge::Nodes;
use super::requirements::Undefined;
use super::shape::{ShapeState, Wants};
use super::template::{Daemons, outstanding};
use super::tie::Place;
use super::topology::{Side, Topology};
use super::topology_group::Domain;
use crate::api::pod::Taint;
use crate::units::Resources;

/// A node that may take pods.
pub(super) struct Existing<'w, 'a> {
    pub(super) node: usize,
    pub(super) taints: &'w [&'a Taint],
    pub(super) host: Domain,
    pub(super) set: SetId,
    /// What pods may still request.
    pub(super) room: Resources,
    pub(super) ports: Vec<HostPort>,
    pub(super) free_volumes: Option<u32>,
    pub(super) under_consolidate_after: bool,
    pub(super) pods: Vec<usize>,
}

/// Whether an existing node takes a pod.
pub(super) enum Answer {
    /// It does, with these requirements.
    Yes(SetId),
    /// Not as things are.
    NotNow,
    /// Not in this pass.
    Never,
}

/// The nodes that may take pods, in the order in which they are filled.
pub(super) fn in_filling_order<'w, 'a>(
    input: &'w Input<'a>,
    nodes: &Nodes,
    daemons: &Daemons,
    topology: &mut Topology,
    arena: &mut Arena,
) -> Vec<Existing<'w, 'a>> {
    let daemons = daemons.settled(arena);
    let targets = nodes.order.iter().copied().filter(|index| input.nodes[*index].target);
    targets
        .map(|index| {
            let node = &input.nodes[index];
            let set = nodes.sets[index];
            Existing {
                node: index,
                taints: &node.taints,
                host: topology.names.intern(node.hostname),
                set,
                room: node.available - outstanding(&daemons, node, set, arena),
                ports: node.host_ports.clone(),
                free_volumes: node.free_volumes,
                under_consolidate_after: node.under_consolidate_after,
                pods: Vec::new(),
            }
        })
        .collect()
}

impl Existing<'_, '_> {
    /// Whether the node can take the pod (`CanAdd`).
    pub(super) fn can_add(
        &self,
        shape: usize,
        state: &ShapeState,
        wants: &Wants,
        place: Place,
        topology: &mut Topology,
        arena: &mut Arena,
    ) -> Answer {
        let volumes_fit = self.free_volumes.is_none_or(|free| state.volumes <= free);
        if !tolerates_all(&wants.tolerations, self.taints)
            || !volumes_fit
            || conflict(&state.ports, &self.ports)
            || !state.requests.fits(&self.room)
            || wants.host.as_ref().is_some_and(|host| !host.has(topology.names.get(self.host)))
        {
            return Answer::Never;
        }
        match arena.fit(self.set, wants.set, Undefined::Denied) {
            Fit::Yes => {}
            Fit::Conflict(_) => return Answer::Never,
            Fit::Undefined(_) => return Answer::NotNow,
        }
        let merged = arena.sum(self.set, wants.set);
        if state.volume_alternatives.is_empty() {
            return self.try_requirements(shape, wants, merged, place, topology, arena);
        }
        let mut answer = Answer::Never;
        for volumes in &state.volume_alternatives {
            if volumes.host.as_ref().is_some_and(|host| !host.has(topology.names.get(self.host))) {
                continue;
            }
            let tried = match arena.fit(merged, volumes.set, Undefined::Denied) {
                Fit::Conflict(_) => Answer::Never,
                Fit::Undefined(_) => Answer::NotNow,
                Fit::Yes => {
                    let with_volumes = arena.sum(merged, volumes.set);
                    self.try_requirements(shape, wants, with_volumes, place, topology, arena)
                }
            };
            match tried {
                Answer::Yes(set) => return Answer::Yes(set),
                Answer::NotNow => answer = Answer::NotNow,
                Answer::Never => {}
            }
        }
        answer
    }

    /// Whether topology lets the pod go there with these requirements.
    fn try_requirements(
        &self,
        shape: usize,
        wants: &Wants,
        merged: SetId,
        place: Place,
        topology: &mut Topology,
        arena: &mut Arena,
    ) -> Answer {
        if !topology.applies(shape, &wants.membership) {
            return Answer::Yes(merged);
        }
        let side = Side { set: merged, host: self.host, taints: self.taints };
        match topology.narrow(shape, &wants.membership, &wants.domains(), side, place, arena) {
            Ok(narrowed) if *arena.fit(merged, narrowed, Undefined::Denied) == Fit::Yes => Answer::Yes(narrowed),
            Err(refusal) if refusal.permanent => Answer::Never,
            Ok(_) | Err(_) => Answer::NotNow,
        }
    }
}
