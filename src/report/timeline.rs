//! `timeline.csv`: what changed when.

use std::fmt::{Display, Write as _};
use std::io::Write;

use crate::cluster::catalogue::CapacityType;
use crate::telemetry::{Factor, NodeState, Outcome, QueueRecord, Series};
use crate::time::{Duration, Time};
use crate::units::Usd;

use super::numbers::round;

/// Most rows; beyond, rows are at equal distances instead of at changes.
pub const MAX_ROWS: usize = 10_000;

/// Columns of integer series.
pub const COUNTS: [&str; 17] = [
    "visible_messages",
    "in_flight_messages",
    "delayed_messages",
    "sent_messages",
    "processed_messages",
    "dead_lettered_messages",
    "desired_pods",
    "existing_pods",
    "pending_pods",
    "starting_pods",
    "ready_pods",
    "terminating_pods",
    "booting_nodes",
    "ready_nodes",
    "draining_nodes",
    "spot_nodes",
    "on_demand_nodes",
];

/// Writes the timeline: a row for each instant at which something changed, or at equal distances when there are too many.
///
/// # Errors
/// When the output cannot be written.
pub fn write(outcome: &Outcome, out: impl Write) -> csv::Result<()> {
    let end = outcome.end;
    let counts = count_series(outcome);
    let oldest_age = outcome.queues.iter().map(|queue| &queue.oldest_age).collect::<Vec<_>>();
    let rate = outcome.cost_rate();
    let mut writer = csv::Writer::from_writer(out);
    let header = ["time_s"].into_iter().chain(COUNTS).chain([
        "oldest_age_s",
        "cost_rate_usd_per_h",
        "cost_usd",
        "limiting_factor",
    ]);
    writer.write_record(header)?;
    let mut cost = Accumulated::default();
    let mut row = Row::default();
    for time in rows(end, counts.iter().chain([&rate]).chain(oldest_age.iter().copied()), MAX_ROWS) {
        row.clear();
        row.push(time.as_secs_f64());
        counts.iter().for_each(|series| row.push(series.at(time)));
        let age = oldest_age.iter().map(|series| series.at(time)).max().unwrap_or(0);
        row.push(Duration::from_micros(age).as_secs_f64());
        row.push(Usd::from_nano(rate.at(time)).as_f64());
        row.push(cost.until(&rate, time));
        row.push(limiting_factor(&outcome.queues, time).map_or("", Factor::key));
        writer.write_record(&row.record)?;
    }
    writer.flush()?;
    Ok(())
}

/// A row whose memory serves the next one too.
#[derive(Default)]
struct Row {
    record: csv::StringRecord,
    text: String,
}

impl Row {
    fn clear(&mut self) {
        self.record.clear();
    }

    fn push(&mut self, value: impl Display) {
        self.text.clear();
        // A text takes all that is written to it.
        let _ = write!(self.text, "{value}");
        self.record.push_field(&self.text);
    }
}

/// The series of [`COUNTS`], over all queues, consuming workloads and nodes.
fn count_series(outcome: &Outcome) -> [Series; COUNTS.len()] {
    let queues = |of: fn(&QueueRecord) -> &Series| Series::sum(outcome.queues.iter().map(of));
    let nodes = |state| outcome.nodes_in(state, |_| true);
    let bought = |wanted| outcome.nodes_in(NodeState::Running, |node| node.info.capacity_type == Some(wanted));
    [
        queues(|queue| &queue.visible),
        queues(|queue| &queue.in_flight),
        queues(|queue| &queue.delayed),
        queues(|queue| &queue.sent),
        queues(|queue| &queue.processed),
        queues(|queue| &queue.dead_lettered),
        outcome.pods_desired(None),
        outcome.pods_existing(None),
        outcome.pods_pending(None),
        outcome.pods_starting(None),
        outcome.pods_ready(None),
        outcome.pods_terminating(None),
        nodes(NodeState::Booting),
        nodes(NodeState::Ready),
        nodes(NodeState::Draining),
        bought(CapacityType::Spot),
        bought(CapacityType::OnDemand),
    ]
}

/// The beginning, every change until the end, and the end; or `most` instants at equal distances.
fn rows<'a>(end: Time, series: impl Iterator<Item = &'a Series>, most: usize) -> Vec<Time> {
    let mut times: Vec<Time> =
        series.flat_map(|series| series.steps().iter().map(|&(at, _)| at)).filter(|&at| at < end).collect();
    times.extend([Time::ZERO, end]);
    times.sort_unstable();
    times.dedup();
    if times.len() <= most {
        return times;
    }
    let last = most as u64 - 1;
    let at = |row: u64| (u128::from(end.as_micros()) * u128::from(row) / u128::from(last)) as u64;
    (0..=last).map(|row| Time::from_micros(at(row))).collect()
}

/// The factor which limits the queue with most visible messages.
fn limiting_factor(queues: &[QueueRecord], time: Time) -> Option<Factor> {
    let queue = queues.iter().max_by_key(|queue| queue.visible.at(time))?;
    let band = queue.blame.band();
    let after = band.partition_point(|&(at, _)| at <= time);
    band[..after].last().and_then(|&(_, factor)| factor)
}

/// Money so far, from the cost rate.
#[derive(Default)]
struct Accumulated {
    spent: i128,
    until: Time,
    step: usize,
    rate: i64,
}

impl Accumulated {
    /// USD from the beginning to `time`, which never goes back.
    fn until(&mut self, rate: &Series, time: Time) -> f64 {
        while let Some(&(at, next)) = rate.steps().get(self.step).filter(|&&(at, _)| at <= time) {
            self.advance(at);
            self.rate = next;
            self.step += 1;
        }
        self.advance(time);
        round(self.spent as f64 / 3.6e9 / 1e9, 9)
    }

    fn advance(&mut self, to: Time) {
        self.spent += i128::from(self.rate) * i128::from(to.since(self.until).as_micros());
        self.until = to;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_changes_or_equal_distances() {
        let at = Time::from_micros;
        let mut series = Series::default();
        for time in 1..=10 {
            series.record(at(time), time as i64);
        }
        assert_eq!(rows(at(100), [&series].into_iter(), 12).len(), 12);
        assert_eq!(rows(at(100), [&series].into_iter(), 5), [at(0), at(25), at(50), at(75), at(100)]);
        assert_eq!(rows(Time::ZERO, std::iter::empty(), 5), [at(0)]);
    }

    #[test]
    fn money_adds_up_over_changes_of_the_rate() {
        let hour = Time::from_micros(3_600_000_000);
        let mut rate = Series::default();
        rate.record(Time::ZERO, 2_000_000_000);
        rate.record(hour, 1_000_000_000);
        let mut cost = Accumulated::default();
        assert_eq!(cost.until(&rate, Time::ZERO), 0.0);
        assert_eq!(cost.until(&rate, Time::from_micros(7_200_000_000)), 3.0);
    }
}
