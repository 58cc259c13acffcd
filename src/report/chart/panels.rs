//! What the chart shows: queue with its blame band, pods, nodes by state, nodes by type, cost.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use plotters::backend::DrawingBackend;
use plotters::style::RGBColor;

use crate::cluster::catalogue::CapacityType;
use crate::report::numbers::{count, percent, short, span};
use crate::report::summary::Summary;
use crate::telemetry::series::hours;
use crate::telemetry::{Factor, MarkKind, NodeRecord, NodeState, Outcome, QueueRecord, Series};
use crate::time::{Duration, Time};
use crate::units::Usd;

use super::axis;
use super::canvas::{Align, Canvas, ChartError};
use super::marks;
use super::palette::{
    self, BLUE, EMPTY, FRAME, GREEN, GREY, INK, LIGHT, MUTED, ORANGE, PURPLE, SKY, VERMILLION, YELLOW,
};
use super::panel::{Entry, Plot, SMALL, Swatch};

const WIDTH: f64 = 1500.0;
const LEFT: f64 = 84.0;
const RIGHT: f64 = 1130.0;
const LEGEND: f64 = 322.0;
const HEADER: f64 = 92.0;
const BAND: f64 = 22.0;
/// Most bands, one a queue.
const BANDS: usize = 4;
/// Height of each panel and the gap above it, which holds its title and the labels of the panel before.
const GAP: f64 = 62.0;
const QUEUE: f64 = 250.0;
const PODS: f64 = 200.0;
const NODES: f64 = 200.0;
const TYPES: f64 = 180.0;
const COST: f64 = 150.0;

/// Size of the drawing in units.
pub fn size(outcome: &Outcome) -> (f64, f64) {
    (WIDTH, HEADER + bands(outcome) + QUEUE + PODS + NODES + TYPES + COST + 4.0 * GAP + 40.0)
}

fn bands(outcome: &Outcome) -> f64 {
    (BAND + 6.0) * outcome.queues.len().min(BANDS) as f64 + 8.0
}

/// Draws everything.
pub fn draw<B: DrawingBackend>(canvas: &Canvas<'_, B>, outcome: &Outcome, summary: &Summary) -> Result<(), ChartError> {
    header(canvas, summary)?;
    let mut top = HEADER;
    let mut plot = |height: f64, max: f64, whole: bool| {
        let scale = axis::values(max, 5, whole);
        let plot = Plot { left: LEFT, right: RIGHT, top, bottom: top + height, end: outcome.end, scale };
        top += height + GAP;
        plot
    };
    let visible = Series::sum(outcome.queues.iter().map(|queue| &queue.visible));
    let in_flight = Series::sum(outcome.queues.iter().map(|queue| &queue.in_flight));
    let queue_plot = plot(QUEUE, visible.max(outcome.end).max(in_flight.max(outcome.end)) as f64, true);
    queue_panel(canvas, &queue_plot, outcome, &visible, &in_flight)?;
    let mut top = top + bands(outcome);
    let mut plot = |height: f64, max: f64, whole: bool| {
        let scale = axis::values(max, 4, whole);
        let plot = Plot { left: LEFT, right: RIGHT, top, bottom: top + height, end: outcome.end, scale };
        top += height + GAP;
        plot
    };
    let desired = outcome.pods_desired(None);
    let most_pods = desired.max(outcome.end).max(outcome.pods_existing(None).max(outcome.end));
    pods_panel(canvas, &plot(PODS, most_pods as f64, true), outcome, &desired)?;
    let most_nodes = outcome.nodes_in(NodeState::Running, |_| true).max(outcome.end) as f64;
    nodes_panel(canvas, &plot(NODES, most_nodes, true), outcome)?;
    types_panel(canvas, &plot(TYPES, most_nodes, true), outcome)?;
    let rate = outcome.cost_rate();
    let most = Usd::from_nano(rate.max(outcome.end)).as_f64();
    cost_panel(canvas, &plot(COST, most, false), outcome, &rate, summary)
}

fn header<B: DrawingBackend>(canvas: &Canvas<'_, B>, summary: &Summary) -> Result<(), ChartError> {
    canvas.text(&canvas.fitted(&summary.scenario, 24.0, RIGHT - LEFT), (LEFT, 28.0), 24.0, INK, Align::Left)?;
    let messages = &summary.messages;
    let mut parts = vec![
        summary.region.clone(),
        format!("{} simulated", Duration::from_secs_f64(summary.duration_s)),
        format!("seed {}", summary.seed),
        format!("{} messages processed", count(messages.processed)),
    ];
    if let Some(p95) = messages.wait.p95_s {
        parts.push(format!("p95 wait {}", span(Duration::from_secs_f64(p95))));
    }
    parts.push(Usd::from_f64(summary.cost.total_usd).to_string());
    if let Some(usd) = summary.cost.per_million_messages_usd {
        parts.push(format!("{} per million messages", Usd::from_f64(usd)));
    }
    let line = parts.join("  ·  ");
    canvas.text(&canvas.fitted(&line, 14.0, WIDTH - LEFT - 20.0), (LEFT, 52.0), 14.0, MUTED, Align::Left)
}

fn queue_panel<B: DrawingBackend>(
    canvas: &Canvas<'_, B>,
    plot: &Plot,
    outcome: &Outcome,
    visible: &Series,
    in_flight: &Series,
) -> Result<(), ChartError> {
    plot.axes(canvas, "Queue: messages", false)?;
    plot.area(canvas, visible, 1.0, SKY, 0.55)?;
    plot.line(canvas, visible, 1.0, BLUE)?;
    plot.line(canvas, in_flight, 1.0, ORANGE)?;
    let figures = |series: &Series| format!("peak {}", count(series.max(outcome.end).unsigned_abs()));
    let mut entries = vec![
        Entry::new(Swatch::Line, BLUE, "visible", figures(visible)),
        Entry::new(Swatch::Line, ORANGE, "in flight", figures(in_flight)),
    ];
    entries.extend(marks::draw(canvas, plot, outcome, MarkKind::Scenario, "event of the scenario")?);
    plot.legend(canvas, &entries, LEGEND)?;
    plot.frame(canvas)?;
    blame_bands(canvas, plot, outcome, entries.len())
}

/// Under the queue: what limited its throughput when. Beside it: the worst factors.
fn blame_bands<B: DrawingBackend>(
    canvas: &Canvas<'_, B>,
    plot: &Plot,
    outcome: &Outcome,
    rows: usize,
) -> Result<(), ChartError> {
    let mut top = plot.bottom + 8.0;
    for queue in outcome.queues.iter().take(BANDS) {
        let band = Plot { top, bottom: top + BAND, ..*plot };
        canvas.rectangle((band.left, band.top), (band.right, band.bottom), EMPTY, 1.0)?;
        let steps = queue.blame.band();
        for (index, &(at, factor)) in steps.iter().enumerate() {
            let until = steps.get(index + 1).map_or(outcome.end, |&(next, _)| next);
            if let Some(factor) = factor {
                let (from, to) = ((band.x(at), band.top), (band.x(until), band.bottom));
                canvas.rectangle(from, to, palette::factor(factor), 1.0)?;
            }
        }
        band.frame(canvas)?;
        let name = if outcome.queues.len() == 1 { "limited by" } else { queue.name.as_str() };
        let name = canvas.fitted(name, SMALL, LEFT - 12.0);
        canvas.text(&name, (band.left - 8.0, top + BAND / 2.0), SMALL, MUTED, Align::Right)?;
        top += BAND + 6.0;
    }
    times_below(canvas, &Plot { bottom: top - 6.0, ..*plot })?;
    let entries = blame_entries(&outcome.queues);
    if entries.is_empty() {
        return Ok(());
    }
    let room = ((top - plot.top - 10.0) / 20.0) as usize;
    let first = rows + 1;
    let heading = plot.top + 10.0 + 20.0 * first as f64;
    canvas.text(
        "What the backlog waited for (share of message-seconds)",
        (plot.right + 24.0, heading),
        SMALL,
        MUTED,
        Align::Left,
    )?;
    let below = Plot { top: heading + 12.0, ..*plot };
    let shown = entries.len().min(room.saturating_sub(first + 1));
    below.legend(canvas, &entries[..shown], LEGEND)
}

fn blame_entries(queues: &[QueueRecord]) -> Vec<Entry> {
    let mut sums: BTreeMap<Factor, i128> = BTreeMap::new();
    for (factor, micros, _) in queues.iter().flat_map(|queue| queue.blame.ranking()) {
        *sums.entry(factor).or_default() += micros;
    }
    let total: i128 = sums.values().sum();
    let mut ranking: Vec<_> = sums.into_iter().collect();
    ranking.sort_by_key(|&(factor, micros)| (Reverse(micros), factor));
    let entry = |(factor, micros): (Factor, i128)| {
        Entry::new(Swatch::Area, palette::factor(factor), factor.label(), percent(micros as f64 / total as f64))
    };
    ranking.into_iter().map(entry).collect()
}

/// Labels of the time axis below a panel which has something between its plot and them.
fn times_below<B: DrawingBackend>(canvas: &Canvas<'_, B>, plot: &Plot) -> Result<(), ChartError> {
    let seconds = plot.end.as_secs_f64();
    let step = axis::time_step(seconds, 12);
    let mut line = 0.0;
    while line * step <= seconds {
        let x = plot.x(Time::from_secs_f64(line * step));
        canvas.text(&axis::time_label(line * step), (x, plot.bottom + 14.0), SMALL, MUTED, Align::Center)?;
        line += 1.0;
    }
    Ok(())
}

fn pods_panel<B: DrawingBackend>(
    canvas: &Canvas<'_, B>,
    plot: &Plot,
    outcome: &Outcome,
    desired: &Series,
) -> Result<(), ChartError> {
    plot.axes(canvas, "Pods", true)?;
    let (ready, starting) = (outcome.pods_ready(None), outcome.pods_starting(None));
    let (pending, terminating) = (outcome.pods_pending(None), outcome.pods_terminating(None));
    let layers = [
        (&ready, GREEN, "ready"),
        (&starting, SKY, "starting"),
        (&pending, YELLOW, "pending, no node yet"),
        (&terminating, LIGHT, "terminating"),
    ];
    plot.stack(canvas, &layers.map(|(series, color, _)| (series, color)), 1.0)?;
    plot.line(canvas, desired, 1.0, INK)?;
    let mut entries = vec![Entry::new(Swatch::Line, INK, "desired replicas", figures(desired, outcome))];
    for (series, color, label) in layers.into_iter().rev() {
        if series.max(outcome.end) > 0 {
            entries.push(Entry::new(Swatch::Area, color, label, figures(series, outcome)));
        }
    }
    entries.extend(marks::draw(canvas, plot, outcome, MarkKind::Limit, "limit reached")?);
    plot.legend(canvas, &entries, LEGEND)?;
    plot.frame(canvas)
}

fn figures(series: &Series, outcome: &Outcome) -> String {
    let mean = series.mean(outcome.run.warm_up, outcome.end);
    format!("peak {}  mean {}", count(series.max(outcome.end).unsigned_abs()), short(mean))
}

fn nodes_panel<B: DrawingBackend>(canvas: &Canvas<'_, B>, plot: &Plot, outcome: &Outcome) -> Result<(), ChartError> {
    plot.axes(canvas, "Nodes by state", true)?;
    let ready =
        |wanted: Option<CapacityType>| outcome.nodes_in(NodeState::Ready, |node| node.info.capacity_type == wanted);
    let layers: [(Series, RGBColor, &str); 6] = [
        (ready(Some(CapacityType::OnDemand)), BLUE, "ready, on demand"),
        (ready(Some(CapacityType::Spot)), SKY, "ready, Spot"),
        (ready(Some(CapacityType::Reserved)), PURPLE, "ready, reserved"),
        (ready(None), GREY, "ready, other"),
        (outcome.nodes_in(NodeState::Booting, |_| true), YELLOW, "booting"),
        (outcome.nodes_in(NodeState::Draining, |_| true), LIGHT, "draining"),
    ];
    let stacked: Vec<_> = layers.iter().map(|(series, color, _)| (series, *color)).collect();
    plot.stack(canvas, &stacked, 1.0)?;
    let shown = layers.iter().rev().filter(|(series, _, _)| series.max(outcome.end) > 0);
    let mut entries: Vec<_> = shown
        .map(|(series, color, label)| Entry::new(Swatch::Area, *color, *label, figures(series, outcome)))
        .collect();
    entries.extend(marks::launches(canvas, plot, outcome)?);
    entries.extend(marks::draw(canvas, plot, outcome, MarkKind::Disruption, "Karpenter disruption")?);
    entries.extend(marks::draw(canvas, plot, outcome, MarkKind::LaunchFailed, "launch failed, no capacity")?);
    entries.extend(marks::draw(canvas, plot, outcome, MarkKind::Interruption, "Spot interruption")?);
    plot.legend(canvas, &entries, LEGEND)?;
    plot.frame(canvas)
}

/// Instance types with most node-hours, the rest as one.
fn types_panel<B: DrawingBackend>(canvas: &Canvas<'_, B>, plot: &Plot, outcome: &Outcome) -> Result<(), ChartError> {
    plot.axes(canvas, "Nodes by instance type", true)?;
    let mut names: Vec<(&str, Option<CapacityType>)> = outcome
        .nodes
        .iter()
        .filter(|node| node.launched.is_some())
        .map(|node| (node.info.instance_type.as_str(), node.info.capacity_type))
        .collect();
    names.sort_unstable();
    names.dedup();
    let mut types: Vec<_> = Vec::new();
    for wanted in names {
        let matches = |node: &NodeRecord| (node.info.instance_type.as_str(), node.info.capacity_type) == wanted;
        let series = outcome.nodes_in(NodeState::Running, matches);
        types.push((series.integral(outcome.end), wanted, series));
    }
    types.sort_by_key(|(node_micros, name, _)| (Reverse(*node_micros), *name));
    let rest = types.split_off(types.len().min(palette::TYPES.len()));
    let other = Series::sum(rest.iter().map(|(_, _, series)| series));
    let mut layers: Vec<(&Series, RGBColor)> =
        types.iter().zip(palette::TYPES).map(|((_, _, series), color)| (series, color)).collect();
    layers.push((&other, LIGHT));
    plot.stack(canvas, &layers, 1.0)?;
    let note = |node_micros: i128| format!("{} node-hours", short(hours(node_micros)));
    let mut entries = Vec::new();
    for ((node_micros, (name, capacity_type), _), color) in types.iter().zip(palette::TYPES) {
        let name = if name.is_empty() { "unknown type" } else { name };
        let label = capacity_type.map_or(name.to_owned(), |capacity_type| format!("{name} {}", capacity_type.as_str()));
        entries.push(Entry::new(Swatch::Area, color, label, note(*node_micros)));
    }
    if !rest.is_empty() {
        let label = format!("{} others", rest.len());
        entries.push(Entry::new(Swatch::Area, LIGHT, label, note(other.integral(outcome.end))));
    }
    plot.legend(canvas, &entries, LEGEND)?;
    plot.frame(canvas)
}

fn cost_panel<B: DrawingBackend>(
    canvas: &Canvas<'_, B>,
    plot: &Plot,
    outcome: &Outcome,
    rate: &Series,
    summary: &Summary,
) -> Result<(), ChartError> {
    let unused = summary.cost.unused_reservations_usd.unwrap_or(0.0);
    let of = if unused > 0.0 { "Cost of instances and reservations" } else { "Cost of instances" };
    plot.axes(canvas, &format!("{of}: USD per hour"), true)?;
    let dollars = 1e-9;
    plot.area(canvas, rate, dollars, GREEN, 0.35)?;
    plot.line(canvas, rate, dollars, GREEN)?;
    plot.frame(canvas)?;
    let cost = &summary.cost;
    let usd = |amount: f64| Usd::from_f64(amount).to_string();
    let mean = rate.mean(Time::ZERO, outcome.end) * dollars;
    let entries = [Entry::new(
        Swatch::Line,
        GREEN,
        "cost rate",
        format!("peak {}/h  mean {}/h", usd(cost.rate_max_usd_per_h), usd(mean)),
    )];
    plot.legend(canvas, &entries, LEGEND)?;
    let parts = [
        ("useful", cost.useful_usd, GREEN),
        ("redone", cost.redone_usd, PURPLE),
        ("idle", cost.idle_usd, ORANGE),
        ("empty", cost.empty_usd, VERMILLION),
        ("boot", cost.boot_usd, YELLOW),
        ("draining", cost.draining_usd, SKY),
        ("overhead", cost.overhead_usd, GREY),
        ("unused reservations", unused, BLUE),
    ];
    let whole = (cost.instances_usd + unused).max(1e-9);
    // What is too small to be seen in the bar would only make the legend long.
    let parts = parts.iter().filter(|(_, amount, _)| amount / whole >= 0.005);
    let left = plot.right + 24.0;
    let mut x = left;
    let y = plot.top + 34.0;
    for &(_, amount, color) in parts.clone() {
        let width = amount / whole * LEGEND;
        canvas.rectangle((x, y), (x + width, y + 14.0), color, 1.0)?;
        x += width;
    }
    canvas.frame((left, y), (left + LEGEND, y + 14.0), FRAME)?;
    let below = Plot { top: y + 20.0, ..*plot };
    let entry = |&(label, amount, color): &(&'static str, f64, RGBColor)| {
        let note = format!("{}  {}", usd(amount), percent(amount / whole));
        Entry::new(Swatch::Area, color, label, note)
    };
    below.legend(canvas, &parts.map(entry).collect::<Vec<_>>(), LEGEND)
}
