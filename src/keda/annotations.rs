//! Annotations that pause or force a ScaledObject or ScaledJob (`apis/keda/v1alpha1/scaledobject_types.go`).

use super::capabilities::Capabilities;
use crate::api::meta::Labels;

/// What the annotations ask for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Annotations {
    /// No loop and no HPA.
    pub paused: bool,
    /// `paused-replicas`: the count while paused; `None` if absent or no integer.
    pub paused_replicas: Option<u32>,
    /// No scaling in, by KEDA or the HPA.
    pub paused_scale_in: bool,
    /// No scaling out, by KEDA or the HPA.
    pub paused_scale_out: bool,
    /// Counts as active at every poll.
    pub force_activation: bool,
}

const PAUSED: &str = "autoscaling.keda.sh/paused";
const PAUSED_REPLICAS: &str = "autoscaling.keda.sh/paused-replicas";
const PAUSED_SCALE_IN: &str = "autoscaling.keda.sh/paused-scale-in";
const PAUSED_SCALE_OUT: &str = "autoscaling.keda.sh/paused-scale-out";
const FORCE_ACTIVATION: &str = "autoscaling.keda.sh/force-activation";

impl Annotations {
    /// Reads them (`NeedToBePausedByAnnotation`, `NeedToPauseScaleIn`, `NeedToPauseScaleOut`, `NeedToForceActivation`,
    /// `GetPausedReplicaCount`).
    #[must_use]
    pub fn of(labels: &Labels, capabilities: Capabilities) -> Self {
        let partial = capabilities.partial_pause;
        Annotations {
            paused: labels.contains_key(PAUSED_REPLICAS) || get_bool_annotation(labels, PAUSED),
            paused_replicas: labels.get(PAUSED_REPLICAS).and_then(|text| text.parse().ok()),
            paused_scale_in: partial && get_bool_annotation(labels, PAUSED_SCALE_IN),
            paused_scale_out: partial && get_bool_annotation(labels, PAUSED_SCALE_OUT),
            force_activation: partial && get_bool_annotation(labels, FORCE_ACTIVATION),
        }
    }
}

/// Absent is false; what Go's `strconv.ParseBool` does not know is true (`getBoolAnnotation`).
fn get_bool_annotation(labels: &Labels, name: &str) -> bool {
    labels.get(name).is_some_and(|text| parse_bool(text).unwrap_or(true))
}

/// Go's `strconv.ParseBool`.
pub(super) fn parse_bool(text: &str) -> Option<bool> {
    match text {
        "1" | "t" | "T" | "true" | "TRUE" | "True" => Some(true),
        "0" | "f" | "F" | "false" | "FALSE" | "False" => Some(false),
        _ => None,
    }
}
