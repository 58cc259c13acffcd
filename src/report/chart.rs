//! The chart of a run: panels over one time axis, as SVG and PNG from the same drawing code.

mod axis;
mod canvas;
mod marks;
mod palette;
mod panel;
mod panels;
pub mod trade_off;

use std::path::Path;

use plotters::backend::{BitMapBackend, DrawingBackend, SVGBackend};
use plotters::drawing::IntoDrawingArea;
use plotters::style::WHITE;

use crate::telemetry::Outcome;

use super::summary::Summary;

pub use canvas::ChartError;

/// Pixels of a PNG per unit of the drawing.
const PNG_SCALE: f64 = 2.0;

/// The chart as an SVG document.
///
/// # Errors
/// Only when the drawing library fails.
pub fn svg(outcome: &Outcome, summary: &Summary) -> Result<String, ChartError> {
    let (width, height) = panels::size(outcome);
    let mut document = String::new();
    let backend = SVGBackend::with_string(&mut document, (width as u32, height as u32));
    draw(backend, 1.0, outcome, summary)?;
    Ok(document)
}

/// Writes the chart as a PNG.
///
/// # Errors
/// When the file cannot be written.
pub fn png(outcome: &Outcome, summary: &Summary, path: &Path) -> Result<(), ChartError> {
    let (width, height) = panels::size(outcome);
    let pixels = |length: f64| (length * PNG_SCALE) as u32;
    draw(BitMapBackend::new(path, (pixels(width), pixels(height))), PNG_SCALE, outcome, summary)
}

fn draw<B: DrawingBackend>(backend: B, scale: f64, outcome: &Outcome, summary: &Summary) -> Result<(), ChartError> {
    let area = backend.into_drawing_area();
    let canvas = canvas::Canvas::new(&area, scale);
    canvas.clear(WHITE)?;
    panels::draw(&canvas, outcome, summary)?;
    area.present().map_err(|error| ChartError(format!("{error:?}")))
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
