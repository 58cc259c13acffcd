//! Nodes that fall silent (`pkg/controller/nodelifecycle`, `pkg/controller/tainteviction`, `pkg/controller/podgc`).

use crate::api::pod::{PodSpec, Taint, TaintEffect, Toleration, TolerationOperator};
use crate::time::{Duration, Time};

/// Taint of a node whose Ready condition is False.
pub const NOT_READY: &str = "node.kubernetes.io/not-ready";
/// Taint of a node whose Ready condition is Unknown.
pub const UNREACHABLE: &str = "node.kubernetes.io/unreachable";
/// Taint of a node that the cloud controller has not looked at.
pub const UNINITIALIZED: &str = "node.cloudprovider.kubernetes.io/uninitialized";
/// Seconds for which every pod tolerates the two taints above with `NoExecute` (`DefaultTolerationSeconds`).
pub const DEFAULT_TOLERATION: Duration = Duration::from_secs(300);

/// Period of the monitor of nodes (`node-monitor-period`) and of the cloud's.
pub const MONITOR_PERIOD: Duration = Duration::from_secs(5);
/// Period of lease renewals.
pub const RENEW_PERIOD: Duration = Duration::from_secs(10);
/// Period of pod garbage collection.
pub const POD_GC_PERIOD: Duration = Duration::from_secs(20);
/// How long pod garbage collection waits before it believes that a node is gone.
pub const QUARANTINE: Duration = Duration::from_secs(40);

/// A grid of passes: `phase`, `phase + period`, ...
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Passes {
    /// One instant of the grid.
    pub phase: Duration,
    /// Distance.
    pub period: Duration,
}

impl Passes {
    /// The first pass at or after an instant.
    #[must_use]
    pub fn at_or_after(&self, at: Time) -> Time {
        let period = self.period.as_micros();
        let past = (at.as_micros() as i64 - self.phase.as_micros()).rem_euclid(period);
        if past == 0 { at } else { at + Duration::from_micros(period - past) }
    }

    /// The first pass after an instant.
    #[must_use]
    pub fn after(&self, at: Time) -> Time {
        self.at_or_after(at + Duration::from_micros(1))
    }

    /// The last pass at or before an instant.
    #[must_use]
    pub fn at_or_before(&self, at: Time) -> Time {
        self.after(at) - self.period
    }
}

/// When the monitor declares a node Unknown whose kubelet died at `died`: a renewal counts from the pass that sees it, and the first
/// pass more than `grace` after that one acts (`monitorNodeHealth`).
#[must_use]
pub fn unknown_at(died: Time, renewals: Passes, monitor: Passes, grace: Duration) -> Time {
    let seen = monitor.at_or_after(renewals.at_or_before(died));
    monitor.after(seen + grace)
}

/// When pod garbage collection removes the pods of a node whose object went at `gone`.
#[must_use]
pub fn collected_at(gone: Time, collector: Passes) -> Time {
    collector.at_or_after(collector.at_or_after(gone) + QUARANTINE)
}

/// State of a zone (`ComputeZoneState`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ZoneState {
    /// Most nodes are ready.
    Normal,
    /// At least 55 % and more than two of the nodes are not ready.
    Partial,
    /// No node is ready.
    Full,
}

/// State of a zone by its nodes.
#[must_use]
pub fn zone_state(ready: usize, not_ready: usize) -> ZoneState {
    let share = not_ready as f64 / (ready + not_ready).max(1) as f64;
    match () {
        () if ready == 0 && not_ready > 0 => ZoneState::Full,
        () if not_ready > 2 && share >= 0.55 => ZoneState::Partial,
        () => ZoneState::Normal,
    }
}

/// Time between two nodes of a zone that get their `NoExecute` taint; `None` = no evictions
/// (`setLimiterInZone`, `handleDisruption`). `all_full`: every zone is `Full`.
#[must_use]
pub fn eviction_interval(state: ZoneState, nodes_in_zone: usize, all_full: bool) -> Option<Duration> {
    match state {
        _ if all_full => None,
        ZoneState::Normal | ZoneState::Full => Some(Duration::from_secs(10)),
        ZoneState::Partial => (nodes_in_zone > 50).then_some(Duration::from_secs(100)),
    }
}

/// How long a pod may stay on a node with these taints: zero = it goes at once, `None` = for ever
/// (`tainteviction: processPodOnNode`). Admission gave it 300 s for `not-ready` and `unreachable` unless it has its own.
#[must_use]
pub fn stay(spec: &PodSpec, daemon: bool, taints: &[Taint]) -> Option<Duration> {
    let tolerations = effective_tolerations(spec, daemon);
    let mut shortest: Option<Duration> = None;
    for taint in taints.iter().filter(|taint| taint.effect == TaintEffect::NoExecute) {
        let Some(toleration) = tolerations.iter().find(|toleration| toleration.tolerates(taint)) else {
            return Some(Duration::ZERO);
        };
        if let Some(seconds) = toleration.toleration_seconds {
            let seconds = Duration::from_secs(seconds.max(0));
            shortest = Some(shortest.map_or(seconds, |known| known.min(seconds)));
        }
    }
    shortest
}

fn effective_tolerations(spec: &PodSpec, daemon: bool) -> Vec<Toleration> {
    let mut tolerations = spec.tolerations.clone();
    for key in [NOT_READY, UNREACHABLE] {
        let taint = Taint { key: key.to_owned(), value: String::new(), effect: TaintEffect::NoExecute };
        if !spec.tolerates(&taint) {
            tolerations.push(Toleration {
                key: Some(key.to_owned()),
                operator: TolerationOperator::Exists,
                value: String::new(),
                effect: Some(TaintEffect::NoExecute),
                toleration_seconds: (!daemon).then_some(DEFAULT_TOLERATION.as_micros() / 1_000_000),
            });
        }
    }
    tolerations
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dead_node_is_unknown_40_to_65_seconds_later() {
        let monitor = Passes { phase: Duration::from_millis(1300), period: MONITOR_PERIOD };
        for renewal in 0..100 {
            let renewals = Passes { phase: Duration::from_millis(renewal * 100), period: RENEW_PERIOD };
            let died = Time::from_secs_f64(100.0);
            let after = unknown_at(died, renewals, monitor, Duration::from_secs(50)).since(died).as_secs_f64();
            assert!((40.0..=60.1).contains(&after), "{after}");
        }
    }

    #[test]
    fn default_tolerations_keep_a_pod_for_five_minutes_and_a_daemon_for_ever() {
        let spec: PodSpec = PodSpec { containers: Vec::new(), ..crate::api::decode::defaults() };
        let taint = |key: &str| Taint { key: key.to_owned(), value: String::new(), effect: TaintEffect::NoExecute };
        assert_eq!(stay(&spec, false, &[taint(UNREACHABLE)]), Some(DEFAULT_TOLERATION));
        assert_eq!(stay(&spec, true, &[taint(UNREACHABLE)]), None);
        assert_eq!(stay(&spec, false, &[taint("spot")]), Some(Duration::ZERO));
    }
}
