//! Applies the timed changes of a scenario to the cluster, as `kubectl apply`, `scale` and `delete` would.

use std::sync::Arc;

use crate::api::karpenter::Ec2NodeClass;
use crate::api::meta::ObjectMeta;
use crate::cluster::catalogue::CapacityType;
use crate::cluster::node_class::NodeClassVersion;
use crate::cluster::state::Applied;
use crate::cluster::{
    Action, Change, Cluster, Controller, Counts, DaemonSetId, Decision, DeploymentId, HpaId, NodeClassId, NodePoolId,
    Rule, ScaledJobId, ScaledObjectId, Subject,
};
use crate::ec2::capacity::NodeSettings;
use crate::ec2::catalogue::resettle;
use crate::ec2::overlay::Overlays;
use crate::scenario::Scenario;
use crate::scenario::changes::TimedChange;
use crate::scenario::kind::{Kind, Object};
use crate::simulation::build;
use crate::time::Time;

/// Applies one timed change.
pub fn apply(now: Time, change: &TimedChange, scenario: &Scenario, cluster: &mut Cluster) {
    for (name, replicas) in &change.scale {
        if let Some(id) = cluster.find_deployment(name) {
            scale(now, id, *replicas, cluster);
        }
    }
    for object in &change.patch.objects {
        patch(now, object, scenario, cluster);
    }
    for path in &change.create {
        if let Some((kind, name)) = split(path) {
            create(now, kind, name, cluster);
        }
    }
    for path in &change.delete {
        if let Some((kind, name)) = split(path) {
            delete(now, kind, name, cluster);
        }
    }
    for name in &change.new_amis {
        find_new_ami(name, cluster);
    }
    if !change.withdraw.is_empty() {
        cluster.withdraw(|instance_type, zone, capacity_type| {
            let spot = capacity_type == CapacityType::Spot;
            change.withdraw.iter().any(|selector| selector.matches(instance_type, zone, spot))
        });
    }
}

fn split(path: &str) -> Option<(Kind, &str)> {
    let (kind, name) = path.split_once('/')?;
    Some((Kind::parse(kind)?, name))
}

fn scale(now: Time, id: DeploymentId, replicas: u32, cluster: &mut Cluster) {
    let before = cluster.scale_deployment(id, replicas);
    let decision =
        Decision::plain(now, Controller::User, Subject::Deployment(id), Action::Scale, Rule::KubectlScale, "");
    cluster.decide(decision.about(Counts::change(i64::from(before), i64::from(replicas))));
}

fn named(metadata: &ObjectMeta) -> &str {
    metadata.name.as_deref().unwrap_or_default()
}

fn patch(now: Time, object: &Object, scenario: &Scenario, cluster: &mut Cluster) {
    match object {
        Object::Deployment(object) => {
            let Some(id) = cluster.find_deployment(named(&object.metadata)) else { return };
            let shape = cluster.deployments[id.index()].shape;
            let old = &cluster.shapes[shape.index()];
            if *old.spec != object.spec.template.spec || *old.labels != object.spec.template.metadata.labels {
                let fargate = build::on_fargate(scenario, &object.metadata, &object.spec.template);
                let shape = build::add_shape(cluster, &object.spec.template, fargate);
                cluster.deployments[id.index()].shape = shape;
                cluster.announce(Change::DeploymentSpec(id));
            }
            if let Some(replicas) = object.spec.replicas {
                scale(now, id, replicas, cluster);
            }
        }
        Object::ScaledObject(object) => {
            let Some(index) = cluster.scaled_objects.iter().position(|so| so.name == named(&object.metadata)) else {
                return;
            };
            let (id, record) = (ScaledObjectId(index as u32), &mut cluster.scaled_objects[index]);
            let spec_changed = *record.spec != object.spec;
            let annotations_changed = *record.annotations != object.metadata.annotations;
            record.spec = Arc::new(object.spec.clone());
            record.annotations = Arc::new(object.metadata.annotations.clone());
            if spec_changed {
                record.generation += 1;
                cluster.announce(Change::ScaledObjectSpec(id));
            }
            if annotations_changed {
                cluster.announce(Change::ScaledObjectAnnotations(id));
            }
        }
        Object::ScaledJob(object) => {
            let Some(index) = cluster.scaled_jobs.iter().position(|sj| sj.name == named(&object.metadata)) else {
                return;
            };
            let template = &object.spec.job_target_ref.template;
            let fargate = build::on_fargate(scenario, &object.metadata, template);
            let shape = build::add_shape(cluster, template, fargate);
            let record = &mut cluster.scaled_jobs[index];
            // Annotations do not make a new generation.
            record.generation += u32::from(*record.spec != object.spec);
            record.spec = Arc::new(object.spec.clone());
            record.annotations = Arc::new(object.metadata.annotations.clone());
            record.shape = shape;
            cluster.announce(Change::ScaledJobSpec(ScaledJobId(index as u32)));
        }
        Object::HorizontalPodAutoscaler(object) => {
            let Some(id) = find_hpa(cluster, named(&object.metadata)) else { return };
            cluster.hpas[id.index()].spec = Arc::new(object.spec.clone());
            cluster.announce(Change::HpaSpec(id));
        }
        Object::NodePool(object) => {
            let Some(index) = cluster.nodepools.iter().position(|pool| pool.name == named(&object.metadata)) else {
                return;
            };
            let class = build::find_node_class(&cluster.node_classes, object);
            let is_ec2 = |class: NodeClassId| cluster.node_classes[class.index()].version.is_some();
            let same_provider = is_ec2(class) == is_ec2(cluster.nodepools[index].node_class);
            let record = &mut cluster.nodepools[index];
            if *record.object != **object {
                if same_provider {
                    record.node_class = class;
                }
                record.object = Arc::new((**object).clone());
                record.generation += 1;
                cluster.announce(Change::NodePoolSpec(NodePoolId(index as u32)));
            }
        }
        Object::PodDisruptionBudget(object) => {
            let name = named(&object.metadata);
            match cluster.pdbs.iter_mut().find(|pdb| named(&pdb.metadata) == name) {
                Some(pdb) => *pdb = (**object).clone(),
                None => cluster.pdbs.push((**object).clone()),
            }
            cluster.announce(Change::PodDisruptionBudgets);
        }
        Object::Ec2NodeClass(object) => patch_node_class(object, scenario, cluster),
        Object::NodeOverlay(_)
        | Object::CapacityBuffer(_)
        | Object::PodTemplate(_)
        | Object::KwokNodeClass(_)
        | Object::DaemonSet(_)
        | Object::PersistentVolumeClaim(_)
        | Object::PersistentVolume(_)
        | Object::StorageClass(_)
        | Object::PriorityClass(_) => {}
    }
}

/// Nodes that are launched from now on are made of the class as it is now.
fn patch_node_class(object: &Ec2NodeClass, scenario: &Scenario, cluster: &mut Cluster) {
    let Some(id) = find_node_class(named(&object.metadata), cluster) else { return };
    let Ok(settings) = NodeSettings::of_class(&object.spec) else { return };
    resettle(Arc::make_mut(&mut cluster.catalogues[id.index()]), &scenario.simulation.region, &settings);
    Overlays::of(scenario).extend(Arc::make_mut(&mut cluster.catalogues[id.index()]));
    let mut version = build::node_class_version(object, &settings);
    if let Some(before) = &cluster.node_classes[id.index()].version {
        // Karpenter looks anew what it finds now.
        (version.new_amis, version.found) = (before.new_amis, before.found.clone());
    }
    cluster.set_node_class(id, version);
}

fn find_new_ami(class: &str, cluster: &mut Cluster) {
    let Some(id) = find_node_class(class, cluster) else { return };
    if let Some(version) = cluster.node_classes[id.index()].version.clone() {
        cluster.set_node_class(id, NodeClassVersion { new_amis: version.new_amis + 1, ..(*version).clone() });
    }
}

/// The EC2NodeClass of that name.
fn find_node_class(name: &str, cluster: &Cluster) -> Option<NodeClassId> {
    let mut classes = cluster.node_classes.iter();
    let place = classes.position(|class| class.version.is_some() && class.name == name);
    place.map(|place| NodeClassId(place as u32))
}

fn find_hpa(cluster: &Cluster, name: &str) -> Option<HpaId> {
    cluster.hpas.iter().position(|hpa| hpa.exists && hpa.name == name).map(|index| HpaId(index as u32))
}

fn create(now: Time, kind: Kind, name: &str, cluster: &mut Cluster) {
    let index = |position: Option<usize>| position.map(|index| index as u32);
    let object =
        match kind {
            Kind::Deployment => cluster.find_deployment(name).map(Applied::Deployment),
            Kind::DaemonSet => index(cluster.daemonsets.iter().position(|d| d.name == name))
                .map(|i| Applied::DaemonSet(DaemonSetId(i))),
            Kind::NodePool => {
                index(cluster.nodepools.iter().position(|p| p.name == name)).map(|i| Applied::NodePool(NodePoolId(i)))
            }
            Kind::ScaledObject => index(cluster.scaled_objects.iter().position(|s| s.name == name))
                .map(|i| Applied::ScaledObject(ScaledObjectId(i))),
            Kind::ScaledJob => index(cluster.scaled_jobs.iter().position(|s| s.name == name))
                .map(|i| Applied::ScaledJob(ScaledJobId(i))),
            Kind::HorizontalPodAutoscaler => {
                index(cluster.hpas.iter().position(|h| h.name == name && !h.exists)).map(|i| Applied::Hpa(HpaId(i)))
            }
            _ => None,
        };
    if let Some(object) = object {
        cluster.apply(now, object);
    }
}

fn delete(now: Time, kind: Kind, name: &str, cluster: &mut Cluster) {
    match kind {
        Kind::Deployment => {
            if let Some(id) = cluster.find_deployment(name) {
                scale(now, id, 0, cluster);
            }
        }
        Kind::ScaledObject => {
            if let Some(index) = cluster.scaled_objects.iter().position(|so| so.name == name && !so.deleted) {
                cluster.scaled_objects[index].deleted = true;
                cluster.announce(Change::ScaledObjectDeleted(ScaledObjectId(index as u32)));
            }
        }
        Kind::ScaledJob => {
            if let Some(index) = cluster.scaled_jobs.iter().position(|sj| sj.name == name && !sj.deleted) {
                cluster.scaled_jobs[index].deleted = true;
                cluster.announce(Change::ScaledJobDeleted(ScaledJobId(index as u32)));
            }
        }
        Kind::HorizontalPodAutoscaler => {
            if let Some(id) = find_hpa(cluster, name) {
                cluster.delete_hpa(id);
            }
        }
        Kind::NodePool => delete_pool(now, name, cluster),
        Kind::PodDisruptionBudget => {
            cluster.pdbs.retain(|pdb| named(&pdb.metadata) != name);
            cluster.announce(Change::PodDisruptionBudgets);
        }
        Kind::Ec2NodeClass
        | Kind::NodeOverlay
        | Kind::CapacityBuffer
        | Kind::PodTemplate
        | Kind::KwokNodeClass
        | Kind::DaemonSet
        | Kind::PersistentVolumeClaim
        | Kind::PersistentVolume
        | Kind::StorageClass
        | Kind::PriorityClass => {}
    }
}

/// Its NodeClaims are owned by it and go with it.
fn delete_pool(now: Time, name: &str, cluster: &mut Cluster) {
    let Some(index) = cluster.nodepools.iter().position(|pool| pool.name == name && !pool.deleted) else { return };
    cluster.nodepools[index].deleted = true;
    let id = NodePoolId(index as u32);
    cluster.announce(Change::NodePoolSpec(id));
    let owned: Vec<_> =
        cluster.live_nodeclaims.iter().copied().filter(|claim| cluster.nodeclaims[claim.index()].pool == id).collect();
    for claim in owned {
        cluster.delete_nodeclaim(now, claim, "Manual");
    }
}
