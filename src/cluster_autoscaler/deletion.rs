//! How a node goes (`core/scaledown/actuation: Actuator, Evictor`): taint, evictions, and once it is empty its instance.

use crate::api::pod::{Taint, TaintEffect};
use crate::cluster::pod::{Owner, Phase};
use crate::cluster::{Cluster, NodeId, PodId};
use crate::time::{Duration, Time};

/// Taint of nodes that go (`utils/taints: ToBeDeletedTaint`).
pub const TO_BE_DELETED: &str = "ToBeDeletedByClusterAutoscaler";
/// From the taint to the first eviction or the deletion (`--node-delete-delay-after-taint`).
pub const DELAY_AFTER_TAINT: Duration = Duration::from_secs(5);
/// A refused eviction is tried again after this (`DefaultEvictionRetryTime`).
pub const EVICTION_RETRY: Duration = Duration::from_secs(10);
/// Evictions are given up after this (`--max-pod-eviction-time`).
pub const MAX_EVICTION: Duration = Duration::from_mins(2);
/// Pods that were evicted are looked at so often.
pub const POLL: Duration = Duration::from_secs(5);
/// Pods may take so much longer than their grace (`DefaultPodEvictionHeadroom`).
pub const HEADROOM: Duration = Duration::from_secs(30);

/// A deletion under way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Deletion {
    /// The place of its group.
    pub group: usize,
    /// When its first eviction was due.
    pub begun: Time,
    /// It had pods to evict.
    pub drains: bool,
    /// Termination of its instance is asked for.
    pub terminating: bool,
}

/// What is to be done for a node that goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// Nothing is left on it: delete it.
    Delete,
    /// Look again after this.
    Wait(Duration),
    /// A budget has refused for too long, or a pod did not go.
    GiveUp,
}

/// The step after evictions were tried: `waiting` pods were refused, `leaving` pods are on their way out.
#[must_use]
pub fn step(waiting: usize, leaving: usize, since: Duration, longest_grace: Duration) -> Step {
    if waiting > 0 {
        return if since >= MAX_EVICTION { Step::GiveUp } else { Step::Wait(EVICTION_RETRY) };
    }
    if leaving == 0 {
        Step::Delete
    } else if since >= MAX_EVICTION + longest_grace + HEADROOM {
        Step::GiveUp
    } else {
        Step::Wait(POLL)
    }
}

/// Evicts what is on a node, budgets permitting, with the pods' own grace but at most `longest_grace`. Gives how many were
/// refused and how many are leaving. Pods of DaemonSets stay.
pub fn evict_all(cluster: &mut Cluster, node: NodeId, longest_grace: Duration, now: Time) -> (usize, usize) {
    let (mut waiting, mut leaving) = (0, 0);
    for pod in movers(cluster, node) {
        if cluster.pods[pod.index()].terminating() || cluster.evict(now, pod, Some(longest_grace)).is_ok() {
            leaving += usize::from(cluster.pods[pod.index()].exists());
        } else {
            waiting += 1;
        }
    }
    (waiting, leaving)
}

/// The pods of a node that keep it from being empty.
#[must_use]
pub fn movers(cluster: &Cluster, node: NodeId) -> Vec<PodId> {
    let moves = |pod: &&PodId| {
        let record = &cluster.pods[pod.index()];
        !matches!(record.owner, Owner::DaemonSet(_)) && !matches!(record.phase, Phase::Succeeded | Phase::Failed)
    };
    cluster.nodes[node.index()].pods.iter().filter(moves).copied().collect()
}

/// The taint with which a Node joins until it is Ready.
#[must_use]
pub fn not_ready() -> Taint {
    Taint { key: "node.kubernetes.io/not-ready".to_owned(), value: String::new(), effect: TaintEffect::NoSchedule }
}

/// Puts the taint on a node (with the time of it), or takes it off.
pub fn set_taint(cluster: &mut Cluster, node: NodeId, since: Option<Time>) {
    let mut taints = cluster.nodes[node.index()].taints.clone();
    taints.retain(|taint| taint.key != TO_BE_DELETED);
    if since.is_some() {
        taints.push(Taint { key: TO_BE_DELETED.to_owned(), value: String::new(), effect: TaintEffect::NoSchedule });
    }
    cluster.nodes[node.index()].scaling_down = since;
    cluster.set_taints(node, taints);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refused_evictions_are_tried_for_two_minutes() {
        let grace = Duration::from_mins(10);
        let after = |seconds| Duration::from_secs(seconds);
        assert_eq!(step(1, 3, after(119), grace), Step::Wait(EVICTION_RETRY));
        assert_eq!(step(1, 3, after(120), grace), Step::GiveUp);
        assert_eq!(step(0, 3, after(120), grace), Step::Wait(POLL));
        assert_eq!(step(0, 3, after(750), grace), Step::GiveUp);
        assert_eq!(step(0, 0, after(0), grace), Step::Delete);
    }
}
