//! Nodes of node groups (managed node groups, Auto Scaling groups) and their instances: what each looks like when it joins.

use super::catalogue::{CapacityType, Catalogue, Offering, TypeId, ZoneId};
use super::ids::NodeClassId;
use super::instance::Instance;
use super::node::Node;
use crate::api::meta::Labels;
use crate::scenario::Scenario;
use crate::scenario::node_groups::{GroupCapacityType, NodeGroup};
use crate::time::Time;
use crate::units::{Resource, Resources, Usd};

/// Label that names a node's group.
pub const GROUP_LABEL: &str = "eks.amazonaws.com/nodegroup";

/// The node of that number in a group, not ready and without its instance.
#[must_use]
pub fn node(catalogue: &Catalogue, scenario: &Scenario, group: &NodeGroup, index: u32, now: Time) -> Node {
    let instance_type = type_of(catalogue, group);
    let (capacity, allocatable) = match instance_type {
        Some(id) => (catalogue.get(id).capacity, catalogue.get(id).allocatable),
        None => (sized(group.capacity), sized(group.capacity)),
    };
    let name = format!("{}-{index}", group.name);
    Node {
        labels: labels(catalogue, scenario, group, &name, zone(catalogue, group, index)),
        instance_type,
        capacity_type: Some(capacity_type(group)),
        taints: group.taints.clone(),
        capacity,
        allocatable,
        volume_limit: scenario.cloud.volume_attach_limit,
        ..Node::new(name, now)
    }
}

/// The instance of the node of that number, launched at `now`; `None` when the group's nodes are no instances or not billed.
#[must_use]
pub fn instance(catalogue: &Catalogue, group: &NodeGroup, index: u32, now: Time) -> Option<Instance> {
    let id = type_of(catalogue, group).filter(|_| group.billed)?;
    let (zone, capacity_type) = (zone(catalogue, group, index), capacity_type(group));
    let mut offerings = catalogue.get(id).offerings.iter();
    let price = offerings
        .find(|offering| offering.zone == zone && offering.capacity_type == capacity_type)
        .map_or(Usd::ZERO, Offering::usd_per_hour);
    Some(Instance::new(now, NodeClassId(0), id, (zone, capacity_type), price))
}

fn type_of(catalogue: &Catalogue, group: &NodeGroup) -> Option<TypeId> {
    group.instance_type.as_deref().and_then(|name| catalogue.find(name))
}

fn capacity_type(group: &NodeGroup) -> CapacityType {
    match group.capacity_type {
        GroupCapacityType::OnDemand => CapacityType::OnDemand,
        GroupCapacityType::Spot => CapacityType::Spot,
    }
}

/// A capacity written without `pods` holds the kubelet's default of 110.
fn sized(capacity: Resources) -> Resources {
    if capacity.pods() == 0 { capacity.with(Resource::Pods, 110) } else { capacity }
}

fn zone(catalogue: &Catalogue, group: &NodeGroup, index: u32) -> ZoneId {
    let count = if group.zones.is_empty() { catalogue.zones.len() } else { group.zones.len() };
    let turn = index as usize % count.max(1);
    match group.zones.get(turn) {
        Some(name) => catalogue.find_zone(name).unwrap_or(ZoneId(0)),
        None => ZoneId(turn as u16),
    }
}

fn labels(catalogue: &Catalogue, scenario: &Scenario, group: &NodeGroup, name: &str, zone: ZoneId) -> Labels {
    let mut labels = Labels::new();
    let mut put = |key: &str, value: &str| {
        labels.insert(key.to_owned(), value.to_owned());
    };
    put("kubernetes.io/hostname", name);
    put("kubernetes.io/os", "linux");
    put("kubernetes.io/arch", "amd64");
    put("topology.kubernetes.io/region", &scenario.simulation.region);
    put("topology.kubernetes.io/zone", catalogue.zones.get(usize::from(zone.0)).map_or("", String::as_str));
    put(GROUP_LABEL, &group.name);
    let spot = group.capacity_type == GroupCapacityType::Spot;
    put("eks.amazonaws.com/capacityType", if spot { "SPOT" } else { "ON_DEMAND" });
    if let Some(id) = type_of(catalogue, group) {
        put("node.kubernetes.io/instance-type", &catalogue.get(id).name);
        for (key, values) in catalogue.get(id).labels.iter() {
            if let [value] = values.as_slice() {
                labels.insert(key.clone(), value.clone());
            }
        }
    }
    labels.extend(group.labels.clone());
    labels
}
