//! Existing nodes as targets (`existingnode.go: ExistingNode`).

use super::arena::{Arena, Fit, SetId};
use super::constraints::tolerates_all;
use super::host_ports::conflict;
use super::input::{HostPort, Input};
use super::knowledge::Common;
use super::requirements::Undefined;
use super::shape::{Needs, VolumeAlternative, Wants};
use super::tie::Place;
use super::topology::{Names, Side, Topology};
use super::topology_group::Domain;
use crate::api::pod::Taint;
use crate::units::{Resource, Resources};

/// A node that may take pods.
pub(super) struct Existing<'w, 'a> {
    pub(super) node: usize,
    /// Its position in the filling order of the nodes that may take pods.
    pub(super) position: usize,
    pub(super) taints: &'w [&'a Taint],
    hostname: &'a str,
    /// The host name as a domain, once it was asked for.
    host: Option<Domain>,
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

/// The nodes that may take a pod of the question, in the order in which they are filled: those without room for the least that any of
/// them requests are left out.
pub(super) fn in_filling_order<'w, 'a>(input: &'w Input<'a>, common: &Common) -> Vec<Existing<'w, 'a>> {
    let least = least_requests(input, common);
    let targets = common.order.iter().copied().filter(|index| input.nodes[*index].target);
    let with_room = targets.enumerate().filter(|(_, index)| least.fits(&common.room[*index]));
    with_room
        .map(|(position, index)| {
            let node = &input.nodes[index];
            Existing {
                node: index,
                position,
                taints: &node.taints,
                hostname: node.hostname,
                host: None,
                set: common.sets[index],
                room: common.room[index],
                ports: node.host_ports.clone(),
                free_volumes: node.free_volumes,
                under_consolidate_after: node.under_consolidate_after,
                pods: Vec::new(),
            }
        })
        .collect()
}

/// Per resource, the least that a pod of the question requests.
fn least_requests(input: &Input<'_>, common: &Common) -> Resources {
    let mut asked = vec![false; input.shapes.len()];
    input.pods.iter().for_each(|pod| asked[pod.shape] = true);
    let requests = common.needs.iter().zip(asked).filter(|(_, asked)| *asked).map(|(needs, _)| needs.requests);
    requests.fold(Resources([i64::MAX; Resource::COUNT]), Resources::min)
}

impl Existing<'_, '_> {
    /// Its host name as a domain.
    pub(super) fn host(&mut self, names: &mut Names) -> Domain {
        *self.host.get_or_insert_with(|| names.intern(self.hostname))
    }

    /// Adds the pod (`Add`).
    pub(super) fn put(&mut self, pod: usize, needs: &Needs, set: SetId) {
        self.pods.push(pod);
        self.room -= needs.requests;
        self.set = set;
        self.ports.extend(needs.ports.iter().cloned());
        self.free_volumes = self.free_volumes.map(|free| free - needs.volumes);
    }

    /// Whether the node can take the pod (`CanAdd`).
    pub(super) fn can_add(
        &mut self,
        shape: usize,
        needs: &Needs,
        wants: &Wants,
        place: Place,
        topology: &mut Topology,
        arena: &mut Arena,
    ) -> Answer {
        let volumes_fit = self.free_volumes.is_none_or(|free| needs.volumes <= free);
        if !tolerates_all(&wants.tolerations, self.taints)
            || !volumes_fit
            || conflict(&needs.ports, &self.ports)
            || !needs.requests.fits(&self.room)
            || wants.host.as_ref().is_some_and(|host| !host.has(self.hostname))
        {
            return Answer::Never;
        }
        match arena.fit(self.set, wants.set, Undefined::Denied) {
            Fit::Yes => {}
            Fit::Conflict(_) => return Answer::Never,
            Fit::NotYet(_) => return Answer::NotNow,
        }
        let merged = arena.sum(self.set, wants.set);
        let (mut tried, mut answer) = (0, Answer::Never);
        loop {
            // Without volumes there is one way to try, and nothing to add to it.
            let asked = match needs.volume_alternatives.get(tried) {
                None => Ok(merged),
                Some(volumes) => self.with_volumes(merged, volumes, arena),
            };
            tried += 1;
            let this =
                asked.map_or_else(|no| no, |set| self.try_requirements(shape, wants, set, place, topology, arena));
            match this {
                Answer::Yes(set) => return Answer::Yes(set),
                Answer::NotNow => answer = Answer::NotNow,
                Answer::Never => {}
            }
            if tried >= needs.volume_alternatives.len() {
                return answer;
            }
        }
    }

    /// What is asked of the node with one choice among the places of the pod's volumes (`tryVolumeAlternative`).
    #[cold]
    fn with_volumes(&self, merged: SetId, volumes: &VolumeAlternative, arena: &mut Arena) -> Result<SetId, Answer> {
        if volumes.host.as_ref().is_some_and(|host| !host.has(self.hostname)) {
            return Err(Answer::Never);
        }
        match arena.fit(merged, volumes.set, Undefined::Denied) {
            Fit::Conflict(_) => Err(Answer::Never),
            Fit::NotYet(_) => Err(Answer::NotNow),
            Fit::Yes => Ok(arena.sum(merged, volumes.set)),
        }
    }

    /// Whether topology lets the pod go there with these requirements.
    #[inline]
    fn try_requirements(
        &mut self,
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
        let side = Side { set: merged, host: self.host(&mut topology.names), taints: self.taints };
        match topology.narrow(shape, &wants.membership, &wants.domains(), side, place, arena) {
            Ok(narrowed) if *arena.fit(merged, narrowed, Undefined::Denied) == Fit::Yes => Answer::Yes(narrowed),
            Err(refusal) if refusal.permanent => Answer::Never,
            Ok(_) | Err(_) => Answer::NotNow,
        }
    }
}
