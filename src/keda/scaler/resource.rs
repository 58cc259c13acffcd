//! `cpu` and `memory` (`pkg/scalers/cpu_memory_scaler.go`): the HPA reads them itself, KEDA never does.

use super::{Metadata, TriggerError};
use crate::api::keda::{Trigger, TriggerMetricType};
use crate::keda::capabilities::Capabilities;
use crate::units::parse_quantity_milli;

/// Target of a resource metric.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ResourceTarget {
    /// Percent of requests.
    Utilization(u32),
    /// Per pod, in thousandths.
    AverageValue(i64),
}

/// Settings of the scaler.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ResourceScaler {
    /// `cpu` or `memory`.
    pub resource: String,
    /// `containerName`: only this container counts.
    pub container: Option<String>,
    /// Target.
    pub target: ResourceTarget,
}

impl ResourceScaler {
    /// Reads the metadata; `metricType` is mandatory, before 2.18 its place in the metadata is accepted (`typed_config.go: setValue`).
    ///
    /// # Errors
    /// When a setting is missing or malformed.
    pub fn parse(trigger: &Trigger, capabilities: Capabilities) -> Result<Self, TriggerError> {
        let metadata = Metadata(&trigger.metadata);
        let value = metadata.required("value")?;
        let malformed = || TriggerError::Malformed { name: "value", value: value.to_owned() };
        let deprecated = match metadata.text("type") {
            Some(_) if !capabilities.metadata_type => return Err(TriggerError::Deprecated("type")),
            Some("Utilization") => Some(TriggerMetricType::Utilization),
            Some("AverageValue") => Some(TriggerMetricType::AverageValue),
            _ => None,
        };
        let target = match trigger.metric_type.or(deprecated) {
            Some(TriggerMetricType::Utilization) => {
                ResourceTarget::Utilization(value.parse().map_err(|_| malformed())?)
            }
            Some(TriggerMetricType::AverageValue) => {
                ResourceTarget::AverageValue(parse_quantity_milli(value).map_err(|_| malformed())?)
            }
            Some(TriggerMetricType::Value) | None => return Err(TriggerError::MissingMetricType),
        };
        Ok(ResourceScaler {
            resource: trigger.kind.clone(),
            container: metadata.text("containerName").map(str::to_owned),
            target,
        })
    }
}
