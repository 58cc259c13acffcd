//! Cron schedules as `github.com/robfig/cron/v3: ParseStandard` reads them: KEDA's cron trigger and Karpenter's budgets use it.

use jiff::civil::{Date, Time as ClockTime};
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Span, Timestamp};

/// What is wrong with a schedule.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CronError {
    /// Not five fields.
    #[error("expected exactly 5 fields (minute hour day-of-month month day-of-week), found {0}")]
    FieldCount(usize),
    /// A field that is no list of numbers, names, ranges and steps.
    #[error("`{0}` is not a number, name, range or step")]
    Malformed(String),
    /// A number outside its field's range, or a range that runs backwards.
    #[error("`{0}` is outside {1} to {2}")]
    OutOfRange(String, u32, u32),
    /// An unknown `@` word.
    #[error("unknown descriptor `{0}`")]
    UnknownDescriptor(String),
    /// A time zone that the tz database does not know.
    #[error("unknown time zone `{0}`")]
    UnknownTimeZone(String),
}

/// Allowed values of one field, bit n = value n, and whether the field was `*` or `?`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Field {
    bits: u64,
    star: bool,
}

#[derive(Clone, Debug, PartialEq)]
enum Kind {
    Fields { minute: Field, hour: Field, day: Field, month: Field, weekday: Field },
    Every(SignedDuration),
}

/// A schedule in its time zone.
#[derive(Clone, Debug, PartialEq)]
pub struct Schedule {
    kind: Kind,
    zone: TimeZone,
}

const MONTHS: [&str; 12] = ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"];
const WEEKDAYS: [&str; 7] = ["sun", "mon", "tue", "wed", "thu", "fri", "sat"];

impl Schedule {
    /// Reads five fields or a descriptor (`@daily`, `@every 1h30m`), with times in `zone` unless the text begins with
    /// `TZ=` or `CRON_TZ=`.
    ///
    /// # Errors
    /// When the text is no schedule.
    pub fn parse(text: &str, zone: TimeZone) -> Result<Self, CronError> {
        let mut text = text.trim();
        let mut zone = zone;
        for prefix in ["TZ=", "CRON_TZ="] {
            if let Some(rest) = text.strip_prefix(prefix) {
                let (name, rest) = rest.split_once(' ').unwrap_or((rest, ""));
                zone = TimeZone::get(name).map_err(|_| CronError::UnknownTimeZone(name.to_owned()))?;
                text = rest.trim();
                break;
            }
        }
        let kind = if text.starts_with('@') { descriptor(text)? } else { fields(text)? };
        Ok(Schedule { kind, zone })
    }

    /// The first instant strictly after `after` at which it fires; `None` when there is none within five years.
    #[must_use]
    pub fn next(&self, after: Timestamp) -> Option<Timestamp> {
        let whole = Timestamp::from_second(after.as_second()).ok()?;
        match &self.kind {
            Kind::Every(period) => whole.checked_add(*period).ok(),
            Kind::Fields { .. } => self.next_match(whole),
        }
    }

    fn next_match(&self, whole: Timestamp) -> Option<Timestamp> {
        let mut at = Timestamp::from_second(whole.as_second().div_euclid(60) * 60 + 60).ok()?;
        let last = whole.checked_add(SignedDuration::from_hours(5 * 366 * 24)).ok()?;
        while at <= last {
            let local = at.to_zoned_datetime(self.zone.clone());
            let Kind::Fields { minute, hour, .. } = &self.kind else { return None };
            if !self.day_matches(local.date()) {
                at = self.start_of(local.date().checked_add(Span::new().days(1)).ok()?)?;
            } else if !hour.has(local.hour().unsigned_abs()) {
                let rest = 60 - i64::from(local.minute());
                at = at.checked_add(SignedDuration::from_mins(rest)).ok()?;
            } else if !minute.has(local.minute().unsigned_abs()) {
                at = at.checked_add(SignedDuration::from_mins(1)).ok()?;
            } else {
                return Some(at);
            }
        }
        None
    }

    /// Day of month and day of week: when both are restricted, either is enough.
    fn day_matches(&self, date: Date) -> bool {
        let Kind::Fields { day, month, weekday, .. } = &self.kind else { return false };
        let in_month = day.has(date.day().unsigned_abs());
        let in_week = weekday.has(date.weekday().to_sunday_zero_offset().unsigned_abs());
        let day_fits = if day.star || weekday.star { in_month && in_week } else { in_month || in_week };
        month.has(date.month().unsigned_abs()) && day_fits
    }

    fn start_of(&self, date: Date) -> Option<Timestamp> {
        let zoned = self.zone.to_ambiguous_zoned_datetime(date.to_datetime(ClockTime::midnight())).compatible().ok()?;
        Some(zoned.timestamp())
    }
}

impl Field {
    const fn has(self, value: u8) -> bool {
        self.bits >> value & 1 == 1
    }
}

fn descriptor(text: &str) -> Result<Kind, CronError> {
    if let Some(period) = text.strip_prefix("@every ") {
        let period: SignedDuration = period.parse().map_err(|_| CronError::UnknownDescriptor(text.to_owned()))?;
        return Ok(Kind::Every(SignedDuration::from_secs(period.as_secs().max(1))));
    }
    match text {
        "@yearly" | "@annually" => fields("0 0 1 1 *"),
        "@monthly" => fields("0 0 1 * *"),
        "@weekly" => fields("0 0 * * 0"),
        "@daily" | "@midnight" => fields("0 0 * * *"),
        "@hourly" => fields("0 * * * *"),
        other => Err(CronError::UnknownDescriptor(other.to_owned())),
    }
}

fn fields(text: &str) -> Result<Kind, CronError> {
    let parts: Vec<&str> = text.split_whitespace().collect();
    let [minute, hour, day, month, weekday] = parts[..] else { return Err(CronError::FieldCount(parts.len())) };
    Ok(Kind::Fields {
        minute: field(minute, 0, 59, &[])?,
        hour: field(hour, 0, 23, &[])?,
        day: field(day, 1, 31, &[])?,
        month: field(month, 1, 12, &MONTHS)?,
        weekday: field(weekday, 0, 6, &WEEKDAYS)?,
    })
}

fn field(text: &str, low: u32, high: u32, names: &[&str]) -> Result<Field, CronError> {
    let mut all = Field { bits: 0, star: false };
    for part in text.split(',') {
        let one = range(part, low, high, names)?;
        all.bits |= one.bits;
        all.star |= one.star;
    }
    Ok(all)
}

fn range(part: &str, low: u32, high: u32, names: &[&str]) -> Result<Field, CronError> {
    let malformed = || CronError::Malformed(part.to_owned());
    let (span, step) = match part.split_once('/') {
        Some((span, step)) => (span, Some(step.parse::<u32>().ok().filter(|s| *s > 0).ok_or_else(malformed)?)),
        None => (part, None),
    };
    let star = span == "*" || span == "?";
    let (first, last) = if star {
        (low, high)
    } else if let Some((from, to)) = span.split_once('-') {
        (number(from, low, names).ok_or_else(malformed)?, number(to, low, names).ok_or_else(malformed)?)
    } else {
        let from = number(span, low, names).ok_or_else(malformed)?;
        (from, if step.is_some() { high } else { from })
    };
    if first < low || last > high || first > last {
        return Err(CronError::OutOfRange(part.to_owned(), low, high));
    }
    let bits = (first..=last).step_by(step.unwrap_or(1) as usize).fold(0, |bits, value| bits | 1_u64 << value);
    Ok(Field { bits, star: star && step.unwrap_or(1) == 1 })
}

fn number(text: &str, low: u32, names: &[&str]) -> Option<u32> {
    let lower = text.to_ascii_lowercase();
    match names.iter().position(|name| *name == lower) {
        Some(index) => Some(index as u32 + low),
        None => text.parse().ok(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn next(schedule: &str, zone: &str, after: &str) -> String {
        let zone = TimeZone::get(zone).expect("zone");
        let schedule = Schedule::parse(schedule, zone).expect("schedule");
        schedule.next(after.parse().expect("instant")).map_or_else(|| "never".to_owned(), |at| at.to_string())
    }

    #[test]
    fn fires_strictly_after() {
        for (schedule, after, at) in [
            ("0 8 * * *", "2026-01-05T08:00:00Z", "2026-01-06T08:00:00Z"),
            ("0 8 * * *", "2026-01-05T07:59:59.5Z", "2026-01-05T08:00:00Z"),
            ("*/15 * * * *", "2026-01-05T08:07:00Z", "2026-01-05T08:15:00Z"),
            ("30 6 * * SUN", "2024-01-07T00:00:00Z", "2024-01-07T06:30:00Z"),
            ("0 0 13 * FRI", "2026-01-05T00:00:00Z", "2026-01-09T00:00:00Z"),
            ("0 0 1 Feb *", "2026-01-05T00:00:00Z", "2026-02-01T00:00:00Z"),
            ("5/20 1-2 * * mon-fri", "2026-01-05T01:06:00Z", "2026-01-05T01:25:00Z"),
            ("@weekly", "2026-01-05T00:00:00Z", "2026-01-11T00:00:00Z"),
            ("@every 90s", "2026-01-05T00:00:00.7Z", "2026-01-05T00:01:30Z"),
            ("0 0 30 2 *", "2026-01-05T00:00:00Z", "never"),
            ("TZ=America/New_York 0 9 * * *", "2026-01-05T00:00:00Z", "2026-01-05T14:00:00Z"),
        ] {
            assert_eq!(next(schedule, "UTC", after), at, "{schedule} after {after}");
        }
    }

    #[test]
    fn daylight_saving_skips_missing_times_and_repeats_double_ones() {
        assert_eq!(next("30 2 * * *", "Europe/Berlin", "2026-03-28T12:00:00Z"), "2026-03-30T00:30:00Z");
        assert_eq!(next("30 2 * * *", "Europe/Berlin", "2026-10-25T00:30:00Z"), "2026-10-25T01:30:00Z");
    }

    #[test]
    fn wrong_schedules_are_refused() {
        for text in [
            "",
            "* * * *",
            "60 * * * *",
            "0 24 * * *",
            "0 0 0 * *",
            "0 0 * * 7",
            "5-1 * * * *",
            "*/0 * * * *",
            "@never",
            "x * * * *",
        ] {
            assert!(Schedule::parse(text, TimeZone::UTC).is_err(), "{text}");
        }
    }
}
