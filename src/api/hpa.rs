//! `autoscaling/v2 HorizontalPodAutoscaler`.

use super::meta::{LabelSelector, ObjectMeta};
use super::scalar::{Quantity, Seconds};
use crate::{choice, object};

object! {
    /// A HorizontalPodAutoscaler.
    pub struct HorizontalPodAutoscaler {
        /// Name, labels, annotations.
        pub metadata: ObjectMeta,
        /// Spec.
        pub spec: HpaSpec,
    }
    ignore ["apiVersion", "kind", "status"]
}

object! {
    /// HorizontalPodAutoscaler spec.
    pub struct HpaSpec {
        /// What is scaled.
        pub scale_target_ref: CrossVersionObjectReference,
        /// Lower bound.
        pub min_replicas: u32 = 1,
        /// Upper bound.
        pub max_replicas: u32,
        /// Metrics; the largest proposal wins. Default: CPU utilization 80 %.
        pub metrics: Vec<MetricSpec>,
        /// Speed limits and stabilization; absent = the controller's legacy path.
        pub behavior: Option<Behavior>,
    }
}

object! {
    /// Names an object of some kind.
    pub struct CrossVersionObjectReference {
        /// Kind.
        pub kind: Option<String>,
        /// Name.
        pub name: String,
        /// API version.
        pub api_version: Option<String>,
    }
}

object! {
    /// One metric; the part named by `type` must be there.
    pub struct MetricSpec {
        /// Kind of metric.
        @"type" pub kind: MetricKind,
        /// CPU or memory of all containers.
        pub resource: Option<ResourceMetricSource>,
        /// CPU or memory of one container.
        pub container_resource: Option<ContainerResourceMetricSource>,
        /// Metric of the pods themselves.
        pub pods: Option<PodsMetricSource>,
        /// Metric of an object.
        pub object: Option<ObjectMetricSource>,
        /// Metric from outside the cluster.
        pub external: Option<ExternalMetricSource>,
    }
}

choice! {
    /// Kind of metric.
    pub enum MetricKind {
        /// CPU or memory of all containers.
        Resource = "Resource",
        /// CPU or memory of one container.
        ContainerResource = "ContainerResource",
        /// Metric of the pods themselves.
        Pods = "Pods",
        /// Metric of an object.
        Object = "Object",
        /// Metric from outside the cluster.
        External = "External",
    }
}

object! {
    /// CPU or memory of all containers.
    pub struct ResourceMetricSource {
        /// `cpu` or `memory`.
        pub name: String,
        /// Target.
        pub target: MetricTarget,
    }
}

object! {
    /// CPU or memory of one container.
    pub struct ContainerResourceMetricSource {
        /// `cpu` or `memory`.
        pub name: String,
        /// Container.
        pub container: String,
        /// Target.
        pub target: MetricTarget,
    }
}

object! {
    /// Metric of the pods themselves.
    pub struct PodsMetricSource {
        /// Metric.
        pub metric: MetricIdentifier,
        /// Target.
        pub target: MetricTarget,
    }
}

object! {
    /// Metric of an object.
    pub struct ObjectMetricSource {
        /// The object.
        pub described_object: CrossVersionObjectReference,
        /// Metric.
        pub metric: MetricIdentifier,
        /// Target.
        pub target: MetricTarget,
    }
}

object! {
    /// Metric from outside the cluster.
    pub struct ExternalMetricSource {
        /// Metric.
        pub metric: MetricIdentifier,
        /// Target.
        pub target: MetricTarget,
    }
}

object! {
    /// Names a metric.
    pub struct MetricIdentifier {
        /// Name.
        pub name: String,
        /// Selects series.
        pub selector: Option<LabelSelector>,
    }
}

object! {
    /// Target of a metric; the field named by `type` must be there.
    pub struct MetricTarget {
        /// Kind of target.
        @"type" pub kind: MetricTargetType,
        /// Total.
        pub value: Option<Quantity>,
        /// Per pod.
        pub average_value: Option<Quantity>,
        /// Percent of requests.
        pub average_utilization: Option<u32>,
    }
}

choice! {
    /// Kind of target.
    pub enum MetricTargetType {
        /// Percent of requests.
        Utilization = "Utilization",
        /// Total.
        Value = "Value",
        /// Per pod.
        AverageValue = "AverageValue",
    }
}

object! {
    /// `behavior`.
    pub struct Behavior {
        /// Upwards.
        pub scale_up: Option<ScalingRules>,
        /// Downwards.
        pub scale_down: Option<ScalingRules>,
    }
}

object! {
    /// Rules of one direction; absent parts get the API server's defaults for that direction.
    pub struct ScalingRules {
        /// Seconds of past recommendations that are considered (0 to 3600); default 0 up, 300 down.
        pub stabilization_window_seconds: Option<Seconds>,
        /// Which policy wins.
        pub select_policy: Option<SelectPolicy>,
        /// Speed limits; default up: 4 pods or 100 % per 15 s, down: 100 % per 15 s.
        pub policies: Option<Vec<ScalingPolicy>>,
        /// Deviation from the target that is ignored, as a fraction; default 0.1.
        pub tolerance: Option<Quantity>,
    }
}

choice! {
    /// Which policy wins.
    pub enum SelectPolicy {
        /// The one allowing the largest change.
        Max = "Max",
        /// The one allowing the smallest change.
        Min = "Min",
        /// None: no scaling in this direction.
        Disabled = "Disabled",
    }
}

object! {
    /// A speed limit.
    pub struct ScalingPolicy {
        /// Unit of the value.
        @"type" pub kind: ScalingPolicyType,
        /// Pods, or percent; > 0.
        pub value: u32,
        /// Seconds (1 to 1800).
        pub period_seconds: Seconds,
    }
}

choice! {
    /// Unit of a speed limit.
    pub enum ScalingPolicyType {
        /// Pods.
        Pods = "Pods",
        /// Percent of the replicas at the beginning of the period.
        Percent = "Percent",
    }
}
