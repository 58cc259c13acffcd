//! How an instance becomes a Node that takes pods.

use std::sync::Arc;

use crate::api::meta::Labels;
use crate::api::pod::{Taint, TaintEffect};
use crate::cluster::catalogue::Catalogue;
use crate::cluster::instance::InstanceState;
use crate::cluster::node::Node;
use crate::cluster::nodeclaim::NodeClaim;
use crate::cluster::{Cluster, NodeClaimId, NodeId, World};
use crate::engine::{Agenda, Distribution, Stream, Streams};
use crate::scenario::Scenario;
use crate::scenario::cloud::Provider;
use crate::scenario::simulation::Profile;
use crate::time::Duration;

use super::Event;
use super::health::{NOT_READY, UNINITIALIZED};

/// Taint with which Karpenter's nodes join, until Karpenter has registered them.
const UNREGISTERED: &str = "karpenter.sh/unregistered";
/// From a Node's creation to the cloud controller's look at it.
const CLOUD_INITIALIZATION: Duration = Duration::from_secs(1);

/// Draws of the joining of nodes.
pub struct NodeStart {
    provider: Provider,
    /// One factor of the whole run on registration and readiness.
    cluster_factor: f64,
    registrations: Stream,
    readiness: Stream,
    names: Stream,
}

impl NodeStart {
    pub fn new(scenario: &Scenario, streams: Streams) -> NodeStart {
        let provider = scenario.cloud.provider.unwrap_or(match scenario.simulation.profile {
            Profile::Aws => Provider::Aws,
            Profile::Kwok => Provider::Kwok,
        });
        let sigma = scenario.latencies.cluster_factor_sigma;
        let cluster_factor = if sigma > 0.0 && provider == Provider::Aws {
            Distribution::lognormal_factor(sigma, &mut streams.open("cluster-factor", 0))
        } else {
            1.0
        };
        NodeStart {
            provider,
            cluster_factor,
            registrations: streams.open("node-registered", 0),
            readiness: streams.open("node-ready", 0),
            names: streams.open("node-name", 0),
        }
    }

    /// The instance of a NodeClaim is on its way.
    pub fn launched(&mut self, claim: NodeClaimId, world: &World<'_>, agenda: &mut Agenda<Event>) {
        let delay = match self.provider {
            Provider::Aws => {
                let usual = world.scenario.latencies.node_registered.sample(&mut self.registrations);
                self.scaled(usual)
            }
            Provider::Kwok => kwok_delay(world, claim),
        };
        agenda.at(world.now + delay, Event::Register(claim));
    }

    /// kubelet creates the Node object.
    pub fn register(&mut self, id: NodeClaimId, world: &mut World<'_>) {
        let claim = &world.cluster.nodeclaims[id.index()];
        let lost = claim
            .instance
            .is_some_and(|instance| world.cluster.instances[instance.index()].state >= InstanceState::ShuttingDown);
        if !claim.exists() || claim.node.is_some() || lost {
            return;
        }
        let bits = self.names.bits();
        let name = match self.provider {
            Provider::Aws => {
                format!(
                    "ip-10-{}-{}-{}.{}.compute.internal",
                    bits >> 56,
                    bits >> 48 & 255,
                    bits >> 40 & 255,
                    world.scenario.simulation.region
                )
            }
            Provider::Kwok => format!("kwok-{}-{:08x}", claim.name, bits >> 32),
        };
        let node = self.node_of(world, id, name);
        world.cluster.create_node(node);
    }

    fn node_of(&self, world: &World<'_>, id: NodeClaimId, name: String) -> Node {
        let cluster: &Cluster = world.cluster;
        let claim = &cluster.nodeclaims[id.index()];
        let catalogue = cluster.catalogue_of(claim.pool);
        let mut taints = vec![taint(NOT_READY, TaintEffect::NoSchedule)];
        if self.provider == Provider::Aws {
            taints.push(taint(UNINITIALIZED, TaintEffect::NoSchedule));
        }
        taints.extend(claim.taints.iter().chain(&claim.startup_taints).cloned());
        taints.push(taint(UNREGISTERED, TaintEffect::NoExecute));
        Node {
            labels: labels(claim, catalogue, &cluster.nodepools[claim.pool.index()].name, &name),
            nodeclaim: Some(id),
            pool: Some(claim.pool),
            instance: claim.instance,
            instance_type: claim.instance_type,
            capacity_type: claim.capacity_type,
            annotations: claim.annotations.clone(),
            taints,
            capacity: claim.capacity,
            allocatable: claim.allocatable,
            volume_limit: world.scenario.cloud.volume_attach_limit,
            ..Node::new(name, world.now)
        }
    }

    /// A Node object appeared: its network will be there after a while.
    pub fn created(&mut self, node: NodeId, world: &World<'_>, agenda: &mut Agenda<Event>) {
        let record = &world.cluster.nodes[node.index()];
        if record.ready {
            return;
        }
        let latencies = &world.scenario.latencies;
        let delay = match self.provider {
            Provider::Kwok => world.scenario.cloud.kwok_ready.sample(&mut self.readiness),
            Provider::Aws => {
                agenda.at(world.now + CLOUD_INITIALIZATION, Event::CloudInitialized(node));
                let usual = latencies.node_ready.sample(&mut self.readiness);
                let slow = self.readiness.chance(latencies.slow_node_probability);
                if slow { latencies.slow_node_ready.sample(&mut self.readiness) } else { self.scaled(usual) }
            }
        };
        agenda.at(world.now + delay, Event::NodeReady(node));
    }

    /// The cloud controller removes its taint.
    pub fn cloud_initialized(node: NodeId, world: &mut World<'_>) {
        remove_taint(node, UNINITIALIZED, world);
    }

    /// kubelet reports Ready; the taint that stands for the contrary goes with it, and those of the agents that run by then.
    pub fn ready(node: NodeId, world: &mut World<'_>) {
        if world.cluster.nodes[node.index()].exists() {
            world.cluster.set_node_ready(world.now, node, true);
            remove_taint(node, NOT_READY, world);
            let claim = world.cluster.nodes[node.index()].nodeclaim;
            let startup =
                claim.map_or_else(Vec::new, |id| world.cluster.nodeclaims[id.index()].startup_taints.to_vec());
            for taint in startup {
                remove_taint(node, &taint.key, world);
            }
        }
    }

    fn scaled(&self, delay: Duration) -> Duration {
        Duration::from_secs_f64(delay.as_secs_f64() * self.cluster_factor)
    }
}

/// Delay of the KWOKNodeClass that the NodeClaim's pool names.
fn kwok_delay(world: &World<'_>, claim: NodeClaimId) -> Duration {
    let pool = world.cluster.nodeclaims[claim.index()].pool;
    let reference = world.cluster.nodepools[pool.index()].object.spec.template.spec.node_class_ref.as_ref();
    let classes = &world.scenario.kwok_node_classes;
    let class = classes.iter().find(|class| class.metadata.name.as_ref() == reference.map(|reference| &reference.name));
    class.map_or(Duration::ZERO, |class| class.spec.node_registration_delay.0)
}

/// What the NodeClaim gives its Node, what the instance type says of itself, and where it is.
fn labels(claim: &NodeClaim, catalogue: &Arc<Catalogue>, pool: &str, name: &str) -> Labels {
    let mut labels = Labels::new();
    if let Some(id) = claim.instance_type {
        let instance_type = catalogue.get(id);
        for (key, values) in instance_type.labels.iter() {
            if let [value] = values.as_slice() {
                labels.insert(key.clone(), value.clone());
            }
        }
        labels.insert("node.kubernetes.io/instance-type".to_owned(), instance_type.name.clone());
    }
    if let Some(zone) = claim.zone {
        labels.insert("topology.kubernetes.io/zone".to_owned(), catalogue.zone(zone).to_owned());
    }
    if let Some(capacity_type) = claim.capacity_type {
        labels.insert("karpenter.sh/capacity-type".to_owned(), capacity_type.as_str().to_owned());
    }
    labels.insert("karpenter.sh/nodepool".to_owned(), pool.to_owned());
    labels.extend(claim.labels.clone());
    labels.insert("kubernetes.io/hostname".to_owned(), name.to_owned());
    labels
}

fn taint(key: &str, effect: TaintEffect) -> Taint {
    Taint { key: key.to_owned(), value: String::new(), effect }
}

/// Removes all taints of a key.
pub(super) fn remove_taint(node: NodeId, key: &str, world: &mut World<'_>) {
    let record = &world.cluster.nodes[node.index()];
    if record.exists() && record.has_taint(key) {
        let left = record.taints.iter().filter(|taint| taint.key != key).cloned().collect();
        world.cluster.set_taints(node, left);
    }
}
