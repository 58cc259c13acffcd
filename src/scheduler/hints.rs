//! Which plugins see hope in an event for a pod of some shape (the plugins' `EventsToRegister` and `QueueingHintFn`s).

use crate::units::Resource;

use super::filter::{Plugin, Plugins, cordoned, node_affinity_matches, ports_conflict, untolerated_taint};
use super::shape::Shape;
use super::snapshot::NodeSpec;

/// An event that may make pods schedulable.
#[derive(Clone, Copy, Debug)]
pub enum ClusterEvent<'a> {
    /// A Node object was created.
    NodeAdded(&'a NodeSpec),
    /// Labels, taints, allocatable or cordon of a Node changed.
    NodeChanged {
        /// Before.
        old: &'a NodeSpec,
        /// After.
        new: &'a NodeSpec,
    },
    /// A Node object was removed.
    NodeRemoved,
    /// A bound pod's object is gone or its phase is terminal: its room is free.
    AssignedPodDeleted(&'a Shape),
    /// A pod was bound.
    AssignedPodAdded(&'a Shape),
    /// Claims were bound: there are volumes, or they are taken.
    ClaimsBound,
}

/// The plugins that would let a pod of the shape be tried again. Without `hints` (before 1.32) every plugin that registered for
/// the kind of event does.
#[must_use]
pub fn waking_plugins(event: ClusterEvent<'_>, shape: &Shape, hints: bool) -> Plugins {
    match event {
        ClusterEvent::NodeAdded(node) => node_added(node, shape, hints),
        ClusterEvent::NodeChanged { old, new } => node_changed(old, new, shape, hints),
        ClusterEvent::NodeRemoved => Plugins::NONE.with(Plugin::PodTopologySpread),
        ClusterEvent::AssignedPodDeleted(gone) => pod_deleted(gone, shape, hints),
        ClusterEvent::AssignedPodAdded(bound) => pod_added(bound, shape),
        ClusterEvent::ClaimsBound => Plugins::NONE.with(Plugin::VolumeBinding).with(Plugin::VolumeZone),
    }
}

fn node_added(node: &NodeSpec, shape: &Shape, hints: bool) -> Plugins {
    if !hints {
        return if admits(node, shape) { Plugins::ALL } else { Plugins::NONE };
    }
    let fits = fits_empty(node, shape);
    // The CSINode comes with its Node.
    let mut plugins = Plugins::NONE.with(Plugin::NodeName).with(Plugin::NodePorts).with(Plugin::NodeVolumeLimits);
    plugins = plugins.with(Plugin::VolumeBinding).with(Plugin::VolumeZone);
    if fits {
        plugins = plugins.with(Plugin::NodeResourcesFit);
    }
    if untolerated_taint(shape, node).is_none() {
        plugins = plugins.with(Plugin::TaintToleration);
    }
    if !cordoned(shape, node) {
        plugins = plugins.with(Plugin::NodeUnschedulable);
    }
    if node_affinity_matches(shape, node) {
        plugins = plugins.with(Plugin::NodeAffinity);
    }
    if has_topology(node, shape) {
        plugins = plugins.with(Plugin::PodTopologySpread).with(Plugin::InterPodAffinity);
    }
    plugins
}

fn node_changed(old: &NodeSpec, new: &NodeSpec, shape: &Shape, hints: bool) -> Plugins {
    let (labels, taints) = (old.labels != new.labels, old.taints != new.taints);
    if !hints && !admits(new, shape) {
        return Plugins::NONE;
    }
    if !hints && taints {
        // A new node is seen with its start-up taints, which `preCheckForNode` refuses; so every plugin that registered for Node
        // add is registered for changes of taints too (`pkg/scheduler/scheduler.go: buildQueueingHintMap`).
        return Plugins::ALL;
    }
    let (allocatable, cordon) = (old.allocatable != new.allocatable, old.unschedulable != new.unschedulable);
    let mut plugins = Plugins::NONE;
    let mut wake = |changed: bool, hint: bool, plugin: Plugin| {
        if changed && (hint || !hints) {
            plugins = plugins.with(plugin);
        }
    };
    let grew = || {
        fits_empty(new, shape)
            && (!fits_empty(old, shape)
                || Resource::ALL.into_iter().any(|resource| {
                    shape.requests.get(resource) > 0 && new.allocatable.get(resource) > old.allocatable.get(resource)
                }))
    };
    wake(allocatable, allocatable && grew(), Plugin::NodeResourcesFit);
    let tolerated = |node| untolerated_taint(shape, node).is_none();
    wake(taints, taints && !tolerated(old) && tolerated(new), Plugin::TaintToleration);
    wake(cordon, cordoned(shape, old) && !cordoned(shape, new), Plugin::NodeUnschedulable);
    let matches = |node| node_affinity_matches(shape, node);
    wake(labels, labels && !matches(old) && matches(new), Plugin::NodeAffinity);
    wake(labels, labels, Plugin::VolumeBinding);
    wake(labels, labels, Plugin::VolumeZone);
    wake(labels, labels && has_topology(new, shape), Plugin::PodTopologySpread);
    wake(labels, labels && has_topology(new, shape), Plugin::InterPodAffinity);
    // A spread constraint that honours taints sees a node appear when its taints go.
    wake(taints, taints && shape.hard_spread.iter().any(|c| c.honor_taints), Plugin::PodTopologySpread);
    plugins
}

fn pod_deleted(gone: &Shape, shape: &Shape, hints: bool) -> Plugins {
    let mut plugins = Plugins::NONE;
    let frees = Resource::ALL.into_iter().any(|r| shape.requests.get(r) > 0 && gone.requests.get(r) > 0);
    if frees || !hints {
        plugins = plugins.with(Plugin::NodeResourcesFit);
    }
    if gone.traits.spec.attached_volumes() > 0 || !hints {
        plugins = plugins.with(Plugin::NodeVolumeLimits);
    }
    if shape.ports.iter().any(|port| gone.ports.iter().any(|freed| ports_conflict(port, freed))) {
        plugins = plugins.with(Plugin::NodePorts);
    }
    if shape.hard_spread.iter().any(|c| c.selector.matches(&gone.traits.labels)) {
        plugins = plugins.with(Plugin::PodTopologySpread);
    }
    let avoided = shape.anti_affinity.iter().any(|term| term.selects(&gone.traits.labels));
    let closed = gone.anti_affinity.iter().any(|term| term.selects(&shape.traits.labels));
    if avoided || closed {
        plugins = plugins.with(Plugin::InterPodAffinity);
    }
    plugins
}

fn pod_added(bound: &Shape, shape: &Shape) -> Plugins {
    let mut plugins = Plugins::NONE;
    if shape.hard_spread.iter().any(|c| c.selector.matches(&bound.traits.labels)) {
        plugins = plugins.with(Plugin::PodTopologySpread);
    }
    if shape.affinity.iter().any(|term| term.selects(&bound.traits.labels)) {
        plugins = plugins.with(Plugin::InterPodAffinity);
    }
    plugins
}

/// Before 1.32 a node that would not admit the pod wakes no one (`pkg/scheduler/eventhandlers.go: preCheckForNode`).
fn admits(node: &NodeSpec, shape: &Shape) -> bool {
    fits_empty(node, shape)
        && node_affinity_matches(shape, node)
        && untolerated_taint(shape, node).is_none()
        && !cordoned(shape, node)
}

/// Whether the pod would fit the node if it were empty (`noderesources/fit.go: isFit`).
fn fits_empty(node: &NodeSpec, shape: &Shape) -> bool {
    Resource::ALL.into_iter().all(|resource| shape.requests.get(resource) <= node.allocatable.get(resource).max(0))
}

fn has_topology(node: &NodeSpec, shape: &Shape) -> bool {
    let keys = shape.hard_spread.iter().map(|c| &c.key).chain(shape.affinity.iter().map(|t| &t.key));
    keys.into_iter().all(|key| node.labels.contains_key(key) || key == "kubernetes.io/hostname")
}
