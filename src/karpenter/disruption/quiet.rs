//! When a node has been quiet for long enough: pod events and the Consolidatable condition
//! (`pkg/controllers/nodeclaim/podevents`, `pkg/controllers/nodeclaim/disruption/consolidation.go`).

use crate::time::{Duration, Time};

use super::model::Owner;

/// An event this soon after the stored one is dropped, not deferred (`dedupeTimeout`).
pub const DEDUPE: Duration = Duration::from_secs(10);

/// What happened to a pod that is bound to a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PodEvent {
    /// It was bound.
    Bound,
    /// It succeeded or failed.
    Terminal,
    /// It got a deletionTimestamp.
    Terminating,
    /// It was removed. Not an event: a deletion without grace period leaves no trace.
    Removed,
    /// Its resources, labels or readiness changed. Not an event.
    Changed,
}

/// The new `lastPodEventTime` of the pod's node, if the event counts: pods of DaemonSets do not, nor what follows a stored
/// event by less than 10 s. `phase` is an instant at which a whole second of the wall clock begins; times are stored in
/// whole seconds.
#[must_use]
pub fn last_pod_event(event: PodEvent, owner: Owner, stored: Option<Time>, now: Time, phase: Time) -> Option<Time> {
    let counts = matches!(event, PodEvent::Bound | PodEvent::Terminal | PodEvent::Terminating);
    if !counts || owner == Owner::DaemonSet || stored.is_some_and(|stored| now.since(stored) < DEDUPE) {
        return None;
    }
    Some(now.floor_second(phase))
}

/// What condition Consolidatable should be, and when to look again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Consolidatable {
    /// Removed, and no timer changes that.
    No,
    /// Removed until that instant.
    NotBefore(Time),
    /// True.
    Yes,
}

/// The condition at `now` of a NodeClaim of a dynamic pool (`Consolidation.Reconcile`): never for a pool with `Never` or a
/// node that is not initialized, else from `consolidateAfter` after the last pod event, or after initialization.
#[must_use]
pub fn consolidatable(
    consolidate_after: Option<Duration>,
    initialized_at: Option<Time>,
    last_pod_event: Option<Time>,
    now: Time,
) -> Consolidatable {
    let (Some(after), Some(initialized_at)) = (consolidate_after, initialized_at) else { return Consolidatable::No };
    let due = last_pod_event.unwrap_or(initialized_at) + after;
    if now < due { Consolidatable::NotBefore(due) } else { Consolidatable::Yes }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: f64) -> Time {
        Time::from_secs_f64(seconds)
    }

    /// Vector 41: events at 0, 5 and 10 s are written, dropped, written.
    #[test]
    fn events_within_ten_seconds_are_dropped() {
        let event = |stored, now| last_pod_event(PodEvent::Bound, Owner::Workload, stored, now, Time::ZERO);
        assert_eq!(event(None, at(0.0)), Some(at(0.0)));
        assert_eq!(event(Some(at(0.0)), at(5.0)), None);
        assert_eq!(event(Some(at(0.0)), at(10.0)), Some(at(10.0)));
    }

    #[test]
    fn times_are_whole_seconds_of_the_wall_clock() {
        let phase = at(0.3);
        let stored = last_pod_event(PodEvent::Terminating, Owner::Node, None, at(7.2), phase);
        assert_eq!(stored, Some(at(6.3)));
    }

    #[test]
    fn daemon_pods_and_removals_are_no_events() {
        assert_eq!(last_pod_event(PodEvent::Bound, Owner::DaemonSet, None, at(1.0), Time::ZERO), None);
        assert_eq!(last_pod_event(PodEvent::Removed, Owner::Workload, None, at(1.0), Time::ZERO), None);
        assert_eq!(last_pod_event(PodEvent::Changed, Owner::Workload, None, at(1.0), Time::ZERO), None);
    }

    /// Vector 42: not before consolidateAfter has passed since the event, or since initialization.
    #[test]
    fn quiet_time_counts_from_the_event_or_initialization() {
        let minute = Some(Duration::from_mins(1));
        assert_eq!(consolidatable(minute, Some(at(0.0)), None, at(59.9)), Consolidatable::NotBefore(at(60.0)));
        assert_eq!(consolidatable(minute, Some(at(0.0)), None, at(60.0)), Consolidatable::Yes);
        assert_eq!(
            consolidatable(minute, Some(at(0.0)), Some(at(30.0)), at(60.0)),
            Consolidatable::NotBefore(at(90.0))
        );
        assert_eq!(consolidatable(None, Some(at(0.0)), None, at(60.0)), Consolidatable::No);
        assert_eq!(consolidatable(minute, None, None, at(60.0)), Consolidatable::No);
        assert_eq!(consolidatable(Some(Duration::ZERO), Some(at(9.0)), Some(at(9.0)), at(9.0)), Consolidatable::Yes);
    }
}
