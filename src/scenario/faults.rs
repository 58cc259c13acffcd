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
        /// Share of the concerned nodes, pods, attempts or calls, 0 to 1. A component that is down is down for all.
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

impl crate::scenario::Scenario {
    /// When the outage of that kind ends which lasts at `now`; `None` = there is none. An outage without end gives `Time::MAX`.
    #[must_use]
    pub fn outage_end(&self, kind: FaultKind, now: Time) -> Option<Time> {
        let outages = self.faults.iter().filter(|fault| fault.kind == kind);
        let spans = outages.map(|fault| (fault.begin(), fault.end()));
        spans.filter(|(from, until)| *from <= now && now < *until).map(|(_, until)| until).max()
    }
}
