//! The end of a search for settings, on the screen.

use std::fmt::Write as _;

use crate::scenario::axes::Axis;
use crate::study::measures::MEASURES;
use crate::study::plan::value_text;
use crate::study::statistics::Estimate;
use crate::study::tune::{Goal, Tuned};

use super::points::{Point, aligned, cell, heading, short_name, value};

/// Confidence of all intervals.
const CONFIDENCE: f64 = 0.95;

/// The combinations tried, as points; those on the front are marked.
#[must_use]
pub fn points(axes: &[Axis], tuned: &Tuned) -> Vec<Point> {
    let point = |(number, tried): (usize, &crate::study::tune::Tried)| Point {
        number,
        settings: settings(axes, &tried.point),
        estimates: MEASURES.iter().map(|measure| Estimate::of(&tried.samples(measure.name), CONFIDENCE)).collect(),
        on_front: tuned.front.contains(&number),
    };
    tuned.tried.iter().enumerate().map(point).collect()
}

fn settings(axes: &[Axis], point: &[usize]) -> Vec<String> {
    axes.iter().zip(point).map(|(axis, index)| value_text(&axis.values[*index])).collect()
}

/// What to set, what it gives, how sure that is, and what each setting is worth.
#[must_use]
pub fn render(title: &str, axes: &[Axis], goal: &Goal, tuned: &Tuned, color: bool) -> String {
    let bold = |text: &str| if color { format!("\u{1b}[1m{text}\u{1b}[0m") } else { text.to_owned() };
    let mut text = format!("{}  {} runs, {} combinations tried\n\n", bold(title), tuned.runs, tuned.tried.len());
    let best = &tuned.tried[tuned.best];
    let met = best.violation(&goal.constraints) == 0.0;
    let verdict = if met { "Best settings" } else { "No combination meets the objectives; nearest" };
    let _ = writeln!(text, "{}", bold(verdict));
    for (axis, value) in axes.iter().zip(settings(axes, &best.point)) {
        let _ = writeln!(text, "  {} = {value}", axis.path);
    }
    text.push('\n');
    let mut rows = vec![vec!["It gives".to_owned(), "mean".to_owned(), "allowed".to_owned()]];
    for measure in
        ["cost_usd", "wait_p50_s", "wait_p95_s", "wait_p99_s", "pods_max", "nodes_max", "left", "dead_lettered"]
    {
        let estimate = Estimate::of(&best.samples(measure), CONFIDENCE);
        let limit = goal.constraints.iter().find(|constraint| constraint.measure == measure);
        let limit = limit.map_or_else(String::new, |constraint| value(measure, constraint.limit));
        rows.push(vec![heading(measure).to_owned(), cell(measure, &estimate), limit]);
    }
    text.push_str(&aligned(&rows, 1, color));
    text.push('\n');
    let names: Vec<String> = axes.iter().map(|axis| axis.path.clone()).collect();
    let _ = writeln!(text, "{}", bold(&format!("What each setting is worth in {}", heading(goal.minimize))));
    let mut ranking: Vec<_> = tuned.sensitivity.iter().collect();
    ranking.sort_by(|a, b| b.range.total_cmp(&a.range).then(a.axis.cmp(&b.axis)));
    for sensitivity in ranking {
        let axis = &axes[sensitivity.axis];
        let means = sensitivity.means.iter();
        let means: Vec<_> = means
            .map(|(at, mean)| format!("{}: {}", value_text(&axis.values[*at]), value(goal.minimize, *mean)))
            .collect();
        let name = short_name(&axis.path, &names);
        let _ = writeln!(text, "  {name}  {}  ({})", value(goal.minimize, sensitivity.range), means.join(", "));
    }
    text
}
