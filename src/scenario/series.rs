//! `[[series]]`: values over time for triggers and metrics whose source is not a queue of the scenario.

use crate::object;
use crate::time::{Duration, Time};

object! {
    /// The value that a trigger (`prometheus`, `aws-cloudwatch`, `metrics-api`, `rabbitmq`, `redis`, `kafka`: the topic's lag) or a metric of a HorizontalPodAutoscaler without KEDA (`External`, `Object`, `Pods`) reads, over time.
    pub struct SeriesSpec {
        /// Name of the ScaledObject whose trigger this is.
        pub scaled_object: Option<String>,
        /// Name of the ScaledJob whose trigger this is.
        pub scaled_job: Option<String>,
        /// Name of the HorizontalPodAutoscaler whose metric this is.
        pub hpa: Option<String>,
        /// `hpa`: name of the metric. Of a metric of type `Pods` the values are the total, of which each ready pod has an equal part.
        pub metric: Option<String>,
        /// Position of the trigger in its object, from 0.
        pub trigger: usize = 0,
        /// Instants, ascending; before the first there is no value.
        pub times: Vec<Duration>,
        /// Value from each instant on, one a time.
        pub values: Vec<f64>,
        /// Whether values change evenly between two instants instead of at them.
        pub interpolate: bool = false,
        /// Formula of the value in KEDA's formula language, instead of `times` and `values`: `t` is the time since the beginning in seconds, as in `int(t) % 600 < 60 ? 50.0 : 5.0`.
        pub expression: Option<String>,
        /// How long after an instant its value can be read (CloudWatch shows a metric minutes late).
        pub delay: Duration = Duration::ZERO,
        /// Partitions over which the lag is spread (`kafka`).
        pub partitions: u32 = 1,
    }
}

impl SeriesSpec {
    /// The value that can be read at an instant.
    #[must_use]
    pub fn known_at(&self, now: Time) -> Option<f64> {
        let shown = now.since(Time::ZERO) - self.delay;
        if shown < Duration::ZERO { None } else { self.value_at(Time::ZERO + shown) }
    }

    /// The value at an instant; `None` before the first.
    #[must_use]
    pub fn value_at(&self, now: Time) -> Option<f64> {
        let since = now.since(Time::ZERO);
        if let Some(expression) = &self.expression {
            return evaluate(expression, since.as_secs_f64()).ok();
        }
        let last = self.times.iter().rposition(|time| *time <= since)?;
        let value = *self.values.get(last)?;
        match (self.interpolate, self.times.get(last + 1), self.values.get(last + 1)) {
            (true, Some(next_time), Some(next_value)) => {
                let span = (*next_time - self.times[last]).as_secs_f64();
                let share = (since - self.times[last]).as_secs_f64() / span.max(f64::MIN_POSITIVE);
                Some(value + (next_value - value) * share)
            }
            _ => Some(value),
        }
    }
}

/// The value of an expression at second `t`.
///
/// # Errors
/// When it cannot be evaluated, or is no number.
pub fn evaluate(expression: &str, t: f64) -> Result<f64, String> {
    let mut context = expr::Context::default();
    context.insert("t".to_owned(), t);
    let program = expr::compile(expression).map_err(|error| error.to_string())?;
    match expr::run(&program, &context).map_err(|error| error.to_string())? {
        expr::Value::Float(value) => Ok(value),
        expr::Value::Integer(value) => Ok(value as f64),
        other => Err(format!("the value is no number but {other}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_hold_or_change_evenly() {
        let mut series = SeriesSpec {
            scaled_object: Some("orders".to_owned()),
            scaled_job: None,
            hpa: None,
            metric: None,
            trigger: 0,
            times: vec![Duration::from_secs(10), Duration::from_secs(20)],
            values: vec![4.0, 8.0],
            interpolate: false,
            expression: None,
            delay: Duration::ZERO,
            partitions: 1,
        };
        let at = |series: &SeriesSpec, seconds: f64| series.value_at(Time::from_secs_f64(seconds));
        assert_eq!(
            [9.0, 10.0, 15.0, 20.0, 99.0].map(|s| at(&series, s)),
            [None, Some(4.0), Some(4.0), Some(8.0), Some(8.0)]
        );
        series.interpolate = true;
        assert_eq!([15.0, 20.0, 99.0].map(|s| at(&series, s)), [Some(6.0), Some(8.0), Some(8.0)]);
        series.delay = Duration::from_secs(10);
        let known = |seconds: f64| series.known_at(Time::from_secs_f64(seconds));
        assert_eq!([9.0, 19.0, 25.0].map(known), [None, None, Some(6.0)]);
    }

    #[test]
    fn expressions_see_the_time() {
        let pulse = "int(t) % 600 < 60 ? 50.0 : 5.0";
        assert_eq!([0.0, 59.0, 60.0, 630.0].map(|t| evaluate(pulse, t)), [Ok(50.0), Ok(50.0), Ok(5.0), Ok(50.0)]);
        assert_eq!(evaluate("3", 1.0), Ok(3.0));
        assert!(evaluate("t +", 1.0).is_err() && evaluate("\"a\"", 1.0).is_err() && evaluate("u", 1.0).is_err());
    }
}
