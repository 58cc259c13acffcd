//! Claims of storage: whether a pod can be placed at all, and which nodes reach its volumes (`plugins/volumebinding`,
//! `plugins/volumezone`).

use crate::api::meta::Labels;
use crate::cluster::storage::{Access, ClaimFault, Reach};

use super::filter::{Plugin, Rejection};
use super::snapshot::NodeSpec;

/// What the claims of a pod ask.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Claims {
    /// Why no node comes into question (`PreFilter`).
    pub fault: Option<ClaimFault>,
    /// What each volume asks of the node, those without a demand left out.
    pub volumes: Vec<Demand>,
}

/// What a volume asks of the node.
#[derive(Clone, Debug, PartialEq)]
pub struct Demand {
    /// Nodes from which it can be reached or, while there is none, where there may be one.
    pub reach: Reach,
    /// Labels of the volume and their values: a node that has any of them must have one of the values of each.
    pub labels: Vec<(String, Vec<String>)>,
}

impl Claims {
    /// Of what the volumes of a pod ask.
    #[must_use]
    pub fn of(accesses: &[Access<'_>]) -> Claims {
        let fault = accesses.iter().find_map(|access| match access {
            Access::Fault(fault) => Some(fault.clone()),
            _ => None,
        });
        let demands = accesses.iter().map(|access| {
            let labels = match access {
                Access::Bound(volume) => volume.topology_labels.clone(),
                _ => Vec::new(),
            };
            Demand { reach: access.reach(), labels }
        });
        let demanding = |demand: &Demand| demand.reach != Reach::Everywhere || !demand.labels.is_empty();
        Claims { fault, volumes: demands.filter(demanding).collect() }
    }

    /// Whether the volumes rule the node out (`Filter` of `VolumeBinding`, then of `VolumeZone`).
    #[must_use]
    #[inline]
    pub fn reject(&self, node: &NodeSpec) -> Option<Rejection> {
        if self.volumes.is_empty() { None } else { self.reject_unreached(node) }
    }

    #[cold]
    fn reject_unreached(&self, node: &NodeSpec) -> Option<Rejection> {
        let unreached = |demand: &Demand| match &demand.reach {
            Reach::Everywhere => false,
            Reach::Terms(terms) => !terms.iter().any(|term| term.matches(&node.labels, &node.name)),
        };
        let plugin = if self.volumes.iter().any(unreached) {
            Plugin::VolumeBinding
        } else if self.volumes.iter().any(|demand| !in_zone(&demand.labels, &node.labels)) {
            Plugin::VolumeZone
        } else {
            return None;
        };
        Some(Rejection { plugin, resolvable: false })
    }
}

/// A node without any label of places is taken to be in the right one.
fn in_zone(demanded: &[(String, Vec<String>)], node: &Labels) -> bool {
    const PLACES: [&str; 2] = ["topology.kubernetes.io/zone", "topology.kubernetes.io/region"];
    !PLACES.iter().any(|key| node.contains_key(*key))
        || demanded.iter().all(|(key, values)| node.get(key).is_some_and(|value| values.contains(value)))
}
