//! Workloads and what governs their disruption: Deployment, DaemonSet, PriorityClass, PodDisruptionBudget, Job templates.

use super::meta::{LabelSelector, ObjectMeta};
use super::pod::PodTemplate;
use super::scalar::{IntOrPercent, Seconds};
use crate::{choice, object};

object! {
    /// `apps/v1 Deployment`.
    pub struct Deployment {
        /// Name, labels, annotations.
        pub metadata: ObjectMeta,
        /// Spec.
        pub spec: DeploymentSpec,
    }
    ignore ["apiVersion", "kind", "status"]
}

object! {
    /// Deployment spec.
    pub struct DeploymentSpec {
        /// Pods wanted at the beginning.
        pub replicas: Option<u32>,
        /// Which pods are its own.
        pub selector: Option<LabelSelector>,
        /// The pods.
        pub template: PodTemplate,
        /// Seconds a pod must be ready to count as available.
        pub min_ready_seconds: Seconds = Seconds(0),
    }
    ignore ["strategy", "revisionHistoryLimit", "progressDeadlineSeconds", "paused"]
}

object! {
    /// `apps/v1 DaemonSet`: one pod on every matching node.
    pub struct DaemonSet {
        /// Name, labels, annotations.
        pub metadata: ObjectMeta,
        /// Spec.
        pub spec: DaemonSetSpec,
    }
    ignore ["apiVersion", "kind", "status"]
}

object! {
    /// DaemonSet spec.
    pub struct DaemonSetSpec {
        /// Which pods are its own.
        pub selector: Option<LabelSelector>,
        /// The pods.
        pub template: PodTemplate,
    }
    ignore ["updateStrategy", "minReadySeconds", "revisionHistoryLimit"]
}

object! {
    /// `scheduling.k8s.io/v1 PriorityClass`.
    pub struct PriorityClass {
        /// Name.
        pub metadata: ObjectMeta,
        /// Priority; higher is more important.
        pub value: i32,
        /// Whether pods without a class get this one.
        pub global_default: bool = false,
        /// Whether its pods may preempt others.
        pub preemption_policy: PreemptionPolicy = PreemptionPolicy::PreemptLowerPriority,
    }
    ignore ["apiVersion", "kind", "description"]
}

choice! {
    /// Whether pods of a class may preempt others.
    pub enum PreemptionPolicy {
        /// They may.
        PreemptLowerPriority = "PreemptLowerPriority",
        /// They wait.
        Never = "Never",
    }
}

object! {
    /// `policy/v1 PodDisruptionBudget`.
    pub struct PodDisruptionBudget {
        /// Name.
        pub metadata: ObjectMeta,
        /// Spec.
        pub spec: PodDisruptionBudgetSpec,
    }
    ignore ["apiVersion", "kind", "status"]
}

object! {
    /// PodDisruptionBudget spec; one of `minAvailable` and `maxUnavailable`.
    pub struct PodDisruptionBudgetSpec {
        /// Which pods.
        pub selector: Option<LabelSelector>,
        /// How many must stay.
        pub min_available: Option<IntOrPercent>,
        /// How many may be missing.
        pub max_unavailable: Option<IntOrPercent>,
        /// Whether pods that are not ready may be evicted without budget.
        pub unhealthy_pod_eviction_policy: UnhealthyPodEvictionPolicy = UnhealthyPodEvictionPolicy::IfHealthyBudget,
    }
}

choice! {
    /// Whether pods that are not ready may be evicted without budget.
    pub enum UnhealthyPodEvictionPolicy {
        /// Only while enough others are healthy.
        IfHealthyBudget = "IfHealthyBudget",
        /// Always.
        AlwaysAllow = "AlwaysAllow",
    }
}

object! {
    /// `spec` of a Job.
    pub struct JobSpec {
        /// The pods.
        pub template: PodTemplate,
        /// Pods at a time.
        pub parallelism: u32 = 1,
        /// Successes needed.
        pub completions: u32 = 1,
        /// Retries before the Job fails.
        pub backoff_limit: u32 = 6,
        /// Seconds after which the Job is failed.
        pub active_deadline_seconds: Option<Seconds>,
        /// Seconds after its end at which the Job is removed.
        pub ttl_seconds_after_finished: Option<Seconds>,
    }
    ignore ["completionMode", "selector", "manualSelector", "suspend", "podFailurePolicy", "podReplacementPolicy", "backoffLimitPerIndex", "maxFailedIndexes"]
}
