//! `[[series]]`: values over time for triggers and metrics whose source is not a queue of the scenario.

use super::arrivals::TextFile;
use super::trace::{self, TraceError};
use crate::api::formula;
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
        /// CSV file of the values, instead of `times` and `values`: rows of a time stamp or seconds and a value, in the order of time; the first row is the beginning of the run. At most 1,000,000 rows.
        pub file: Option<TextFile>,
        /// `file`: heading (or number from 1) of the column of times; absent = the first.
        pub time_column: Option<String>,
        /// `file`: heading (or number) of the column of values; absent = the second.
        pub value_column: Option<String>,
        /// `file`: values are multiplied by this.
        pub scale: f64 = 1.0,
        /// `file`: time is multiplied by this: 0.1 plays ten times as fast.
        pub stretch: f64 = 1.0,
        /// `file`: skips this much of it.
        pub offset: Duration = Duration::ZERO,
        /// `file`: whether it begins again at its end, which is as long after the last row as that is after the one before.
        pub repeat: bool = false,
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
        let mut since = now.since(Time::ZERO);
        if let Some(expression) = &self.expression {
            return evaluate(expression, since.as_secs_f64()).ok();
        }
        if let Some(length) = self.length().filter(|_| self.repeat) {
            since = Duration::from_micros(since.as_micros() % length.as_micros());
        }
        let last = self.times.partition_point(|time| *time <= since).checked_sub(1)?;
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

    /// How long a file is: as long after its last row as that is after the one before.
    fn length(&self) -> Option<Duration> {
        let [.., before, last] = self.times[..] else { return None };
        Some(last + (last - before)).filter(|length| *length > Duration::ZERO)
    }

    /// Fills in `times` and `values` from the file.
    ///
    /// # Errors
    /// When it cannot be played.
    pub fn read_file(&mut self) -> Result<(), TraceError> {
        let Some(file) = &self.file else { return Ok(()) };
        let rows = trace::read_values(&file.text, self.time_column.as_deref(), self.value_column.as_deref())?;
        let offset = self.offset.as_secs_f64();
        // The value of the instant at which it is begun was set before.
        let first = rows.partition_point(|(at, _)| *at <= offset).saturating_sub(1);
        let time = |at: f64| Duration::from_secs_f64((at - offset).max(0.0) * self.stretch);
        self.times = rows[first..].iter().map(|(at, _)| time(*at)).collect();
        self.values = rows[first..].iter().map(|(_, value)| value * self.scale).collect();
        if self.repeat && self.length().is_none() { Err(TraceError::NoLength) } else { Ok(()) }
    }
}

/// The value of an expression at second `t`.
///
/// # Errors
/// When it cannot be evaluated, or is no number.
pub fn evaluate(expression: &str, t: f64) -> Result<f64, String> {
    let mut context = expr::Context::default();
    context.insert("t".to_owned(), t);
    let program = formula::parse(expression)?;
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
            file: None,
            time_column: None,
            value_column: None,
            scale: 1.0,
            stretch: 1.0,
            offset: Duration::ZERO,
            repeat: false,
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
    fn files_are_shifted_stretched_scaled_and_repeated() {
        let read = |csv: &str, change: fn(&mut SeriesSpec)| {
            let mut series: SeriesSpec = crate::api::decode::defaults();
            let span = crate::api::tree::Span { file: 0, start: 0, end: 0 };
            series.file = Some(TextFile { path: String::new(), span, text: csv.into() });
            change(&mut series);
            series.read_file().map(|()| series)
        };
        let csv = "time,a,b\n2026-01-01 00:00:10,1,10\n2026-01-01 00:00:20,2,20\n2026-01-01 00:00:40,3,30\n";
        let at = |series: &SeriesSpec, seconds: f64| series.value_at(Time::from_secs_f64(seconds));
        let plain = read(csv, |_| {}).expect("a series");
        assert_eq!([0.0, 9.9, 10.0, 30.0, 99.0].map(|s| at(&plain, s)), [1.0, 1.0, 2.0, 3.0, 3.0].map(Some));
        let played = read(csv, |series| {
            (series.value_column, series.scale, series.stretch) = (Some("b".to_owned()), 0.5, 2.0);
            (series.offset, series.repeat) = (Duration::from_secs(5), true);
        });
        // Rows at 0, 10 and 50 s, and again from 90 s on.
        let played = played.expect("a series");
        let values = [5.0, 10.0, 10.0, 15.0, 15.0, 5.0, 10.0].map(Some);
        assert_eq!([9.9, 10.0, 49.9, 50.0, 89.9, 90.0, 100.0].map(|s| at(&played, s)), values);
        let fails = |csv: &str, change: fn(&mut SeriesSpec)| read(csv, change).expect_err("no series");
        assert_eq!(fails("t,v\n0,1\n", |_| {}), TraceError::TooShort);
        assert_eq!(fails("t,v\n1,1\n0,1\n", |_| {}), TraceError::Order(2));
        assert_eq!(fails("t,v\n0,1\n1,x\n", |_| {}), TraceError::Value { row: 2, text: "x".to_owned() });
        assert_eq!(fails("t,v\n0,1\n0,2\n", |series| series.repeat = true), TraceError::NoLength);
        let absent = fails("t,v\n0,1\n1,2\n", |series| series.value_column = Some("w".to_owned()));
        assert_eq!(absent, TraceError::NoColumn("w".to_owned(), "t, v".to_owned()));
    }

    #[test]
    fn expressions_see_the_time() {
        let pulse = "int(t) % 600 < 60 ? 50.0 : 5.0";
        assert_eq!([0.0, 59.0, 60.0, 630.0].map(|t| evaluate(pulse, t)), [Ok(50.0), Ok(50.0), Ok(5.0), Ok(50.0)]);
        assert_eq!(evaluate("3", 1.0), Ok(3.0));
        assert!(evaluate("t +", 1.0).is_err() && evaluate("\"a\"", 1.0).is_err() && evaluate("u", 1.0).is_err());
    }
}
