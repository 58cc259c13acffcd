//! The DaemonSet controller: one pod on every node that fits.

use std::collections::BTreeSet;

use crate::cluster::fargate::COMPUTE_TYPE;
use crate::cluster::pod::Owner;
use crate::cluster::{DaemonSetId, NodeId, PodId, World};
use crate::engine::Agenda;
use crate::time::Duration;

use super::Event;
use super::daemons::should_run;

/// From a Node's creation or change to the creation of its daemons' pods.
const SYNC: Duration = Duration::from_millis(100);
/// From a daemon pod's creation to its binding.
const BIND: Duration = Duration::from_millis(50);
/// Until a daemon that finds no room is tried again.
const RETRY: Duration = Duration::from_secs(1);

/// Which nodes have which daemons.
#[derive(Default)]
pub struct DaemonSets {
    /// Set and node of every daemon that exists or is about to.
    running: BTreeSet<(DaemonSetId, NodeId)>,
    pods: Vec<(PodId, DaemonSetId, NodeId)>,
}

impl DaemonSets {
    /// Creates the daemons that a node lacks.
    pub fn look_at(&mut self, node: NodeId, world: &World<'_>, agenda: &mut Agenda<Event>) {
        let record = &world.cluster.nodes[node.index()];
        // Fargate runs no DaemonSets.
        if !record.exists() || record.labels.contains_key(COMPUTE_TYPE) {
            return;
        }
        for (index, set) in world.cluster.daemonsets.iter().enumerate() {
            let id = DaemonSetId(index as u32);
            let spec = &world.cluster.shapes[set.shape.index()].spec;
            let fits = || should_run(spec, &record.labels, &record.name, &record.taints);
            if set.applied.is_some() && !self.running.contains(&(id, node)) && fits() {
                self.running.insert((id, node));
                agenda.at(world.now + SYNC, Event::CreateDaemon(id, node));
            }
        }
    }

    pub fn create(&mut self, set: DaemonSetId, node: NodeId, world: &mut World<'_>, agenda: &mut Agenda<Event>) {
        if !world.cluster.nodes[node.index()].exists() {
            self.running.remove(&(set, node));
            return;
        }
        let shape = world.cluster.daemonsets[set.index()].shape;
        let pod = world.cluster.create_pod(world.now, shape, Owner::DaemonSet(set));
        self.pods.push((pod, set, node));
        agenda.at(world.now + BIND, Event::BindDaemon(pod, node));
    }

    /// A daemon's pod belongs to its node from the beginning; it waits when there is no room.
    pub fn bind(pod: PodId, node: NodeId, world: &mut World<'_>, agenda: &mut Agenda<Event>) {
        let record = &world.cluster.nodes[node.index()];
        if !world.cluster.pods[pod.index()].exists() {
            return;
        }
        if !record.exists() {
            world.cluster.remove_pod(world.now, pod);
        } else if world.cluster.shape_of(pod).requests.fits(&record.free()) {
            world.cluster.bind(world.now, pod, node);
        } else {
            agenda.at(world.now + RETRY, Event::BindDaemon(pod, node));
        }
    }

    /// A daemon that went is replaced while its node stays.
    pub fn pod_gone(&mut self, pod: PodId, world: &World<'_>, agenda: &mut Agenda<Event>) {
        let Some(index) = self.pods.iter().position(|(known, ..)| *known == pod) else { return };
        let (_, set, node) = self.pods.swap_remove(index);
        self.running.remove(&(set, node));
        if world.cluster.nodes[node.index()].deleting.is_none() {
            self.look_at(node, world, agenda);
        }
    }
}
