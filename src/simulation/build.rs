//! From a scenario to the cluster as it is before the first instant.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::api::karpenter::NodePool as NodePoolObject;
use crate::api::meta::{LabelSelector, Labels, ObjectMeta};
use crate::api::pod::PodTemplate;
use crate::api::workload::{PreemptionPolicy, PriorityClass};
use crate::cluster::catalogue::{CapacityType, Catalogue, TypeId, ZoneId};
use crate::cluster::instance::{Instance, InstanceState};
use crate::cluster::node::Node;
use crate::cluster::nodeclaim::NodePool;
use crate::cluster::pod::PodShape;
use crate::cluster::state::Applied;
use crate::cluster::workload::{DaemonSet, Deployment, ScaledJob, ScaledObject};
use crate::cluster::{
    Cluster, DaemonSetId, DeploymentId, NodeClassId, NodePoolId, ScaledJobId, ScaledObjectId, ShapeId,
};
use crate::ec2::capacity::NodeSettings;
use crate::ec2::catalogue::build as build_catalogue;
use crate::ec2::kwok;
use crate::ec2::prices::Prices;
use crate::engine::Streams;
use crate::scenario::Scenario;
use crate::scenario::node_groups::{GroupCapacityType, NodeGroup};
use crate::time::{Duration, Time};
use crate::units::{Resource, Resources, Usd};

/// The cluster before the first instant, and the objects that are applied later, with their times.
pub struct Beginning {
    /// The cluster: nodes of node groups are there, nothing else is applied yet.
    pub cluster: Cluster,
    /// What is applied when, in order.
    pub applied: Vec<(Time, Applied)>,
}

/// Why a scenario has no beginning.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct BuildError(pub String);

/// Builds the cluster of a scenario.
///
/// # Errors
/// When a catalogue cannot be built: an unknown region, or a catalogue file of the wrong form.
pub fn build(scenario: &Scenario, streams: Streams) -> Result<Beginning, BuildError> {
    let mut cluster = Cluster::new(streams.open("uid", 0));
    cluster.pdbs.clone_from(&scenario.pdbs);
    cluster.priority_classes.clone_from(&scenario.priority_classes);
    let classes = add_catalogues(&mut cluster, scenario, streams)?;
    let mut applied = Vec::new();
    add_node_pools(&mut cluster, scenario, &classes, &mut applied);
    add_daemon_sets(&mut cluster, scenario, &mut applied);
    add_deployments(&mut cluster, scenario, &mut applied);
    add_scalers(&mut cluster, scenario, &mut applied);
    for group in &scenario.node_groups {
        add_node_group(&mut cluster, scenario, group);
    }
    applied.sort_by_key(|(at, _)| *at);
    Ok(Beginning { cluster, applied })
}

/// One catalogue for each node class; the first stands for pools that name no class.
fn add_catalogues(
    cluster: &mut Cluster,
    scenario: &Scenario,
    streams: Streams,
) -> Result<BTreeMap<String, NodeClassId>, BuildError> {
    let mut classes = BTreeMap::new();
    let mut prices = Prices::new(&scenario.market, streams);
    let (region, zones) = (&scenario.simulation.region, &scenario.simulation.zones);
    let kwok_catalogue = match &scenario.cloud.catalogue {
        Some(text) => Some(Arc::new(kwok::parse_catalogue(text).map_err(|error| BuildError(error.to_string()))?)),
        None => None,
    };
    let mut aws = |settings: &NodeSettings| -> Result<Arc<Catalogue>, BuildError> {
        build_catalogue(region, zones, settings, &mut prices, Time::ZERO)
            .map(Arc::new)
            .map_err(|error| BuildError(error.to_string()))
    };
    let default = match &kwok_catalogue {
        Some(catalogue) => catalogue.clone(),
        None => aws(&NodeSettings::of_family(crate::api::karpenter::AmiFamily::Al2023))?,
    };
    cluster.catalogues.push(default.clone());
    for class in &scenario.kwok_node_classes {
        let id = NodeClassId(cluster.catalogues.len() as u32);
        cluster.catalogues.push(default.clone());
        classes.insert(name_of(&class.metadata), id);
    }
    for class in &scenario.node_classes {
        let settings = NodeSettings::of_class(&class.spec).map_err(|error| BuildError(error.to_string()))?;
        let id = NodeClassId(cluster.catalogues.len() as u32);
        cluster.catalogues.push(aws(&settings)?);
        classes.insert(name_of(&class.metadata), id);
    }
    Ok(classes)
}

fn name_of(metadata: &ObjectMeta) -> String {
    metadata.name.clone().unwrap_or_default()
}

/// When an object is applied; `None` when a timed change creates it.
fn applied_at(scenario: &Scenario, kind: &str, name: &str) -> Option<Time> {
    let path = format!("{kind}/{name}");
    if scenario.changes.iter().any(|change| change.create.contains(&path)) {
        return None;
    }
    Some(Time::ZERO + scenario.clocks.applied.get(&path).copied().unwrap_or(Duration::ZERO))
}

fn add_node_pools(
    cluster: &mut Cluster,
    scenario: &Scenario,
    classes: &BTreeMap<String, NodeClassId>,
    applied: &mut Vec<(Time, Applied)>,
) {
    for object in &scenario.node_pools {
        let name = name_of(&object.metadata);
        let id = NodePoolId(cluster.nodepools.len() as u32);
        cluster.nodepools.push(NodePool {
            name: name.clone(),
            object: Arc::new(object.clone()),
            node_class: class_of(object, classes),
            generation: 1,
            applied: None,
            deleted: false,
        });
        applied.extend(applied_at(scenario, "NodePool", &name).map(|at| (at, Applied::NodePool(id))));
    }
}

fn class_of(object: &NodePoolObject, classes: &BTreeMap<String, NodeClassId>) -> NodeClassId {
    let reference = object.spec.template.spec.node_class_ref.as_ref();
    reference.and_then(|reference| classes.get(&reference.name)).copied().unwrap_or(NodeClassId(0))
}

fn add_daemon_sets(cluster: &mut Cluster, scenario: &Scenario, applied: &mut Vec<(Time, Applied)>) {
    for object in &scenario.daemon_sets {
        let name = name_of(&object.metadata);
        let id = DaemonSetId(cluster.daemonsets.len() as u32);
        let shape = add_shape(cluster, &object.spec.template);
        cluster.daemonsets.push(DaemonSet { name: name.clone(), applied: None, shape });
        applied.extend(applied_at(scenario, "DaemonSet", &name).map(|at| (at, Applied::DaemonSet(id))));
    }
}

fn add_deployments(cluster: &mut Cluster, scenario: &Scenario, applied: &mut Vec<(Time, Applied)>) {
    for object in &scenario.deployments {
        let name = name_of(&object.metadata);
        let id = DeploymentId(cluster.deployments.len() as u32);
        let shape = add_shape(cluster, &object.spec.template);
        let selector = object.spec.selector.clone().unwrap_or_else(|| LabelSelector {
            match_labels: object.spec.template.metadata.labels.clone(),
            match_expressions: Vec::new(),
        });
        cluster.deployments.push(Deployment {
            name: name.clone(),
            applied: None,
            replicas: object.spec.replicas.unwrap_or(1),
            shape,
            selector: Arc::new(selector),
            pods: Vec::new(),
            status_replicas: 0,
            ready_replicas: 0,
        });
        applied.extend(applied_at(scenario, "Deployment", &name).map(|at| (at, Applied::Deployment(id))));
    }
}

fn add_scalers(cluster: &mut Cluster, scenario: &Scenario, applied: &mut Vec<(Time, Applied)>) {
    for object in &scenario.scaled_objects {
        let name = name_of(&object.metadata);
        let id = ScaledObjectId(cluster.scaled_objects.len() as u32);
        cluster.scaled_objects.push(ScaledObject {
            name: name.clone(),
            applied: None,
            spec: Arc::new(object.spec.clone()),
            annotations: Arc::new(object.metadata.annotations.clone()),
            generation: 1,
            target: cluster.find_deployment(&object.spec.scale_target_ref.name),
            deleted: false,
        });
        applied.extend(applied_at(scenario, "ScaledObject", &name).map(|at| (at, Applied::ScaledObject(id))));
    }
    for object in &scenario.scaled_jobs {
        let name = name_of(&object.metadata);
        let id = ScaledJobId(cluster.scaled_jobs.len() as u32);
        let shape = add_shape(cluster, &object.spec.job_target_ref.template);
        cluster.scaled_jobs.push(ScaledJob {
            name: name.clone(),
            applied: None,
            spec: Arc::new(object.spec.clone()),
            annotations: Arc::new(object.metadata.annotations.clone()),
            generation: 1,
            shape,
            deleted: false,
        });
        applied.extend(applied_at(scenario, "ScaledJob", &name).map(|at| (at, Applied::ScaledJob(id))));
    }
}

/// Adds the shape of a pod template, with its priority looked up (`plugin/pkg/admission/priority: admitPod`).
pub fn add_shape(cluster: &mut Cluster, template: &PodTemplate) -> ShapeId {
    let (priority, may_preempt) = priority_of(&cluster.priority_classes, template.spec.priority_class_name.as_deref());
    cluster.add_shape(PodShape {
        spec: Arc::new(template.spec.clone()),
        labels: Arc::new(template.metadata.labels.clone()),
        annotations: Arc::new(template.metadata.annotations.clone()),
        requests: template.spec.requests(),
        priority,
        may_preempt,
        grace: template.spec.termination_grace_period_seconds.duration(),
    })
}

fn priority_of(classes: &[PriorityClass], name: Option<&str>) -> (i32, bool) {
    let found = match name {
        Some("system-cluster-critical") => return (2_000_000_000, true),
        Some("system-node-critical") => return (2_000_001_000, true),
        Some(name) => classes.iter().find(|class| class.metadata.name.as_deref() == Some(name)),
        None => classes.iter().find(|class| class.global_default),
    };
    found.map_or((0, true), |class| (class.value, class.preemption_policy == PreemptionPolicy::PreemptLowerPriority))
}

fn add_node_group(cluster: &mut Cluster, scenario: &Scenario, group: &NodeGroup) {
    for index in 0..group.count {
        let (node, ready) = node_of_group(cluster, scenario, group, index);
        let id = cluster.create_node(node);
        cluster.set_node_ready(Time::ZERO, id, ready);
    }
}

/// A node of a group as it is when it has joined, its instance included.
#[must_use]
pub fn node_of_group(cluster: &mut Cluster, scenario: &Scenario, group: &NodeGroup, index: u32) -> (Node, bool) {
    let catalogue = cluster.catalogues[0].clone();
    let instance_type = group.instance_type.as_deref().and_then(|name| catalogue.find(name));
    let zone = zone_of_group(&catalogue, group, index);
    let capacity_type = match group.capacity_type {
        GroupCapacityType::OnDemand => CapacityType::OnDemand,
        GroupCapacityType::Spot => CapacityType::Spot,
    };
    let (capacity, allocatable) = match instance_type {
        Some(id) => (catalogue.get(id).capacity, catalogue.get(id).allocatable),
        None => (sized(group.capacity), sized(group.capacity)),
    };
    let name = format!("{}-{index}", group.name);
    let instance = instance_type
        .filter(|_| group.billed)
        .map(|id| cluster.add_instance(instance_of_group(&catalogue, id, zone, capacity_type)));
    let node = Node {
        labels: labels_of_group(&catalogue, scenario, group, &name, instance_type, zone, capacity_type),
        name,
        nodeclaim: None,
        pool: None,
        instance,
        instance_type,
        capacity_type: Some(capacity_type),
        annotations: Labels::new(),
        taints: group.taints.clone(),
        capacity,
        allocatable,
        requested: Resources::ZERO,
        pods: Vec::new(),
        ready: false,
        unschedulable: false,
        images: Vec::new(),
        created: Time::ZERO,
        first_ready: None,
        deleting: None,
        gone: None,
    };
    (node, true)
}

/// A capacity written without `pods` holds the kubelet's default of 110.
fn sized(capacity: Resources) -> Resources {
    if capacity.pods() == 0 { capacity.with(Resource::Pods, 110) } else { capacity }
}

fn zone_of_group(catalogue: &Catalogue, group: &NodeGroup, index: u32) -> ZoneId {
    let count = if group.zones.is_empty() { catalogue.zones.len() } else { group.zones.len() };
    let turn = index as usize % count.max(1);
    match group.zones.get(turn) {
        Some(name) => catalogue.find_zone(name).unwrap_or(ZoneId(0)),
        None => ZoneId(turn as u16),
    }
}

fn instance_of_group(catalogue: &Catalogue, id: TypeId, zone: ZoneId, capacity_type: CapacityType) -> Instance {
    let offerings = &catalogue.get(id).offerings;
    let price = offerings
        .iter()
        .find(|offering| offering.zone == zone && offering.capacity_type == capacity_type)
        .map_or(Usd::ZERO, crate::cluster::catalogue::Offering::usd_per_hour);
    Instance {
        nodeclaim: None,
        node_class: NodeClassId(0),
        instance_type: id,
        zone,
        capacity_type,
        prices: vec![(Time::ZERO, price)],
        state: InstanceState::Running,
        launched: Time::ZERO,
        running: Some(Time::ZERO),
        shutting_down: None,
        terminated: None,
        interrupted: false,
    }
}

fn labels_of_group(
    catalogue: &Catalogue,
    scenario: &Scenario,
    group: &NodeGroup,
    name: &str,
    instance_type: Option<TypeId>,
    zone: ZoneId,
    capacity_type: CapacityType,
) -> Labels {
    let mut labels = Labels::new();
    let mut put = |key: &str, value: &str| {
        labels.insert(key.to_owned(), value.to_owned());
    };
    put("kubernetes.io/hostname", name);
    put("kubernetes.io/os", "linux");
    put("kubernetes.io/arch", "amd64");
    put("topology.kubernetes.io/region", &scenario.simulation.region);
    put("topology.kubernetes.io/zone", catalogue.zones.get(usize::from(zone.0)).map_or("", String::as_str));
    put("eks.amazonaws.com/nodegroup", &group.name);
    put("eks.amazonaws.com/capacityType", if capacity_type == CapacityType::Spot { "SPOT" } else { "ON_DEMAND" });
    if let Some(id) = instance_type {
        put("node.kubernetes.io/instance-type", &catalogue.get(id).name);
        for (key, values) in &catalogue.get(id).labels {
            if let [value] = values.as_slice() {
                labels.insert(key.clone(), value.clone());
            }
        }
    }
    labels.extend(group.labels.clone());
    labels
}
