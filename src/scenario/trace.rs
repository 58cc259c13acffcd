//! Recorded arrivals from CSV files: events or counts per bucket, with sizes of messages.

use std::sync::Arc;

use super::arrivals::Trace as TraceSpec;

/// Most rows of a trace.
pub const MAX_ROWS: usize = 1_000_000;
/// Longest trace, in seconds: ten years.
pub const MAX_SECONDS: f64 = 10.0 * 366.0 * 86_400.0;
/// Most messages a second of a trace of counts.
pub const MAX_PER_SECOND: f64 = 1e6;

/// One row of an event trace.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Event {
    /// Seconds after the first row.
    pub at: f64,
    /// Processing time in seconds; negative = the consumer's.
    pub work: f32,
}

/// What a trace holds.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Rows {
    /// One row an event.
    Events(Arc<[Event]>),
    /// One row a bucket: seconds after the first row, length, count.
    Buckets(Arc<[(f64, f64, f64)]>),
}

/// What is wrong with a trace file.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TraceError {
    /// The CSV cannot be read.
    #[error("not a CSV file: {0}")]
    Csv(String),
    /// There is no such column.
    #[error("no column `{0}`; the file has {1}")]
    NoColumn(String, String),
    /// A value is not a number or a time stamp.
    #[error("row {row}: `{text}` is neither a number nor a time stamp")]
    Value {
        /// Row, the first after the heading is 1.
        row: usize,
        /// What is there.
        text: String,
    },
    /// Times go back.
    #[error("row {0}: time goes back")]
    Order(usize),
    /// Fewer than two rows.
    #[error("fewer than two rows")]
    TooShort,
    /// More than [`MAX_ROWS`].
    #[error("more than {MAX_ROWS} rows")]
    TooLong,
    /// More messages a second than [`MAX_PER_SECOND`].
    #[error("row {0}: more than {MAX_PER_SECOND} messages a second")]
    TooFast(usize),
    /// Longer than [`MAX_SECONDS`].
    #[error("row {0}: more than ten years after the first")]
    TooFar(usize),
    /// A trace repeats that hardly has a message.
    #[error("less than one message in all: this cannot repeat")]
    TooFew,
    /// A trace without length repeats.
    #[error("all rows have the same time: this cannot repeat")]
    NoLength,
}

/// Reads the file of a trace.
///
/// # Errors
/// When it cannot be played.
pub(crate) fn read(spec: &TraceSpec) -> Result<Rows, TraceError> {
    let mut reader = csv::ReaderBuilder::new().flexible(true).from_reader(spec.file.text.as_bytes());
    let headings = reader.headers().map_err(|error| TraceError::Csv(error.to_string()))?.clone();
    let column = |name: &str| find_column(&headings, name);
    let time = spec.time_column.as_deref().map_or(Ok(0), column)?;
    let count = spec.count_column.as_deref().map(column).transpose()?;
    let work: Vec<(usize, f64)> = spec
        .work_per
        .iter()
        .map(|(name, duration)| Ok((column(name)?, duration.as_secs_f64())))
        .collect::<Result<_, TraceError>>()?;

    let mut rows: Vec<(f64, f64, f32)> = Vec::new();
    let mut first = None;
    for (index, record) in reader.records().enumerate() {
        let row = index + 1;
        if row > MAX_ROWS {
            return Err(TraceError::TooLong);
        }
        let record = record.map_err(|error| TraceError::Csv(error.to_string()))?;
        let bad = |column: usize| TraceError::Value { row, text: record.get(column).unwrap_or_default().to_owned() };
        let number = |column: usize| {
            record.get(column).and_then(|text| text.trim().parse::<f64>().ok()).filter(|x| x.is_finite())
        };
        let at = since_first(record.get(time), &mut first, row)?;
        if rows.last().is_some_and(|(last, _, _)| at < *last) {
            return Err(TraceError::Order(row));
        }
        let count = count.map_or(Ok(1.0), |column| number(column).ok_or_else(|| bad(column)))?;
        let mut seconds = spec.work_base.as_secs_f64();
        for (column, factor) in &work {
            seconds += factor * number(*column).ok_or_else(|| bad(*column))?;
        }
        let own_work = !work.is_empty() || seconds > 0.0;
        rows.push((at, count.max(0.0), if own_work { seconds as f32 } else { -1.0 }));
    }
    if rows.len() < 2 {
        return Err(TraceError::TooShort);
    }
    let offset = spec.offset.as_secs_f64();
    if spec.count_column.is_none() {
        let events = rows.iter().filter(|(at, _, _)| *at >= offset);
        return Ok(Rows::Events(
            events.map(|(at, _, work)| Event { at: (at - offset) * spec.stretch / spec.scale, work: *work }).collect(),
        ));
    }
    let typical = rows[1].0 - rows[0].0;
    let mut buckets = Vec::with_capacity(rows.len());
    for (index, (at, count, _)) in rows.iter().enumerate() {
        let gap = rows.get(index + 1).map_or(typical, |next| next.0 - at);
        let length = spec.step.map_or(gap, |step| step.as_secs_f64().min(gap));
        if count * spec.scale > MAX_PER_SECOND * (length * spec.stretch).max(1.0) {
            return Err(TraceError::TooFast(index + 1));
        }
        if *at >= offset {
            buckets.push(((at - offset) * spec.stretch, length * spec.stretch, count * spec.scale));
        }
    }
    if spec.repeat && buckets.last().is_some_and(|(at, length, _)| at + length <= 0.0) {
        return Err(TraceError::NoLength);
    }
    // Whoever looks for the next message would look through repetitions without end.
    if spec.repeat && buckets.iter().map(|(_, _, count)| count).sum::<f64>() < 1.0 {
        return Err(TraceError::TooFew);
    }
    Ok(Rows::Buckets(buckets.into()))
}

/// Reads a file of values over time: seconds after the first row, and value.
///
/// # Errors
/// When it cannot be played.
pub(crate) fn read_values(
    text: &str,
    time_column: Option<&str>,
    value_column: Option<&str>,
) -> Result<Vec<(f64, f64)>, TraceError> {
    let mut reader = csv::ReaderBuilder::new().flexible(true).from_reader(text.as_bytes());
    let headings = reader.headers().map_err(|error| TraceError::Csv(error.to_string()))?.clone();
    let time = find_column(&headings, time_column.unwrap_or("1"))?;
    let value = find_column(&headings, value_column.unwrap_or("2"))?;
    let (mut rows, mut first): (Vec<(f64, f64)>, _) = (Vec::new(), None);
    for (index, record) in reader.records().enumerate() {
        let row = index + 1;
        if row > MAX_ROWS {
            return Err(TraceError::TooLong);
        }
        let record = record.map_err(|error| TraceError::Csv(error.to_string()))?;
        let at = since_first(record.get(time), &mut first, row)?;
        if rows.last().is_some_and(|(last, _)| at < *last) {
            return Err(TraceError::Order(row));
        }
        let number = record.get(value).and_then(|text| text.trim().parse::<f64>().ok()).filter(|x| x.is_finite());
        let text = record.get(value).unwrap_or_default();
        rows.push((at, number.ok_or_else(|| TraceError::Value { row, text: text.to_owned() })?));
    }
    if rows.len() < 2 { Err(TraceError::TooShort) } else { Ok(rows) }
}

/// A column by its heading, or by its number from 1.
fn find_column(headings: &csv::StringRecord, name: &str) -> Result<usize, TraceError> {
    let by_name = headings.iter().position(|heading| heading.trim() == name);
    let by_number = || name.parse::<usize>().ok().and_then(|n| n.checked_sub(1)).filter(|n| *n < headings.len());
    by_name
        .or_else(by_number)
        .ok_or_else(|| TraceError::NoColumn(name.to_owned(), headings.iter().collect::<Vec<_>>().join(", ")))
}

/// Seconds from the first row's time to the time of a row.
fn since_first(text: Option<&str>, first: &mut Option<i128>, row: usize) -> Result<f64, TraceError> {
    let text = text.unwrap_or_default();
    let stamp = seconds_of(text.trim()).ok_or_else(|| TraceError::Value { row, text: text.to_owned() })?;
    let at = (stamp - *first.get_or_insert(stamp)) as f64 / 1e9;
    if at > MAX_SECONDS { Err(TraceError::TooFar(row)) } else { Ok(at) }
}

/// Nanoseconds of a number of seconds or of a time stamp such as `2023-11-16 18:15:46.6805900`, from an origin of its own.
fn seconds_of(text: &str) -> Option<i128> {
    if let Ok(seconds) = text.parse::<f64>() {
        return seconds.is_finite().then(|| (seconds * 1e9).round() as i128);
    }
    let stamp = text.trim_end_matches('Z');
    let civil: jiff::civil::DateTime = stamp.parse().ok()?;
    let epoch = jiff::civil::date(1970, 1, 1).at(0, 0, 0, 0);
    Some(civil.duration_since(epoch).as_nanos())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::decode::{Decode, Problems};
    use crate::scenario::arrivals::Arrivals;
    use crate::scenario::toml;

    fn trace(toml_text: &str, csv: &str) -> TraceSpec {
        let mut problems = Problems::default();
        let node = toml::parse(toml_text, 0, &mut problems);
        let arrivals = Arrivals::decode(&node, &mut problems);
        assert!(!problems.has_errors(), "{problems:?}");
        match arrivals {
            Some(Arrivals::Trace(mut trace)) => {
                trace.file.text = Arc::from(csv);
                trace
            }
            other => panic!("no trace: {other:?}"),
        }
    }

    #[test]
    fn events_with_sizes() {
        let spec = trace(
            "pattern = \"trace\"\nfile = \"x.csv\"\nscale = 2.0\nworkBase = \"200ms\"\nworkPer = { Out = \"10ms\" }",
            "TIMESTAMP,In,Out\n2023-11-16 18:15:46.6805900,10,1\n2023-11-16 18:15:48.6805900,10,30\n",
        );
        let expected = [Event { at: 0.0, work: 0.21 }, Event { at: 1.0, work: 0.5 }];
        assert_eq!(read(&spec), Ok(Rows::Events(expected.into())));
    }

    #[test]
    fn counts_keep_their_gaps() {
        let spec = trace(
            "pattern = \"trace\"\nfile = \"x.csv\"\ncountColumn = \"value\"\nstep = \"5m\"",
            "timestamp,value\n2014-04-10 00:04:00,94\n2014-04-10 00:09:00,56\n2014-04-10 00:19:00,187\n",
        );
        let expected = [(0.0, 300.0, 94.0), (300.0, 300.0, 56.0), (900.0, 300.0, 187.0)];
        assert_eq!(read(&spec), Ok(Rows::Buckets(expected.into())));
    }

    #[test]
    fn mistakes_are_named() {
        let spec = trace("pattern = \"trace\"\nfile = \"x.csv\"\ncountColumn = \"n\"", "t,value\n0,1\n1,1\n");
        assert_eq!(read(&spec), Err(TraceError::NoColumn("n".to_owned(), "t, value".to_owned())));
        let spec = trace("pattern = \"trace\"\nfile = \"x.csv\"", "t\n0\nx\n");
        assert_eq!(read(&spec), Err(TraceError::Value { row: 2, text: "x".to_owned() }));
        let rows = "0\n".repeat(MAX_ROWS + 1);
        let spec = trace("pattern = \"trace\"\nfile = \"x.csv\"", &format!("t\n{rows}"));
        assert_eq!(read(&spec), Err(TraceError::TooLong));
        let counts = "pattern = \"trace\"\nfile = \"x.csv\"\ncountColumn = \"n\"\nrepeat = true";
        assert_eq!(read(&trace(counts, "t,n\n0,1\n1,1e7\n")), Err(TraceError::TooFast(2)));
        assert_eq!(read(&trace(counts, "t,n\n3,1\n3,1\n")), Err(TraceError::NoLength));
    }
}
