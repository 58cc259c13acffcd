//! `[clocks]`: periods and phases of every loop of the chain.

use std::collections::BTreeMap;

use crate::object;
use crate::time::Duration;

object! {
    /// Periods and phases of the control loops. A phase that is left out is random, as in a cluster that has been running for long.
    pub struct Clocks {
        /// Instant of the run at which a second of the wall clock begins (Kubernetes stores many times in whole seconds).
        pub whole_second: Duration = Duration::ZERO,
        /// When objects are applied, by `Kind/name`; 0 for those not listed.
        pub applied: BTreeMap<String, Duration>,
        /// From a ScaledObject's or ScaledJob's application to its first poll; left out: uniform in [0, pollingInterval).
        pub keda_first_poll: Option<Duration>,
        /// What each poll adds to the interval between two polls (timer and query).
        pub keda_poll_slip: Duration = Duration::ZERO,
        /// From a ScaledObject's application to the creation of its HPA.
        pub keda_hpa_created: Duration = Duration::from_millis(80),
        /// From a poll's start to the write of the target's replicas.
        pub keda_scale_write: Duration = Duration::from_millis(20),
        /// Length of a query of a trigger that fails, its one repetition included; the other loop's queries that fail meanwhile are not counted.
        pub keda_failed_query: Duration = Duration::from_millis(80),
        /// `horizontal-pod-autoscaler-sync-period`.
        pub hpa_sync_period: Duration = Duration::from_secs(15),
        /// From an HPA's creation to its first pass; left out: uniform in [0, hpaSyncPeriod) for HPAs that exist at the beginning, hpaSyncPeriod for later ones.
        pub hpa_first_pass: Option<Duration>,
        /// Length of a pass that reads no metric (target at 0 replicas, or outside its bounds).
        pub hpa_pass_dormant: Duration = Duration::from_millis(5),
        /// Length of a pass that reads one cached metric.
        pub hpa_pass_cached: Duration = Duration::from_millis(10),
        /// Length of a pass that reads one metric from its source.
        pub hpa_pass_live: Duration = Duration::from_millis(20),
        /// What each further metric adds to a pass.
        pub hpa_pass_per_metric: Duration = Duration::from_millis(20),
        /// What a write of the target's replicas adds to a pass.
        pub hpa_pass_write: Duration = Duration::from_millis(15),
        /// `BATCH_IDLE_DURATION` of Karpenter's provisioner.
        pub batch_idle: Duration = Duration::from_secs(1),
        /// `BATCH_MAX_DURATION` of Karpenter's provisioner.
        pub batch_max: Duration = Duration::from_secs(10),
        /// From the beginning to the first time that Karpenter asks again what an AMI alias with `@latest` stands for (it remembers that for 24 h); left out: uniform in [0, 24 h).
        pub ami_alias_lookup: Option<Duration>,
        /// First pass of Karpenter's disruption loop; left out: uniform in [0, disruptionPoll).
        pub disruption_first_pass: Option<Duration>,
        /// Time from the end of a disruption pass that did nothing to the next.
        pub disruption_poll: Duration = Duration::from_secs(10),
        /// What each look at a draining node adds to the second between two looks.
        pub drain_poll_slip: Duration = Duration::from_millis(20),
        /// How long a consolidation command waits before it is validated.
        pub disruption_validation: Duration = Duration::from_secs(15),
    }
}
