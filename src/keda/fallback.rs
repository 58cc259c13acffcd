//! Values for triggers that fail too often (`pkg/fallback/fallback.go`).

use std::collections::BTreeMap;

use super::capabilities::Capabilities;
use super::scaler::{ExternalMetric, ExternalTarget};
use crate::api::keda::{Fallback, FallbackBehavior, ScaledObjectSpec, ScalingModifiers, TriggerMetricType};

/// `status.health`: failures in a row by metric name, counted only where a valid fallback is configured.
pub type Health = BTreeMap<String, u32>;

/// What a fallback may look at.
#[derive(Clone, Copy, Debug)]
pub struct FallbackContext<'a> {
    /// Spec of the ScaledObject.
    pub spec: &'a ScaledObjectSpec,
    /// The target's `spec.replicas`.
    pub replicas: u32,
    /// Its pods that are Running and Ready.
    pub ready_pods: u32,
    /// What this version can do.
    pub capabilities: Capabilities,
}

/// A trigger's value after fallback.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Processed {
    /// Value in thousandths.
    pub value_milli: i64,
    /// Whether it is the substitute of a fallback: the trigger then counts as active.
    pub fallback_active: bool,
}

/// Value of a failed trigger under `behavior: scalingModifiers`; formulas see `nil` in its place.
pub const PLACEHOLDER_MILLI: i64 = -1000;

/// The scalingModifiers in use, if any part of them is given (`ScaledObject.IsUsingModifiers`).
#[must_use]
pub fn scaling_modifiers(spec: &ScaledObjectSpec) -> Option<&ScalingModifiers> {
    let modifiers = spec.advanced.as_ref()?.scaling_modifiers.as_ref()?;
    let used = modifiers.formula.is_some()
        || modifiers.target.is_some()
        || modifiers.activation_target.is_some()
        || modifiers.metric_type.is_some();
    used.then_some(modifiers)
}

/// The fallback, unless it is disabled by a scalingModifiers target that is no positive integer
/// (`isFallbackEnabled`, `HasValidFallback`).
#[must_use]
pub fn valid_fallback(spec: &ScaledObjectSpec) -> Option<&Fallback> {
    let fallback = spec.fallback.as_ref()?;
    let valid = scaling_modifiers(spec).is_none_or(|modifiers| {
        modifiers.target.as_deref().and_then(|target| target.parse::<i64>().ok()).is_some_and(|target| target > 0)
    });
    valid.then_some(fallback)
}

/// Counts failures in a row and, beyond the threshold, replaces the error by a value (`GetMetricsWithFallback`).
///
/// # Errors
/// The error itself, while it is not replaced.
pub fn get_metrics_with_fallback(
    context: &FallbackContext<'_>,
    health: &mut Health,
    metric: &ExternalMetric,
    raw: Result<i64, String>,
) -> Result<Processed, String> {
    let fallback = valid_fallback(context.spec);
    let error = match (raw, fallback) {
        (Ok(value_milli), fallback) => {
            if fallback.is_some() {
                health.insert(metric.name.to_string(), 0);
            }
            return Ok(Processed { value_milli, fallback_active: false });
        }
        (Err(error), None) => return Err(error),
        (Err(error), Some(_)) => error,
    };
    let Some(fallback) = fallback else { return Err(error) };
    let failures = health.entry(metric.name.to_string()).or_insert(0);
    *failures = failures.saturating_add(1);
    if *failures <= fallback.failure_threshold {
        return Err(error);
    }
    let behavior = if context.capabilities.fallback_behavior { fallback.behavior } else { FallbackBehavior::Static };
    if behavior == FallbackBehavior::ScalingModifiers {
        return Ok(Processed { value_milli: PLACEHOLDER_MILLI, fallback_active: false });
    }
    match do_fallback(context, fallback.replicas, behavior, metric) {
        Some(value_milli) => Ok(Processed { value_milli, fallback_active: true }),
        None => Err("error performing fallback".to_owned()),
    }
}

/// Target times replicas, for `Value` targets by ready pod (`doFallback`).
fn do_fallback(
    context: &FallbackContext<'_>,
    replicas: u32,
    behavior: FallbackBehavior,
    metric: &ExternalMetric,
) -> Option<i64> {
    let replicas = match behavior {
        FallbackBehavior::Static | FallbackBehavior::ScalingModifiers => replicas,
        FallbackBehavior::CurrentReplicas => context.replicas,
        FallbackBehavior::CurrentReplicasIfHigher => context.replicas.max(replicas),
        FallbackBehavior::CurrentReplicasIfLower => context.replicas.min(replicas),
    };
    let modifiers = scaling_modifiers(context.spec);
    let by_value = match modifiers {
        Some(modifiers) => modifiers.metric_type == Some(TriggerMetricType::Value),
        None => matches!(metric.target, ExternalTarget::Value(_)),
    };
    let mut replicas = f64::from(replicas);
    if by_value {
        if context.ready_pods == 0 || !context.capabilities.fallback_for_value {
            return None;
        }
        replicas /= f64::from(context.ready_pods);
    }
    let target = match modifiers {
        Some(modifiers) => modifiers.target.as_deref().and_then(|target| target.parse().ok()).unwrap_or(0.0),
        None => metric.target.milli() as f64 / 1000.0,
    };
    Some((target * 1000.0 * replicas) as i64)
}
