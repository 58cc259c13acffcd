//! From a scenario to the cluster as it is before the first instant.

use std::sync::Arc;

use crate::api::karpenter::{Ec2NodeClass, NodeClassRef, NodePool as NodePoolObject};
use crate::api::meta::{LabelSelector, ObjectMeta};
use crate::api::pod::PodTemplate;
use crate::api::workload::{PreemptionPolicy, PriorityClass};
use crate::cluster::catalogue::Catalogue;
use crate::cluster::fargate;
use crate::cluster::instance::{Instance, InstanceState};
use crate::cluster::node_class::{Found, NodeClass, NodeClassVersion, Selectors};
use crate::cluster::node_group;
use crate::cluster::nodeclaim::NodePool;
use crate::cluster::pod::PodShape;
use crate::cluster::state::Applied;
use crate::cluster::storage::Storage;
use crate::cluster::workload::{CapacityBuffer, DaemonSet, Deployment, Hpa, HpaStatus, ScaledJob, ScaledObject};
use crate::cluster::{
    Cluster, DaemonSetId, DeploymentId, HpaId, NodeClassId, NodePoolId, ScaledJobId, ScaledObjectId, ShapeId,
};
use crate::ec2::capacity::NodeSettings;
use crate::ec2::catalogue::{build as build_catalogue, zone_names};
use crate::ec2::kwok;
use crate::ec2::overlay::Overlays;
use crate::ec2::prices::Prices;
use crate::engine::Streams;
use crate::fargate::size::catalogue as fargate_catalogue;
use crate::kubelet::daemons::{EKS_DAEMONS, EksDaemon};
use crate::scenario::Scenario;
use crate::scenario::fargate::selects;
use crate::scenario::node_groups::NodeGroup;
use crate::time::{Duration, Time};

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
    add_node_classes(&mut cluster, scenario, streams)?;
    cluster.storage = Storage::of(scenario, &cluster.catalogues[0].zones);
    let mut applied = Vec::new();
    add_node_pools(&mut cluster, scenario, &mut applied);
    add_daemon_sets(&mut cluster, scenario, &mut applied);
    add_deployments(&mut cluster, scenario, &mut applied);
    add_buffers(&mut cluster, scenario);
    add_scalers(&mut cluster, scenario, &mut applied);
    add_hpas(&mut cluster, scenario, &mut applied);
    for group in &scenario.node_groups {
        add_node_group(&mut cluster, scenario, group);
    }
    applied.sort_by_key(|(at, _)| *at);
    Ok(Beginning { cluster, applied })
}

/// One catalogue for each node class; the first stands for pools that name no class.
fn add_node_classes(cluster: &mut Cluster, scenario: &Scenario, streams: Streams) -> Result<(), BuildError> {
    let mut prices = Prices::new(&scenario.market, streams);
    let (region, zones) = (&scenario.simulation.region, &scenario.simulation.zones);
    let kwok_catalogue = match &scenario.cloud.catalogue {
        Some(text) => Some(Arc::new(kwok::parse_catalogue(text).map_err(|error| BuildError(error.to_string()))?)),
        None => None,
    };
    let overlays = Overlays::of(scenario);
    let mut built: Vec<(NodeSettings, Arc<Catalogue>)> = Vec::new();
    let mut aws = |settings: NodeSettings| -> Result<Arc<Catalogue>, BuildError> {
        if let Some((_, catalogue)) = built.iter().find(|(known, _)| *known == settings) {
            return Ok(catalogue.clone());
        }
        let mut catalogue = build_catalogue(region, zones, &settings, &mut prices, Time::ZERO)
            .map_err(|error| BuildError(error.to_string()))?;
        overlays.apply(&mut catalogue);
        let catalogue = Arc::new(catalogue);
        built.push((settings, catalogue.clone()));
        Ok(catalogue)
    };
    let default = match &kwok_catalogue {
        Some(catalogue) => catalogue.clone(),
        None => aws(NodeSettings::of_family(crate::api::karpenter::AmiFamily::Al2023))?,
    };
    cluster.add_node_class(NodeClass::default(), default.clone());
    for class in &scenario.kwok_node_classes {
        cluster.add_node_class(NodeClass { name: name_of(&class.metadata), version: None }, default.clone());
    }
    for class in &scenario.node_classes {
        let settings = NodeSettings::of_class(&class.spec).map_err(|error| BuildError(error.to_string()))?;
        let version = Some(Arc::new(node_class_version(class, &settings)));
        cluster.add_node_class(NodeClass { name: name_of(&class.metadata), version }, aws(settings)?);
    }
    if !scenario.fargate_profiles.is_empty() {
        let class = NodeClass { name: fargate::NODE_CLASS.to_owned(), version: None };
        cluster.add_node_class(class, Arc::new(fargate_catalogue(zone_names(region, zones))));
    }
    Ok(())
}

/// How an EC2NodeClass with these settings stands before anybody looked what it finds.
pub fn node_class_version(class: &Ec2NodeClass, settings: &NodeSettings) -> NodeClassVersion {
    NodeClassVersion {
        fields: class.spec.fields.clone(),
        family: settings.family,
        new_amis: 0,
        selectors: Arc::new(Selectors::of(&class.spec)),
        found: Found::default(),
    }
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

fn add_node_pools(cluster: &mut Cluster, scenario: &Scenario, applied: &mut Vec<(Time, Applied)>) {
    for object in &scenario.node_pools {
        let name = name_of(&object.metadata);
        let id = NodePoolId(cluster.nodepools.len() as u32);
        cluster.nodepools.push(NodePool {
            name: name.clone(),
            object: Arc::new(object.clone()),
            node_class: find_node_class(&cluster.node_classes, object),
            generation: 1,
            applied: None,
            deleted: false,
        });
        applied.extend(applied_at(scenario, "NodePool", &name).map(|at| (at, Applied::NodePool(id))));
    }
}

/// The node class that a NodePool names; the first stands for one that is not there. An EC2NodeClass hides a KWOKNodeClass of its name.
pub fn find_node_class(classes: &[NodeClass], pool: &NodePoolObject) -> NodeClassId {
    let reference = pool.spec.template.spec.node_class_ref.as_ref();
    let named = |reference: &NodeClassRef| classes.iter().rposition(|class| class.name == reference.name);
    NodeClassId(reference.and_then(named).unwrap_or(0) as u32)
}

fn add_daemon_sets(cluster: &mut Cluster, scenario: &Scenario, applied: &mut Vec<(Time, Applied)>) {
    for object in &scenario.daemon_sets {
        let name = name_of(&object.metadata);
        let id = DaemonSetId(cluster.daemonsets.len() as u32);
        let shape = add_shape(cluster, &object.spec.template, false);
        cluster.daemonsets.push(DaemonSet { name: name.clone(), applied: None, shape });
        applied.extend(applied_at(scenario, "DaemonSet", &name).map(|at| (at, Applied::DaemonSet(id))));
    }
    let missing =
        |daemon: &&EksDaemon| !scenario.daemon_sets.iter().any(|own| own.metadata.name.as_deref() == Some(daemon.name));
    for daemon in EKS_DAEMONS.iter().filter(|_| scenario.cloud.eks_add_ons).filter(missing) {
        let id = DaemonSetId(cluster.daemonsets.len() as u32);
        let shape = add_shape(cluster, &daemon.template(), false);
        cluster.daemonsets.push(DaemonSet { name: daemon.name.to_owned(), applied: None, shape });
        applied.push((Time::ZERO, Applied::DaemonSet(id)));
    }
}

fn add_deployments(cluster: &mut Cluster, scenario: &Scenario, applied: &mut Vec<(Time, Applied)>) {
    for object in &scenario.deployments {
        let name = name_of(&object.metadata);
        let id = DeploymentId(cluster.deployments.len() as u32);
        let fargate = on_fargate(scenario, &object.metadata, &object.spec.template);
        let shape = add_shape(cluster, &object.spec.template, fargate);
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

/// CapacityBuffers whose template exists; none while the gate is off.
fn add_buffers(cluster: &mut Cluster, scenario: &Scenario) {
    for (number, object) in scenario.capacity_buffers.iter().enumerate().filter(|_| scenario.karpenter.capacity_buffer)
    {
        let spec = &object.spec;
        let target = spec.scalable_ref.as_ref().and_then(|target| cluster.find_deployment(&target.name));
        let template = spec.pod_template_ref.as_ref().and_then(|named| {
            scenario.pod_templates.iter().find(|own| own.metadata.name.as_ref() == Some(&named.name))
        });
        let shape = match (template, target) {
            (Some(template), _) => add_shape(cluster, &template.template, false),
            (None, Some(target)) => cluster.deployments[target.index()].shape,
            (None, None) => continue,
        };
        let target = if template.is_some() { None } else { target };
        cluster.buffers.push(CapacityBuffer {
            spec: Arc::new(spec.clone()),
            shape,
            target,
            replicas: 0,
            created: Time::ZERO,
            uid: (number as u64) << 32,
        });
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
        let template = &object.spec.job_target_ref.template;
        let shape = add_shape(cluster, template, on_fargate(scenario, &object.metadata, template));
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

/// HPAs that the user writes: they exist once they are applied, with or without KEDA.
fn add_hpas(cluster: &mut Cluster, scenario: &Scenario, applied: &mut Vec<(Time, Applied)>) {
    for object in &scenario.hpas {
        let name = name_of(&object.metadata);
        let id = HpaId(cluster.hpas.len() as u32);
        cluster.hpas.push(Hpa {
            name: name.clone(),
            spec: Arc::new(object.spec.clone()),
            owner: None,
            target: cluster.find_deployment(&object.spec.scale_target_ref.name),
            created: Time::ZERO,
            exists: false,
            status: HpaStatus::default(),
        });
        applied.extend(applied_at(scenario, "HorizontalPodAutoscaler", &name).map(|at| (at, Applied::Hpa(id))));
    }
}

/// Whether a Fargate profile selects the pods of an object's template.
pub fn on_fargate(scenario: &Scenario, metadata: &ObjectMeta, template: &PodTemplate) -> bool {
    selects(&scenario.fargate_profiles, metadata.namespace.as_deref(), &template.metadata.labels)
}

/// Adds the shape of a pod template, with its priority looked up (`plugin/pkg/admission/priority: admitPod`).
pub fn add_shape(cluster: &mut Cluster, template: &PodTemplate, fargate: bool) -> ShapeId {
    let (priority, may_preempt) = priority_of(&cluster.priority_classes, template.spec.priority_class_name.as_deref());
    cluster.add_shape(PodShape {
        spec: Arc::new(template.spec.clone()),
        labels: Arc::new(template.metadata.labels.clone()),
        annotations: Arc::new(template.metadata.annotations.clone()),
        requests: template.spec.requests(),
        priority,
        may_preempt,
        grace: template.spec.termination_grace_period_seconds.duration(),
        fargate,
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
    let catalogue = cluster.catalogues[0].clone();
    for index in 0..group.count {
        let mut node = node_group::node(&catalogue, scenario, group, index, Time::ZERO);
        node.instance = node_group::instance(&catalogue, group, index, Time::ZERO).map(|instance| {
            let (state, running) = (InstanceState::Running, Some(Time::ZERO));
            cluster.add_instance(Instance { state, running, ..instance })
        });
        let id = cluster.create_node(node);
        cluster.set_node_ready(Time::ZERO, id, true);
    }
}
