//! `aws-sqs-queue` (`pkg/scalers/aws_sqs_queue_scaler.go`).

use super::{
    ExternalMetric, ExternalTarget, Metadata, Sample, TriggerError, generate_metric_in_milli,
    generate_metric_name_with_index, normalize_string,
};
use crate::api::keda::Trigger;

/// The three counters of a queue.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct QueueCounts {
    /// `ApproximateNumberOfMessages`.
    pub visible: u64,
    /// `ApproximateNumberOfMessagesNotVisible`.
    pub in_flight: u64,
    /// `ApproximateNumberOfMessagesDelayed`.
    pub delayed: u64,
}

/// Settings of the scaler.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SqsScaler {
    /// Its metric.
    pub metric: ExternalMetric,
    /// Name of the queue.
    pub queue: String,
    /// `activationQueueLength`: active above it, in messages; default 0.
    pub activation: i64,
    /// `scaleOnInFlight`: received messages count; default true.
    pub in_flight: bool,
    /// `scaleOnDelayed`: delayed messages count; default false.
    pub delayed: bool,
}

impl SqsScaler {
    /// Reads the metadata (`parseAwsSqsQueueMetadata`).
    ///
    /// # Errors
    /// When a setting is missing or malformed.
    pub fn parse(trigger: &Trigger, index: usize) -> Result<Self, TriggerError> {
        let metadata = Metadata(&trigger.metadata);
        let length = metadata.integer("queueLength", 5)?;
        let activation = metadata.integer("activationQueueLength", 0)?;
        let url = metadata.text("queueURL").or(metadata.text("queueURLFromEnv"));
        let queue = queue_name(url.ok_or(TriggerError::Missing("queueURL"))?)?;
        metadata.required("awsRegion")?;
        let name = normalize_string(&format!("aws-sqs-{queue}"));
        Ok(SqsScaler {
            metric: ExternalMetric {
                name: generate_metric_name_with_index(index, &name).into(),
                target: ExternalTarget::new(trigger.metric_type, length.saturating_mul(1000))?,
            },
            queue,
            activation,
            in_flight: metadata.flag("scaleOnInFlight", true)?,
            delayed: metadata.flag("scaleOnDelayed", false)?,
        })
    }

    /// The sum of the chosen counters, in messages (`processQueueLengthFromSqsQueueAttributesOutput`).
    #[must_use]
    pub fn length(&self, counts: QueueCounts) -> i64 {
        let in_flight = if self.in_flight { counts.in_flight } else { 0 };
        let delayed = if self.delayed { counts.delayed } else { 0 };
        i64::try_from(counts.visible + in_flight + delayed).unwrap_or(i64::MAX)
    }

    /// One sum drives activity and value (`GetMetricsAndActivity`).
    #[must_use]
    pub fn evaluate(&self, counts: QueueCounts) -> Sample {
        let length = self.length(counts);
        Sample { value_milli: generate_metric_in_milli(length as f64), active: length > self.activation }
    }
}

/// The last part of a URL whose path is `/<account>/<name>`; a text that is no URL is the name itself.
fn queue_name(url: &str) -> Result<String, TriggerError> {
    let Some(path) = url_path(url) else { return Ok(url.to_owned()) };
    match path.split('/').collect::<Vec<_>>()[..] {
        [_, _, name] if !name.is_empty() => Ok(name.to_owned()),
        _ => Err(TriggerError::QueueUrl),
    }
}

/// The path of what Go's `url.ParseRequestURI` takes for a URL: an absolute URL, or an absolute path.
fn url_path(url: &str) -> Option<&str> {
    if url.starts_with('/') {
        return Some(url);
    }
    let (scheme, rest) = url.split_once(':')?;
    let mut letters = scheme.chars();
    let valid = letters.next().is_some_and(|c| c.is_ascii_alphabetic())
        && letters.all(|c| c.is_ascii_alphanumeric() || matches!(c, '+' | '-' | '.'));
    if !valid {
        return None;
    }
    let rest = rest.split(['?', '#']).next().unwrap_or_default();
    match rest.strip_prefix("//") {
        Some(authority) => Some(authority.find('/').map_or("", |slash| &authority[slash..])),
        None => rest.starts_with('/').then_some(rest).or(Some("")),
    }
}
