//! Several runs of one scenario: a row each, and what can be said about the mean.

use std::fmt::Write as _;

use crate::study::measures::MEASURES;
use crate::study::statistics::Estimate;
use crate::telemetry::Outcome;

use super::numbers::{percent, round, short};
use super::summary::Summary;

/// Confidence of the intervals.
const CONFIDENCE: f64 = 0.95;

/// All measures of a run, in the order of [`MEASURES`].
#[must_use]
pub fn measures(outcome: &Outcome) -> Vec<f64> {
    MEASURES.iter().map(|measure| measure.of(outcome)).collect()
}

/// `replications.csv`: a row each run.
#[must_use]
pub fn csv(runs: &[Vec<f64>]) -> String {
    let names: Vec<_> = MEASURES.iter().map(|measure| measure.name).collect();
    let mut text = format!("replication,{}\n", names.join(","));
    for (replication, values) in runs.iter().enumerate() {
        let values: Vec<_> = values.iter().map(|value| round(*value, 9).to_string()).collect();
        let _ = writeln!(text, "{replication},{}", values.join(","));
    }
    text
}

/// The screen after several runs: mean with its confidence interval, smallest and largest value of each measure, and how often
/// each objective was met.
#[must_use]
pub fn render(summaries: &[Summary], runs: &[Vec<f64>], color: bool) -> String {
    let bold = |text: &str| if color { format!("\u{1b}[1m{text}\u{1b}[0m") } else { text.to_owned() };
    let mut text = String::new();
    let name = summaries.first().map_or("", |summary| summary.scenario.as_str());
    let seed = summaries.first().map_or(0, |summary| summary.seed);
    let _ = writeln!(text, "{}  {} runs · seed {seed}\n", bold(name), runs.len());
    let header = format!("{:<18}{:>12}{:>14}{:>12}{:>12}", "", "mean", "± 95 %", "min", "max");
    let _ = writeln!(text, "{}", bold(&header));
    for (index, measure) in MEASURES.iter().enumerate() {
        let samples: Vec<f64> = runs.iter().map(|values| values[index]).collect();
        let estimate = Estimate::of(&samples, CONFIDENCE);
        let half = estimate.half_width;
        let min = samples.iter().copied().fold(f64::INFINITY, f64::min);
        let max = samples.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let [mean, half, min, max] = [estimate.mean, half, min, max].map(short);
        let _ = writeln!(text, "{:<18}{mean:>12}{half:>14}{min:>12}{max:>12}", measure.name);
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
