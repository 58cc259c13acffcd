//! Scalers: how each trigger type reads its metadata, what it asks of the HPA, and what it makes of its source
//! (`pkg/scalers`).

pub mod cron;
pub mod kafka;
pub mod resource;
pub mod series;
pub mod sqs;

use std::sync::Arc;

use jiff::Timestamp;

use super::annotations::parse_bool;
use super::capabilities::Capabilities;
use crate::api::keda::{Trigger, TriggerMetricType};
use crate::api::meta::Labels;

pub use cron::CronScaler;
pub use kafka::{KafkaScaler, Partition};
pub use resource::ResourceScaler;
pub use series::SeriesScaler;
pub use sqs::{QueueCounts, SqsScaler};

/// What is wrong with a trigger.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TriggerError {
    /// A scaler that is not modelled.
    #[error("no scaler found for type: {0}")]
    UnknownType(String),
    /// A setting that must be there.
    #[error("missing required parameter {0:?}")]
    Missing(&'static str),
    /// A setting that does not parse.
    #[error("unable to set param {name:?} value {value:?}")]
    Malformed {
        /// Setting.
        name: &'static str,
        /// What it says.
        value: String,
    },
    /// `queueURL` is a URL without a queue.
    #[error("cannot get queueName from queueURL")]
    QueueUrl,
    /// `metricType: Utilization` of a scaler that has no utilization.
    #[error(
        "'Utilization' metric type is unsupported for external metrics, allowed values are 'Value' or 'AverageValue'"
    )]
    UnsupportedUtilization,
    /// A setting that is no more.
    #[error("parameter {0:?} is deprecated")]
    Deprecated(&'static str),
    /// `metricType` of cpu and memory is mandatory.
    #[error("unknown metric type, allowed values are 'Utilization' or 'AverageValue'")]
    MissingMetricType,
    /// A cron schedule that does not parse.
    #[error("error parsing {which} schedule: {problem}")]
    Schedule {
        /// `start` or `end`.
        which: &'static str,
        /// Why.
        problem: String,
    },
    /// Both schedules are the same.
    #[error("start and end can not have exactly same time input")]
    SameSchedules,
    /// `timezone` is unknown. Upstream notices at the first query.
    #[error("unable to load timezone {0:?}")]
    TimeZone(String),
}

/// A value of a scaler.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sample {
    /// Metric value in thousandths.
    pub value_milli: i64,
    /// Whether it is above the activation threshold.
    pub active: bool,
}

/// State of a source at the instant of a query.
#[derive(Clone, Debug, PartialEq)]
pub enum Source {
    /// A queue's attributes.
    Queue(QueueCounts),
    /// The value of a series; `None` = no data.
    Series(Option<f64>),
    /// Lag by partition of a topic.
    Partitions(Vec<Partition>),
    /// The wall clock.
    Clock(Timestamp),
}

/// How the HPA is to use an external metric.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ExternalTarget {
    /// Per replica, in thousandths.
    AverageValue(i64),
    /// Total, in thousandths.
    Value(i64),
}

impl ExternalTarget {
    /// Of the trigger's `metricType`, `AverageValue` if it names none (`pkg/scalers/scaler.go: GetMetricTargetType`).
    ///
    /// # Errors
    /// For `Utilization`.
    pub fn new(kind: Option<TriggerMetricType>, milli: i64) -> Result<Self, TriggerError> {
        match kind {
            None | Some(TriggerMetricType::AverageValue) => Ok(ExternalTarget::AverageValue(milli)),
            Some(TriggerMetricType::Value) => Ok(ExternalTarget::Value(milli)),
            Some(TriggerMetricType::Utilization) => Err(TriggerError::UnsupportedUtilization),
        }
    }

    /// The number, in thousandths.
    #[must_use]
    pub const fn milli(self) -> i64 {
        match self {
            ExternalTarget::AverageValue(milli) | ExternalTarget::Value(milli) => milli,
        }
    }
}

/// The external metric of a trigger.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExternalMetric {
    /// Name, unique in its ScaledObject.
    pub name: Arc<str>,
    /// Target.
    pub target: ExternalTarget,
}

/// A scaler of any type.
#[derive(Clone, Debug, PartialEq)]
pub enum Scaler {
    /// `aws-sqs-queue`.
    Sqs(SqsScaler),
    /// `cron`.
    Cron(CronScaler),
    /// `kafka`.
    Kafka(KafkaScaler),
    /// `cpu`, `memory`.
    Resource(ResourceScaler),
    /// Scalers whose source is a series of numbers.
    Series(SeriesScaler),
}

impl Scaler {
    /// Builds the scaler of a trigger, the `index`-th of its object (`pkg/scaling/scalers_builder.go: buildScaler`).
    ///
    /// # Errors
    /// When the metadata is wrong: no HPA and no loop come to be.
    pub fn build(trigger: &Trigger, index: usize, capabilities: Capabilities) -> Result<Self, TriggerError> {
        Ok(match trigger.kind.as_str() {
            "aws-sqs-queue" => Scaler::Sqs(SqsScaler::parse(trigger, index)?),
            "cron" => Scaler::Cron(CronScaler::parse(trigger, index)?),
            "kafka" | "apache-kafka" => Scaler::Kafka(KafkaScaler::parse(trigger, index)?),
            "cpu" | "memory" => Scaler::Resource(ResourceScaler::parse(trigger, capabilities)?),
            _ => Scaler::Series(SeriesScaler::parse(trigger, index)?),
        })
    }

    /// Its external metric; cpu and memory have none.
    #[must_use]
    pub const fn external(&self) -> Option<&ExternalMetric> {
        match self {
            Scaler::Sqs(scaler) => Some(&scaler.metric),
            Scaler::Cron(scaler) => Some(&scaler.metric),
            Scaler::Kafka(scaler) => Some(&scaler.metric),
            Scaler::Series(scaler) => Some(&scaler.metric),
            Scaler::Resource(_) => None,
        }
    }

    /// Value and activity (`GetMetricsAndActivity`).
    ///
    /// # Errors
    /// When the source gives no usable answer.
    pub fn evaluate(&self, source: &Source) -> Result<Sample, String> {
        match (self, source) {
            (Scaler::Sqs(scaler), Source::Queue(counts)) => Ok(scaler.evaluate(*counts)),
            (Scaler::Cron(scaler), Source::Clock(now)) => Ok(scaler.evaluate(*now)),
            (Scaler::Kafka(scaler), Source::Partitions(partitions)) => Ok(scaler.evaluate(partitions)),
            (Scaler::Series(scaler), Source::Series(value)) => scaler.evaluate(*value),
            (Scaler::Resource(_), _) => Ok(Sample { value_milli: 0, active: true }),
            _ => Err("the source of the trigger is of another kind".to_owned()),
        }
    }
}

/// Whole numbers below this have exact thousandths.
const LARGEST_COUNT: f64 = 9e15;

/// A number with three decimals in thousandths; what is no number, infinite or negative becomes 0
/// (`pkg/scalers/scaler.go: GenerateMetricInMili, GetMetricTargetMili`).
#[must_use]
pub fn generate_metric_in_milli(value: f64) -> i64 {
    if !value.is_finite() || value < 0.0 {
        return 0;
    }
    // Most values are counts: spare them the way through a text.
    if value.fract() == 0.0 && value < LARGEST_COUNT {
        return value as i64 * 1000;
    }
    let text = format!("{value:.3}");
    text.replace('.', "").parse().unwrap_or(i64::MAX)
}

/// `s<index>-<name>` (`pkg/scalers/scaler.go: GenerateMetricNameWithIndex`).
#[must_use]
pub fn generate_metric_name_with_index(index: usize, name: &str) -> String {
    format!("s{index}-{name}")
}

/// Slashes, dots, colons, percent signs and parentheses become dashes (`pkg/util/normalize_string.go: NormalizeString`).
#[must_use]
pub fn normalize_string(text: &str) -> String {
    text.chars().map(|c| if matches!(c, '/' | '.' | ':' | '%' | '(' | ')') { '-' } else { c }).collect()
}

/// Reads trigger metadata as upstream's typed configuration does: an empty text is an absent one.
struct Metadata<'a>(&'a Labels);

impl Metadata<'_> {
    fn text(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str).filter(|text| !text.is_empty())
    }

    fn required(&self, name: &'static str) -> Result<&str, TriggerError> {
        self.text(name).ok_or(TriggerError::Missing(name))
    }

    /// An integer, or the default.
    fn integer(&self, name: &'static str, default: i64) -> Result<i64, TriggerError> {
        self.parsed(name, default, |text| text.trim_start_matches('+').parse().ok())
    }

    /// A floating-point number, or the default.
    fn number(&self, name: &'static str, default: f64) -> Result<f64, TriggerError> {
        self.parsed(name, default, |text| text.parse().ok())
    }

    /// A boolean, or the default.
    fn flag(&self, name: &'static str, default: bool) -> Result<bool, TriggerError> {
        self.parsed(name, default, parse_bool)
    }

    fn parsed<T>(&self, name: &'static str, default: T, parse: impl Fn(&str) -> Option<T>) -> Result<T, TriggerError> {
        match self.text(name) {
            None => Ok(default),
            Some(text) => parse(text.trim()).ok_or_else(|| TriggerError::Malformed { name, value: text.to_owned() }),
        }
    }
}
