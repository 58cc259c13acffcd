//! `keda.sh/v1alpha1`: ScaledObject, ScaledJob, TriggerAuthentication.

use super::hpa::Behavior;
use super::meta::{Labels, ObjectMeta};
use super::scalar::Seconds;
use super::workload::JobSpec;
use crate::{choice, object};

object! {
    /// A ScaledObject.
    pub struct ScaledObject {
        /// Name, labels; annotations pause and force (`autoscaling.keda.sh/...`).
        pub metadata: ObjectMeta,
        /// Spec.
        pub spec: ScaledObjectSpec,
    }
    ignore ["apiVersion", "kind", "status"]
}

object! {
    /// ScaledObject spec (`apis/keda/v1alpha1/scaledobject_types.go`).
    pub struct ScaledObjectSpec {
        /// What is scaled.
        pub scale_target_ref: ScaleTarget,
        /// Seconds between polls of KEDA's own loop (>= 1).
        pub polling_interval: Seconds = Seconds(30),
        /// Seconds after the last active poll before N -> 0 (or idle).
        pub cooldown_period: Seconds = Seconds(300),
        /// Seconds after creation before the first scale to 0, while never active.
        pub initial_cooldown_period: Seconds = Seconds(0),
        /// Replicas while inactive; must be below `minReplicaCount`.
        pub idle_replica_count: Option<u32>,
        /// Lower bound; absent = 0.
        pub min_replica_count: Option<u32>,
        /// Upper bound; absent = 100.
        pub max_replica_count: Option<u32>,
        /// HPA settings and formula.
        pub advanced: Option<AdvancedConfig>,
        /// Replicas when triggers fail.
        pub fallback: Option<Fallback>,
        /// Sources.
        pub triggers: Vec<Trigger>,
    }
}

object! {
    /// What a ScaledObject scales.
    pub struct ScaleTarget {
        /// Name.
        pub name: String,
        /// Kind.
        pub kind: String = "Deployment".to_owned(),
        /// API version.
        pub api_version: Option<String>,
    }
    ignore ["envSourceContainerName"]
}

object! {
    /// `advanced`.
    pub struct AdvancedConfig {
        /// Whether deletion restores the replicas seen at first.
        pub restore_to_original_replica_count: bool = false,
        /// Settings of the HPA that KEDA makes.
        pub horizontal_pod_autoscaler_config: Option<HpaConfig>,
        /// Formula over the triggers.
        pub scaling_modifiers: Option<ScalingModifiers>,
    }
}

object! {
    /// Settings of the HPA that KEDA makes.
    pub struct HpaConfig {
        /// Name; default `keda-hpa-<ScaledObject>`.
        pub name: Option<String>,
        /// `behavior`, passed on as it is.
        pub behavior: Option<Behavior>,
    }
}

object! {
    /// One metric made of all triggers.
    pub struct ScalingModifiers {
        /// expr-lang formula over trigger names.
        pub formula: Option<String>,
        /// Target, a number > 0 in a string.
        pub target: Option<String>,
        /// Active above this value, a number in a string.
        pub activation_target: Option<String>,
        /// How the HPA uses it.
        pub metric_type: Option<TriggerMetricType>,
    }
}

object! {
    /// `fallback`.
    pub struct Fallback {
        /// Failures in a row before it applies.
        pub failure_threshold: u32,
        /// Replicas to fall back to.
        pub replicas: u32,
        /// How the current replicas are considered.
        pub behavior: FallbackBehavior = FallbackBehavior::Static,
    }
}

choice! {
    /// How a fallback considers the current replicas.
    pub enum FallbackBehavior {
        /// `replicas`.
        Static = "static",
        /// The current ones.
        CurrentReplicas = "currentReplicas",
        /// The larger of the current ones and `replicas`.
        CurrentReplicasIfHigher = "currentReplicasIfHigher",
        /// The smaller of the current ones and `replicas`.
        CurrentReplicasIfLower = "currentReplicasIfLower",
        /// The formula decides, failed triggers being `nil`.
        ScalingModifiers = "scalingModifiers",
    }
}

object! {
    /// A source (`ScaleTriggers`).
    pub struct Trigger {
        /// Scaler: `aws-sqs-queue`, `cron`, `cpu`, `memory`, or a series of the scenario (`prometheus`, `aws-cloudwatch`, `kafka`, ...).
        @"type" pub kind: String,
        /// Name in formulas.
        pub name: Option<String>,
        /// Settings of the scaler, all strings.
        pub metadata: Labels,
        /// How the HPA uses the value.
        pub metric_type: Option<TriggerMetricType>,
        /// Whether the HPA is served the value of the last poll.
        pub use_cached_metrics: bool = false,
    }
    ignore ["authenticationRef"]
}

choice! {
    /// How the HPA uses a trigger's value.
    pub enum TriggerMetricType {
        /// Per replica.
        AverageValue = "AverageValue",
        /// Total.
        Value = "Value",
        /// Percent of requests (cpu and memory only).
        Utilization = "Utilization",
    }
}

object! {
    /// A ScaledJob.
    pub struct ScaledJob {
        /// Name, annotations.
        pub metadata: ObjectMeta,
        /// Spec.
        pub spec: ScaledJobSpec,
    }
    ignore ["apiVersion", "kind", "status"]
}

object! {
    /// ScaledJob spec (`apis/keda/v1alpha1/scaledjob_types.go`).
    pub struct ScaledJobSpec {
        /// The Job.
        pub job_target_ref: JobSpec,
        /// Seconds between polls (>= 1).
        pub polling_interval: Seconds = Seconds(30),
        /// Finished successful Jobs kept.
        pub successful_jobs_history_limit: u32 = 100,
        /// Finished failed Jobs kept.
        pub failed_jobs_history_limit: u32 = 100,
        /// Jobs that are always running.
        pub min_replica_count: Option<u32>,
        /// Most Jobs at a time; absent = 100.
        pub max_replica_count: Option<u32>,
        /// What happens to running Jobs when the spec changes.
        pub rollout: Option<Rollout>,
        /// Deprecated form of `rollout.strategy`.
        pub rollout_strategy: Option<String>,
        /// How many Jobs are created.
        pub scaling_strategy: ScalingStrategy = super::decode::defaults(),
        /// Sources.
        pub triggers: Vec<Trigger>,
    }
    ignore ["envSourceContainerName"]
}

object! {
    /// What happens to running Jobs when the spec changes.
    pub struct Rollout {
        /// `immediate` deletes Jobs of the old spec, `gradual` keeps them.
        pub strategy: Option<String>,
        /// `background` or `foreground`.
        pub propagation_policy: Option<String>,
    }
}

object! {
    /// How many Jobs a poll creates.
    pub struct ScalingStrategy {
        /// Strategy.
        pub strategy: JobStrategy = JobStrategy::Default,
        /// `custom`: subtracted from the queue's need.
        pub custom_scaling_queue_length_deduction: Option<i32>,
        /// `custom`: share of running Jobs subtracted, a number in a string.
        pub custom_scaling_running_job_percentage: Option<String>,
        /// A running Job without a pod with all these conditions counts as pending.
        pub pending_pod_conditions: Vec<String>,
        /// How several triggers combine.
        pub multiple_scalers_calculation: MultipleScalersCalculation = MultipleScalersCalculation::Max,
    }
}

choice! {
    /// ScaledJob strategy.
    pub enum JobStrategy {
        /// need − running.
        Default = "default",
        /// need − deduction − running · percentage.
        Custom = "custom",
        /// need − pending.
        Accurate = "accurate",
        /// As many as allowed.
        Eager = "eager",
    }
}

choice! {
    /// How several triggers of a ScaledJob combine.
    pub enum MultipleScalersCalculation {
        /// The largest.
        Max = "max",
        /// The smallest.
        Min = "min",
        /// The mean.
        Avg = "avg",
        /// The sum.
        Sum = "sum",
    }
}
