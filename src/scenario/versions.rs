//! `[versions]`: which releases run, and the capabilities that follow from them.

use crate::api::decode::{Decode, Problems};
use crate::api::tree::Node;
use crate::object;

/// A release, `1.35` or `v2.20.2`; a missing patch level is the last one of its minor release.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Version {
    /// Major.
    pub major: u16,
    /// Minor.
    pub minor: u16,
    /// Patch; `u16::MAX` when not written.
    pub patch: u16,
}

impl Version {
    /// A minor release.
    #[must_use]
    pub const fn new(major: u16, minor: u16) -> Self {
        Version { major, minor, patch: u16::MAX }
    }

    /// Whether it is this minor release or a later one.
    #[must_use]
    pub fn at_least(self, major: u16, minor: u16) -> bool {
        (self.major, self.minor) >= (major, minor)
    }
}

impl Decode for Version {
    fn decode(node: &Node, problems: &mut Problems) -> Option<Self> {
        let text = node.as_str().unwrap_or_default();
        let mut parts = text.trim_start_matches('v').split('.').map(str::parse::<u16>);
        let version = match (parts.next(), parts.next(), parts.next(), parts.next()) {
            (Some(Ok(major)), Some(Ok(minor)), None, None) => Some(Version::new(major, minor)),
            (Some(Ok(major)), Some(Ok(minor)), Some(Ok(patch)), None) => Some(Version { major, minor, patch }),
            _ => None,
        };
        if version.is_none() {
            problems.error_with_help(
                node.span,
                "expected a version",
                "not a version",
                "in quotes: \"1.35\" or \"2.20.2\"",
            );
        }
        version
    }
    fn show(&self) -> String {
        format!("\"{}.{}\"", self.major, self.minor)
    }
    fn describe() -> String {
        "a version such as \"1.35\"".to_owned()
    }
}

object! {
    /// Releases that run.
    pub struct Versions {
        /// Kubernetes (1.28 to 1.37).
        pub kubernetes: Version = Version::new(1, 35),
        /// KEDA (2.12 to 2.20).
        pub keda: Version = Version::new(2, 20),
        /// Karpenter (0.32 and 1.0 to 1.14).
        pub karpenter: Version = Version::new(1, 14),
    }
}

impl Versions {
    /// HPA: tolerance is tested as `1 − down <= ratio <= 1 + up` (else `|1 − ratio| <= tolerance`).
    #[must_use]
    pub fn hpa_two_sided_tolerance(&self) -> bool {
        self.kubernetes.at_least(1, 33)
    }
    /// HPA: `behavior.*.tolerance` is honoured.
    #[must_use]
    pub fn hpa_configurable_tolerance(&self) -> bool {
        self.kubernetes.at_least(1, 35)
    }
    /// HPA: the first pass runs at creation, not one period later.
    #[must_use]
    pub fn hpa_first_pass_at_creation(&self) -> bool {
        self.kubernetes.at_least(1, 37)
    }
    /// HPA: `HPAScaleToZero` is on.
    #[must_use]
    pub fn hpa_scale_to_zero(&self) -> bool {
        self.kubernetes.at_least(1, 37)
    }
    /// kube-scheduler: takes pods from the backoff queue early when it is idle (`SchedulerPopFromBackoffQ`).
    #[must_use]
    pub fn scheduler_pop_from_backoff(&self) -> bool {
        self.kubernetes.at_least(1, 33)
    }
    /// kube-scheduler: queueing hints decide which events wake a pod.
    #[must_use]
    pub fn scheduler_queueing_hints(&self) -> bool {
        self.kubernetes.at_least(1, 32)
    }
    /// kube-scheduler: balanced allocation compares with and without the pod.
    #[must_use]
    pub fn scheduler_balanced_allocation_delta(&self) -> bool {
        self.kubernetes.at_least(1, 36)
    }
    /// Node lifecycle: grace of 50 s before a silent node is Unknown (else 40 s).
    #[must_use]
    pub fn node_monitor_grace_50s(&self) -> bool {
        self.kubernetes.at_least(1, 32)
    }
    /// KEDA: fallback applies in polls too, not only in pulls by the HPA.
    #[must_use]
    pub fn keda_fallback_in_polls(&self) -> bool {
        self.keda.at_least(2, 19)
    }
    /// KEDA: a cpu or memory trigger with `type` in its metadata is refused.
    #[must_use]
    pub fn keda_refuses_metadata_type(&self) -> bool {
        self.keda.at_least(2, 18)
    }
    /// Karpenter: emptiness comes before drift, which leaves empty nodes alone.
    #[must_use]
    pub fn karpenter_emptiness_before_drift(&self) -> bool {
        self.karpenter.at_least(1, 5)
    }
    /// Karpenter: drift takes empty nodes first, one by one.
    #[must_use]
    pub fn karpenter_drift_of_empty_nodes(&self) -> bool {
        self.karpenter.at_least(1, 7)
    }
    /// Karpenter: the gate `ReservedCapacity` is on unless it is set.
    #[must_use]
    pub fn karpenter_reserved_capacity(&self) -> bool {
        self.karpenter.at_least(1, 6)
    }
    /// Karpenter: candidates by price per disruption, destination gate, policy Balanced.
    #[must_use]
    pub fn karpenter_cost_ratio_order(&self) -> bool {
        self.karpenter.at_least(1, 14)
    }
}
