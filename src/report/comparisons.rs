//! Scenarios side by side, on the screen.

use std::fmt::Write as _;

use crate::study::compare::{Comparison, Interval};
use crate::study::statistics::{Estimate, quantile};

use super::numbers::short;
use super::points::{aligned, cell, heading, value};

/// The table: a column each scenario, and for those after the first the paired difference to the first.
#[must_use]
pub fn render(comparison: &Comparison, color: bool) -> String {
    let bold = |text: &str| if color { format!("\u{1b}[1m{text}\u{1b}[0m") } else { text.to_owned() };
    let runs = comparison.replications;
    let title = format!("{} scenarios, {runs} runs each with the same arrivals and luck", comparison.names.len());
    let mut text = format!("{}\n\n", bold(&title));
    let mut header = vec![String::new()];
    for (index, name) in comparison.names.iter().enumerate() {
        header.push(name.clone());
        if index > 0 {
            header.push("difference".to_owned());
        }
    }
    let mut rows = vec![header];
    for line in &comparison.lines {
        let mut row = vec![heading(line.measure).to_owned()];
        for (index, interval) in line.values.iter().enumerate() {
            row.push(cell(line.measure, &estimate(*interval)));
            if index > 0 {
                row.push(difference(line.measure, line.less_is_better, line.values[0], line.differences[index - 1]));
            }
        }
        rows.push(row);
    }
    text.push_str(&aligned(&rows, 1, color));
    text.push_str(
        "\nDifferences are paired; ± is the 95 % interval. `=`: it may be chance. `better`, `worse`: it is not.\n",
    );
    if let Some(gain) = median_gain(comparison).filter(|gain| *gain > 1.0) {
        let gain = short(gain);
        let _ = writeln!(text, "Unpaired, they would need {gain} times as many runs (median of all measures).");
    }
    for miss in &comparison.misses {
        let name = &comparison.names[miss.scenario];
        let [mean, limit] = [miss.mean, miss.limit].map(|amount| value(miss.measure, amount));
        let what = if miss.measure == "waiting_share" { "never received" } else { "mean" };
        let _ = writeln!(text, "{name} misses {}: {what} {mean}, allowed {limit}", miss.objective);
    }
    text
}

/// Median of what pairing gains, over the measures whose differences vary.
fn median_gain(comparison: &Comparison) -> Option<f64> {
    let gains = comparison.lines.iter().flat_map(|line| line.pairing_gain.iter().copied().flatten());
    quantile(&gains.collect::<Vec<_>>(), 0.5)
}

fn estimate(interval: Interval) -> Estimate {
    Estimate {
        mean: interval.mean,
        half_width: interval.half_width.unwrap_or(f64::INFINITY),
        deviation: 0.0,
        samples: 0,
    }
}

fn difference(measure: &str, less_is_better: bool, base: Interval, interval: Interval) -> String {
    if interval.mean == 0.0 && interval.half_width.unwrap_or(0.0) == 0.0 {
        return "=".to_owned();
    }
    let sign = if interval.mean < 0.0 { "-" } else { "+" };
    let relative =
        if base.mean == 0.0 { String::new() } else { format!(" ({:+.0} %)", interval.mean / base.mean * 100.0) };
    let verdict = match (interval.is_significant(), (interval.mean < 0.0) == less_is_better) {
        (false, _) => "=",
        (true, true) => "better",
        (true, false) => "worse",
    };
    format!("{sign}{}{relative} {verdict}", value(measure, interval.mean.abs()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::study::compare::Line;

    #[test]
    fn differences_say_whether_they_may_be_chance() {
        let interval = |mean, half_width| Interval { mean, half_width: Some(half_width) };
        let line = |measure, base, other, difference| Line {
            measure,
            less_is_better: true,
            values: vec![base, other],
            differences: vec![difference],
            pairing_gain: vec![Some(4.2)],
        };
        let comparison = Comparison {
            names: vec!["base".to_owned(), "graviton".to_owned()],
            replications: 10,
            lines: vec![
                line("cost_usd", interval(2.0, 0.1), interval(1.6, 0.1), interval(-0.4, 0.05)),
                line("wait_p95_s", interval(60.0, 5.0), interval(61.0, 5.0), interval(1.0, 3.0)),
                line("left", interval(0.0, 0.0), interval(0.0, 0.0), interval(0.0, 0.0)),
            ],
            misses: Vec::new(),
            profiles: Vec::new(),
        };
        let text = render(&comparison, false);
        assert!(text.contains("-$0.4000 (-20 %) better"), "{text}");
        assert!(text.contains("+1.00s (+2 %) ="), "{text}");
    }
}
