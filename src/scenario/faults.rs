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
        /// Queue it concerns; absent = all.
        pub queue: Option<String>,
        /// Deployment it concerns; absent = all.
        pub deployment: Option<String>,
        /// NodePool or node group it concerns; absent = all.
        pub nodes: Option<String>,
        /// Zone it concerns; absent = all.
        pub zone: Option<String>,
        /// Share of the concerned nodes, pods or calls, 0 to 1.
        pub share: f64 = 1.0,
    }
}

choice! {
    /// What happens.
    pub enum FaultKind {
        /// `GetQueueAttributes` fails: KEDA sees an error instead of a length.
        QueueAttributesFail = "queueAttributesFail",
        /// `ReceiveMessage` fails: consumers get nothing.
        ReceiveFails = "receiveFails",
        /// Consumers fail every message they work on.
        ProcessingFails = "processingFails",
        /// KEDA's operator is down: no polls, and pulls by HPAs fail.
        KedaDown = "kedaDown",
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
        /// Containers crash and are started again.
        PodCrash = "podCrash",
        /// No instance of the zone or of any zone can be launched.
        InsufficientCapacity = "insufficientCapacity",
    }
}

impl crate::scenario::Scenario {
    /// When the outage of that kind ends which lasts at `now`; `None` = there is none. An outage without end gives `Time::MAX`.
    #[must_use]
    pub fn outage_end(&self, kind: FaultKind, now: Time) -> Option<Time> {
        let outages = self.faults.iter().filter(|fault| fault.kind == kind);
        let spans = outages.map(|fault| {
            let from = Time::ZERO + fault.at;
            (from, fault.duration.map_or(Time::MAX, |duration| from + duration))
        });
        spans.filter(|(from, until)| *from <= now && now < *until).map(|(_, until)| until).max()
    }
}
