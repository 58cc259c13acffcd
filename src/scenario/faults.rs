//! `[[faults]]`: what breaks, when, and for how long.

use crate::time::{Duration, Time};
use crate::{choice, object};

object! {
    /// A fault.
    pub struct Fault {
        /// When it begins.
        pub at: Duration,
        /// How long it lasts; absent = an instant for interruptions and crashes, to the end for outages.
        pub duration: Option<Duration>,
        /// What happens.
        pub kind: FaultKind,
        /// Queue it concerns (calls to queues, attempts at messages); absent = all.
        pub queue: Option<String>,
        /// Deployment whose pods it concerns; absent = all, and pods of ScaledJobs.
        pub deployment: Option<String>,
        /// NodePool or node group it concerns; absent = all.
        pub nodes: Option<String>,
        /// Zone it concerns; absent = all.
        pub zone: Option<String>,
        /// Share of the concerned nodes, pods, attempts or calls, 0 to 1; of a controller or a server only all of it can be down.
        pub share: f64 = 1.0,
    }
}

choice! {
    /// What happens.
    pub enum FaultKind {
        /// `GetQueueAttributes` fails: KEDA sees an error instead of a length.
        QueueAttributesFail = "queueAttributesFail",
        /// `ReceiveMessage` fails: consumers get nothing, and ask again 0.2 s (or their `idlePoll`) later.
        ReceiveFails = "receiveFails",
        /// Consumers fail every message whose processing falls into it, wholly or in part.
        ProcessingFails = "processingFails",
        /// KEDA's operator is down: no polls, and pulls by HPAs fail.
        KedaDown = "kedaDown",
        /// KEDA's metrics API server is down: pulls by HPAs fail, polls go on.
        KedaMetricsServerDown = "kedaMetricsServerDown",
        /// metrics-server is down: HPAs have no CPU and memory of pods, and when it is back not before two readings.
        MetricsServerDown = "metricsServerDown",
        /// kube-controller-manager is down: no HPA passes, no new pods.
        ControllerManagerDown = "controllerManagerDown",
        /// kube-scheduler is down.
        SchedulerDown = "schedulerDown",
        /// Karpenter is down.
        KarpenterDown = "karpenterDown",
        /// Cluster Autoscaler is down: no group changes its size, and when it is back it knows of no node for how long it was not needed.
        ClusterAutoscalerDown = "clusterAutoscalerDown",
        /// The API server is down: nobody reads or writes. What runs goes on; no pod is made, bound, seen to be ready or removed, and nothing of `[[changes]]` is applied before it is back. After more than 10 s every controller has lost its leadership and starts anew; KEDA's operator, Karpenter and Cluster Autoscaler crash meanwhile and come back with the backoff of their containers, up to 5 min late.
        ApiServerDown = "apiServerDown",
        /// kubelets are down: containers run on, but none is started, stopped or seen to be ready, and nodes that are silent for too long count as lost until their kubelet is back.
        KubeletDown = "kubeletDown",
        /// Spot instances get their two-minute notice.
        SpotInterruption = "spotInterruption",
        /// Nodes are gone without notice.
        NodeLoss = "nodeLoss",
        /// Containers crash and are started again (`CrashLoopBackOff`); while it lasts, they crash again as soon as they would work.
        PodCrash = "podCrash",
        /// No instance of the zone or of any zone can be launched.
        InsufficientCapacity = "insufficientCapacity",
    }
}

impl Fault {
    /// Its first instant.
    #[must_use]
    pub fn begin(&self) -> Time {
        Time::ZERO + self.at
    }

    /// The instant from which on it is over; an outage without end gives `Time::MAX`.
    #[must_use]
    pub fn end(&self) -> Time {
        self.duration.map_or(Time::MAX, |duration| self.begin() + duration)
    }
}

impl FaultKind {
    /// Whether it hits at an instant, or at instants that are drawn from its duration; the others last.
    #[must_use]
    pub const fn is_sudden(self) -> bool {
        matches!(self, FaultKind::SpotInterruption | FaultKind::NodeLoss | FaultKind::PodCrash)
    }

    /// Whether it may concern a part of what there is.
    #[must_use]
    pub const fn has_share(self) -> bool {
        self.is_sudden()
            || matches!(
                self,
                FaultKind::QueueAttributesFail
                    | FaultKind::ReceiveFails
                    | FaultKind::ProcessingFails
                    | FaultKind::KubeletDown
            )
    }

    /// How a controller comes back after it lost its leadership; `None` = it is no controller that is elected.
    const fn comeback(self) -> Option<Comeback> {
        match self {
            FaultKind::ControllerManagerDown | FaultKind::SchedulerDown => Some(Comeback::AtOnce),
            FaultKind::KedaDown | FaultKind::KarpenterDown | FaultKind::ClusterAutoscalerDown => {
                Some(Comeback::CrashLoop)
            }
            _ => None,
        }
    }
}

/// How a controller that needs the API server starts again.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Comeback {
    /// Beside the API server, which watches over it.
    AtOnce,
    /// As a pod, whose container ends as often as it is started, and waits longer each time (`CrashLoopBackOff`).
    CrashLoop,
}

/// A leader that cannot renew its lease for so long ends (`RenewDeadline`).
const RENEW_DEADLINE: Duration = Duration::from_secs(10);
/// First and longest wait of a container that ends again and again.
const CRASH_BACKOFF: (Duration, Duration) = (Duration::from_secs(10), Duration::from_mins(5));

/// When a controller is back that lost the API server from `begin` to `end`.
fn back_at(comeback: Comeback, begin: Time, end: Time) -> Time {
    if comeback == Comeback::AtOnce || end == Time::MAX {
        return end;
    }
    // The first start is at once.
    let (mut start, mut wait) = (begin + RENEW_DEADLINE, CRASH_BACKOFF.0);
    while start < end {
        start += wait;
        wait = (wait * 2).min(CRASH_BACKOFF.1);
    }
    start
}

impl crate::scenario::Scenario {
    /// Faults of a kind, and if it is a controller outages of the API server: from when to when it does nothing, and whether it then
    /// starts with nothing in memory. What has no end ends at `Time::MAX`.
    fn stops(&self, kind: FaultKind) -> impl Iterator<Item = (Time, Time, bool)> {
        self.faults.iter().filter_map(move |fault| {
            let (begin, end) = (fault.begin(), fault.end());
            match kind.comeback() {
                _ if fault.kind == kind => Some((begin, end, true)),
                Some(comeback) if fault.kind == FaultKind::ApiServerDown => {
                    let loses = fault.duration.is_none_or(|duration| duration > RENEW_DEADLINE);
                    Some((begin, if loses { back_at(comeback, begin, end) } else { end }, loses))
                }
                _ => None,
            }
        })
    }

    /// When a controller is down, and starts with nothing in memory afterwards. In order and apart from each other.
    #[must_use]
    pub fn outages(&self, kind: FaultKind) -> Vec<(Time, Time)> {
        let restarts = self.stops(kind).filter(|(_, _, restarts)| *restarts);
        let mut spans: Vec<(Time, Time)> = restarts.map(|(begin, end, _)| (begin, end)).collect();
        spans.sort_unstable();
        let mut apart: Vec<(Time, Time)> = Vec::with_capacity(spans.len());
        for (begin, end) in spans {
            match apart.last_mut() {
                Some((_, last)) if begin <= *last => *last = end.max(*last),
                _ => apart.push((begin, end)),
            }
        }
        apart
    }

    /// When what lasts at `now` ends; `None` = there is nothing. An outage without end gives `Time::MAX`.
    #[must_use]
    pub fn outage_end(&self, kind: FaultKind, now: Time) -> Option<Time> {
        let lasting = self.stops(kind).filter(|(begin, end, _)| *begin <= now && now < *end);
        lasting.map(|(_, end, _)| end).max()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn faults(list: &[(FaultKind, i64, i64)]) -> crate::scenario::Scenario {
        let mut scenario: crate::scenario::Scenario = crate::api::decode::defaults();
        scenario.faults = list
            .iter()
            .map(|(kind, at, lasts)| Fault {
                at: Duration::from_secs(*at),
                duration: Some(Duration::from_secs(*lasts)),
                kind: *kind,
                queue: None,
                deployment: None,
                nodes: None,
                zone: None,
                share: 1.0,
            })
            .collect();
        scenario
    }

    fn seconds(spans: &[(Time, Time)]) -> Vec<(f64, f64)> {
        spans.iter().map(|(from, until)| (from.as_secs_f64(), until.as_secs_f64())).collect()
    }

    #[test]
    fn outages_that_overlap_are_one() {
        let scenario = faults(&[
            (FaultKind::KedaDown, 50, 10),
            (FaultKind::KedaDown, 0, 100),
            (FaultKind::KedaDown, 100, 20),
            (FaultKind::KedaDown, 200, 5),
        ]);
        assert_eq!(seconds(&scenario.outages(FaultKind::KedaDown)), [(0.0, 120.0), (200.0, 205.0)]);
    }

    /// Starts at 10, 20, 40, 80, 160, 320, 620, ... seconds after the API server went away.
    #[test]
    fn pods_of_controllers_come_back_with_the_backoff_of_their_containers() {
        for (lasts, back) in [(11, 20.0), (20, 20.0), (21, 40.0), (100, 160.0), (161, 320.0), (321, 620.0)] {
            let scenario = faults(&[(FaultKind::ApiServerDown, 100, lasts)]);
            let end = 100.0 + lasts as f64;
            assert_eq!(seconds(&scenario.outages(FaultKind::SchedulerDown)), [(100.0, end)]);
            assert_eq!(seconds(&scenario.outages(FaultKind::KarpenterDown)), [(100.0, 100.0 + back)], "{lasts}");
            assert_eq!(scenario.outages(FaultKind::MetricsServerDown), []);
        }
    }

    #[test]
    fn a_short_outage_of_the_api_server_only_delays() {
        let scenario = faults(&[(FaultKind::ApiServerDown, 100, 10)]);
        assert_eq!(scenario.outages(FaultKind::KarpenterDown), []);
        let end = scenario.outage_end(FaultKind::KarpenterDown, Time::from_secs_f64(105.0));
        assert_eq!(end, Some(Time::from_secs_f64(110.0)));
        assert_eq!(scenario.outage_end(FaultKind::KarpenterDown, Time::from_secs_f64(110.0)), None);
    }
}
