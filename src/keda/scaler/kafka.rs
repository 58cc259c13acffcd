//! `kafka` and `apache-kafka` (`pkg/scalers/kafka_scaler.go`).

use super::{
    ExternalMetric, ExternalTarget, Metadata, Sample, TriggerError, generate_metric_in_milli,
    generate_metric_name_with_index, normalize_string,
};
use crate::api::keda::Trigger;

/// Lag of one partition.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Partition {
    /// Messages behind, `excludePersistentLag` applied.
    pub lag: i64,
    /// Messages behind.
    pub lag_with_persistent: i64,
}

/// Settings of the scaler.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KafkaScaler {
    /// Its metric.
    pub metric: ExternalMetric,
    /// `lagThreshold`: messages per replica; default 10.
    pub lag_threshold: i64,
    /// `activationLagThreshold`: active above it; default 0.
    pub activation: i64,
    /// `allowIdleConsumers`: more replicas than partitions may run.
    pub allow_idle_consumers: bool,
    /// `limitToPartitionsWithLag`: not more replicas than partitions with lag.
    pub limit_to_partitions_with_lag: bool,
    /// `ensureEvenDistributionOfPartitions`: a count that divides the partitions.
    pub ensure_even_distribution: bool,
}

impl KafkaScaler {
    /// Reads the metadata.
    ///
    /// # Errors
    /// When a setting is missing or malformed.
    pub fn parse(trigger: &Trigger, index: usize) -> Result<Self, TriggerError> {
        let metadata = Metadata(&trigger.metadata);
        let lag_threshold = metadata.integer("lagThreshold", 10)?;
        if lag_threshold <= 0 {
            return Err(TriggerError::Malformed { name: "lagThreshold", value: lag_threshold.to_string() });
        }
        metadata.required("bootstrapServers")?;
        let group = metadata.required("consumerGroup")?;
        let name = match metadata.text("topic") {
            Some(topic) => format!("kafka-{topic}"),
            None => format!("kafka-{group}-topics"),
        };
        Ok(KafkaScaler {
            metric: ExternalMetric {
                name: generate_metric_name_with_index(index, &normalize_string(&name)).into(),
                target: ExternalTarget::new(trigger.metric_type, lag_threshold.saturating_mul(1000))?,
            },
            lag_threshold,
            activation: metadata.integer("activationLagThreshold", 0)?,
            allow_idle_consumers: metadata.flag("allowIdleConsumers", false)?,
            limit_to_partitions_with_lag: metadata.flag("limitToPartitionsWithLag", false)?,
            ensure_even_distribution: metadata.flag("ensureEvenDistributionOfPartitions", false)?,
        })
    }

    /// Total lag, capped so that not more replicas are asked for than partitions can use (`getTotalLag`).
    #[must_use]
    pub fn evaluate(&self, partitions: &[Partition]) -> Sample {
        let mut total: i64 = partitions.iter().map(|partition| partition.lag).sum();
        let with_persistent: i64 = partitions.iter().map(|partition| partition.lag_with_persistent).sum();
        let count = partitions.len() as i64;
        if !self.allow_idle_consumers || self.limit_to_partitions_with_lag || self.ensure_even_distribution {
            if self.ensure_even_distribution {
                total = self.next_factor(total, count) * self.lag_threshold;
            }
            let with_lag = partitions.iter().filter(|partition| partition.lag > 0).count() as i64;
            let bound = if self.limit_to_partitions_with_lag { with_lag } else { count };
            if total / self.lag_threshold > bound {
                total = bound * self.lag_threshold;
            }
        }
        Sample { value_milli: generate_metric_in_milli(total as f64), active: with_persistent > self.activation }
    }

    /// The smallest divisor of the number of partitions that copes with the lag
    /// (`getNextFactorThatBalancesConsumersToTopicPartitions`).
    fn next_factor(&self, lag: i64, partitions: i64) -> i64 {
        let divides = |factor: &i64| partitions % factor == 0;
        (1..=partitions).filter(divides).find(|factor| factor * self.lag_threshold >= lag).unwrap_or(partitions)
    }
}
