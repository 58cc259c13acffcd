//! Proposals of external and object metrics (`pkg/controller/podautoscaler/replica_calculator.go`).

use super::settings::Tolerances;

/// What a metric proposes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Proposal {
    /// Replicas.
    pub replicas: i32,
    /// Value that the status shows, in thousandths; for utilization targets the average per pod.
    pub usage_milli: i64,
    /// Percent of requests, for utilization targets.
    pub utilization_percent: Option<i32>,
}

impl Proposal {
    /// A proposal with a value.
    #[must_use]
    pub const fn new(replicas: i32, usage_milli: i64) -> Self {
        Proposal { replicas, usage_milli, utilization_percent: None }
    }
}

/// Counts of the target that a proposal may depend on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// `scale.spec.replicas`.
    pub spec: i32,
    /// `scale.status.replicas`: pods that exist and are neither terminating nor finished, pending ones included.
    pub status: i32,
    /// Pods of the selector in any state.
    pub pods: i32,
    /// Those that are Running and Ready, terminating ones included.
    pub ready: i32,
}

/// Ceiling within the range of 32 bits.
pub(super) fn ceil_to_i32(value: f64) -> i32 {
    value.ceil() as i32
}

/// External metric with `averageValue` (`GetExternalPerPodMetricReplicas`). A running sum below zero counts as an overflow.
#[must_use]
pub fn get_external_per_pod_metric_replicas(
    counts: Counts,
    series_milli: &[i64],
    target_milli: i64,
    tolerances: &Tolerances,
) -> Proposal {
    let mut usage = 0_i64;
    for value in series_milli {
        usage = usage.wrapping_add(*value);
        if usage < 0 {
            usage = i64::MAX;
            break;
        }
    }
    per_pod_replicas(counts.status, usage, target_milli, tolerances)
}

/// Object metric with `averageValue` (`GetObjectPerPodMetricReplicas`).
#[must_use]
pub fn get_object_per_pod_metric_replicas(
    counts: Counts,
    value_milli: i64,
    target_milli: i64,
    tolerances: &Tolerances,
) -> Proposal {
    per_pod_replicas(counts.status, value_milli, target_milli, tolerances)
}

/// Total over target; the tolerance is tested against, and answered with, `status.replicas`.
fn per_pod_replicas(status: i32, usage: i64, target: i64, tolerances: &Tolerances) -> Proposal {
    let ratio = usage as f64 / (target as f64 * f64::from(status));
    let replicas = if tolerances.is_within(ratio) { status } else { ceil_to_i32(usage as f64 / target as f64) };
    Proposal::new(replicas, usage_per_pod(usage, status))
}

/// The average that the status shows: rounded up, 0 without replicas, saturating.
#[must_use]
pub fn usage_per_pod(usage_milli: i64, status_replicas: i32) -> i64 {
    if usage_milli as f64 >= i64::MAX as f64 {
        i64::MAX
    } else if status_replicas == 0 {
        0
    } else {
        (usage_milli as f64 / f64::from(status_replicas)).ceil() as i64
    }
}

/// External metric with `value` (`GetExternalMetricReplicas`). Only a positive overflow is capped.
///
/// # Errors
/// When the target has no pods at all.
pub fn get_external_metric_replicas(
    counts: Counts,
    series_milli: &[i64],
    target_milli: i64,
    tolerances: &Tolerances,
) -> Result<Proposal, String> {
    let mut usage = 0_i64;
    for value in series_milli {
        if *value > 0 && usage > i64::MAX - value {
            usage = i64::MAX;
            break;
        }
        usage = usage.wrapping_add(*value);
    }
    get_usage_ratio_replica_count(counts, usage as f64 / target_milli as f64, tolerances)
        .map(|replicas| Proposal::new(replicas, usage))
}

/// Object metric with `value` (`GetObjectMetricReplicas`).
///
/// # Errors
/// When the target has no pods at all.
pub fn get_object_metric_replicas(
    counts: Counts,
    value_milli: i64,
    target_milli: i64,
    tolerances: &Tolerances,
) -> Result<Proposal, String> {
    get_usage_ratio_replica_count(counts, value_milli as f64 / target_milli as f64, tolerances)
        .map(|replicas| Proposal::new(replicas, value_milli))
}

/// Ratio times ready pods; from zero the ratio alone, without tolerance (`getUsageRatioReplicaCount`).
fn get_usage_ratio_replica_count(counts: Counts, ratio: f64, tolerances: &Tolerances) -> Result<i32, String> {
    if counts.spec == 0 {
        return Ok(ceil_to_i32(ratio));
    }
    if tolerances.is_within(ratio) {
        return Ok(counts.spec);
    }
    if counts.pods == 0 {
        return Err("no pods returned by selector while calculating replica count".to_owned());
    }
    Ok(ceil_to_i32(ratio * f64::from(counts.ready)))
}
