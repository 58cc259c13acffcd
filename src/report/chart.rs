//! Charts, as SVG and PNG from the same drawing code. The chart of a run: panels over one time axis.

mod axis;
pub mod bands;
mod canvas;
mod graph;
pub mod heat;
mod marks;
mod palette;
mod panel;
mod panels;
pub mod response;
pub mod trade_off;

use std::path::Path;

use plotters::backend::{BitMapBackend, DrawingBackend, SVGBackend};
use plotters::drawing::IntoDrawingArea;
use plotters::style::WHITE;

use crate::telemetry::Outcome;

use super::summary::Summary;

pub use canvas::{Align, Canvas, ChartError};

/// Pixels of a PNG per unit of the drawing.
const PNG_SCALE: f64 = 2.0;

/// What can be drawn on any surface.
pub trait Drawing {
    /// Width and height in units.
    fn size(&self) -> (f64, f64);

    /// Draws everything on a white surface of that size.
    ///
    /// # Errors
    /// When the surface cannot be drawn on.
    fn draw<B: DrawingBackend>(&self, canvas: &Canvas<'_, B>) -> Result<(), ChartError>;
}

/// A drawing as an SVG document.
///
/// # Errors
/// Only when the drawing library fails.
pub fn document(drawing: &impl Drawing) -> Result<String, ChartError> {
    let (width, height) = drawing.size();
    let mut text = String::new();
    draw(SVGBackend::with_string(&mut text, (width as u32, height as u32)), 1.0, drawing)?;
    Ok(text)
}

/// Writes a drawing as a PNG.
///
/// # Errors
/// When the file cannot be written.
pub fn picture(drawing: &impl Drawing, path: &Path) -> Result<(), ChartError> {
    let (width, height) = drawing.size();
    let pixels = |length: f64| (length * PNG_SCALE) as u32;
    draw(BitMapBackend::new(path, (pixels(width), pixels(height))), PNG_SCALE, drawing)
}

fn draw<B: DrawingBackend>(backend: B, scale: f64, drawing: &impl Drawing) -> Result<(), ChartError> {
    let area = backend.into_drawing_area();
    let canvas = Canvas::new(&area, scale);
    canvas.clear(WHITE)?;
    drawing.draw(&canvas)?;
    area.present().map_err(|error| ChartError(format!("{error:?}")))
}

/// The chart of a run.
struct Run<'a> {
    outcome: &'a Outcome,
    summary: &'a Summary,
}

impl Drawing for Run<'_> {
    fn size(&self) -> (f64, f64) {
        panels::size(self.outcome)
    }

    fn draw<B: DrawingBackend>(&self, canvas: &Canvas<'_, B>) -> Result<(), ChartError> {
        panels::draw(canvas, self.outcome, self.summary)
    }
}

/// The chart of a run as an SVG document.
///
/// # Errors
/// Only when the drawing library fails.
pub fn svg(outcome: &Outcome, summary: &Summary) -> Result<String, ChartError> {
    document(&Run { outcome, summary })
}

/// Writes the chart of a run as a PNG.
///
/// # Errors
/// When the file cannot be written.
pub fn png(outcome: &Outcome, summary: &Summary, path: &Path) -> Result<(), ChartError> {
    picture(&Run { outcome, summary }, path)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::decode::defaults;
    use crate::report::{sample, summary};

    #[test]
    fn the_same_run_gives_the_same_bytes() -> Result<(), Box<dyn std::error::Error>> {
        let outcome = sample::outcome();
        let summary = summary::summarize(&outcome, &defaults());
        let folder = tempfile::tempdir()?;
        let paths = ["a.png", "b.png"].map(|name| folder.path().join(name));
        for path in &paths {
            png(&outcome, &summary, path)?;
        }
        assert_eq!(std::fs::read(&paths[0])?, std::fs::read(&paths[1])?);
        let document = svg(&outcome, &summary)?;
        assert_eq!(document, svg(&outcome, &summary)?);
        assert!(document.contains("nodes booting"));
        Ok(())
    }

    #[test]
    fn an_empty_run_has_a_chart_too() -> Result<(), ChartError> {
        let outcome = Outcome::default();
        let summary = summary::summarize(&outcome, &defaults());
        assert!(svg(&outcome, &summary)?.starts_with("<svg"));
        Ok(())
    }
}
