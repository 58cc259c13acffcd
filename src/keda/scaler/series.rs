//! Scalers whose source is one number: Prometheus, CloudWatch, metrics APIs, lists and queues of other systems.

use super::{
    ExternalMetric, ExternalTarget, Metadata, Sample, TriggerError, generate_metric_in_milli,
    generate_metric_name_with_index, normalize_string,
};
use crate::api::keda::Trigger;

/// What a scaler type calls its settings.
struct SeriesKind {
    /// Trigger type.
    kind: &'static str,
    /// Setting of the target.
    target: &'static str,
    /// Default target; `None` = required.
    default: Option<f64>,
    /// Setting of the activation threshold.
    activation: &'static str,
    /// Settings that must be there.
    required: &'static [&'static str],
    /// Setting whose value ends the metric's name.
    named_by: Option<&'static str>,
    /// Beginning of the metric's name.
    name: &'static str,
}

const KINDS: &[SeriesKind] = &[
    SeriesKind {
        kind: "prometheus",
        target: "threshold",
        default: None,
        activation: "activationThreshold",
        required: &["serverAddress", "query"],
        named_by: None,
        name: "prometheus",
    },
    SeriesKind {
        kind: "aws-cloudwatch",
        target: "targetMetricValue",
        default: None,
        activation: "activationTargetMetricValue",
        required: &["minMetricValue", "awsRegion"],
        named_by: None,
        name: "aws-cloudwatch",
    },
    SeriesKind {
        kind: "metrics-api",
        target: "targetValue",
        default: None,
        activation: "activationTargetValue",
        required: &["url", "valueLocation"],
        named_by: Some("valueLocation"),
        name: "metric-api",
    },
    SeriesKind {
        kind: "rabbitmq",
        target: "value",
        default: Some(20.0),
        activation: "activationValue",
        required: &["queueName"],
        named_by: Some("queueName"),
        name: "rabbitmq",
    },
    SeriesKind {
        kind: "redis",
        target: "listLength",
        default: Some(5.0),
        activation: "activationListLength",
        required: &["listName"],
        named_by: Some("listName"),
        name: "redis",
    },
];

/// What a missing value means.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum NoData {
    /// This value.
    Value(f64),
    /// An error.
    Error,
}

/// Settings of the scaler.
#[derive(Clone, Debug, PartialEq)]
pub struct SeriesScaler {
    /// Its metric.
    pub metric: ExternalMetric,
    /// Active above this value.
    pub activation: f64,
    /// What a missing value means.
    pub no_data: NoData,
    /// Whether a value that is no finite number is a missing one.
    pub finite_only: bool,
}

impl SeriesScaler {
    /// Reads the metadata.
    ///
    /// # Errors
    /// When a setting is missing or malformed, or the type is unknown.
    pub fn parse(trigger: &Trigger, index: usize) -> Result<Self, TriggerError> {
        let known = KINDS.iter().find(|known| known.kind == trigger.kind);
        let kind = known.ok_or_else(|| TriggerError::UnknownType(trigger.kind.clone()))?;
        let metadata = Metadata(&trigger.metadata);
        kind.required.iter().try_for_each(|name| metadata.required(name).map(|_| ()))?;
        if kind.default.is_none() {
            metadata.required(kind.target)?;
        }
        let target = metadata.number(kind.target, kind.default.unwrap_or(0.0))?;
        let name = match kind.named_by.and_then(|key| metadata.text(key)) {
            Some(suffix) => format!("{}-{suffix}", kind.name),
            None => kind.name.to_owned(),
        };
        let ignore_null_values = metadata.flag("ignoreNullValues", true)?;
        let no_data = match trigger.kind.as_str() {
            "prometheus" if ignore_null_values => NoData::Value(0.0),
            "aws-cloudwatch" if ignore_null_values => NoData::Value(metadata.number("minMetricValue", 0.0)?),
            _ => NoData::Error,
        };
        Ok(SeriesScaler {
            metric: ExternalMetric {
                name: generate_metric_name_with_index(index, &normalize_string(&name)),
                target: ExternalTarget::new(trigger.metric_type, generate_metric_in_milli(target))?,
            },
            activation: metadata.number(kind.activation, 0.0)?,
            no_data,
            finite_only: trigger.kind == "prometheus",
        })
    }

    /// Value and activity; the activity is that of the exact value, the value has three decimals.
    ///
    /// # Errors
    /// When there is no value and that is no value either.
    pub fn evaluate(&self, value: Option<f64>) -> Result<Sample, String> {
        let value = match (value.filter(|value| value.is_finite() || !self.finite_only), self.no_data) {
            (Some(value), _) | (None, NoData::Value(value)) => value,
            (None, NoData::Error) => return Err("the source returned no value".to_owned()),
        };
        Ok(Sample { value_milli: generate_metric_in_milli(value), active: value > self.activation })
    }
}
