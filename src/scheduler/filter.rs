//! The filter plugins that look at one node and one pod.

use crate::api::pod::{Taint, TaintEffect};
use crate::units::Resources;

use super::shape::{HostPort, Shape};
use super::snapshot::{NodeInfo, NodeSpec, Room};

/// A plugin that can reject a pod, in the order in which filters run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Plugin {
    /// Cordoned node.
    NodeUnschedulable,
    /// `spec.nodeName` names another node.
    NodeName,
    /// Untolerated taint.
    TaintToleration,
    /// Node selector or required node affinity.
    NodeAffinity,
    /// Port taken.
    NodePorts,
    /// No room.
    NodeResourcesFit,
    /// More volumes than the node's CSI driver attaches.
    NodeVolumeLimits,
    /// A volume that the node does not reach, or a claim that cannot be used.
    VolumeBinding,
    /// A volume with labels of another zone or region.
    VolumeZone,
    /// Spread constraint with `DoNotSchedule`.
    PodTopologySpread,
    /// Required pod (anti-)affinity, of the pod or against it.
    InterPodAffinity,
}

/// A set of [`Plugin`]s.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Plugins(u16);

/// Why a node is not for a pod: the first plugin that rejects it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rejection {
    /// Who rejects.
    pub plugin: Plugin,
    /// Whether removing pods from the node could help (`Unschedulable` rather than `UnschedulableAndUnresolvable`).
    pub resolvable: bool,
}

impl Plugin {
    /// All plugins in filter order.
    pub const ALL: [Plugin; 11] = [
        Plugin::NodeUnschedulable,
        Plugin::NodeName,
        Plugin::TaintToleration,
        Plugin::NodeAffinity,
        Plugin::NodePorts,
        Plugin::NodeResourcesFit,
        Plugin::NodeVolumeLimits,
        Plugin::VolumeBinding,
        Plugin::VolumeZone,
        Plugin::PodTopologySpread,
        Plugin::InterPodAffinity,
    ];

    /// Upstream's name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Plugin::NodeUnschedulable => "NodeUnschedulable",
            Plugin::NodeName => "NodeName",
            Plugin::TaintToleration => "TaintToleration",
            Plugin::NodeAffinity => "NodeAffinity",
            Plugin::NodePorts => "NodePorts",
            Plugin::NodeResourcesFit => "NodeResourcesFit",
            Plugin::NodeVolumeLimits => "NodeVolumeLimits",
            Plugin::VolumeBinding => "VolumeBinding",
            Plugin::VolumeZone => "VolumeZone",
            Plugin::PodTopologySpread => "PodTopologySpread",
            Plugin::InterPodAffinity => "InterPodAffinity",
        }
    }
}

impl Plugins {
    /// No plugin.
    pub const NONE: Plugins = Plugins(0);
    /// Every plugin.
    pub const ALL: Plugins = Plugins(u16::MAX);

    /// The set with one more.
    #[must_use]
    pub const fn with(self, plugin: Plugin) -> Plugins {
        Plugins(self.0 | 1 << plugin as u8)
    }

    /// Whether a plugin is in the set.
    #[must_use]
    pub const fn has(self, plugin: Plugin) -> bool {
        self.0 & 1 << plugin as u8 != 0
    }

    /// Whether the sets share a plugin.
    #[must_use]
    pub const fn intersects(self, other: Plugins) -> bool {
        self.0 & other.0 != 0
    }

    /// Whether there is none.
    #[must_use]
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }
}

/// The first taint with `NoSchedule` or `NoExecute` that the pod does not tolerate (`FindMatchingUntoleratedTaint`).
#[inline]
#[must_use]
pub fn untolerated_taint<'a>(shape: &Shape, node: &'a NodeSpec) -> Option<&'a Taint> {
    node.taints.iter().find(|taint| taint.effect != TaintEffect::PreferNoSchedule && !shape.tolerates(taint))
}

/// Cordon, unless the pod tolerates the taint that stands for it (`nodeunschedulable: Filter`).
#[inline]
#[must_use]
pub fn cordoned(shape: &Shape, node: &NodeSpec) -> bool {
    node.unschedulable
        && !shape.tolerates(&Taint {
            key: "node.kubernetes.io/unschedulable".to_owned(),
            value: String::new(),
            effect: TaintEffect::NoSchedule,
        })
}

/// Node selector and required node affinity (`nodeaffinity: GetRequiredNodeAffinity().Match`).
#[inline]
#[must_use]
pub fn node_affinity_matches(shape: &Shape, node: &NodeSpec) -> bool {
    shape.traits.spec.selects_node(&node.labels, &node.name)
}

/// What can be said from the node's description alone; `None` = passes.
#[inline]
#[must_use]
pub fn reject_by_description(shape: &Shape, node: &NodeSpec) -> Option<Rejection> {
    let plugin = if cordoned(shape, node) {
        Plugin::NodeUnschedulable
    } else if shape.traits.spec.node_name.as_ref().is_some_and(|name| *name != node.name) {
        Plugin::NodeName
    } else if untolerated_taint(shape, node).is_some() {
        Plugin::TaintToleration
    } else if !node_affinity_matches(shape, node) {
        Plugin::NodeAffinity
    } else {
        return None;
    };
    Some(Rejection { plugin, resolvable: false })
}

/// The resources of which the node has less than the pod wants, a bit each, with `extra` counted as requested too
/// (`noderesources/fit.go: fitsRequest`).
#[must_use]
pub fn lacking(shape: &Shape, room: &Room, extra: &Resources) -> u16 {
    shape.wanted.iter().fold(0, |bits, &(resource, want)| {
        bits | u16::from(want > room.left.get(resource) - extra.get(resource)) << resource as u16
    })
}

/// Ports, resources and volumes (`nodeports: fitsPorts`, `noderesources/fit.go: Filter`, `nodevolumelimits/csi.go: Filter`) where the
/// node lacks these resources.
#[must_use]
pub fn reject_by_room(shape: &Shape, node: &NodeInfo, lacking: u16) -> Option<Rejection> {
    if shape.ports.iter().any(|port| node.ports.iter().any(|taken| ports_conflict(port, taken))) {
        return Some(Rejection { plugin: Plugin::NodePorts, resolvable: true });
    }
    if lacking != 0 {
        let beyond = shape.wanted.iter().any(|(resource, want)| *want > node.spec.allocatable.get(*resource));
        return Some(Rejection { plugin: Plugin::NodeResourcesFit, resolvable: !beyond });
    }
    let over = |limit: u32| node.volumes + shape.volumes > limit;
    (shape.volumes > 0 && node.spec.volume_limit.is_some_and(over))
        .then_some(Rejection { plugin: Plugin::NodeVolumeLimits, resolvable: true })
}

/// Whether two ports of one node exclude each other (`framework.HostPortInfo: CheckConflict`).
#[must_use]
pub fn ports_conflict(a: &HostPort, b: &HostPort) -> bool {
    const ANY: &str = "0.0.0.0";
    a.port == b.port && a.protocol == b.protocol && (a.address == b.address || a.address == ANY || b.address == ANY)
}
