//! What a scan reads from the cluster.

use std::collections::BTreeMap;

use super::deletion::movers;
use super::fit::{Need, Room};
use super::groups::Groups;
use super::scale_down::{Candidate, Kept, Mover, utilization};
use super::scale_up::GroupView;
use crate::cluster::node::Node;
use crate::cluster::node_group::{self, GROUP_LABEL};
use crate::cluster::pod::Owner;
use crate::cluster::{Cluster, NodeId, PodId, World};
use crate::time::{Duration, Time};
use crate::units::Resources;

/// Pods of lower priority make no group grow (`--expendable-pods-priority-cutoff`).
const EXPENDABLE_PRIORITY: i32 = -10;
/// Annotation that keeps a pod where it is.
const SAFE_TO_EVICT: &str = "cluster-autoscaler.kubernetes.io/safe-to-evict";

/// Pods that the scheduler found no node for, at least `delay` old (`unschedulable pods lister, filter_out_expendable,
/// filterOutYoungPods`). Those that wait for others to be preempted are not among them.
#[must_use]
pub fn pending(cluster: &Cluster, delay: Duration, now: Time) -> Vec<Need> {
    let waits = |pod: &&PodId| {
        let record = &cluster.pods[pod.index()];
        record.unschedulable && record.active() && !record.nominated && now >= record.created + delay
    };
    let needs = cluster.unbound.iter().filter(waits).map(|pod| need(cluster, *pod));
    needs.filter(|need| need.priority >= EXPENDABLE_PRIORITY).collect()
}

fn need(cluster: &Cluster, pod: PodId) -> Need {
    let shape = cluster.shape_of(pod);
    Need {
        pod,
        shape: cluster.pods[pod.index()].shape,
        spec: shape.spec.clone(),
        requests: shape.requests,
        priority: shape.priority,
    }
}

/// Nodes that take pods: ready and not cordoned.
#[must_use]
pub fn rooms(cluster: &Cluster, goes: impl Fn(NodeId) -> bool) -> BTreeMap<NodeId, Room> {
    let usable = |id: &&NodeId| {
        let node = &cluster.nodes[id.index()];
        node.ready && !node.unschedulable && node.deleting.is_none() && !goes(**id)
    };
    cluster.live_nodes.iter().filter(usable).map(|id| (*id, room(&cluster.nodes[id.index()]))).collect()
}

fn room(node: &Node) -> Room {
    Room { name: node.name.clone(), labels: node.labels.clone(), taints: node.taints.clone(), free: node.free() }
}

/// The group of a node.
#[must_use]
pub fn group_of(groups: &Groups, node: NodeId, world: &World<'_>) -> Option<usize> {
    groups.find(world.cluster.nodes[node.index()].labels.get(GROUP_LABEL)?, world.scenario)
}

/// All groups, each with a node as it would come (`node_infos_provider: TemplateNodeInfo`).
#[must_use]
pub fn group_views(groups: &Groups, world: &World<'_>) -> Vec<GroupView> {
    let catalogue = &world.cluster.catalogues[0];
    let view = |(index, group): (usize, &super::groups::Group)| {
        let spec = groups.spec(index, world.scenario);
        let node = node_group::node(catalogue, world.scenario, spec, group.next, world.now);
        let mut template = room(&node);
        template.free -= daemons(world.cluster, &template);
        GroupView {
            template,
            capacity: node.capacity,
            target: group.target,
            max: group.max,
            backoff_until: group.backoff.until(),
            priority: match &world.scenario.cluster_autoscaler.priorities {
                Some(priorities) => priorities.of(&spec.name),
                None => spec.priority.map(i64::from),
            },
        }
    };
    groups.list.iter().enumerate().map(view).collect()
}

/// What the DaemonSets would request on a node.
fn daemons(cluster: &Cluster, node: &Room) -> Resources {
    let applied = cluster.daemonsets.iter().filter(|set| set.applied.is_some());
    let shapes = applied.map(|set| &cluster.shapes[set.shape.index()]);
    shapes.filter(|shape| node.admits(&shape.spec)).map(|shape| shape.requests).sum()
}

/// A node that might go.
#[must_use]
pub fn candidate(cluster: &Cluster, node: NodeId, kept_at: Option<Time>) -> Candidate {
    let record = &cluster.nodes[node.index()];
    let mover = |pod: PodId| {
        let shape = cluster.shape_of(pod);
        let fixed = if shape.annotations.get(SAFE_TO_EVICT).is_some_and(|value| value == "false") {
            Some(Kept::NotSafeToEvict)
        } else {
            (cluster.pods[pod.index()].owner == Owner::None).then_some(Kept::NotReplicated)
        };
        Mover { need: need(cluster, pod), budgets: cluster.budgets_of(pod).collect(), fixed }
    };
    Candidate {
        node,
        utilization: utilization(&record.requested, &record.allocatable),
        movers: movers(cluster, node).into_iter().map(mover).collect(),
        kept_at,
    }
}

/// Disruptions that each budget allows.
#[must_use]
pub fn budgets(cluster: &Cluster) -> Vec<i64> {
    (0..cluster.pdbs.len()).map(|index| cluster.budget_status(index).disruptions_allowed).collect()
}
