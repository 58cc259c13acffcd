//! The points of a sweep or a search: a table on the screen and `means.csv`.

use std::fmt::Write as _;

use crate::study::measures::MEASURES;
use crate::study::pareto;
use crate::study::plan::Plan;
use crate::study::statistics::Estimate;
use crate::study::table::Table;
use crate::time::Duration;
use crate::units::Usd;

use super::numbers::{percent, round, short, span};

/// Confidence of all intervals.
const CONFIDENCE: f64 = 0.95;
/// Most points that the screen shows; beyond, only those that nothing beats.
const MOST_SHOWN: usize = 40;
/// Measures on the screen.
const SHOWN: [&str; 7] = ["cost_usd", "wait_p50_s", "wait_p95_s", "wait_p99_s", "pods_max", "nodes_max", "left"];

/// One point: its settings and what its runs gave.
#[derive(Clone, Debug)]
pub struct Point {
    /// Number.
    pub number: usize,
    /// Values of the axes.
    pub settings: Vec<String>,
    /// Estimates in the order of [`MEASURES`].
    pub estimates: Vec<Estimate>,
    /// No other point is at once cheaper and faster (cost and p95 wait).
    pub on_front: bool,
}

impl Point {
    /// The estimate of a measure.
    #[must_use]
    pub fn estimate(&self, measure: &str) -> Option<&Estimate> {
        MEASURES.iter().position(|m| m.name == measure).map(|column| &self.estimates[column])
    }

    fn mean(&self, measure: &str) -> f64 {
        self.estimate(measure).map_or(0.0, |estimate| estimate.mean)
    }
}

/// All points of a plan with their estimates.
#[must_use]
pub fn points(plan: &Plan, table: &Table) -> Vec<Point> {
    let estimate = |number: usize, measure: &str| Estimate::of(&table.samples(number, measure), CONFIDENCE);
    let point = |number: usize| Point {
        number,
        settings: plan.labels(number),
        estimates: MEASURES.iter().map(|measure| estimate(number, measure.name)).collect(),
        on_front: false,
    };
    let has_runs = |number: &usize| !table.samples(*number, "cost_usd").is_empty();
    let mut points: Vec<Point> = (0..plan.points.len()).filter(has_runs).map(point).collect();
    mark_front(&mut points);
    points
}

/// Marks the points that no other beats in both cost and p95 wait.
pub fn mark_front(points: &mut [Point]) {
    let values: Vec<Vec<f64>> =
        points.iter().map(|point| vec![point.mean("cost_usd"), point.mean("wait_p95_s")]).collect();
    for index in pareto::front(&values) {
        points[index].on_front = true;
    }
}

/// `means.csv`: one row a point, mean and half width of the 95 % interval of every measure.
#[must_use]
pub fn csv(axes: &[String], points: &[Point]) -> String {
    let mut writer = csv::Writer::from_writer(Vec::new());
    let mut header = vec!["point".to_owned()];
    header.extend(axes.iter().cloned());
    header.extend(["runs".to_owned(), "on_front".to_owned()]);
    for measure in MEASURES {
        header.extend([format!("{}_mean", measure.name), format!("{}_half_width", measure.name)]);
    }
    let mut rows = vec![header];
    for point in points {
        let runs = point.estimates.first().map_or(0, |estimate| estimate.samples);
        let mut row = vec![point.number.to_string()];
        row.extend(point.settings.iter().cloned());
        row.extend([runs.to_string(), point.on_front.to_string()]);
        for estimate in &point.estimates {
            let width =
                if estimate.half_width.is_finite() { round(estimate.half_width, 9).to_string() } else { String::new() };
            row.extend([round(estimate.mean, 9).to_string(), width]);
        }
        rows.push(row);
    }
    for row in rows {
        // Writing to memory does not fail, and all rows are equally long.
        let _ = writer.write_record(&row);
    }
    String::from_utf8(writer.into_inner().unwrap_or_default()).unwrap_or_default()
}

/// The table on the screen.
#[must_use]
pub fn render(title: &str, axes: &[String], points: &[Point], color: bool) -> String {
    let bold = |text: &str| if color { format!("\u{1b}[1m{text}\u{1b}[0m") } else { text.to_owned() };
    let mut text = format!("{}\n\n", bold(title));
    let all = points.len() <= MOST_SHOWN;
    let shown: Vec<&Point> = points.iter().filter(|point| all || point.on_front).collect();
    let mut rows = vec![Vec::new()];
    rows[0].push(String::new());
    rows[0].extend(axes.iter().map(|axis| short_name(axis, axes)));
    rows[0].extend(SHOWN.iter().map(|name| heading(name).to_owned()));
    for point in &shown {
        let mut row = vec![if point.on_front { "*" } else { "" }.to_owned()];
        row.extend(point.settings.iter().cloned());
        row.extend(SHOWN.iter().map(|name| point.estimate(name).map_or_else(String::new, |e| cell(name, e))));
        rows.push(row);
    }
    text.push_str(&aligned(&rows, 1 + axes.len(), color));
    text.push('\n');
    text.push_str("* nothing beats it: no other point is both cheaper and faster (cost, p95 wait)\n");
    if !all {
        let _ = writeln!(text, "{} points were run; the table shows those that nothing beats", points.len());
    }
    text
}

/// Columns padded to their widest cell: the first `left` to the left, the others to the right. The first row is the header.
#[must_use]
pub fn aligned(rows: &[Vec<String>], left: usize, color: bool) -> String {
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let width = |column: usize| rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count()).max();
    let widths: Vec<usize> = (0..columns).map(|column| width(column).unwrap_or(0)).collect();
    let mut text = String::new();
    for (index, row) in rows.iter().enumerate() {
        let cells = row.iter().enumerate().map(|(column, cell)| {
            let width = widths[column];
            if column < left { format!("{cell:<width$}") } else { format!("{cell:>width$}") }
        });
        let line = cells.collect::<Vec<_>>().join("  ");
        let line = line.trim_end();
        let _ = if index == 0 && color { writeln!(text, "\u{1b}[1m{line}\u{1b}[0m") } else { writeln!(text, "{line}") };
    }
    text
}

/// The last part of a setting's path where that is enough to tell the axes apart; of the `values` of a requirement, its label.
#[must_use]
pub fn short_name(axis: &str, all: &[String]) -> String {
    let last = |path: &str| {
        let path = path.strip_suffix(".values").unwrap_or(path);
        let quoted = path.strip_suffix('"').and_then(|path| path.rsplit('"').next());
        quoted.or(path.rsplit('.').next()).unwrap_or(path).to_owned()
    };
    let name = last(axis);
    if all.iter().filter(|other| last(other) == name).count() == 1 { name } else { axis.to_owned() }
}

/// What people call a measure.
#[must_use]
pub fn heading(measure: &str) -> &str {
    match measure {
        "cost_usd" => "cost",
        "wait_mean_s" => "mean wait",
        "wait_p50_s" => "p50 wait",
        "wait_p95_s" => "p95 wait",
        "wait_p99_s" => "p99 wait",
        "wait_max_s" => "max wait",
        "sojourn_p95_s" => "p95 sojourn",
        "pods_max" => "pods",
        "nodes_max" => "nodes",
        other => other,
    }
}

/// A mean with the half width of its interval, in the measure's own unit.
#[must_use]
pub fn cell(measure: &str, estimate: &Estimate) -> String {
    let mean = value(measure, estimate.mean);
    if estimate.half_width.is_finite() && estimate.half_width > 0.0 {
        format!("{mean} ±{}", value(measure, estimate.half_width))
    } else {
        mean
    }
}

/// A value of a measure, for people.
#[must_use]
pub fn value(measure: &str, amount: f64) -> String {
    if measure.ends_with("_s") {
        span(Duration::from_secs_f64(amount))
    } else if measure.ends_with("_share") {
        percent(amount)
    } else if measure.ends_with("_usd") {
        Usd::from_f64(amount).to_string()
    } else if amount.fract() == 0.0 {
        format!("{amount}")
    } else {
        short(amount)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn point(number: usize, cost: f64, wait: f64) -> Point {
        let of = |name: &str| match name {
            "cost_usd" => cost,
            "wait_p95_s" => wait,
            _ => 3.0,
        };
        let estimates = MEASURES.iter().map(|m| Estimate::of(&[of(m.name), of(m.name) * 1.02], CONFIDENCE)).collect();
        Point { number, settings: vec![format!("{}s", 5 * (number + 1)), "4".to_owned()], estimates, on_front: false }
    }

    #[test]
    fn points_that_nothing_beats_are_marked() {
        let mut points = vec![point(0, 1.0, 60.0), point(1, 2.0, 30.0), point(2, 2.5, 45.0)];
        mark_front(&mut points);
        assert_eq!(points.iter().map(|point| point.on_front).collect::<Vec<_>>(), [true, true, false]);
        let axes = ["ScaledObject/orders.pollingInterval".to_owned(), "ScaledObject/orders.maxReplicaCount".to_owned()];
        let text = render("orders", &axes, &points, false);
        assert!(text.contains("pollingInterval  maxReplicaCount") && !text.contains("ScaledObject/"), "{text}");
        assert!(text.contains("*  5s") && text.contains("$1.01 ±$0.12"), "{text}");
        let table = csv(&axes, &points);
        assert_eq!(table.lines().count(), 4);
        assert!(table.starts_with("point,ScaledObject/orders.pollingInterval,"));
        assert!(table.lines().nth(3).is_some_and(|line| line.starts_with("2,15s,4,2,false,")), "{table}");
    }

    #[test]
    fn axes_keep_their_path_where_the_last_part_is_not_enough() {
        let axes = ["NodePool/a.limits.cpu".to_owned(), "NodePool/b.limits.cpu".to_owned()];
        assert_eq!(short_name(&axes[0], &axes), axes[0]);
        assert_eq!(short_name(&axes[0], &axes[..1]), "cpu");
        let label = "NodePool/a.template.spec.requirements.\"kubernetes.io/arch\".values".to_owned();
        assert_eq!(short_name(&label, std::slice::from_ref(&label)), "kubernetes.io/arch");
    }
}
