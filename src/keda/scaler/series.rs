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

/// Which datapoint of CloudWatch is read (`pkg/scalers/aws_cloudwatch_scaler.go: computeQueryWindow, GetCloudwatchMetrics`): the
/// newest period that has ended by an instant cut to whole periods.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct CloudWatch {
    /// `metricStatPeriod`, in seconds.
    pub period: i64,
    /// `metricCollectionTime`, in seconds: how far back a datapoint may lie.
    pub collection_time: i64,
    /// `metricEndTimeOffset`, in seconds.
    pub end_time_offset: i64,
    /// `metricStat`.
    pub stat: Stat,
}

/// What CloudWatch makes of the values of a period.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stat {
    /// Their mean.
    Average,
    /// Their sum.
    Sum,
    /// The largest.
    Maximum,
    /// The smallest.
    Minimum,
    /// Their number.
    SampleCount,
}

impl CloudWatch {
    fn parse(metadata: &Metadata<'_>) -> Result<Self, TriggerError> {
        let invalid = |name: &'static str| {
            let value = metadata.text(name).unwrap_or_default().to_owned();
            TriggerError::Malformed { name, value }
        };
        let window = CloudWatch {
            period: metadata.integer("metricStatPeriod", 300)?,
            collection_time: metadata.integer("metricCollectionTime", 300)?,
            end_time_offset: metadata.integer("metricEndTimeOffset", 0)?,
            stat: match metadata.text("metricStat").unwrap_or("Average") {
                "Average" => Stat::Average,
                "Sum" => Stat::Sum,
                "Maximum" => Stat::Maximum,
                "Minimum" => Stat::Minimum,
                "SampleCount" => Stat::SampleCount,
                _ => return Err(invalid("metricStat")),
            },
        };
        if !matches!(window.period, 1 | 5 | 10 | 30) && (window.period < 1 || window.period % 60 != 0) {
            return Err(invalid("metricStatPeriod"));
        }
        if window.collection_time < 1 || window.collection_time % window.period != 0 {
            return Err(invalid("metricCollectionTime"));
        }
        Ok(window)
    }

    /// The newest datapoint at second `now` (of Unix time) of a metric whose value at a second is `value`, put once a minute, each
    /// of which can be read `delay` seconds after its period has ended.
    pub fn newest(&self, now: f64, delay: f64, value: impl Fn(f64) -> Option<f64>) -> Option<f64> {
        let end = (now as i64 - self.end_time_offset).div_euclid(self.period) * self.period;
        let periods = self.collection_time / self.period;
        let known = (0..periods).map(|back| end - back * self.period).filter(|until| *until as f64 + delay <= now);
        known.filter_map(|until| self.datapoint(until, &value)).next()
    }

    fn datapoint(&self, until: i64, value: impl Fn(f64) -> Option<f64>) -> Option<f64> {
        let step = self.period.min(60);
        let seconds = (0..self.period / step).map(|number| until - self.period + number * step);
        let values: Vec<f64> = seconds.filter_map(|second| value(second as f64)).collect();
        let (sum, count) = (values.iter().sum::<f64>(), values.len() as f64);
        let of_values = match self.stat {
            Stat::Average => sum / count,
            Stat::Sum => sum,
            Stat::Maximum => values.iter().copied().fold(f64::MIN, f64::max),
            Stat::Minimum => values.iter().copied().fold(f64::MAX, f64::min),
            Stat::SampleCount => count,
        };
        (!values.is_empty()).then_some(of_values)
    }
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
    /// The datapoint that is read, for CloudWatch.
    pub cloud_watch: Option<CloudWatch>,
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
                name: generate_metric_name_with_index(index, &normalize_string(&name)).into(),
                target: ExternalTarget::new(trigger.metric_type, generate_metric_in_milli(target))?,
            },
            activation: metadata.number(kind.activation, 0.0)?,
            no_data,
            finite_only: trigger.kind == "prometheus",
            cloud_watch: (trigger.kind == "aws-cloudwatch").then(|| CloudWatch::parse(&metadata)).transpose()?,
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

#[cfg(test)]
mod tests {
    use super::*;

    fn window(period: i64, collection_time: i64, end_time_offset: i64, stat: Stat) -> CloudWatch {
        CloudWatch { period, collection_time, end_time_offset, stat }
    }

    /// A metric whose value is its minute.
    fn minute(second: f64) -> Option<f64> {
        Some((second / 60.0).floor())
    }

    #[test]
    fn the_newest_period_that_has_ended_is_read() {
        // Five minutes from 10 to 14 at any instant from 15:00 to 19:59.
        let default = window(300, 300, 0, Stat::Average);
        assert_eq!(
            [900.0, 1199.9, 1200.0].map(|now| default.newest(now, 0.0, minute)),
            [Some(12.0), Some(12.0), Some(17.0)]
        );
        let minutes = window(60, 300, 0, Stat::Average);
        assert_eq!(minutes.newest(959.0, 0.0, minute), Some(14.0));
        assert_eq!(window(60, 300, 120, Stat::Average).newest(959.0, 0.0, minute), Some(12.0));
        let of = |stat| window(300, 300, 0, stat).newest(900.0, 0.0, minute);
        let stats = [Stat::Sum, Stat::Maximum, Stat::Minimum, Stat::SampleCount].map(of);
        assert_eq!(stats, [Some(60.0), Some(14.0), Some(10.0), Some(5.0)]);
    }

    #[test]
    fn late_datapoints_leave_older_ones_within_the_collection_time() {
        let minutes = window(60, 300, 0, Stat::Average);
        assert_eq!(minutes.newest(959.0, 100.0, minute), Some(13.0));
        // Nothing of the only period of five minutes is there yet: no data.
        let default = window(300, 300, 0, Stat::Average);
        assert_eq!([1000.0, 1020.0].map(|now| default.newest(now, 120.0, minute)), [None, Some(12.0)]);
    }
}
