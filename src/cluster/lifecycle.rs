//! What Karpenter and the cloud write about NodeClaims, instances and offerings.

use std::sync::Arc;

use super::catalogue::{CapacityType, Catalogue, InstanceType, Offering, TypeId, ZoneId};
use super::change::Change;
use super::ids::{InstanceId, NodeClaimId, NodeClassId, NodeId};
use super::instance::InstanceState;
use super::node_class::LaunchedWith;
use super::nodeclaim::LaunchError;
use super::state::Cluster;
use crate::api::meta::Labels;
use crate::time::Time;
use crate::units::{Resources, Usd};

/// What the cloud answered to a launch.
#[derive(Clone, Debug, PartialEq)]
pub struct Launched {
    /// The instance.
    pub instance: InstanceId,
    /// Its type.
    pub instance_type: TypeId,
    /// Its zone.
    pub zone: ZoneId,
    /// How it is bought.
    pub capacity_type: CapacityType,
    /// Id of its subnet, where the node class says which there are.
    pub subnet: Option<String>,
    /// Capacity for the NodeClaim's status.
    pub capacity: Resources,
    /// Allocatable for the NodeClaim's status.
    pub allocatable: Resources,
    /// Labels of type, zone and capacity type; the NodeClaim's own win.
    pub labels: Labels,
}

impl Cluster {
    /// Writes the answer of the cloud into a NodeClaim (`PopulateNodeClaimDetails`).
    pub fn launch_nodeclaim(&mut self, now: Time, id: NodeClaimId, launched: Launched) {
        let class = self.nodepools[self.nodeclaims[id.index()].pool.index()].node_class;
        let class = self.node_classes.get(class.index()).and_then(|class| class.version.clone());
        let claim = &mut self.nodeclaims[id.index()];
        claim.launched_with = class.map(|class| LaunchedWith { class, subnet: launched.subnet });
        claim.launched = Some(now);
        claim.instance = Some(launched.instance);
        claim.instance_type = Some(launched.instance_type);
        claim.zone = Some(launched.zone);
        claim.capacity_type = Some(launched.capacity_type);
        claim.capacity = launched.capacity;
        claim.allocatable = launched.allocatable;
        for (key, value) in launched.labels {
            claim.labels.entry(key).or_insert(value);
        }
        self.announce(Change::NodeClaimLaunched(id));
    }

    /// Tells that the launch of a NodeClaim failed.
    pub fn fail_launch(&mut self, id: NodeClaimId, error: LaunchError) {
        self.announce(Change::NodeClaimLaunchFailed(id, error));
    }

    /// Asks the cloud again to launch a NodeClaim.
    pub fn request_launch(&mut self, id: NodeClaimId) {
        self.announce(Change::NodeClaimLaunchRequested(id));
    }

    /// Sets condition Registered.
    pub fn register_nodeclaim(&mut self, now: Time, id: NodeClaimId) {
        let claim = &mut self.nodeclaims[id.index()];
        if claim.registered.is_none() {
            claim.registered = Some(now);
            self.announce(Change::NodeClaimRegistered(id));
        }
    }

    /// Sets condition Initialized.
    pub fn initialize_nodeclaim(&mut self, now: Time, id: NodeClaimId) {
        let claim = &mut self.nodeclaims[id.index()];
        if claim.initialized.is_none() {
            claim.initialized = Some(now);
            self.announce(Change::NodeClaimInitialized(id));
        }
    }

    /// Sets the deadline of a NodeClaim's drain.
    pub fn set_termination_deadline(&mut self, id: NodeClaimId, deadline: Option<Time>) {
        self.nodeclaims[id.index()].termination_deadline = deadline;
    }

    /// Adds labels to a Node; those that it has are overwritten.
    pub fn label_node(&mut self, id: NodeId, labels: Labels) {
        let node = &mut self.nodes[id.index()];
        let before = node.labels.clone();
        node.labels.extend(labels);
        if node.labels != before {
            self.announce(Change::NodeUpdated(id));
        }
    }

    /// Labels a NodeClaim and its Node as on demand; the labels `removed` go.
    pub fn move_to_on_demand(&mut self, id: NodeClaimId, removed: &[&str]) {
        let relabel = |labels: &mut Labels| {
            labels.insert("karpenter.sh/capacity-type".to_owned(), CapacityType::OnDemand.as_str().to_owned());
            labels.retain(|key, _| !removed.contains(&key.as_str()));
        };
        let claim = &mut self.nodeclaims[id.index()];
        claim.capacity_type = Some(CapacityType::OnDemand);
        relabel(&mut claim.labels);
        if let Some(node) = claim.node.filter(|_| claim.registered.is_some()) {
            self.nodes[node.index()].capacity_type = Some(CapacityType::OnDemand);
            relabel(&mut self.nodes[node.index()].labels);
            self.announce(Change::NodeUpdated(node));
        }
        self.announce(Change::NodeClaimLabels(id));
    }

    /// Asks the cloud to terminate a NodeClaim's instance; sets condition InstanceTerminating. Repetitions do no harm.
    pub fn terminate_instance(&mut self, id: NodeClaimId) {
        let claim = &mut self.nodeclaims[id.index()];
        claim.instance_terminating = true;
        if let Some(instance) = claim.instance {
            self.announce(Change::InstanceTerminateRequested(instance));
        }
    }

    /// Whether the cloud still knows an instance: everything but terminated counts.
    #[must_use]
    pub fn instance_exists(&self, id: InstanceId) -> bool {
        self.instances[id.index()].state != InstanceState::Terminated
    }

    /// Notes that EC2 takes an instance back of its own accord.
    pub fn mark_interrupted(&mut self, id: InstanceId) {
        self.instances[id.index()].interrupted = true;
    }

    /// The price of an instance from now on.
    pub fn set_instance_price(&mut self, now: Time, id: InstanceId, price: Usd) {
        let prices = &mut self.instances[id.index()].prices;
        if prices.last().is_none_or(|(_, last)| *last != price) {
            prices.push((now, price));
        }
    }

    /// Sets whether Karpenter considers an offering available.
    pub fn set_offering_available(
        &mut self,
        class: NodeClassId,
        instance_type: TypeId,
        zone: ZoneId,
        capacity_type: CapacityType,
        available: bool,
    ) {
        let matches = |offering: &&Offering| {
            offering.zone == zone && offering.capacity_type == capacity_type && offering.available != available
        };
        let shared = &mut self.catalogues[class.index()];
        if !shared.get(instance_type).offerings.iter().any(|offering| matches(&offering)) {
            return;
        }
        let catalogue = Arc::make_mut(shared);
        for offering in &mut catalogue.types[instance_type.0 as usize].offerings {
            if offering.zone == zone && offering.capacity_type == capacity_type {
                offering.available = available;
            }
        }
        self.announce(Change::Offerings(class));
    }

    /// Says in which zones a node class has no subnet: nothing is available there; elsewhere what `is_free` says of type, zone and
    /// capacity type. Offerings from capacity reservations stay as they are.
    pub fn set_zones_without_subnet(
        &mut self,
        class: NodeClassId,
        zones: Vec<ZoneId>,
        is_free: impl Fn(&str, &str, CapacityType) -> bool,
    ) {
        let catalogue = Arc::make_mut(&mut self.catalogues[class.index()]);
        catalogue.without_subnet = zones;
        let Catalogue { zones, without_subnet, types, .. } = catalogue;
        for InstanceType { name, offerings, .. } in types {
            for offering in offerings.iter_mut().filter(|offering| offering.reservation.is_none()) {
                let zone = &zones[usize::from(offering.zone.0)];
                offering.available =
                    !without_subnet.contains(&offering.zone) && is_free(name, zone, offering.capacity_type);
            }
        }
        self.announce(Change::Offerings(class));
    }

    /// Takes offerings out of all catalogues: EC2 no longer sells them, and Karpenter has noticed. `goes` is asked with type and zone.
    pub fn withdraw(&mut self, goes: impl Fn(&str, &str, CapacityType) -> bool) {
        for number in 0..self.catalogues.len() {
            let Catalogue { zones, types, .. } = Arc::make_mut(&mut self.catalogues[number]);
            for InstanceType { name, offerings, .. } in types {
                offerings.retain(|offering| !goes(name, &zones[usize::from(offering.zone.0)], offering.capacity_type));
            }
            self.announce(Change::Offerings(NodeClassId(number as u32)));
        }
    }
}
