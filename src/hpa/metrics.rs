//! The metrics of an HPA and what they propose together (`horizontal.go: computeReplicasForMetrics`).

use super::pod_metrics::{PodMetricView, PodMetrics, PodView, calc_plain_metric_replicas, get_resource_replicas};
use super::replica_calculator::{
    Counts, Proposal, get_external_metric_replicas, get_external_per_pod_metric_replicas, get_object_metric_replicas,
    get_object_per_pod_metric_replicas,
};
use super::settings::{Settings, Tolerances};
use super::status::Reason;
use crate::api::hpa::{MetricKind, MetricSpec, MetricTarget, MetricTargetType};
use crate::time::Time;

/// What a metric is compared against.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Target {
    /// Per replica, in thousandths.
    AverageValue(i64),
    /// Total, in thousandths.
    Value(i64),
    /// Percent of requests.
    Utilization(i32),
}

/// One metric of an HPA.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Metric {
    /// From outside the cluster.
    External {
        /// Metric name.
        name: String,
        /// Target.
        target: Target,
    },
    /// Of an object.
    Object {
        /// Metric name.
        name: String,
        /// Target.
        target: Target,
    },
    /// Of the pods.
    Pods {
        /// Metric name.
        name: String,
        /// Per pod, in thousandths.
        average_milli: i64,
    },
    /// CPU or memory, of all containers or of one.
    Resource {
        /// `cpu` or `memory`.
        name: String,
        /// The one container (`ContainerResource`).
        container: Option<String>,
        /// Target.
        target: Target,
    },
    /// A spec that names no known metric or no target; `reason` is the condition it leads to.
    Invalid {
        /// Condition reason.
        reason: Reason,
    },
}

impl Metric {
    /// The metric of a manifest; `averageValue` wins over `value` where both are given.
    #[must_use]
    pub fn of_spec(spec: &MetricSpec) -> Self {
        let invalid = |reason| Metric::Invalid { reason };
        match spec.kind {
            MetricKind::External => spec.external.as_ref().map_or(invalid(Reason::FailedGetExternalMetric), |source| {
                let target = value_target(&source.target);
                target.map_or(invalid(Reason::FailedGetExternalMetric), |target| Metric::External {
                    name: source.metric.name.clone(),
                    target,
                })
            }),
            MetricKind::Object => spec.object.as_ref().map_or(invalid(Reason::FailedGetObjectMetric), |source| {
                let target = value_target(&source.target);
                target.map_or(invalid(Reason::FailedGetObjectMetric), |target| Metric::Object {
                    name: source.metric.name.clone(),
                    target,
                })
            }),
            MetricKind::Pods => spec.pods.as_ref().map_or(invalid(Reason::FailedGetPodsMetric), |source| {
                source.target.average_value.map_or(invalid(Reason::FailedGetPodsMetric), |average| Metric::Pods {
                    name: source.metric.name.clone(),
                    average_milli: average.milli,
                })
            }),
            MetricKind::Resource => spec.resource.as_ref().map_or(invalid(Reason::FailedGetResourceMetric), |source| {
                resource_target(&source.target).map_or(invalid(Reason::FailedGetResourceMetric), |target| {
                    Metric::Resource { name: source.name.clone(), container: None, target }
                })
            }),
            MetricKind::ContainerResource => {
                let reason = Reason::FailedGetContainerResourceMetric;
                spec.container_resource.as_ref().map_or(invalid(reason), |source| {
                    resource_target(&source.target).map_or(invalid(reason), |target| Metric::Resource {
                        name: source.name.clone(),
                        container: Some(source.container.clone()),
                        target,
                    })
                })
            }
        }
    }

    /// What the API server makes of an empty list: 80 % of requested CPU (`pkg/apis/autoscaling/v2/defaults.go`).
    #[must_use]
    pub fn default_cpu() -> Self {
        Metric::Resource { name: "cpu".to_owned(), container: None, target: Target::Utilization(80) }
    }

    /// Whether an HPA with it may scale to and from zero.
    #[must_use]
    pub const fn is_object_or_external(&self) -> bool {
        matches!(self, Metric::External { .. } | Metric::Object { .. })
    }

    /// Reason of the condition when it fails.
    #[must_use]
    pub const fn failure_reason(&self) -> Reason {
        match self {
            Metric::External { .. } => Reason::FailedGetExternalMetric,
            Metric::Object { .. } => Reason::FailedGetObjectMetric,
            Metric::Pods { .. } => Reason::FailedGetPodsMetric,
            Metric::Resource { container: None, .. } => Reason::FailedGetResourceMetric,
            Metric::Resource { container: Some(_), .. } => Reason::FailedGetContainerResourceMetric,
            Metric::Invalid { reason } => *reason,
        }
    }
}

fn value_target(target: &MetricTarget) -> Option<Target> {
    let average = target.average_value.map(|quantity| Target::AverageValue(quantity.milli));
    average.or(target.value.map(|quantity| Target::Value(quantity.milli)))
}

fn resource_target(target: &MetricTarget) -> Option<Target> {
    if let Some(average) = target.average_value {
        return Some(Target::AverageValue(average.milli));
    }
    let percent = target.average_utilization.filter(|_| target.kind == MetricTargetType::Utilization)?;
    Some(Target::Utilization(i32::try_from(percent).unwrap_or(i32::MAX)))
}

/// What was read for one metric.
#[derive(Clone, Debug, PartialEq)]
pub enum Reading {
    /// Series of an external metric, or the one value of an object, in thousandths.
    Series(Vec<i64>),
    /// Samples of pods and the pods themselves, with their requests of the resource in question.
    Pods {
        /// Pods of the selector.
        pods: Vec<PodView>,
        /// Samples.
        samples: PodMetrics,
    },
    /// Nothing: why.
    Failed(String),
}

/// What the metrics propose together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Computed {
    /// The largest valid proposal; `None` = no decision.
    pub replicas: Option<i32>,
    /// Index of the metric that proposed it.
    pub metric: Option<usize>,
    /// Reported value per metric.
    pub values: Vec<Option<i64>>,
    /// The first failure: reason and text.
    pub failure: Option<(Reason, String)>,
}

/// The largest valid proposal, unless all metrics failed, or some failed and the others would scale down
/// (`horizontal.go: computeReplicasForMetrics`).
#[must_use]
pub fn compute_replicas_for_metrics(
    metrics: &[Metric],
    readings: &[Reading],
    counts: Counts,
    tolerances: Tolerances,
    settings: &Settings,
    now: Time,
) -> Computed {
    let (mut best, mut metric) = (0, None);
    let mut values = Vec::with_capacity(metrics.len());
    let (mut failure, mut failures) = (None, 0);
    let missing = Reading::Failed("not read".to_owned());
    for (index, spec) in metrics.iter().enumerate() {
        let reading = readings.get(index).unwrap_or(&missing);
        match compute_replicas_for_metric(spec, reading, counts, tolerances, settings, now) {
            Ok(proposal) => {
                values.push(Some(proposal.utilization_percent.map_or(proposal.usage_milli, i64::from)));
                if best == 0 || proposal.replicas > best {
                    (best, metric) = (proposal.replicas, Some(index));
                }
            }
            Err(error) => {
                values.push(None);
                failures += 1;
                failure.get_or_insert((spec.failure_reason(), error));
            }
        }
    }
    let undecided = failures == metrics.len() || (failures > 0 && best < counts.spec);
    Computed { replicas: (!undecided).then_some(best), metric, values, failure }
}

/// One metric's proposal (`horizontal.go: computeReplicasForMetric`).
fn compute_replicas_for_metric(
    metric: &Metric,
    reading: &Reading,
    counts: Counts,
    tolerances: Tolerances,
    settings: &Settings,
    now: Time,
) -> Result<Proposal, String> {
    if let Reading::Failed(error) = reading {
        return Err(error.clone());
    }
    match (metric, reading) {
        (Metric::External { target, .. }, Reading::Series(series)) => match target {
            _ if series.is_empty() => Err("no metrics returned from external metrics API".to_owned()),
            Target::AverageValue(average) => {
                Ok(get_external_per_pod_metric_replicas(counts, series, *average, &tolerances))
            }
            Target::Value(value) => get_external_metric_replicas(counts, series, *value, &tolerances),
            Target::Utilization(_) => Err("invalid external metric source".to_owned()),
        },
        (Metric::Object { target, .. }, Reading::Series(series)) => match (target, series.first()) {
            (_, None) => Err("no metrics returned from custom metrics API".to_owned()),
            (Target::AverageValue(average), Some(value)) => {
                Ok(get_object_per_pod_metric_replicas(counts, *value, *average, &tolerances))
            }
            (Target::Value(target), Some(value)) => get_object_metric_replicas(counts, *value, *target, &tolerances),
            (Target::Utilization(_), _) => Err("invalid object metric source".to_owned()),
        },
        (Metric::Pods { average_milli, .. }, Reading::Pods { pods, samples }) => {
            let view = PodMetricView { pods, samples, cpu: false, tolerances };
            calc_plain_metric_replicas(counts.spec, *average_milli, &view, settings, now)
        }
        (Metric::Resource { name, target, .. }, Reading::Pods { pods, samples }) => {
            let view = PodMetricView { pods, samples, cpu: name == "cpu", tolerances };
            match target {
                Target::Utilization(percent) => get_resource_replicas(counts.spec, *percent, &view, settings, now),
                Target::AverageValue(average) => {
                    calc_plain_metric_replicas(counts.spec, *average, &view, settings, now)
                }
                Target::Value(_) => Err("invalid resource metric source".to_owned()),
            }
        }
        (Metric::Invalid { .. }, _) => Err("invalid metric source".to_owned()),
        _ => Err("the metric returned values of another kind".to_owned()),
    }
}
