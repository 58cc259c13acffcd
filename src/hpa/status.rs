//! Status of an HPA: counts and conditions with upstream's reasons.

use crate::cluster::Rule;
use crate::time::Time;

macro_rules! reasons {
    ($( $(#[doc = $doc:literal])* $name:ident, )*) => {
        /// Reason of a condition, named as upstream names it.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
        pub enum Reason { $( $(#[doc = $doc])* $name, )* }

        impl Reason {
            /// The reason as upstream writes it.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $( Reason::$name => stringify!($name), )* }
            }

            /// The rule that it stands for.
            #[must_use]
            pub const fn rule(self) -> Rule {
                match self { $( Reason::$name => Rule::$name, )* }
            }
        }
    };
}

reasons! {
    /// AbleToScale: the scale could be read, nothing else was decided.
    SucceededGetScale,
    /// AbleToScale: the scale was written.
    SucceededRescale,
    /// AbleToScale: the recommendation needs no stabilization.
    ReadyForNewScale,
    /// AbleToScale: a lower recommendation of the up window applies.
    ScaleUpStabilized,
    /// AbleToScale: a higher recommendation of the down window applies.
    ScaleDownStabilized,
    /// AbleToScale: the scale could not be read.
    FailedGetScale,
    /// AbleToScale: the scale could not be written.
    FailedUpdateScale,
    /// ScalingActive: at least one metric is valid.
    ValidMetricFound,
    /// ScalingActive: the target has zero replicas.
    ScalingDisabled,
    /// ScalingActive: an external metric failed.
    FailedGetExternalMetric,
    /// ScalingActive: a resource metric failed.
    FailedGetResourceMetric,
    /// ScalingActive: a container resource metric failed.
    FailedGetContainerResourceMetric,
    /// ScalingActive: a pods metric failed.
    FailedGetPodsMetric,
    /// ScalingActive: an object metric failed.
    FailedGetObjectMetric,
    /// ScalingActive: a metric of no known type.
    InvalidMetricSourceType,
    /// ScalingActive: the target's selector is empty or does not parse.
    InvalidSelector,
    /// ScalingActive: the pods are selected by another HPA's target too.
    AmbiguousSelector,
    /// ScalingLimited: nothing limits.
    DesiredWithinRange,
    /// ScalingLimited: `minReplicas` limits.
    TooFewReplicas,
    /// ScalingLimited: `maxReplicas` limits.
    TooManyReplicas,
    /// ScalingLimited: the speed limit up limits.
    ScaleUpLimit,
    /// ScalingLimited: the speed limit down limits.
    ScaleDownLimit,
    /// ScaledToZero: this HPA scaled to zero.
    ScaledToZero,
    /// ScaledToZero: this HPA did not scale to zero.
    NotScaledToZero,
}

/// One condition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Condition {
    /// True or False.
    pub status: bool,
    /// Why.
    pub reason: Reason,
}

/// The conditions of an HPA; `None` = not written yet.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Conditions {
    /// Whether the scale can be read and written.
    pub able_to_scale: Option<Condition>,
    /// Whether the HPA calculates.
    pub scaling_active: Option<Condition>,
    /// Whether a limit holds the count back.
    pub scaling_limited: Option<Condition>,
    /// Whether this HPA brought the target to zero.
    pub scaled_to_zero: Option<Condition>,
}

/// `HorizontalPodAutoscalerStatus`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Status {
    /// The target's `spec.replicas` that the last pass read.
    pub current_replicas: i32,
    /// What the last decision wanted.
    pub desired_replicas: i32,
    /// Per metric of the spec: reported value in thousandths, or percent for utilization; empty after a clamp.
    pub current_metrics: Vec<Option<i64>>,
    /// Conditions.
    pub conditions: Conditions,
    /// When the scale was last written.
    pub last_scale_time: Option<Time>,
}
