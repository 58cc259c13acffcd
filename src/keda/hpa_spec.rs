//! The HPA that KEDA makes of a ScaledObject (`controllers/keda/hpa.go`), and the checks before (`scaledobject_webhook.go`).

use super::annotations::Annotations;
use super::fallback::scaling_modifiers;
use super::formula::COMPOSITE_METRIC_NAME;
use super::scaler::resource::ResourceTarget;
use super::scaler::{ExternalMetric, ExternalTarget, Scaler};
use super::state::ScalersCache;
use crate::api::hpa::{
    Behavior, ContainerResourceMetricSource, CrossVersionObjectReference, ExternalMetricSource, HpaSpec,
    MetricIdentifier, MetricKind, MetricSpec, MetricTarget, MetricTargetType, ResourceMetricSource, ScalingRules,
    SelectPolicy,
};
use crate::api::keda::{ScaledObjectSpec, TriggerMetricType};
use crate::api::scalar::Quantity;

/// `maxReplicas` where `maxReplicaCount` is absent.
pub const DEFAULT_MAX_REPLICAS: u32 = 100;

/// Why there is no HPA.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HpaError {
    /// No trigger gives a metric.
    #[error("no metric specs returned from scalers")]
    NoMetrics,
    /// Two triggers with the same metric.
    #[error("metricName {0} defined multiple times in ScaledObject")]
    DuplicateMetric(String),
    /// The composite metric cannot be a utilization.
    #[error("error metric target type is Utilization, but it needs to be AverageValue or Value for external metrics")]
    Utilization,
    /// The API server refuses a target that is not positive.
    #[error("metric {0} has a target that is not positive")]
    Target(String),
}

/// Why a ScaledObject is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BoundsError {
    /// Minimum above maximum.
    #[error("MinReplicaCount={min} must be less than MaxReplicaCount={max}")]
    MinAboveMax {
        /// Minimum.
        min: u32,
        /// Maximum.
        max: u32,
    },
    /// Idle count not below the minimum.
    #[error("IdleReplicaCount={idle} must be less than MinReplicaCount={min}")]
    IdleNotBelowMin {
        /// Idle count.
        idle: u32,
        /// Minimum.
        min: u32,
    },
}

/// `minReplicas` (`GetHPAMinReplicas`).
#[must_use]
pub fn get_hpa_min_replicas(spec: &ScaledObjectSpec) -> u32 {
    spec.min_replica_count.filter(|min| *min > 0).unwrap_or(1)
}

/// `maxReplicas` (`GetHPAMaxReplicas`).
#[must_use]
pub fn get_hpa_max_replicas(spec: &ScaledObjectSpec) -> u32 {
    spec.max_replica_count.unwrap_or(DEFAULT_MAX_REPLICAS)
}

/// `CheckReplicaCountBoundsAreValid`: a `minReplicaCount` of 0 that is written out counts as 1.
///
/// # Errors
/// When the counts contradict each other.
pub fn check_replica_count_bounds_are_valid(spec: &ScaledObjectSpec) -> Result<(), BoundsError> {
    let min = spec.min_replica_count.map_or(0, |_| get_hpa_min_replicas(spec));
    let max = get_hpa_max_replicas(spec);
    if min > max {
        return Err(BoundsError::MinAboveMax { min, max });
    }
    match spec.idle_replica_count {
        Some(idle) if idle >= min => Err(BoundsError::IdleNotBelowMin { idle, min }),
        _ => Ok(()),
    }
}

/// Name of the HPA (`getHPAName`).
#[must_use]
pub fn get_hpa_name(object: &str, spec: &ScaledObjectSpec) -> String {
    let config = spec.advanced.as_ref().and_then(|advanced| advanced.horizontal_pod_autoscaler_config.as_ref());
    let given = config.and_then(|config| config.name.clone()).filter(|name| !name.is_empty());
    given.unwrap_or_else(|| format!("keda-hpa-{object}"))
}

/// The spec of the HPA (`newHPAForScaledObject`).
///
/// # Errors
/// When the metrics make no valid HPA.
pub fn new_hpa_for_scaled_object(
    spec: &ScaledObjectSpec,
    annotations: Annotations,
    cache: &ScalersCache,
) -> Result<HpaSpec, HpaError> {
    Ok(HpaSpec {
        scale_target_ref: CrossVersionObjectReference {
            kind: Some(spec.scale_target_ref.kind.clone()),
            name: spec.scale_target_ref.name.clone(),
            api_version: spec.scale_target_ref.api_version.clone(),
        },
        min_replicas: get_hpa_min_replicas(spec),
        max_replicas: get_hpa_max_replicas(spec),
        metrics: get_scaled_object_metric_specs(spec, cache)?,
        behavior: behavior(spec, annotations),
    })
}

/// The manifest's `behavior` and nothing else; annotations that pause one direction disable it.
fn behavior(spec: &ScaledObjectSpec, annotations: Annotations) -> Option<Behavior> {
    let config = spec.advanced.as_ref().and_then(|advanced| advanced.horizontal_pod_autoscaler_config.as_ref());
    let mut behavior = config.and_then(|config| config.behavior.clone());
    let disable = |rules: &mut Option<ScalingRules>| {
        let empty =
            ScalingRules { stabilization_window_seconds: None, select_policy: None, policies: None, tolerance: None };
        rules.get_or_insert(empty).select_policy = Some(SelectPolicy::Disabled);
    };
    let nothing = Behavior { scale_up: None, scale_down: None };
    if annotations.paused_scale_in {
        disable(&mut behavior.get_or_insert(nothing.clone()).scale_down);
    }
    if annotations.paused_scale_out {
        disable(&mut behavior.get_or_insert(nothing).scale_up);
    }
    behavior
}

/// One metric a trigger, sorted by type; with a formula the composite metric replaces all but `Resource`
/// (`getScaledObjectMetricSpecs`).
fn get_scaled_object_metric_specs(spec: &ScaledObjectSpec, cache: &ScalersCache) -> Result<Vec<MetricSpec>, HpaError> {
    if cache.triggers.is_empty() {
        return Err(HpaError::NoMetrics);
    }
    let mut names: Vec<&str> = Vec::new();
    for (_, _, metric) in cache.external() {
        if names.contains(&&*metric.name) {
            return Err(HpaError::DuplicateMetric(metric.name.to_string()));
        }
        names.push(&metric.name);
    }
    let mut specs: Vec<MetricSpec> = cache.triggers.iter().map(|trigger| metric_spec(&trigger.scaler)).collect();
    specs.sort_by_key(|spec| spec.kind.as_str());
    if let Some(modifiers) = scaling_modifiers(spec) {
        let target = modifiers.target.as_deref().and_then(|target| target.parse::<f64>().ok()).unwrap_or(0.0);
        let milli = (target * 1000.0) as i64;
        let target = match modifiers.metric_type {
            None | Some(TriggerMetricType::AverageValue) => ExternalTarget::AverageValue(milli),
            Some(TriggerMetricType::Value) => ExternalTarget::Value(milli),
            Some(TriggerMetricType::Utilization) => return Err(HpaError::Utilization),
        };
        specs.retain(|spec| spec.resource.is_some());
        specs.push(external_spec(&ExternalMetric { name: COMPOSITE_METRIC_NAME.into(), target }));
    }
    match specs.iter().find(|spec| !has_positive_target(spec)) {
        Some(spec) => Err(HpaError::Target(spec.kind.as_str().to_owned())),
        None => Ok(specs),
    }
}

fn has_positive_target(spec: &MetricSpec) -> bool {
    let target = spec
        .external
        .as_ref()
        .map(|source| &source.target)
        .or(spec.resource.as_ref().map(|source| &source.target))
        .or(spec.container_resource.as_ref().map(|source| &source.target));
    target.is_some_and(|target| {
        target.value.or(target.average_value).is_some_and(|quantity| quantity.milli > 0)
            || target.average_utilization.is_some_and(|percent| percent > 0)
    })
}

const EMPTY: MetricSpec = MetricSpec {
    kind: MetricKind::External,
    resource: None,
    container_resource: None,
    pods: None,
    object: None,
    external: None,
};

fn metric_spec(scaler: &Scaler) -> MetricSpec {
    let Scaler::Resource(resource) = scaler else {
        return scaler.external().map_or(EMPTY, external_spec);
    };
    let target = match resource.target {
        ResourceTarget::Utilization(percent) => MetricTarget {
            kind: MetricTargetType::Utilization,
            value: None,
            average_value: None,
            average_utilization: Some(percent),
        },
        ResourceTarget::AverageValue(milli) => MetricTarget {
            kind: MetricTargetType::AverageValue,
            value: None,
            average_value: Some(Quantity { milli }),
            average_utilization: None,
        },
    };
    let name = resource.resource.clone();
    match resource.container.clone() {
        None => {
            MetricSpec { kind: MetricKind::Resource, resource: Some(ResourceMetricSource { name, target }), ..EMPTY }
        }
        Some(container) => MetricSpec {
            kind: MetricKind::ContainerResource,
            container_resource: Some(ContainerResourceMetricSource { name, container, target }),
            ..EMPTY
        },
    }
}

fn external_spec(metric: &ExternalMetric) -> MetricSpec {
    let target = match metric.target {
        ExternalTarget::AverageValue(milli) => MetricTarget {
            kind: MetricTargetType::AverageValue,
            value: None,
            average_value: Some(Quantity { milli }),
            average_utilization: None,
        },
        ExternalTarget::Value(milli) => MetricTarget {
            kind: MetricTargetType::Value,
            value: Some(Quantity { milli }),
            average_value: None,
            average_utilization: None,
        },
    };
    let metric = MetricIdentifier { name: metric.name.to_string(), selector: None };
    MetricSpec { external: Some(ExternalMetricSource { metric, target }), ..EMPTY }
}
