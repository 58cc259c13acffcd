//! `cron` (`pkg/scalers/cron_scaler.go`).

use jiff::Timestamp;
use jiff::tz::TimeZone;

use super::{
    ExternalMetric, ExternalTarget, Metadata, Sample, TriggerError, generate_metric_name_with_index, normalize_string,
};
use crate::api::keda::Trigger;
use crate::engine::cron::Schedule;

/// Settings of the scaler.
#[derive(Clone, Debug, PartialEq)]
pub struct CronScaler {
    /// Its metric; the target is 1.
    pub metric: ExternalMetric,
    /// When the window opens.
    pub start: Schedule,
    /// When the window closes.
    pub end: Schedule,
    /// `desiredReplicas`: the value inside the window.
    pub desired_replicas: i64,
}

impl CronScaler {
    /// Reads the metadata. Descriptors such as `@daily` are refused.
    ///
    /// # Errors
    /// When a setting is missing or malformed.
    pub fn parse(trigger: &Trigger, index: usize) -> Result<Self, TriggerError> {
        let metadata = Metadata(&trigger.metadata);
        let (start, end) = (metadata.required("start")?, metadata.required("end")?);
        let zone_name = metadata.required("timezone")?;
        let desired_replicas = metadata.integer("desiredReplicas", 0)?;
        if desired_replicas == 0 {
            return Err(TriggerError::Missing("desiredReplicas"));
        }
        if start == end {
            return Err(TriggerError::SameSchedules);
        }
        let zone = TimeZone::get(zone_name).map_err(|_| TriggerError::TimeZone(zone_name.to_owned()))?;
        let name = format!("cron-{zone_name}-{}-{}", parse_cron_time_format(start), parse_cron_time_format(end));
        Ok(CronScaler {
            metric: ExternalMetric {
                name: generate_metric_name_with_index(index, &normalize_string(&name)).into(),
                target: ExternalTarget::new(trigger.metric_type, 1000)?,
            },
            start: schedule("start", start, zone.clone())?,
            end: schedule("end", end, zone)?,
            desired_replicas,
        })
    }

    /// Inside the window when its end comes before, or with, its next start (`GetMetricsAndActivity`).
    #[must_use]
    pub fn evaluate(&self, now: Timestamp) -> Sample {
        let far = Timestamp::MAX;
        let next_start = self.start.next(now).unwrap_or(far);
        let next_end = self.end.next(now).unwrap_or(far);
        let inside = next_end <= next_start;
        Sample { value_milli: if inside { self.desired_replicas.saturating_mul(1000) } else { 0 }, active: inside }
    }
}

fn schedule(which: &'static str, text: &str, zone: TimeZone) -> Result<Schedule, TriggerError> {
    if text.trim_start().starts_with('@') {
        let problem = format!("parser does not accept descriptors: {text}");
        return Err(TriggerError::Schedule { which, problem });
    }
    Schedule::parse(text, zone).map_err(|error| TriggerError::Schedule { which, problem: error.to_string() })
}

/// A schedule as it stands in the metric's name (`parseCronTimeFormat`).
fn parse_cron_time_format(text: &str) -> String {
    text.replace(' ', "").replace('*', "x").replace('/', "Sl").replace('?', "Qm").replace(',', "Cm")
}
