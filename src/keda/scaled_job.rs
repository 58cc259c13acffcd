//! How many Jobs a ScaledJob's poll creates and which finished ones it deletes (`pkg/scaling/executor/scale_jobs.go`,
//! `pkg/scaling/scaledjob/metrics.go`, `apis/keda/v1alpha1/scaledjob_types.go`).

use super::capabilities::Capabilities;
use crate::api::keda::{JobStrategy, MultipleScalersCalculation, Rollout, ScaledJobSpec, ScalingStrategy};
use crate::time::Time;

/// What a trigger adds (`ScalerMetrics`).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ScalerMetrics {
    /// Value of the metric.
    pub queue_length: f64,
    /// Value by target, at most the maximum.
    pub max_value: f64,
    /// Whether the trigger is active.
    pub active: bool,
}

/// What the triggers ask for together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct JobState {
    /// Whether any contributing trigger is active, or a minimum is set.
    pub active: bool,
    /// `scaleTo`: queue length, rounded up.
    pub scale_to: i64,
    /// `maxScale`: Jobs wanted, rounded up, at most the maximum.
    pub max_scale: i64,
}

/// Jobs that are always there; at most the maximum (`ScaledJob.MinReplicaCount`).
#[must_use]
pub fn min_replica_count(spec: &ScaledJobSpec) -> i64 {
    let min = spec.min_replica_count.unwrap_or(0);
    i64::from(spec.max_replica_count.map_or(min, |max| min.min(max)))
}

/// Jobs beyond the minimum, unless the maximum is absent or below the minimum (`ScaledJob.MaxReplicaCount`).
#[must_use]
pub fn max_replica_count(spec: &ScaledJobSpec) -> i64 {
    match spec.max_replica_count {
        None => 100,
        Some(max) if spec.min_replica_count.is_some_and(|min| min > max) => i64::from(max),
        Some(max) => i64::from(max) - min_replica_count(spec),
    }
}

/// A trigger's part (`CalculateQueueLengthAndMaxValue`). Both in thousandths; a `Value` target counts as none.
#[must_use]
pub fn scaler_metrics(value_milli: i64, average_target_milli: i64, active: bool, max: i64) -> ScalerMetrics {
    let queue_length = value_milli as f64 / 1000.0;
    let target = average_target_milli as f64 / 1000.0;
    let max_value = if target == 0.0 { 0.0 } else { (queue_length / target).min(max as f64) };
    ScalerMetrics { queue_length, max_value, active }
}

/// Combines the active triggers (`IsScaledJobActive`).
#[must_use]
pub fn is_scaled_job_active(
    metrics: &[ScalerMetrics],
    calculation: MultipleScalersCalculation,
    min: i64,
    max: i64,
) -> JobState {
    let active: Vec<&ScalerMetrics> = metrics.iter().filter(|metric| metric.active).collect();
    let (mut queue_length, mut max_value) = (0.0, 0.0);
    let mut contributes = !active.is_empty();
    match calculation {
        MultipleScalersCalculation::Min => {
            for metric in &active {
                if queue_length == 0.0 || metric.queue_length < queue_length {
                    (queue_length, max_value) = (metric.queue_length, metric.max_value);
                }
            }
        }
        MultipleScalersCalculation::Avg | MultipleScalersCalculation::Sum => {
            queue_length = active.iter().map(|metric| metric.queue_length).sum();
            max_value = active.iter().map(|metric| metric.max_value).sum();
            if calculation == MultipleScalersCalculation::Avg && contributes {
                queue_length /= active.len() as f64;
                max_value /= active.len() as f64;
            }
        }
        MultipleScalersCalculation::Max => {
            contributes = false;
            for metric in &active {
                if metric.queue_length > queue_length {
                    (queue_length, max_value) = (metric.queue_length, metric.max_value);
                    contributes = true;
                }
            }
        }
    }
    JobState {
        active: contributes || min > 0,
        scale_to: queue_length.ceil() as i64,
        max_scale: max_value.min(max as f64).ceil() as i64,
    }
}

/// A strategy's decision: how many Jobs at most, and how many are wanted (`GetEffectiveMaxScale`).
#[must_use]
pub fn get_effective_max_scale(
    strategy: &ScalingStrategy,
    capabilities: Capabilities,
    state: JobState,
    running: i64,
    pending: i64,
    max: i64,
) -> (i64, i64) {
    let JobState { scale_to, max_scale, .. } = state;
    let percentage =
        strategy.custom_scaling_running_job_percentage.as_deref().and_then(|text| text.parse::<f64>().ok());
    match (strategy.strategy, percentage) {
        (JobStrategy::Custom, Some(percentage)) => {
            let deduction = i64::from(strategy.custom_scaling_queue_length_deduction.unwrap_or(0));
            let discounted = (running as f64 * percentage) as i64;
            ((max_scale - deduction - discounted).min(max), scale_to)
        }
        (JobStrategy::Accurate, _) => {
            let counted = if capabilities.accurate_counts_pending { pending } else { 0 };
            let over = max_scale + running - counted > max;
            (if over { max - running } else { max_scale - pending }, scale_to)
        }
        (JobStrategy::Eager, _) if capabilities.eager_strategy => ((max - running - pending).min(max_scale), max),
        _ => (max_scale - running, scale_to),
    }
}

/// How many Jobs a poll creates, with the bound that applied (`getScalingDecision`, `RequestJobScale`, `createJobs`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct JobDecision {
    /// Jobs to create.
    pub create: i64,
    /// `effectiveMaxScale`, not below 0.
    pub effective_max_scale: i64,
    /// `scaleTo` after the strategy.
    pub scale_to: i64,
}

/// Decides how many Jobs to create now, given those that are not finished.
#[must_use]
pub fn request_job_scale(
    spec: &ScaledJobSpec,
    capabilities: Capabilities,
    state: JobState,
    running: i64,
    pending: i64,
) -> JobDecision {
    let (min, max) = (min_replica_count(spec), max_replica_count(spec));
    let (effective, scale_to) = if running < min {
        (min - running, min - running)
    } else {
        get_effective_max_scale(&spec.scaling_strategy, capabilities, state, running - min, pending, max)
    };
    let effective_max_scale = effective.max(0);
    let create = if state.active { scale_to.min(effective_max_scale).max(0) } else { 0 };
    JobDecision { create, effective_max_scale, scale_to }
}

/// Phase of a Job's pod.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum JobPodPhase {
    /// Running.
    Running,
    /// Succeeded.
    Succeeded,
    /// Pending, Failed or Unknown.
    Other,
}

/// A Job's pod.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct JobPod<'a> {
    /// Phase.
    pub phase: JobPodPhase,
    /// Types of the conditions that are True.
    pub conditions: &'a [&'a str],
}

/// Whether an unfinished Job counts as pending: no pod runs or ran, or none has all the conditions asked for
/// (`getPendingJobCount`).
#[must_use]
pub fn is_pending(pending_pod_conditions: &[String], pods: &[JobPod<'_>]) -> bool {
    if pending_pod_conditions.is_empty() {
        return !pods.iter().any(|pod| pod.phase != JobPodPhase::Other);
    }
    let fulfils =
        |pod: &JobPod<'_>| pending_pod_conditions.iter().all(|condition| pod.conditions.contains(&condition.as_str()));
    !pods.iter().any(fulfils)
}

/// Which of the finished Jobs of one kind are deleted: the oldest beyond the limit, by index into `finished`
/// (`cleanUp`, `deleteJobsWithHistoryLimit`).
#[must_use]
pub fn clean_up(finished: &[Time], limit: u32) -> Vec<usize> {
    let mut order: Vec<usize> = (0..finished.len()).collect();
    order.sort_by_key(|index| finished[*index]);
    order.truncate(finished.len().saturating_sub(limit as usize));
    order
}

/// Whether Jobs of an earlier spec are deleted when the spec changes; the deprecated `rolloutStrategy` wins
/// (`scaledjob_controller.go: deletePreviousVersionScaleJobs`).
#[must_use]
pub fn deletes_previous_version(spec: &ScaledJobSpec) -> bool {
    let strategy = spec.rollout.as_ref().and_then(|rollout: &Rollout| rollout.strategy.as_deref());
    spec.rollout_strategy.as_deref().filter(|text| !text.is_empty()).or(strategy) != Some("gradual")
}
