//! Which pods go when a ReplicaSet shrinks (`pkg/controller/controller_utils.go: ActivePodsWithRanks`).

use std::cmp::Ordering;

use crate::time::Time;

/// Phase as the ranking orders it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum PhaseRank {
    /// `Pending`.
    Pending,
    /// `Unknown`.
    Unknown,
    /// `Running`.
    Running,
}

/// An active pod as the ranking sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Candidate {
    /// Bound to a node.
    pub assigned: bool,
    /// Phase.
    pub phase: PhaseRank,
    /// Ready condition.
    pub ready: bool,
    /// Annotation `controller.kubernetes.io/pod-deletion-cost`; default 0.
    pub deletion_cost: i32,
    /// How many active pods of all ReplicaSets of the same owner are on its node; 0 without a node.
    pub crowd: u32,
    /// Since when it is ready, in whole seconds of the wall clock.
    pub ready_since: Option<Time>,
    /// Most restarts of a container.
    pub restarts: u32,
    /// Creation, in whole seconds of the wall clock.
    pub created: Time,
    /// Stands for the random UID.
    pub uid: u64,
}

/// Indices of the first `n` pods to delete, in order.
#[must_use]
pub fn choose(pods: &[Candidate], n: usize, now: Time) -> Vec<usize> {
    let mut order: Vec<usize> = (0..pods.len()).collect();
    if n >= pods.len() {
        return order;
    }
    order.sort_by_key(|index| pods[*index].uid);
    let mut order = merge_sort(order, &|a, b| compare(&pods[a], &pods[b], now) == Ordering::Less);
    order.truncate(n);
    order
}

/// Which of two pods goes first (`ActivePodsWithRanks.Less`). Not transitive: pods that became ready in the same second skip the
/// comparison of UIDs that others of their bucket are subject to.
#[must_use]
pub fn compare(a: &Candidate, b: &Candidate, now: Time) -> Ordering {
    a.assigned
        .cmp(&b.assigned)
        .then(a.phase.cmp(&b.phase))
        .then(a.ready.cmp(&b.ready))
        .then(a.deletion_cost.cmp(&b.deletion_cost))
        .then(b.crowd.cmp(&a.crowd))
        .then_with(
            || if a.ready && b.ready { younger(a.ready_since, b.ready_since, a, b, now) } else { Ordering::Equal },
        )
        .then(b.restarts.cmp(&a.restarts))
        .then_with(|| younger(Some(a.created), Some(b.created), a, b, now))
}

/// The younger by buckets of log₂ of the age in nanoseconds; in the same bucket the lower UID; no time at all goes first.
fn younger(a: Option<Time>, b: Option<Time>, first: &Candidate, second: &Candidate, now: Time) -> Ordering {
    match (a, b) {
        (Some(a), Some(b)) if a != b => age_bucket(a, now).cmp(&age_bucket(b, now)).then(first.uid.cmp(&second.uid)),
        (None, Some(_)) => Ordering::Less,
        (Some(_), None) => Ordering::Greater,
        _ => Ordering::Equal,
    }
}

/// `logarithmicRankDiff`: `int(log2(nanoseconds))`, −1 for no age.
#[must_use]
pub fn age_bucket(since: Time, now: Time) -> i64 {
    let nanos = now.since(since).as_micros().saturating_mul(1000);
    nanos.checked_ilog2().map_or(-1, i64::from)
}

/// A merge sort that only asks "is a before b", since the order is not transitive.
fn merge_sort(items: Vec<usize>, before: &dyn Fn(usize, usize) -> bool) -> Vec<usize> {
    if items.len() < 2 {
        return items;
    }
    let mut left = items;
    let right = left.split_off(left.len() / 2);
    let (left, right) = (merge_sort(left, before), merge_sort(right, before));
    let mut merged = Vec::with_capacity(left.len() + right.len());
    let (mut i, mut j) = (0, 0);
    while i < left.len() && j < right.len() {
        if before(right[j], left[i]) {
            merged.push(right[j]);
            j += 1;
        } else {
            merged.push(left[i]);
            i += 1;
        }
    }
    merged.extend_from_slice(&left[i..]);
    merged.extend_from_slice(&right[j..]);
    merged
}
