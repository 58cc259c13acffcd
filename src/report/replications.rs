//! Several runs of one scenario: a row each, and what can be said about the mean.

use std::fmt::Write as _;

use serde::Serialize;

use crate::study::measures::{MEASURES, sojourns, waits};
use crate::study::profile::Profile;
use crate::study::statistics::Estimate;
use crate::telemetry::{Durations, Outcome};
use crate::time::Duration;

use super::numbers::{percent, round, short, span};
use super::summary::{Summary, Times, times};

/// Confidence of the intervals.
const CONFIDENCE: f64 = 0.95;

/// What is kept of one run among several.
#[derive(Clone, Debug)]
pub struct Replication {
    /// Values of all measures, in the order of [`MEASURES`].
    pub values: Vec<f64>,
    /// Its curves over time.
    pub profile: Profile,
    /// Waits of all its messages; of those that still wait at the end, the age.
    pub waits: Durations,
    /// Sojourns, likewise.
    pub sojourns: Durations,
}

impl Replication {
    /// From a run of a scenario that takes `length`.
    #[must_use]
    pub fn of(outcome: &Outcome, length: Duration) -> Replication {
        Replication {
            values: MEASURES.iter().map(|measure| measure.of(outcome)).collect(),
            profile: Profile::of(outcome, length),
            waits: waits(outcome),
            sojourns: sojourns(outcome),
        }
    }
}

/// The messages of all runs together, as if one run had had them all.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Pooled {
    /// Number of runs.
    pub runs: usize,
    /// Waits; of messages that still wait at the end of their run, the age.
    pub wait: Times,
    /// Sojourns, likewise.
    pub sojourn: Times,
}

impl Pooled {
    /// Histograms are added up bucket by bucket: nothing is lost.
    #[must_use]
    pub fn of(all: &[Replication]) -> Pooled {
        let merged = |of: fn(&Replication) -> &Durations| {
            let mut pool = Durations::default();
            all.iter().for_each(|replication| pool.merge(of(replication)));
            times(&pool)
        };
        Pooled { runs: all.len(), wait: merged(|one| &one.waits), sojourn: merged(|one| &one.sojourns) }
    }
}

/// `replications.csv`: a row each run.
#[must_use]
pub fn csv(runs: &[Replication]) -> String {
    let names: Vec<_> = MEASURES.iter().map(|measure| measure.name).collect();
    let mut text = format!("replication,{}\n", names.join(","));
    for (replication, run) in runs.iter().enumerate() {
        let values: Vec<_> = run.values.iter().map(|value| round(*value, 9).to_string()).collect();
        let _ = writeln!(text, "{replication},{}", values.join(","));
    }
    text
}

/// The screen after several runs: mean with its confidence interval, smallest and largest value of each measure, and how often
/// each objective was met.
#[must_use]
pub fn render(summaries: &[Summary], runs: &[Replication], pooled: &Pooled, color: bool) -> String {
    let bold = |text: &str| if color { format!("\u{1b}[1m{text}\u{1b}[0m") } else { text.to_owned() };
    let mut text = String::new();
    let name = summaries.first().map_or("", |summary| summary.scenario.as_str());
    let seed = summaries.first().map_or(0, |summary| summary.seed);
    let _ = writeln!(text, "{}  {} runs · seed {seed}\n", bold(name), runs.len());
    let header = format!("{:<18}{:>12}{:>14}{:>12}{:>12}", "", "mean", "± 95 %", "min", "max");
    let _ = writeln!(text, "{}", bold(&header));
    for (index, measure) in MEASURES.iter().enumerate() {
        let samples: Vec<f64> = runs.iter().map(|run| run.values[index]).collect();
        let estimate = Estimate::of(&samples, CONFIDENCE);
        let half = estimate.half_width;
        let min = samples.iter().copied().fold(f64::INFINITY, f64::min);
        let max = samples.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let [mean, half, min, max] = [estimate.mean, half, min, max].map(short);
        let _ = writeln!(text, "{:<18}{mean:>12}{half:>14}{min:>12}{max:>12}", measure.name);
    }
    text.push('\n');
    for (name, times) in [("wait", &pooled.wait), ("sojourn", &pooled.sojourn)] {
        let quantiles = [("p50", times.p50_s), ("p95", times.p95_s), ("p99", times.p99_s), ("max", times.max_s)];
        let shown = |(label, value): (&str, Option<f64>)| {
            value.map(|seconds| format!("{label} {}", span(Duration::from_secs_f64(seconds))))
        };
        let quantiles: Vec<_> = quantiles.into_iter().filter_map(shown).collect();
        if !quantiles.is_empty() {
            let _ = writeln!(text, "{:<18}{}", format!("{name}, all runs"), quantiles.join("   "));
        }
    }
    text.push('\n');
    let objectives = summaries.first().map_or(&[][..], |summary| &summary.objectives);
    for (index, objective) in objectives.iter().enumerate() {
        let met = summaries.iter().filter(|summary| summary.objectives[index].met).count();
        let share = percent(met as f64 / summaries.len() as f64);
        let _ = writeln!(text, "{:<18}met in {met} of {} runs ({share})", objective.name, summaries.len());
    }
    if !objectives.is_empty() {
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::telemetry::QueueRecord;

    #[test]
    fn pooled_messages_are_those_of_one_long_run() {
        let length = Duration::from_secs(60);
        let run = |waits: &[i64]| {
            let mut queue = QueueRecord::default();
            waits.iter().for_each(|millis| queue.wait.record(Duration::from_millis(*millis)));
            Replication::of(&Outcome { queues: vec![queue], ..Outcome::default() }, length)
        };
        let millis: Vec<i64> = (0..5000).map(|n| n * n % 7919 + n).collect();
        let whole = Pooled::of(&[run(&millis)]);
        for parts in [2, 7, 499] {
            let mut runs: Vec<Replication> = millis.chunks(millis.len() / parts).map(run).collect();
            assert_eq!(Pooled::of(&runs).wait, whole.wait, "{parts} runs");
            runs.reverse();
            assert_eq!(Pooled::of(&runs).wait, whole.wait, "{parts} runs, the last first");
        }
        // The mean of the runs' quantiles is something else.
        let quantiles = |chunk: &[i64]| Pooled::of(&[run(chunk)]).wait.p95_s.unwrap_or_default();
        let mean: f64 = millis.chunks(2500).map(quantiles).sum::<f64>() / 2.0;
        assert!((mean - whole.wait.p95_s.unwrap_or_default()).abs() > 0.01);
    }
}
