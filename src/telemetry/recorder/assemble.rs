//! From what the cluster keeps and the recorder saw to an [`Outcome`].

use crate::cluster::catalogue::Catalogue;
use crate::cluster::instance::Instance;
use crate::cluster::node::Node;
use crate::cluster::nodeclaim::NodeClaim;
use crate::cluster::pod::Pod;
use crate::cluster::{Cluster, DeploymentId, InstanceId, NodeId, PodId};
use crate::telemetry::ledger::{Bill, Shares, Usage};
use crate::telemetry::names::{Names, instance_name};
use crate::telemetry::outcome::{Ended, NodeInfo, NodeKey, NodeRecord, Outcome, PodRecord};
use crate::telemetry::series::Series;
use crate::time::Time;
use crate::units::Resources;

use super::loads::{Load, Loads};
use super::{Billed, Recorder};

/// The [`Outcome`] of a run that ends at `end`.
pub(super) fn outcome(mut recorder: Recorder, end: Time, ended: Ended, mut cluster: Cluster) -> Outcome {
    for queue in &mut recorder.queues {
        queue.blame.finish(end);
    }
    let (nodes, keys) = node_records(&recorder, &cluster);
    for (index, workload) in recorder.workloads.iter_mut().enumerate() {
        workload.scaled_by = scaled_by(index, recorder.deployments, &cluster);
    }
    // What becomes a record here takes the place of what it is made from: there may be many pods.
    let pods = std::mem::take(&mut cluster.pods).into_iter().enumerate();
    let pods = pods.map(|(id, pod)| pod_record(&mut recorder, id, pod, &keys, &cluster)).collect();
    Outcome {
        run: recorder.run,
        end,
        ended,
        queues: recorder.queues,
        workloads: recorder.workloads,
        pods,
        nodes,
        reservations: std::mem::take(&mut cluster.reservations),
        marks: recorder.marks,
        decisions: recorder.decisions,
        names: Names::take(&mut cluster),
    }
}

/// All nodes, and the key of each by its id.
fn node_records(recorder: &Recorder, cluster: &Cluster) -> (Vec<NodeRecord>, Vec<Option<NodeKey>>) {
    let loads = Loads::new(recorder, cluster);
    let mut keys = vec![None; cluster.nodes.len()];
    let mut nodes = Vec::new();
    for claim in &cluster.nodeclaims {
        if let Some(node) = claim.node {
            keys[node.index()] = Some(NodeKey(nodes.len() as u32));
        }
        nodes.push(from_claim(&loads, claim));
    }
    for (index, node) in cluster.nodes.iter().enumerate().filter(|(_, node)| node.nodeclaim.is_none()) {
        keys[index] = Some(NodeKey(nodes.len() as u32));
        nodes.push(from_node(&loads, NodeId(index as u32), node));
    }
    (nodes, keys)
}

/// The bills of the chosen instances as they stand.
pub(super) fn bills<'a>(
    recorder: &Recorder,
    cluster: &'a Cluster,
    chosen: impl Fn(&Instance) -> bool,
) -> Vec<Billed<'a>> {
    let of = |id: Option<InstanceId>| id.map(|id| &cluster.instances[id.index()]).filter(|instance| chosen(instance));
    let billed = |instance, record: NodeRecord| Billed { name: record.instance, instance, bill: record.bill };
    let loads = Loads::new(recorder, cluster);
    let claims = cluster.nodeclaims.iter();
    let mut bills: Vec<_> =
        claims.filter_map(|claim| Some(billed(of(claim.instance)?, from_claim(&loads, claim)))).collect();
    let nodes = cluster.nodes.iter().enumerate().filter(|(_, node)| node.nodeclaim.is_none());
    bills.extend(nodes.filter_map(|(index, node)| {
        let instance = of(node.instance)?;
        Some(billed(instance, from_node(&loads, NodeId(index as u32), node)))
    }));
    bills
}

fn pod_record(recorder: &mut Recorder, id: usize, pod: Pod, keys: &[Option<NodeKey>], cluster: &Cluster) -> PodRecord {
    let ended = [pod.path.finished, pod.path.gone].into_iter().flatten().min();
    PodRecord {
        id: PodId(id as u32),
        owner: pod.owner,
        workload: recorder.workload_of(pod.owner, cluster),
        node: pod.node.and_then(|node| keys[node.index()]),
        created: pod.created,
        scheduled: pod.path.bound,
        pulled: pod.path.image_pulled,
        started: pod.path.started,
        ready: pod.path.ready,
        unready: recorder.unready.remove(&(id as u32)).unwrap_or_default(),
        // A pod of a Job that is done is deleted long after it ended: nobody asked it to stop.
        stopping: pod.path.deleting.filter(|at| ended.is_none_or(|ended| *at <= ended)),
        ended,
        end: pod.end,
    }
}

fn from_claim(loads: &Loads<'_>, claim: &NodeClaim) -> NodeRecord {
    let cluster = loads.cluster;
    let catalogue = cluster.catalogue_of(claim.pool);
    let node = claim.node.map(|node| &cluster.nodes[node.index()]);
    let instance = claim.instance.map(|id| &cluster.instances[id.index()]);
    let info = NodeInfo {
        name: node.map_or_else(|| claim.name.clone(), |node| node.name.clone()),
        pool: cluster.nodepools[claim.pool.index()].name.clone(),
        instance_type: claim.instance_type.map(|id| catalogue.get(id).name.clone()).unwrap_or_default(),
        zone: claim.zone.map(|zone| catalogue.zone(zone).to_owned()).unwrap_or_default(),
        capacity_type: claim.capacity_type,
        capacity: node.map_or(claim.capacity, |node| node.capacity),
        allocatable: node.map_or(claim.allocatable, |node| node.allocatable),
    };
    let record = NodeRecord {
        claim: claim.name.clone(),
        instance: claim.instance.map(instance_name).unwrap_or_default(),
        claimed: claim.created,
        launched: instance.and_then(|instance| instance.running),
        registered: claim.registered,
        ready: claim.initialized,
        interrupted: None,
        draining: claim.deleting,
        terminated: instance.and_then(|instance| instance.shutting_down),
        removed: claim.gone,
        reason: claim.end.unwrap_or_default().to_owned(),
        reservation: instance.and_then(|instance| instance.reservation).map(|id| id.0),
        bill: None,
        requested_cpu: Series::default(),
        requested_memory: Series::default(),
        info,
    };
    complete(loads, record, claim.instance, claim.node)
}

fn from_node(loads: &Loads<'_>, id: NodeId, node: &Node) -> NodeRecord {
    let cluster = loads.cluster;
    let instance = node.instance.map(|id| &cluster.instances[id.index()]);
    let catalogue: Option<&Catalogue> = instance.map(|instance| &*cluster.catalogues[instance.node_class.index()]);
    let instance_type =
        instance.zip(catalogue).map(|(instance, catalogue)| &catalogue.get(instance.instance_type).name);
    let info = NodeInfo {
        name: node.name.clone(),
        pool: String::new(),
        instance_type: instance_type
            .or_else(|| node.labels.get("node.kubernetes.io/instance-type"))
            .cloned()
            .unwrap_or_default(),
        zone: node.labels.get("topology.kubernetes.io/zone").cloned().unwrap_or_default(),
        capacity_type: node.capacity_type,
        capacity: node.capacity,
        allocatable: node.allocatable,
    };
    let record = NodeRecord {
        claim: String::new(),
        instance: node.instance.map(instance_name).unwrap_or_default(),
        claimed: instance.map_or(node.created, |instance| instance.launched),
        launched: instance.map_or(Some(node.created), |instance| instance.running),
        registered: Some(node.created),
        ready: node.first_ready,
        interrupted: None,
        draining: node.scaling_down.or(node.deleting),
        terminated: instance.and_then(|instance| instance.shutting_down),
        removed: node.gone,
        reason: String::new(),
        reservation: instance.and_then(|instance| instance.reservation).map(|id| id.0),
        bill: None,
        requested_cpu: Series::default(),
        requested_memory: Series::default(),
        info,
    };
    complete(loads, record, node.instance, Some(id))
}

/// Adds what needs the recorder's own notes: load, interruption, bill.
fn complete(
    loads: &Loads<'_>,
    mut record: NodeRecord,
    instance: Option<InstanceId>,
    node: Option<NodeId>,
) -> NodeRecord {
    let (recorder, cluster) = (loads.recorder, loads.cluster);
    let loads = node.map_or_else(Vec::new, |node| loads.of(node));
    for load in &loads {
        let all = load.workload + load.system;
        record.requested_cpu.record(load.at, all.cpu().milli());
        record.requested_memory.record(load.at, all.memory().bytes());
    }
    if let Some(id) = instance {
        record.interrupted = recorder.interrupted.iter().find(|(other, _)| *other == id).map(|&(_, at)| at);
        record.bill = bill(&record, &cluster.instances[id.index()], &loads);
        let weights = node.and_then(|node| recorder.weights.get(node.index()));
        if let (Some(bill), Some(weights)) = (&mut record.bill, weights) {
            bill.worked(*weights);
        }
    }
    record
}

/// The objects that scale a workload, those that are gone too.
fn scaled_by(index: usize, deployments: usize, cluster: &Cluster) -> Vec<String> {
    if index >= deployments {
        return vec![format!("ScaledJob/{}", cluster.scaled_jobs[index - deployments].name)];
    }
    let target = Some(DeploymentId(index as u32));
    let objects = cluster.scaled_objects.iter().filter(|object| object.target == target);
    let mut names: Vec<String> = objects.map(|object| format!("ScaledObject/{}", object.name)).collect();
    let hpas = cluster.hpas.iter().filter(|hpa| hpa.target == target);
    names.extend(hpas.map(|hpa| format!("HorizontalPodAutoscaler/{}", hpa.name)));
    names.sort_unstable();
    names.dedup();
    names
}

/// The bill of an instance; `None` when it never ran or has no price.
fn bill(record: &NodeRecord, instance: &Instance, loads: &[Load]) -> Option<Bill> {
    let running = instance.running?;
    let (_, price) = *instance.prices.iter().rev().find(|&&(at, _)| at <= running).or(instance.prices.first())?;
    let mut bill = Bill::new(running, instance.capacity_type, price);
    for &(at, price) in instance.prices.iter().filter(|&&(at, _)| at > running) {
        bill.price_changed(at, price);
    }
    let info = &record.info;
    let shares = |at: Time| {
        let load = loads[..loads.partition_point(|load| load.at <= at)].last();
        let (workload, system) = load.map_or((Resources::ZERO, Resources::ZERO), |load| (load.workload, load.system));
        Shares::of(&info.capacity, &info.allocatable, &workload, &system)
    };
    let mut changes: Vec<Time> = loads.iter().map(|load| load.at).collect();
    changes.extend([record.ready, record.draining].into_iter().flatten());
    changes.sort_unstable();
    for at in changes.into_iter().map(|at| at.max(running)) {
        let (ready, draining) =
            (record.ready.is_some_and(|ready| ready <= at), record.draining.is_some_and(|d| d <= at));
        bill.usage_changed(
            at,
            match (ready, draining) {
                (false, false) => Usage::Boot,
                (true, false) => Usage::Node(shares(at)),
                (true, true) => Usage::Draining(shares(at)),
                // It never was a node: nothing but the instance is to be deleted.
                (false, true) => Usage::Draining(Shares::default()),
            },
        );
    }
    if let Some(end) = instance.shutting_down {
        bill.end(end);
    }
    Some(bill)
}
