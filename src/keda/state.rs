//! A poll's and a pull's view of all triggers of a ScaledObject (`pkg/scaling/scale_handler.go`).

use std::collections::BTreeMap;
use std::sync::Arc;

use super::capabilities::Capabilities;
use super::fallback::{FallbackContext, Health, Processed, get_metrics_with_fallback, scaling_modifiers};
use super::formula::{COMPOSITE_METRIC_NAME, Formula, NamedValue};
use super::scaler::{ExternalMetric, Sample, Scaler, TriggerError};
use crate::api::keda::ScaledObjectSpec;
use crate::time::Time;

/// One trigger with its scaler.
#[derive(Clone, Debug, PartialEq)]
pub struct TriggerScaler {
    /// Its scaler.
    pub scaler: Scaler,
    /// Its name in formulas.
    pub name: String,
    /// `useCachedMetrics`: pulls are served the value of the last poll.
    pub use_cached_metrics: bool,
}

/// All scalers of an object (`pkg/scaling/cache/scalers_cache.go: ScalersCache`).
#[derive(Clone, Debug)]
pub struct ScalersCache {
    /// In the order of the spec.
    pub triggers: Vec<TriggerScaler>,
    /// Formula of `scalingModifiers`.
    pub formula: Option<Formula>,
}

/// Why an object's scalers cannot be built.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BuildError {
    /// A trigger is wrong.
    #[error("error parsing trigger #{index}: {error}")]
    Trigger {
        /// Position in the spec.
        index: usize,
        /// What is wrong.
        error: TriggerError,
    },
    /// `useCachedMetrics` of a trigger that has no metric of its own.
    #[error("property \"useCachedMetrics\" is not supported for {0} scaler")]
    CachedMetrics(String),
    /// Two triggers with one name.
    #[error("triggerName {0:?} is defined multiple times in the ScaledObject, but it must be unique")]
    DuplicateName(String),
    /// `scalingModifiers` are wrong.
    #[error("error validating-compiling scalingModifiers: {0}")]
    Modifiers(String),
}

impl ScalersCache {
    /// Builds the scalers of a ScaledObject.
    ///
    /// # Errors
    /// When a trigger or the formula is wrong.
    pub fn build(spec: &ScaledObjectSpec, capabilities: Capabilities) -> Result<Self, BuildError> {
        let mut triggers: Vec<TriggerScaler> = Vec::with_capacity(spec.triggers.len());
        for (index, trigger) in spec.triggers.iter().enumerate() {
            if trigger.use_cached_metrics && matches!(trigger.kind.as_str(), "cpu" | "memory" | "cron") {
                return Err(BuildError::CachedMetrics(trigger.kind.clone()));
            }
            let name = trigger.name.clone().unwrap_or_default();
            if !name.is_empty() && triggers.iter().any(|other| other.name == name) {
                return Err(BuildError::DuplicateName(name));
            }
            let scaler =
                Scaler::build(trigger, index, capabilities).map_err(|error| BuildError::Trigger { index, error })?;
            triggers.push(TriggerScaler { scaler, name, use_cached_metrics: trigger.use_cached_metrics });
        }
        let formula = Formula::compile(spec).map_err(BuildError::Modifiers)?;
        Ok(ScalersCache { triggers, formula })
    }

    /// The triggers with an external metric: index, trigger, metric.
    pub fn external(&self) -> impl Iterator<Item = (usize, &TriggerScaler, &ExternalMetric)> {
        let triggers = self.triggers.iter().enumerate();
        triggers.filter_map(|(index, trigger)| trigger.scaler.external().map(|metric| (index, trigger, metric)))
    }
}

/// Why a query has no sample.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum QueryError {
    /// The source failed, twice.
    Failed(String),
    /// The other loop threw the scalers away meanwhile: no value, no failure (`cache.ErrCacheClosed`).
    CacheClosed,
}

/// A query's outcome.
pub type QueryResult = Result<Sample, QueryError>;

/// What a poll stores for pulls of a trigger with `useCachedMetrics`, after fallback (`metricscache.MetricsRecord`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// Value in thousandths, or the error.
    pub value: Result<i64, String>,
    /// Whether the trigger was active.
    pub active: bool,
}

/// Records by metric name.
pub type Records = BTreeMap<String, Record>;

/// What KEDA keeps in a ScaledObject's status; it survives the operator.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Status {
    /// `lastActiveTime`, a whole second.
    pub last_active: Option<Time>,
    /// `health`.
    pub health: Health,
    /// `originalReplicaCount`.
    pub original_replicas: Option<u32>,
}

/// What a poll found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ObjectState {
    /// Whether the object is active.
    pub active: bool,
    /// Whether any trigger failed.
    pub error: bool,
    /// Whether any trigger is in fallback.
    pub fallback_active: bool,
    /// Records for the cache.
    pub records: Records,
    /// Metric names of the active triggers.
    pub active_triggers: Vec<Arc<str>>,
    /// Values after fallback by metric name, the composite one alone with a formula.
    pub values: Vec<(Arc<str>, i64)>,
}

/// Sums the triggers up for a poll; `query` asks one trigger by its index (`getScaledObjectState`, `getScalerState`).
pub fn get_scaled_object_state(
    cache: &ScalersCache,
    context: &FallbackContext<'_>,
    status: &mut Status,
    mut query: impl FnMut(usize) -> QueryResult,
) -> ObjectState {
    let mut state = ObjectState::default();
    let composite = scaling_modifiers(context.spec).is_some();
    let mut values: Vec<NamedValue<'_>> = Vec::new();
    let mut substitutes: Vec<i64> = Vec::new();
    for (index, trigger, metric) in cache.external() {
        let sample = match query(index) {
            Ok(sample) => Ok(sample),
            Err(QueryError::CacheClosed) => continue,
            Err(QueryError::Failed(error)) => Err(error),
        };
        let sampled_active = sample.as_ref().is_ok_and(|sample| sample.active);
        let raw = sample.map(|sample| sample.value_milli);
        let processed = if context.capabilities.fallback_in_polls {
            get_metrics_with_fallback(context, &mut status.health, metric, raw)
        } else {
            raw.map(|value_milli| Processed { value_milli, fallback_active: false })
        };
        let fallback = processed.as_ref().is_ok_and(|processed| processed.fallback_active);
        let active = fallback || sampled_active;
        if trigger.use_cached_metrics {
            let value = processed.as_ref().map(|processed| processed.value_milli).map_err(Clone::clone);
            state.records.insert(metric.name.to_string(), Record { value, active });
        }
        match processed {
            Err(_) => state.error = true,
            Ok(Processed { value_milli, fallback_active }) => {
                state.fallback_active |= fallback_active;
                if fallback_active {
                    substitutes.push(value_milli);
                }
                if active {
                    state.active = true;
                    state.active_triggers.push(metric.name.clone());
                }
                state.values.push((metric.name.clone(), value_milli));
                if composite {
                    values.push(NamedValue { trigger: &trigger.name, metric: &metric.name, value_milli });
                }
            }
        }
    }
    apply_modifiers_to_state(cache, context.spec, &status.health, &mut state, &values, &substitutes);
    let resources = context.spec.triggers.iter().filter(|trigger| matches!(trigger.kind.as_str(), "cpu" | "memory"));
    if context.spec.triggers.len() <= resources.count() && !state.error {
        state.active = true;
    }
    state
}

/// With a formula only the composite value decides about activity, and any error makes the object inactive.
fn apply_modifiers_to_state(
    cache: &ScalersCache,
    spec: &ScaledObjectSpec,
    health: &Health,
    state: &mut ObjectState,
    values: &[NamedValue<'_>],
    substitutes: &[i64],
) {
    let Some(modifiers) = scaling_modifiers(spec) else { return };
    state.active = false;
    state.active_triggers.clear();
    let composite = handle_scaling_modifiers(cache, spec, health, values, substitutes);
    state.values = composite.into_iter().map(|value| (COMPOSITE_METRIC_NAME.into(), value)).collect();
    if state.error {
        return;
    }
    let threshold = modifiers.activation_target.as_deref().filter(|text| !text.is_empty());
    let threshold: f64 = match threshold.map_or(Ok(0.0), str::parse) {
        Ok(threshold) => threshold,
        Err(_) => {
            state.error = true;
            return;
        }
    };
    if state.values.iter().any(|(_, milli)| *milli as f64 / 1000.0 > threshold) {
        state.active = true;
        state.active_triggers.push(COMPOSITE_METRIC_NAME.into());
    }
}

/// The composite value: the first substitute if any trigger is in fallback, else the formula's
/// (`modifiers.HandleScalingModifiers`). `None` when the formula failed.
fn handle_scaling_modifiers(
    cache: &ScalersCache,
    spec: &ScaledObjectSpec,
    health: &Health,
    values: &[NamedValue<'_>],
    substitutes: &[i64],
) -> Option<i64> {
    if let Some(substitute) = substitutes.first() {
        return Some(*substitute);
    }
    cache.formula.as_ref()?.evaluate(spec, health, values).ok()
}

/// Answer to a pull.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pull {
    /// Values in thousandths, or the error that the HPA sees.
    pub values: Result<Vec<i64>, String>,
    /// Whether any trigger failed: the scalers are thrown away.
    pub scaler_error: bool,
}

/// Answers the HPA's request for one metric; with a formula every trigger is asked (`GetScaledObjectMetrics`).
pub fn get_scaled_object_metrics(
    cache: &ScalersCache,
    context: &FallbackContext<'_>,
    status: &mut Status,
    records: &Records,
    metric_name: &str,
    mut query: impl FnMut(usize) -> QueryResult,
) -> Pull {
    let composite = scaling_modifiers(context.spec).is_some();
    let mut values: Vec<NamedValue<'_>> = Vec::new();
    let mut substitutes = Vec::new();
    let mut scaler_error = false;
    for (index, trigger, metric) in cache.external() {
        if !composite && !metric.name.eq_ignore_ascii_case(metric_name) {
            continue;
        }
        let record = trigger.use_cached_metrics.then(|| records.get(&*metric.name)).flatten();
        let raw = match record {
            Some(record) => record.value.clone(),
            None => match query(index) {
                Ok(sample) => Ok(sample.value_milli),
                Err(QueryError::CacheClosed) => continue,
                Err(QueryError::Failed(error)) => Err(error),
            },
        };
        match get_metrics_with_fallback(context, &mut status.health, metric, raw) {
            Err(_) => scaler_error = true,
            Ok(Processed { value_milli, fallback_active }) => {
                if fallback_active {
                    substitutes.push(value_milli);
                }
                values.push(NamedValue { trigger: &trigger.name, metric: &metric.name, value_milli });
            }
        }
    }
    let result = if scaler_error && substitutes.is_empty() {
        Err(format!("metric:{metric_name} encountered error"))
    } else if values.is_empty() {
        Err(format!("no matching metrics found for {metric_name}"))
    } else if composite {
        handle_scaling_modifiers(cache, context.spec, &status.health, &values, &substitutes)
            .map(|value| vec![value])
            .ok_or_else(|| "no metrics returned from external metrics API".to_owned())
    } else {
        Ok(values.iter().map(|value| value.value_milli).collect())
    };
    Pull { values: result, scaler_error }
}
