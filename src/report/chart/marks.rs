//! Marks on a panel: launches, interruptions, limits.

use plotters::backend::DrawingBackend;

use crate::telemetry::{MarkKind, Outcome};
use crate::time::Time;

use super::canvas::{Canvas, ChartError};
use super::palette;
use super::panel::{Entry, Plot, Swatch};

/// Marks of one kind nearer than this are drawn as one.
const NEAR: f64 = 7.0;

/// Draws all marks of a kind, each a dashed line with a head, and gives their entry in the legend; `None` without any.
pub fn draw<B: DrawingBackend>(
    canvas: &Canvas<'_, B>,
    plot: &Plot,
    outcome: &Outcome,
    kind: MarkKind,
    label: &str,
) -> Result<Option<Entry>, ChartError> {
    let color = palette::mark(kind);
    let marks = outcome.marks.iter().filter(|mark| mark.kind == kind && mark.at <= outcome.end);
    let times: Vec<Time> = marks.map(|mark| mark.at).collect();
    let mut last = f64::NEG_INFINITY;
    for x in times.iter().map(|&time| plot.x(time)) {
        if x - last < NEAR {
            continue;
        }
        last = x;
        canvas.dashes(x, plot.top, plot.bottom, color)?;
        let head = match kind {
            MarkKind::Limit => {
                [(x - 6.0, plot.top), (x + 6.0, plot.top), (x + 6.0, plot.top + 5.0), (x - 6.0, plot.top + 5.0)]
            }
            MarkKind::LaunchFailed => {
                [(x, plot.top), (x + 5.0, plot.top + 6.0), (x, plot.top + 12.0), (x - 5.0, plot.top + 6.0)]
            }
            _ => [(x - 6.0, plot.top), (x + 6.0, plot.top), (x, plot.top + 10.0), (x, plot.top + 10.0)],
        };
        canvas.polygon(&head, color, 1.0)?;
    }
    Ok((!times.is_empty()).then(|| Entry::new(Swatch::Line, color, label, times.len().to_string())))
}

/// Short lines at the lower edge for every launch of an instance.
pub fn launches<B: DrawingBackend>(
    canvas: &Canvas<'_, B>,
    plot: &Plot,
    outcome: &Outcome,
) -> Result<Option<Entry>, ChartError> {
    let launched =
        outcome.nodes.iter().filter_map(|node| node.launched.filter(|at| *at > Time::ZERO && *at <= outcome.end));
    let times: Vec<Time> = launched.collect();
    for &time in &times {
        let x = plot.x(time);
        canvas.line(&[(x, plot.bottom + 1.0), (x, plot.bottom + 8.0)], palette::INK, 1.0)?;
    }
    let label = "launch (tick below the axis)";
    Ok((!times.is_empty()).then(|| Entry::new(Swatch::Line, palette::INK, label, times.len().to_string())))
}
