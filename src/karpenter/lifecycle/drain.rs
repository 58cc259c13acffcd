//! What a drain does to the pods of a node (`node/termination/terminator/terminator.go, eviction.go`,
//! `pkg/utils/pod/scheduling.go`).

use super::launch::backoff;
use crate::cluster::ids::PodId;
use crate::time::{Duration, Time};

/// First retry of a refused eviction (`eviction.go: evictionQueueBaseDelay`).
pub const EVICTION_BASE_DELAY: Duration = Duration::from_millis(100);
/// Longest time between tries (`eviction.go: evictionQueueMaxDelay`).
pub const EVICTION_MAX_DELAY: Duration = Duration::from_secs(10);
/// A pod that should have been gone for longer than this no longer holds up a drain (`IsStuckTerminating`).
const STUCK: Duration = Duration::from_mins(1);

/// Order in which pods are drained: a tier is not touched until the former is gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Tier {
    /// Neither critical nor of a DaemonSet.
    NonCriticalNonDaemon,
    /// Of a DaemonSet, not critical.
    NonCriticalDaemon,
    /// Critical, not of a DaemonSet.
    CriticalNonDaemon,
    /// Critical and of a DaemonSet.
    CriticalDaemon,
}

impl Tier {
    /// The tier of a pod (`groupPodsByPriority`): only the two system classes are critical.
    #[must_use]
    pub fn of(priority_class: Option<&str>, daemon: bool) -> Self {
        let critical = matches!(priority_class, Some("system-cluster-critical" | "system-node-critical"));
        match (critical, daemon) {
            (false, false) => Tier::NonCriticalNonDaemon,
            (false, true) => Tier::NonCriticalDaemon,
            (true, false) => Tier::CriticalNonDaemon,
            (true, true) => Tier::CriticalDaemon,
        }
    }
}

/// A pod on a draining node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DrainPod {
    /// The pod.
    pub id: PodId,
    /// Its tier.
    pub tier: Tier,
    /// Succeeded or Failed.
    pub terminal: bool,
    /// Its deletionTimestamp, grace included, if it is terminating.
    pub deletion_timestamp: Option<Time>,
    /// Its own grace period.
    pub grace: Duration,
    /// Whether it tolerates `karpenter.sh/disrupted:NoSchedule`.
    pub tolerates_disrupted: bool,
    /// Whether `karpenter.sh/do-not-disrupt` holds.
    pub do_not_disrupt: bool,
}

impl DrainPod {
    /// Whether the drain waits for it (`IsWaitingEviction`).
    #[must_use]
    pub fn is_waiting(&self, now: Time) -> bool {
        !self.terminal && self.is_drainable(now)
    }

    /// Whether a drain can take it (`IsDrainable`): a pod that should have ended more than a minute ago is left alone.
    #[must_use]
    pub fn is_drainable(&self, now: Time) -> bool {
        let stuck = self.deletion_timestamp.is_some_and(|at| now.since(at) > STUCK);
        !self.tolerates_disrupted && !stuck
    }

    /// Whether it may be evicted (`IsEvictable`).
    #[must_use]
    pub const fn is_evictable(&self) -> bool {
        !self.terminal && self.deletion_timestamp.is_none() && !self.tolerates_disrupted && !self.do_not_disrupt
    }

    /// Whether its own grace would last beyond the node's deadline (`needsForceDelete`).
    #[must_use]
    pub fn needs_force_delete(&self, deadline: Option<Time>, now: Time) -> bool {
        let Some(deadline) = deadline else { return false };
        match self.deletion_timestamp {
            Some(at) => at > deadline,
            None => now > deadline - self.grace,
        }
    }
}

/// What to do now.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DrainStep {
    /// Pods to evict, if they are not in the eviction queue yet.
    pub evict: Vec<PodId>,
    /// Pods to delete with that grace, whatever budgets and annotations say.
    pub force: Vec<(PodId, Duration)>,
    /// Pods that the drain waits for; 0 = drained.
    pub waiting: usize,
}

/// One look at a draining node whose deadline is `deadline` (`Terminator.Drain`).
#[must_use]
pub fn drain(pods: &[DrainPod], deadline: Option<Time>, now: Time) -> DrainStep {
    let waiting: Vec<&DrainPod> = pods.iter().filter(|pod| pod.is_waiting(now)).collect();
    let forced = |pod: &&&DrainPod| pod.needs_force_delete(deadline, now);
    let grace = force_grace(deadline, now);
    let tier = waiting.iter().map(|pod| pod.tier).min();
    DrainStep {
        evict: waiting
            .iter()
            .filter(|pod| Some(pod.tier) == tier && pod.is_evictable() && !forced(pod))
            .map(|pod| pod.id)
            .collect(),
        force: waiting.iter().filter(forced).map(|pod| (pod.id, grace)).collect(),
        waiting: waiting.len(),
    }
}

/// What is left until the deadline in whole seconds, at least one.
fn force_grace(deadline: Option<Time>, now: Time) -> Duration {
    let left = deadline.map_or(Duration::ZERO, |deadline| deadline.since(now));
    Duration::from_secs((left.as_micros() / 1_000_000).max(1))
}

/// Time to the next try of an eviction that a budget refused; `failures` from 1.
#[must_use]
pub fn eviction_backoff(failures: u32) -> Duration {
    backoff(EVICTION_BASE_DELAY, EVICTION_MAX_DELAY, failures)
}
